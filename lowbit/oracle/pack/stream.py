"""Codes of b bits as a dense stream, the first lowest, cut into words: what `qzeros` of AutoGPTQ is."""

from __future__ import annotations

from collections.abc import Sequence

WORD_BITS = 32


def packed_zeros(codes: Sequence[int], bits: int) -> list[int]:
    """Zero points, each less one modulo ``2**bits``, as words of 32 bits (AutoGPTQ, qlinear_cuda_old.py, pack)."""
    stream = sum((code - 1) % (1 << bits) << bits * place for place, code in enumerate(codes))
    return [stream >> start & ((1 << WORD_BITS) - 1) for start in range(0, bits * len(codes), WORD_BITS)]
