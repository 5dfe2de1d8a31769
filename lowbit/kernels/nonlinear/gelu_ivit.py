"""I-ViT's ShiftGELU in int64: the twin of ``oracle/nonlinear/gelu_ivit.py``."""

from __future__ import annotations

from lowbit.kernels._jit import kernel, scalar
from lowbit.kernels.nonlinear.exp_ivit import CLAMP, RESULT_SHIFT, reciprocal, shift_exp
from lowbit.kernels.nonlinear.steps import note, step

# Places of the intermediates, in the order of nonlinear/ivit.py; each exponential has four.
SCALED_INPUT, OF_MAXIMUM, DIFFERENCE, EXPONENTIAL, SUM, CLAMPED, FACTOR, PRODUCT, SIGMOID, RESULT = (
    *(0, 1, 5, 6),
    *range(10, 16),
)
PAPER = 7
"""Place of the constant that says whether the input is multiplied by 1.6875."""


@scalar
def scaled_input(code, constants, limits, mode, trap, row, element):
    """1.6875 x by shifts and adds in the paper, x in the codes, which scale the scale by 1.702."""
    factored = code + (code >> 1) + (code >> 3) + (code >> 4) if constants[PAPER] else code
    return step(factored, SCALED_INPUT, limits, mode, trap, row, element)


@scalar
def sigmoid(value, maximum, of_maximum, constants, limits, mode, trap, row, element):
    """The sigmoid of one scaled input; 0, with a note, where the sum has wrapped to 0."""
    difference = step(value - maximum, DIFFERENCE, limits, mode, trap, row, element)
    exponential = shift_exp(difference, constants, EXPONENTIAL, 0, limits, mode, trap, row, element)
    total = step(exponential + of_maximum, SUM, limits, mode, trap, row, element)
    if constants[CLAMP]:
        total = step(min(total, constants[CLAMP]), CLAMPED, limits, mode, trap, row, element)
    if total == 0:
        note(trap, row, element, SUM, 0)
        return 0
    factor = reciprocal(total, constants, FACTOR, limits, mode, trap, row)
    product = step(exponential * factor, PRODUCT, limits, mode, trap, row, element)
    return step(product >> constants[RESULT_SHIFT], SIGMOID, limits, mode, trap, row, element)


@kernel
def shiftgelu(codes, constants, limits, mode, out, trap):
    """GELU of every row of a block."""
    for row in range(codes.shape[0]):
        maximum = scaled_input(codes[row, 0], constants, limits, mode, trap, row, 0)
        for i in range(codes.shape[1]):
            out[row, i] = scaled_input(codes[row, i], constants, limits, mode, trap, row, i)
            maximum = max(maximum, out[row, i])
        limit = constants[CLAMP]
        of_maximum = shift_exp(-maximum, constants, OF_MAXIMUM, limit, limits, mode, trap, row, -1)
        for i in range(codes.shape[1]):
            weight = sigmoid(out[row, i], maximum, of_maximum, constants, limits, mode, trap, row, i)
            out[row, i] = step(codes[row, i] * weight, RESULT, limits, mode, trap, row, i)


@kernel
def shiftgelu_table(constants, limits, mode, out, trap):
    """The sigmoid for every maximum and code of 8 bits: ``out[maximum & 255, code & 255]``, 0 above the maximum."""
    for maximum in range(-128, 128):
        top = scaled_input(maximum, constants, limits, mode, trap, 0, 0)
        of_maximum = shift_exp(-top, constants, OF_MAXIMUM, constants[CLAMP], limits, mode, trap, 0, 0)
        for code in range(-128, 128):
            value = scaled_input(code, constants, limits, mode, trap, 0, 0)
            weight = 0
            if code <= maximum:
                weight = sigmoid(value, top, of_maximum, constants, limits, mode, trap, 0, 0)
            out[maximum & 255, code & 255] = weight
