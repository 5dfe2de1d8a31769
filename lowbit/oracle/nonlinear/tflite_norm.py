"""L2 normalisation and the integer LSTM's layer normalisation of TensorFlow Lite, a row at a time, in Python integers.

Source: tensorflow/tflite-micro, ``tensorflow/lite/kernels/internal/reference/integer_ops/l2normalization.h`` and
``tensorflow/lite/kernels/internal/reference/portable_tensor_utils.cc`` (PortableApplyLayerNorm).
"""

from __future__ import annotations

from collections.abc import Sequence

from lowbit.nonlinear.tflite import LayerNormParameters
from lowbit.oracle.fixed_point.gemmlowp import inverse_square_root, saturate
from lowbit.oracle.nonlinear.steps import Steps
from lowbit.oracle.nonlinear.tflite_multiply import multiply_by_quantized_multiplier

OUTPUT_SHIFT = 7  # the result's scale is 1/128
MEAN_BITS = 10
TWO_TO_20 = 1 << 20
LAYERNORM_OUTPUT_SHIFT = 12


def truncate_divide(numerator: int, denominator: int) -> int:
    """C's division, toward zero."""
    quotient = abs(numerator) // abs(denominator)
    return quotient if (numerator < 0) == (denominator < 0) else -quotient


def l2norm_int8(row: Sequence[int], zero_point: int, variant: str, steps: Steps) -> list[int]:
    """A row of int8 codes divided by its length in the sense of Euclid, in 1/128."""
    total = 0
    for steps.element, code in enumerate(row):
        value = steps("input", code - zero_point)
        total = steps("sum", total + steps("square", value * value))
    steps.element = -1
    inverse, shift = inverse_square_root(total)
    steps("inverse root", inverse)
    result = []
    for steps.element, code in enumerate(row):
        scaled = multiply_by_quantized_multiplier(
            code - zero_point, inverse, shift + OUTPUT_SHIFT, variant, steps, "input"
        )
        result.append(steps("result", saturate(scaled, 8)))
    return result


def layernorm_int16(row: Sequence[int], parameters: LayerNormParameters, variant: str, steps: Steps) -> list[int]:
    """A row of int16 codes less its mean, divided by its deviation, times weights, plus biases.

    The variance is exact only for lengths that are powers of two: 2**20 / length is truncated.
    """
    total = steps("sum", sum(row))
    squares = steps("sum of squares", sum(code * code for code in row))
    mean = steps("mean", truncate_divide(total << MEAN_BITS, len(row)))
    wide = steps("variance times 2^20", squares * (TWO_TO_20 // len(row)) - mean * mean)
    variance = steps("variance", truncate_divide(wide, TWO_TO_20))
    if variance < 1:
        variance = parameters.variance_limit
    inverse, shift = inverse_square_root(variance)
    steps("inverse root", inverse)
    result = []
    for steps.element, code in enumerate(row):
        weight, bias = parameters.weights[steps.element], parameters.biases[steps.element]
        centred = steps("centred", (code << MEAN_BITS) - mean)
        normalised = multiply_by_quantized_multiplier(centred, inverse, shift, variant, steps, "centred")
        weighted = steps("weighted", normalised * weight + bias)
        half = 1 << (MEAN_BITS - 1)
        taken = truncate_divide(weighted + half if weighted > 0 else weighted - half, 1 << MEAN_BITS)
        taken = steps("weighted, 2^10 taken out", taken)
        scaled = multiply_by_quantized_multiplier(
            taken, parameters.multiplier, parameters.shift + LAYERNORM_OUTPUT_SHIFT, variant, steps, "weighted"
        )
        result.append(steps("result", saturate(scaled, 16)))
    steps.element = -1
    return result
