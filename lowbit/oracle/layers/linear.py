"""Linear layers, a sum at a time."""

from __future__ import annotations

from collections.abc import Sequence

from lowbit.oracle.fixed_point.gemmlowp import wrap
from lowbit.oracle.gemm.gemm import exact_dot
from lowbit.oracle.layers.requantize import Rescaling


def linear(
    row: Sequence[int],
    weight: Sequence[Sequence[int]],
    output: Rescaling | None,
    *,
    bias: Sequence[int] | None = None,
    input_zero_point: int = 0,
    weight_zero_points: Sequence[int] | None = None,
) -> list[int]:
    """The results of a row of codes: an int32 accumulator for each row of ``weight``, requantised unless None."""
    sums = [
        wrap(exact_dot(row, taps, input_zero_point, zero) + start, 32)
        for taps, zero, start in zip(
            weight, weight_zero_points or [0] * len(weight), bias or [0] * len(weight), strict=True
        )
    ]
    return sums if output is None else [output(total, channel) for channel, total in enumerate(sums)]
