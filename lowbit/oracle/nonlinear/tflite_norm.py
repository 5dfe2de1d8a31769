"""L2 normalisation and the integer LSTM's layer normalisation of TensorFlow Lite, a row at a time, in Python integers.

Source: tensorflow/tflite-micro, ``tensorflow/lite/kernels/internal/reference/integer_ops/l2normalization.h`` and
``tensorflow/lite/kernels/internal/reference/portable_tensor_utils.cc`` (PortableApplyLayerNorm).
"""

from __future__ import annotations

from lowbit.nonlinear.scheme import Parameters
from lowbit.oracle.fixed_point.division import divided_toward_zero
from lowbit.oracle.fixed_point.gemmlowp import Multiplier, inverse_square_root, saturate
from lowbit.oracle.nonlinear.steps import Steps
from lowbit.oracle.nonlinear.tflite import given_multiplier, multiply

OUTPUT_SHIFT = 7  # the result's scale is 1/128
MEAN_BITS = 10
TWO_TO_20 = 1 << 20
LAYERNORM_OUTPUT_SHIFT = 12


def l2norm(row: list[int], call: Parameters, steps: Steps) -> list[int]:
    """A row of int8 codes divided by its length in the sense of Euclid, in 1/128."""
    zero_point = int(call.options.get("zero_point", 0))
    total = 0
    for steps.element, code in enumerate(row):
        value = steps("input", code - zero_point)
        total = steps("sum", total + steps("square", value * value))
    steps.element = -1
    inverse, shift = inverse_square_root(total)
    steps("inverse root", inverse)
    multiplier = Multiplier(inverse, shift + OUTPUT_SHIFT)
    results = []
    for steps.element, code in enumerate(row):
        scaled = multiply(code - zero_point, multiplier, call.variant, steps, "input")
        results.append(steps("result", saturate(scaled, 8)))
    return results


def layernorm(row: list[int], call: Parameters, steps: Steps) -> list[int]:
    """A row of int16 codes less its mean, divided by its deviation, times weights, plus biases.

    The variance is exact only for lengths that are powers of two: 2**20 / length is truncated. ``variance_limit`` is
    what a variance of 0 becomes.
    """
    weights, biases = call.options["weights"], call.options["biases"]
    given = given_multiplier(call)
    result_multiplier = Multiplier(given.value, given.shift + LAYERNORM_OUTPUT_SHIFT)
    total = steps("sum", sum(row))
    squares = steps("sum of squares", sum(code * code for code in row))
    mean = steps("mean", divided_toward_zero(total << MEAN_BITS, len(row)))
    wide = steps("variance times 2^20", squares * (TWO_TO_20 // len(row)) - mean * mean)
    variance = steps("variance", divided_toward_zero(wide, TWO_TO_20))
    if variance < 1:
        variance = int(call.options.get("variance_limit", 1))
    root = inverse_square_root(variance)
    steps("inverse root", root.value)
    results = []
    for steps.element, code in enumerate(row):
        centred = steps("centred", (code << MEAN_BITS) - mean)
        normalised = multiply(centred, root, call.variant, steps, "centred")
        weighted = steps("weighted", normalised * int(weights[steps.element]) + int(biases[steps.element]))
        half = 1 << (MEAN_BITS - 1)
        taken = divided_toward_zero(weighted + half if weighted > 0 else weighted - half, 1 << MEAN_BITS)
        taken = steps("weighted, 2^10 taken out", taken)
        scaled = multiply(taken, result_multiplier, call.variant, steps, "weighted")
        results.append(steps("result", saturate(scaled, 16)))
    steps.element = -1
    return results
