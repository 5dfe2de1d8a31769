"""I-BERT's i-exp, i-softmax, i-GELU, I-LayerNorm and i-sqrt, in Python integers.

The code takes the floor of a floating-point root "to be replaced with integer-sqrt kernel that produces the same
output"; algorithm 4 is that kernel. The paper leaves the format of i-softmax's division open; its variant here is
min(floor(exp * 2^bits / sum), 2^bits - 1), so that a probability of 1 is the largest code.

Source: I-BERT, arXiv 2101.01321 v3, algorithms 1 to 4; github.com/kssteven418/I-BERT at 1b09c75, quant_modules.py
``IntSoftmax``, ``IntGELU``, ``IntLayerNorm`` and quant_utils.py ``batch_frexp``.
"""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from math import floor
from typing import Any, NamedTuple

from lowbit.errors import InputError
from lowbit.nonlinear.scheme import Parameters
from lowbit.oracle.fixed_point.division import divided_half_even, divided_half_up
from lowbit.oracle.nonlinear.constants import binary32, binary64, over_tensor, positive32, square_root
from lowbit.oracle.nonlinear.ivit import norm_biases
from lowbit.oracle.nonlinear.steps import Steps
from lowbit.oracle.requantize.multipliers import half_to_one

CODE_EXP = tuple(binary64(number) for number in ("0.35815147", "0.96963238", "1"))
"""a x^2 + b x + c, in the code."""
PAPER_EXP = tuple(Fraction(number) for number in ("0.3585", "1.353", "0.344"))
"""a (x + b)^2 + c, equation 13."""
ERF = tuple(Fraction(number) for number in ("-0.2888", "-1.769", "1"))
"""a (x + b)^2 + c, in both."""
LN_2 = {"code": Fraction("0.6931"), "paper": Fraction("0.6931471805599453")}
EXP_SHIFT = 30
GELU_SHIFT = 14
REQUANTIZED_BITS = 16
BEYOND = 1 << 31


class Exponential(NamedTuple):
    """Integers of i-exp: the code worth -ln 2; b and c of r (r + b) + c, or of the paper's (r + b)^2 + c; and N."""

    unit: int
    b: int
    c: int
    shift: int


@cache
def exponential_of(scale: Any, variant: str) -> Exponential:
    """The integers of i-exp for a scale, as the code derives them in binary32, or exactly in the paper's variant."""
    exact = positive32(scale)
    if variant == "code":
        a, b, c = CODE_EXP
        constants = Exponential(
            floor(over_tensor(-binary64(LN_2["code"]), exact)),
            floor(over_tensor(binary64(b / a), exact)),
            floor(over_tensor(binary64(c / a), binary32(exact**2))),
            EXP_SHIFT,
        )
    else:
        a, b, c = PAPER_EXP
        constants = Exponential(-floor(LN_2["paper"] / exact), floor(b / exact), floor(c / (a * exact**2)), 0)
    if constants.unit >= 0 or not (1 if variant == "code" else 1 - BEYOND) <= constants.c < BEYOND:
        raise InputError(f"scale = {scale!r} gives i-exp the constants {tuple(constants)}")
    return constants


