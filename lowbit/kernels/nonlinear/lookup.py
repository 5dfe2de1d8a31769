"""Table look-ups over rows of 8-bit codes: the processor's own where it has them, the portable ones elsewhere."""

from __future__ import annotations

from lowbit.kernels.nonlinear import fast_lookup, simd_lookup

_home = simd_lookup if simd_lookup.is_available() else fast_lookup

row_maximum = _home.row_maximum
distance_doubles = _home.distance_doubles
distance_sum = _home.distance_sum
distance_bytes = _home.distance_bytes
distance_words = _home.distance_words
multiply_by_entry = _home.multiply_by_entry

__all__ = ["distance_bytes", "distance_doubles", "distance_sum", "distance_words", "multiply_by_entry", "row_maximum"]
