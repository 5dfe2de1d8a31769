"""I-BERT: i-exp, i-softmax, i-GELU, i-sqrt and I-LayerNorm.

Two variants:

- ``code``: fairseq/quantization/utils/quant_modules.py in exact integers. The code simulates integers in binary32 and
  sets no widths, except where it requantises the exponential to 16 bits.
- ``paper``: algorithms 1 to 4, int32 throughout; the format of i-softmax's division, which the paper leaves open, is
  unsigned and saturates: a probability of 1 is the largest code.

Source: I-BERT, arXiv 2101.01321 v3; github.com/kssteven418/I-BERT at 1b09c75.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import NamedTuple

from lowbit.errors import InputError
from lowbit.nonlinear.binary32 import binary32, divided_by_tensor32, floor_of
from lowbit.nonlinear.scheme import Example, LastRounding, Parameters, Scheme
from lowbit.nonlinear.widths import SIMULATED, UNLIMITED, Intermediate, signed, unsigned

VARIANTS = ("code", "paper")
EXP_SHIFT = 30
"""N of i-exp in the code, ``IntSoftmax.n``; the paper shifts right without it."""
SOFTMAX_BITS = 8
EXP_BITS = 16
"""``QuantAct(16)`` inside IntSoftmax."""
NUMERATOR = 1 << 32
"""Of i-softmax; I-LayerNorm has 2^31."""
NORM_NUMERATOR = 1 << 31
GELU_SHIFT = 14
"""n of i-GELU in the code, ``IntGELU.n``."""
LARGEST_CONSTANT = 1 << 31
"""The kernels hold c * 2^30 in 63 bits."""

LN_2 = {"code": "0.6931", "paper": "0.6931471805599453"}
EXP_COEFFICIENTS = {"code": (0.35815147, 0.96963238, 1.0), "paper": (0.3585, 1.353, 0.344)}
"""Code: a x^2 + b x + c. Paper, equation 13: a (x + b)^2 + c."""
ERF_COEFFICIENTS = (-0.2888, -1.769, 1.0)
"""a (x + b)^2 + c, in both."""
SQUARE_ROOT_2 = {"code": 1.4142, "paper": math.sqrt(2.0)}


class ExpConstants(NamedTuple):
    """Integers of i-exp."""

    unit: int  # the code worth -ln 2, negative
    # b, c: p = r (r + b) + c in the code, p = (r + b)^2 + c in the paper
    b: int
    c: int
    shift: int  # N: results are scaled by 2^N


class GeluConstants(NamedTuple):
    """Integers of i-GELU: erf is sign * ((min(|x|, -b) + b)^2 + c) >> shift, and ``one`` is 1 in its units."""

    b: int
    c: int
    shift: int
    one: int


def exp_constants(scale: float, variant: str) -> ExpConstants:
    """The integers of i-exp for a binary32 scale, derived as the code does, or exactly in the paper's variant."""
    a, b, c = EXP_COEFFICIENTS[variant]
    if variant == "code":
        unit = floor_of(divided_by_tensor32(-float(LN_2[variant]), scale), "ln 2 / scale")
        linear = floor_of(divided_by_tensor32(b / a, scale), "b / scale")
        constant = floor_of(divided_by_tensor32(c / a, binary32(scale * scale)), "c / scale^2")
        made = ExpConstants(unit, linear, constant, EXP_SHIFT)
    else:
        exact = Fraction(scale)
        unit = -math.floor(Fraction(LN_2[variant]) / exact)
        quotient = Fraction(str(c)) / (Fraction(str(a)) * exact**2)
        made = ExpConstants(unit, math.floor(Fraction(str(b)) / exact), math.floor(quotient), 0)
    least = 1 if variant == "code" else 1 - LARGEST_CONSTANT  # the code divides by c * 2^30
    if made.unit >= 0 or not least <= made.c < LARGEST_CONSTANT:
        raise InputError(
            f"scale = {scale!r} gives i-exp the constants {tuple(made)}: ln 2 must be a unit, c from 1 and below 2^31",
            hint="i-exp works for scales from about 4e-5 to 0.69",
        )
    return made


def exp_scale(scale: float, variant: str) -> float:
    """What one unit of i-exp's result is worth."""
    a = EXP_COEFFICIENTS[variant][0]
    if variant == "code":
        return binary32(binary32(binary32(a) * binary32(scale * scale)) / (1 << EXP_SHIFT))
    return a * scale * scale


def exp_multiplier(scale: float) -> tuple[int, int]:
    """Multiplier and right shift by which the code requantises the exponential to 16 bits.

    QuantAct is given the integers and tracks their running maximum; the largest exponential of every row is that of 0,
    a constant, so the range never moves. It then divides by the exponential's scale and multiplies by it again, which
    cancels in exact arithmetic. ``symmetric_linear_quantization_params`` and ``batch_frexp`` of quant_utils.py.
    """
    constants = exp_constants(scale, "code")
    largest = binary32(float(constants.c << constants.shift))
    activation = binary32(largest / ((1 << (EXP_BITS - 1)) - 1))
    mantissa, exponent = math.frexp(1.0 / activation)
    return math.floor(Fraction(mantissa) * (1 << 31) + Fraction(1, 2)), 31 - exponent