def polynomial_exp(code: int, constants: Exponential, variant: str, steps: Steps) -> int:
    """Exp of one code that is not positive."""
    unit, b, c, shift = constants
    if variant == "code":
        code = max(code, shift * unit)
    quotient = steps("quotient", code // unit)
    remainder = steps("remainder", code - unit * quotient)
    if variant == "code":
        polynomial = steps("polynomial", remainder * (remainder + b) + c)
        return steps("exponential", max(0, polynomial << (shift - quotient)))
    polynomial = steps("polynomial", (remainder + b) ** 2 + c)
    return steps("exponential", polynomial >> quotient)


def exp(row: list[int], call: Parameters, steps: Steps) -> list[int]:
    """i-exp of each code, which must not be positive."""
    constants = exponential_of(call.scale, call.variant)
    return steps.each(row, lambda code: polynomial_exp(code, constants, call.variant, steps))


@cache
def requantization(scale: Any) -> tuple[int, int]:
    """Multiplier and right shift by which the code takes the exponential to 16 bits.

    QuantAct tracks the maximum of the integers that it is given. The largest exponential of every row is that of 0, a
    constant, so its range never moves. It divides by the exponential's scale and multiplies by it again, which cancels
    in exact arithmetic.
    """
    constants = exponential_of(scale, "code")
    largest = binary32(Fraction(constants.c << constants.shift))
    ratio = binary64(1 / binary32(largest / ((1 << (REQUANTIZED_BITS - 1)) - 1)))
    fraction, exponent = half_to_one(ratio)
    return divided_half_up(fraction.numerator << 31, fraction.denominator), 31 - exponent


def softmax(row: list[int], call: Parameters, steps: Steps) -> list[int]:
    """i-softmax, unsigned, in units of 2^-bits."""
    is_code = call.variant == "code"
    constants = exponential_of(call.scale, call.variant)
    multiplier, right = requantization(call.scale) if is_code else (1, 0)
    maximum = max(row)

    def exponential_at(code: int) -> int:
        exponential = polynomial_exp(steps("difference", code - maximum), constants, call.variant, steps)
        if is_code:
            return steps("requantized", divided_half_even(exponential * multiplier, 1 << right))
        return exponential

    exponentials, total = steps.summed(row, exponential_at)
    divisor = steps.divisor("sum", total)
    factor = steps("factor", (1 << 32) // divisor) if is_code else 0
    results = []
    for steps.element, exponential in enumerate(exponentials):
        if is_code:
            result = steps("product", exponential * factor) >> (32 - call.result_bits)
        else:
            quotient = steps("product", exponential << call.result_bits) // divisor
            result = min(quotient, (1 << call.result_bits) - 1)
        results.append(steps("result", result))
    return results


@cache
def erf_of(scale: Any, variant: str) -> tuple[int, int, int, int]:
    """The integers of i-GELU: b and c of (min(|x|, -b) + b)^2 + c, the shift of erf, and 1 in its units."""
    a, b, c = ERF
    if variant == "code":
        a, b = binary64(a), binary64(b)
        inner = binary32(positive32(scale) / binary32(binary64("1.4142")))
        square = binary32(inner**2)
        linear, constant = floor(over_tensor(b, inner)), floor(over_tensor(binary64(c / a), square))
        unit = binary32(binary32(square * binary32(a)) * (1 << GELU_SHIFT))
        shift, one = GELU_SHIFT, floor(over_tensor(Fraction(1), unit))
    else:
        exact = positive32(scale) / binary64(square_root(2))
        linear, constant = floor(b / exact), floor(c / (a * exact**2))
        shift, one = 0, constant
    if linear >= 0 or not -BEYOND < constant < 0:
        raise InputError(f"scale = {scale!r} gives i-GELU b = {linear} and c = {constant}")
    return linear, constant, shift, one


def gelu(row: list[int], call: Parameters, steps: Steps) -> list[int]:
    """i-GELU, x (1 + erf(x / sqrt 2)) / 2 with an erf of second order; a unit of the result is negative."""
    b, c, shift, one = erf_of(call.scale, call.variant)
    results = []
    for steps.element, code in enumerate(row):
        magnitude = steps("magnitude", min(abs(code), -b))
        polynomial = steps("polynomial", steps("square", (magnitude + b) ** 2) + c)
        sign = (code > 0) - (code < 0)
        erf = steps("erf", (sign * polynomial) >> shift)
        results.append(steps("result", code * steps("sum", erf + one)))
    return results


def floor_root(value: int, steps: Steps | None = None) -> int:
    """i-sqrt: Newton's iteration from 2^ceil(bits / 2) until it stops falling; the floor of the square root."""
    root = 1 << -(-value.bit_length() // 2)
    while value:
        better = (root + value // root) // 2
        if steps is not None:
            better = steps("iterate", better)
        if better >= root:
            return root
        root = better
    return 0


def integer_sqrt(row: list[int], call: Parameters, steps: Steps) -> list[int]:
    """i-sqrt of each number."""
    del call
    return steps.each(row, lambda value: steps("result", floor_root(value, steps)))


def layernorm(row: list[int], call: Parameters, steps: Steps) -> list[int]:
    """I-LayerNorm, in units of gamma * sqrt(length) / 2^30; the input's scale does not matter.

    ``shift`` is a right shift before squaring, which the code learns in training to keep the sum of squares below 2^32.
    A row of equal codes has deviation 0, which both sources divide by; it is taken as 1 here, and every centred code is
    0 anyway.
    """
    shift, biases = int(call.options.get("shift", 0)), norm_biases(call.options, len(row))
    total = 0
    for steps.element, code in enumerate(row):
        total = steps("sum", total + code)
    mean = divided_half_even(total, len(row))
    squares = 0
    centred = []
    for steps.element, code in enumerate(row):
        centred.append(steps("centred", code - mean))
        shifted = steps("shifted", centred[-1] >> shift)
        squares = steps("sum_of_squares", squares + steps("square", shifted**2))
    steps.element = -1
    deviation = steps("deviation", max(floor_root(squares) << shift, 1))
    factor = steps("factor", (1 << 31) // deviation)
    results = []
    for steps.element, value in enumerate(centred):
        product = steps("product", value * factor)
        results.append(steps("result", (product >> 1) + biases[steps.element]))
    return results
