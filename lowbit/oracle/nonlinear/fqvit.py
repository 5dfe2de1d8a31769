"""FQ-ViT's log-int-softmax, and its LayerNorm with power-of-two factors.

The LayerNorm is the one oracle with floating-point steps: the published algorithm takes the row's mean and deviation in
floating point and turns gamma / deviation into an 8-bit multiplier and a shift. Here the sums are exact integers and
those steps are binary64, in the order written; Python's floats are binary64 with correct rounding.

Source: FQ-ViT, arXiv 2111.13824, sections 3.2 and 3.3; github.com/megvii-research/FQ-ViT at 5daf591,
models/ptq/layers.py ``QIntSoftmax`` and ``QIntLayerNorm``.
"""

from __future__ import annotations

import math

from lowbit.nonlinear.scheme import Parameters
from lowbit.oracle.fixed_point.division import divided_half_even
from lowbit.oracle.nonlinear.constants import each, positive32
from lowbit.oracle.nonlinear.ibert import exponential_of, polynomial_exp
from lowbit.oracle.nonlinear.steps import Steps

MULTIPLIER_BITS = 8
LARGEST_SHIFT = 31
LARGEST_BIAS = 1 << 62


def softmax(row: list[int], call: Parameters, steps: Steps) -> list[int]:
    """-log2 of the softmax, with I-BERT's i-exp.

    A logarithm of 2^bits and more becomes 2^bits in the code, which stands for probability 0, and 2^bits - 1 in the
    paper.
    """
    constants = exponential_of(call.scale, "code")
    maximum, beyond = max(row), 1 << call.result_bits
    exponentials, total = steps.summed(
        row, lambda code: polynomial_exp(steps("difference", code - maximum), constants, "code", steps)
    )

    def result(exponential: int) -> int:
        logarithm = beyond
        if exponential:
            logarithm = rounded_log2(steps("ratio", divided_half_even(total, exponential)))
        return steps("result", min(logarithm, beyond if call.variant == "code" else beyond - 1))

    return steps.each(exponentials, result)


def rounded_log2(value: int) -> int:
    """log2 of a positive integer, up from 1.5 * 2^k on."""
    floor = value.bit_length() - 1
    return floor + (2 * (value - (1 << floor)) >= 1 << floor and floor > 0)


def layernorm(row: list[int], call: Parameters, steps: Steps) -> list[int]:
    """LayerNorm, in units of ``result_scale``; not defined for a row that is constant after the factors.

    ``factors`` are alpha, 0 to 3: element i counts 2^alpha. ``gamma`` and ``beta`` are binary32 numbers.
    """
    options, length = call.options, len(row)
    result_scale = float(positive32(options.get("result_scale"), "result_scale"))
    gammas, betas = (map(float, each(options, name, length, default)) for name, default in (("gamma", 1), ("beta", 0)))
    factors = [int(factor) for factor in options["factors"]] if "factors" in options else [0] * length
    values = []
    total = squares = 0
    for steps.element, (code, factor) in enumerate(zip(row, factors, strict=True)):
        values.append(steps("shifted", code << factor))
        total = steps("sum", total + values[-1])
        squares = steps("sum_of_squares", squares + values[-1] ** 2)
    steps.element = -1
    variance = steps.divisor("variance", steps("variance", length * squares - total**2))
    deviation = math.sqrt(float(variance)) / length
    mean = float(total) / length
    results = []
    for steps.element, (value, gamma, beta) in enumerate(zip(values, gammas, betas, strict=True)):
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
    shift = max(0, min(MULTIPLIER_BITS - 1 - floor_log2, LARGEST_SHIFT))
    return min(math.floor(slope * 2.0**shift), (1 << MULTIPLIER_BITS) - 1), shift