def gelu_constants(scale: float, variant: str) -> GeluConstants:
    """The integers of i-GELU for a binary32 scale."""
    a, b, c = ERF_COEFFICIENTS
    root = SQUARE_ROOT_2[variant]
    if variant == "code":
        shift = GELU_SHIFT
        inner = binary32(scale / binary32(root))
        square = binary32(inner * inner)
        linear = floor_of(divided_by_tensor32(b, inner), "b / scale")
        constant = floor_of(divided_by_tensor32(c / a, square), "c / scale^2")
        unit = binary32(binary32(square * binary32(a)) * (1 << shift))
        one = floor_of(divided_by_tensor32(1.0, unit), "1 / scale of erf")
    else:
        shift = 0
        exact = Fraction(scale) / Fraction(root)
        linear = math.floor(Fraction(str(b)) / exact)
        constant = math.floor(Fraction(1) / (Fraction(str(a)) * exact**2))
        one = constant
    if linear >= 0 or not -LARGEST_CONSTANT < constant < 0:
        raise InputError(
            f"scale = {scale!r} gives i-GELU b = {linear} and c = {constant}: both must be negative and c above -2^31",
            hint="i-GELU works for scales from about 6e-5 upward",
        )
    return GeluConstants(linear, constant, shift, one)


def gelu_scale(scale: float, variant: str) -> float:
    """What one unit of i-GELU's result is worth: negative, because a is."""
    a = ERF_COEFFICIENTS[0]
    if variant == "code":
        inner = binary32(scale / binary32(SQUARE_ROOT_2[variant]))
        unit = binary32(binary32(binary32(inner * inner) * binary32(a)) * (1 << GELU_SHIFT))
        return binary32(binary32(scale * unit) / 2)
    return scale * a * (scale / SQUARE_ROOT_2[variant]) ** 2 / 2


def _width(variant: str) -> tuple[int, str]:
    return (UNLIMITED, SIMULATED) if variant == "code" else (32, "int32")


def exp_steps(variant: str) -> tuple[Intermediate, ...]:
    """The intermediates of i-exp, which other schemes take over."""
    width, note = _width(variant)
    return signed(width, "quotient", "remainder", "polynomial", "exponential", note=note)


def _softmax_steps(call: Parameters) -> tuple[Intermediate, ...]:
    width, note = _width(call.variant)
    if call.variant == "code":
        tail = (
            *signed(EXP_BITS, "requantized", note="QuantAct(16)"),
            *signed(width, "sum", "factor", "product", note=note),
        )
    else:
        tail = (
            *signed(width, "sum", note=note),
            *signed(UNLIMITED, "product", note="the dividend exp * 2^bits; the paper gives the division no format"),
        )
    result = unsigned(call.result_bits, "result", note="the result's width is an argument")
    return (*signed(width, "difference"), *exp_steps(call.variant), *tail, *result)


def _gelu_steps(call: Parameters) -> tuple[Intermediate, ...]:
    width, note = _width(call.variant)
    steps = signed(width, "magnitude", "square", "polynomial", "erf", "sum", note=note)
    return (*steps, *signed(32, "result", note="an int32 accumulator"))


def _layernorm_steps(call: Parameters) -> tuple[Intermediate, ...]:
    width, note = _width(call.variant)
    return (
        *signed(width, "sum", "centred", note=note),
        *signed(width, "shifted", note="centred >> shift, the code's overflow handling"),
        *signed(width, "square", note=note),
        *unsigned(32, "sum_of_squares", note="asserted to stay below 2^32 by IntLayerNorm.forward"),
        *unsigned(32, "deviation", note="the floor of the root, shifted back"),
        *signed(width, "factor", note="2^31 / deviation"),
        *signed(width, "product", note=note),
        *signed(32, "result", note="an int32 accumulator that is requantised next"),
    )


SCHEMES = (
    Scheme(
        "softmax",
        "ibert",
        "i-softmax: exp by a polynomial of second order",
        _softmax_steps,
        variants=VARIANTS,
        own_bits=SOFTMAX_BITS,
        bits=range(1, 17),
        last_rounding=lambda call: (
            LastRounding("product", "result", 32 - call.result_bits) if call.variant == "code" else None
        ),
    ),
    Scheme(
        "gelu",
        "ibert",
        "i-GELU: erf by a polynomial of second order; the result's scale is negative",
        _gelu_steps,
        variants=VARIANTS,
        last_rounding=lambda call: (
            LastRounding("polynomial", "erf", GELU_SHIFT, signed_by_code=True) if call.variant == "code" else None
        ),
    ),
    Scheme(
        "layernorm",
        "ibert",
        "I-LayerNorm: the exact floor of the root",
        _layernorm_steps,
        variants=VARIANTS,
        options=("gamma", "beta", "shift"),
        takes_scale=False,
        own_bits=32,
        last_rounding=lambda _: LastRounding("product", "result", 1),
        mean="rounded",
        examples=(Example({}),),
    ),
    Scheme(
        "exp",
        "ibert",
        "i-exp, algorithm 3",
        lambda call: exp_steps(call.variant),
        variants=VARIANTS,
        results="int64",
    ),
    Scheme(
        "integer_sqrt",
        "ibert",
        "i-sqrt, algorithm 4",
        lambda _: unsigned(32, "iterate", "result", note="int32 by the paper"),
        takes_scale=False,
        results="int64",
        audited=False,
        examples=(),
    ),
)
