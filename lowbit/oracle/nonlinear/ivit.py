"""I-ViT's ShiftExp, Shiftmax, ShiftGELU and I-LayerNorm, in Python integers.

log2(e) is about 1.0111 in binary, so x log2(e) is x + x/2 - x/16. Then 2^x is a shift by the integer part, and on the
fractional part 2^r is about 1 + r/2.

Source: I-ViT, arXiv 2207.01405 v4, algorithms 1 and 2, section 3; github.com/zkkli/I-ViT at 380ba99, quant_modules.py
``int_exp_shift``, ``IntSoftmax``, ``IntGELU`` and ``IntLayerNorm``, layers.py ``shift_exp``, ``quantized_softmax``,
``quantized_gelu`` and ``quantized_layernorm``.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from functools import cache
from math import floor, trunc
from typing import Any, NamedTuple

from lowbit.errors import InputError
from lowbit.nonlinear.scheme import Parameters
from lowbit.oracle.fixed_point.division import divided_half_even, divided_toward_zero
from lowbit.oracle.nonlinear.constants import binary32, binary64, each, over_tensor, positive32, square_root
from lowbit.oracle.nonlinear.steps import Steps

LARGEST = (1 << 31) - 1
SOFTMAX_SHIFT = {"torch": 15, "paper": 15, "tvm": 16}
GELU_SHIFT = 23
SIGMOID_BITS = 8
NEWTON_STEPS = 10
NEWTON_START = 1 << 16


class Exponential(NamedTuple):
    """The code worth -1, and N: results are in units of scale / 2^N."""

    unit: int
    shift: int


@cache
def unit_code(scale: Any, variant: str, factor: str = "1") -> int:
    """The code that stands for -1, at a scale that is first multiplied by a factor."""
    exact = positive32(scale)
    if variant == "torch":  # x0_int = torch.floor(-1.0 / scaling_factor)
        unit = floor(over_tensor(Fraction(-1), binary32(exact * binary32(binary64(factor)))))
    elif variant == "tvm":  # relay.const(-1.0 / scale - 1, 'int32'), in binary64
        unit = trunc(binary64(binary64(-1 / binary64(exact * binary64(factor))) - 1))
    else:
        unit = -round(1 / exact)
    if not -(1 << 24) < unit < 0:
        raise InputError(f"scale = {scale!r} gives the unit code {unit}: not negative and above -2^24")
    return unit


def shift_exp(
    code: int, constants: Exponential, variant: str, steps: Steps, suffix: str = "", limit: int | None = None
) -> int:
    """Exp of one code, in units of scale / 2^N.

    ``code``: not positive, but for the second exponential of ShiftGELU. ``variant``: PyTorch keeps the half bit of r /
    2 until the shift; TVM divides as C does, toward zero. ``steps``: passes the intermediates ``scaled``, ``quotient``,
    ``remainder`` and ``exponential``, with ``suffix``. ``limit``: the exponential is clamped to this. PyTorch's second
    exponential is only ever added to a sum that is clamped, so the clamp changes nothing there, and its shift may
    exceed every width.
    """
    unit, shift = constants
    scaled = steps(f"scaled{suffix}", code + (code >> 1) - (code >> 4))
    scaled = max(scaled, shift * unit)
    quotient = divided_toward_zero(scaled, unit) if variant == "tvm" else scaled // unit
    quotient = steps(f"quotient{suffix}", quotient)
    remainder = steps(f"remainder{suffix}", scaled - unit * quotient)
    doubled = remainder - 2 * unit if variant == "torch" else 2 * ((remainder >> 1) - unit)
    value = (doubled << (shift - quotient)) >> 1
    return steps(f"exponential{suffix}", value if limit is None else min(value, limit))


def _reciprocal(total: int, variant: str, steps: Steps) -> int:
    """IntDiv's factor, 2^31 or 2^31 - 1 over a sum, which the PyTorch code clamps first."""
    if variant == "torch":
        total = steps("clamped_sum", min(total, LARGEST))
    divisor = steps.divisor("sum", total)
    numerator = 1 << 31 if variant == "paper" else LARGEST
    return steps("factor", divided_toward_zero(numerator, divisor) if variant == "tvm" else numerator // divisor)


def exp(row: list[int], call: Parameters, steps: Steps) -> list[int]:
    """ShiftExp of each code, which must not be positive."""
    constants = Exponential(unit_code(call.scale, call.variant), SOFTMAX_SHIFT[call.variant])
    return steps.each(row, lambda code: shift_exp(code, constants, call.variant, steps))


def softmax(row: list[int], call: Parameters, steps: Steps) -> list[int]:
    """Shiftmax, in units of 2^-(bits - 1)."""
    constants = Exponential(unit_code(call.scale, call.variant), SOFTMAX_SHIFT[call.variant])
    maximum, shift = max(row), 31 - call.result_bits + 1

    def exponential(code: int) -> int:
        return shift_exp(steps("difference", code - maximum), constants, call.variant, steps)

    exponentials, total = steps.summed(row, exponential)
    factor = _reciprocal(total, call.variant, steps)
    most = LARGEST if call.variant == "paper" else None  # there a probability of exactly 1 is 2^M, M = 31

    def result(exponential: int) -> int:
        product = exponential * factor
        return steps("result", steps("product", product if most is None else min(product, most)) >> shift)

    return steps.each(exponentials, result)


def gelu(row: list[int], call: Parameters, steps: Steps) -> list[int]:
    """ShiftGELU, in units of scale / 2^7: x * sigmoid(1.702 x), the sigmoid from two shift-based exponentials.

    Not an elementwise function: both exponentials are taken relative to the row's maximum. The codes scale the scale by
    1.702, the paper multiplies the input by 1.6875.
    """
    variant = call.variant
    constants = Exponential(unit_code(call.scale, variant, "1" if variant == "paper" else "1.702"), GELU_SHIFT)
    inputs = []
    for steps.element, code in enumerate(row):
        factored = code + (code >> 1) + (code >> 3) + (code >> 4) if variant == "paper" else code
        inputs.append(steps("scaled_input", factored))
    maximum = max(inputs)
    steps.element = -1
    limit = LARGEST if variant == "torch" else None
    of_maximum = shift_exp(-maximum, constants, variant, steps, "_of_maximum", limit)
    results = []
    for steps.element, code in enumerate(row):
        difference = steps("difference", inputs[steps.element] - maximum)
        exponential = shift_exp(difference, constants, variant, steps)
        factor = _reciprocal(steps("sum", exponential + of_maximum), variant, steps)
        product = steps("product", exponential * factor)
        sigmoid = steps("sigmoid", product >> (31 - SIGMOID_BITS + 1))
        results.append(steps("result", code * sigmoid))
    return results


def layernorm(row: list[int], call: Parameters, steps: Steps) -> list[int]:
    """I-LayerNorm, in units of gamma * sqrt(length) / 2^30; the input's scale does not matter.

    Newton's square root of the sum of squares, always ten steps. The paper starts at 2^(bits/2), the codes at 2^16,
    from where ten steps do not reach roots below about 186. Where the paper is silent, on a row of equal codes, the
    deviation is taken as 1; every centred code is 0 there.
    """
    variant = call.variant
    biases = norm_biases(call.options, len(row))
    total = 0
    for steps.element, code in enumerate(row):
        total = steps("sum", total + code)
    mean = divided_toward_zero(total, len(row)) if variant == "tvm" else divided_half_even(total, len(row))
    squares = 0
    centred = []
    for steps.element, code in enumerate(row):
        centred.append(steps("centred", code - mean))
        squares = steps("sum_of_squares", squares + steps("square", centred[-1] ** 2))
    steps.element = -1
    root = 1 << (squares.bit_length() // 2) if variant == "paper" else NEWTON_START
    for _ in range(NEWTON_STEPS):
        root = steps("deviation", max((root + squares // root) // 2, 1))
    factor = steps("factor", LARGEST // root)
    results = []
    for steps.element, value in enumerate(centred):
        product = steps("product", value * factor)
        halved = divided_toward_zero(product, 2) if variant == "tvm" else product // 2
        results.append(steps("result", halved + biases[steps.element]))
    return results


def norm_unit(length: int) -> Fraction:
    """The unit of I-LayerNorm's result before gamma: sqrt(C) / 2^30 in binary32."""
    return binary32(binary32(square_root(length)) / (1 << 30))


def norm_biases(options: Mapping[str, Any], length: int) -> list[int]:
    """Beta / gamma in those units, each division rounded to binary32 (tensor by tensor), then down."""
    if "beta" not in options:
        return [0] * length
    unit = norm_unit(length)
    pairs = zip(each(options, "beta", length, 0), each(options, "gamma", length, 1), strict=True)
    return [floor(binary32(binary32(beta / gamma) / unit)) for beta, gamma in pairs]
