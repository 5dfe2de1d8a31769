"""FQ-ViT's LayerNorm with power-of-two factors.

The one oracle with floating-point steps: the published algorithm takes the row's mean and deviation in floating point
and turns gamma / deviation into an 8-bit multiplier and a shift. Here the sums are exact integers and those steps are
binary64, in the order written; Python's floats are binary64 with correct rounding.

Source: FQ-ViT, arXiv 2111.13824, section 3.2; models/ptq/layers.py ``QIntLayerNorm``.
"""

from __future__ import annotations

import math

from lowbit.nonlinear.fqvit import LARGEST_SHIFT, NORM_BITS, layernorm_widths
from lowbit.oracle.fixed_point.division import divided_half_even
from lowbit.oracle.nonlinear.steps import Steps

LARGEST_BIAS = 1 << 62


def layernorm(
    row: list[int],
    result_scale: float,
    affine: list[tuple[float, float]],
    factors: list[int] | None = None,
    overflow: str = "wrap",
    steps: Steps | None = None,
) -> list[int]:
    """LayerNorm of one row of codes, in units of ``result_scale``.

    Parameters
    ----------
    row : list of int
        At least one code; not all equal after the factors.
    result_scale : float
        A positive binary32 number.
    affine : list of (float, float)
        gamma and beta of each element, binary32 numbers.
    factors : list of int, optional
        alpha, 0 to 3: element i counts 2^alpha.
    overflow : {"wrap", "saturate", "trap"}
    steps : Steps, optional
        Records the intermediates; made from the other arguments if not given.
    """
    steps = steps or Steps(layernorm_widths(), overflow)
    factors = factors or [0] * len(row)
    values = []
    total = squares = 0
    for steps.element, (code, factor) in enumerate(zip(row, factors, strict=True)):
        values.append(steps("shifted", code << factor))
        total = steps("sum", total + values[-1])
        squares = steps("sum_of_squares", squares + values[-1] ** 2)
    steps.element = -1
    variance = steps.divisor("variance", steps("variance", len(row) * squares - total**2))
    deviation = math.sqrt(float(variance)) / len(row)
    mean = float(total) / len(row)
    results = []
    for steps.element, (value, (gamma, beta)) in enumerate(zip(values, affine, strict=True)):
        slope = gamma / deviation / result_scale
        multiplier, shift = multiplier_and_shift(abs(slope))
        multiplier = steps("multiplier", multiplier)
        offset = (beta - mean / deviation * gamma) / result_scale * 2.0**shift
        bias = steps("bias", round(max(-LARGEST_BIAS, min(offset, LARGEST_BIAS))))
        product = steps("product", (-multiplier if slope < 0 else multiplier) * value + bias)
        results.append(steps("result", divided_half_even(product, 1 << shift)))
    return results


def multiplier_and_shift(slope: float) -> tuple[int, int]:
    """get_MN: the 8-bit multiplier floor(slope * 2^N) with N = 7 - floor(log2 slope) in 0 to 31."""
    if slope == 0:
        return 0, LARGEST_SHIFT
    floor_log2 = math.frexp(slope)[1] - 1
    shift = max(0, min(NORM_BITS - 1 - floor_log2, LARGEST_SHIFT))
    return min(math.floor(slope * 2.0**shift), (1 << NORM_BITS) - 1), shift
