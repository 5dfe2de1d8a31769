"""From a code to the exact value it stands for, read off the fields of the format.

IEEE 754-2019 3.4, OCP OFP8 v1.0 section 5, OCP MX v1.0 section 5.3 and P3109 v4.0 4.7.1 share one formula; formats
differ in the bias and in which codes are taken by infinity, NaN and zero.
"""

from __future__ import annotations

from lowbit.errors import InputError
from lowbit.exact import INFINITY, MINUS_INFINITY, NAN, NEGATIVE_ZERO, ZERO, Exact, finite
from lowbit.format.scalar import FixedFormat, FloatFormat, Scalar


def decode(code: int, fmt: Scalar) -> Exact:
    """The exact value of one code.

    Parameters
    ----------
    code : int
        Raw code of a float, signed value of an integer or fixed-point format.
    fmt : Format

    Returns
    -------
    Exact
        Not reduced: the significand is the one that the code spells. A NaN carries its mantissa field in
        ``significand`` and minus the width of that field in ``exponent``.

    Raises
    ------
    InputError
        The code is not one of the format.
    """
    if code not in fmt.codes:
        form = "d" if fmt.signed_codes else "#x"
        span = f"{fmt.codes[0]} to {fmt.codes[-1]:{form}}"
        raise InputError(f"{code:{form}} is not a code of {fmt.id}: its codes are {span}")
    if isinstance(fmt, FixedFormat):
        return finite(code, -fmt.fraction_bits)
    return _decode_float(code, fmt) if isinstance(fmt, FloatFormat) else fmt.decode(code)


def _decode_float(code: int, fmt: FloatFormat) -> Exact:
    magnitude = code & ((1 << (fmt.exponent_bits + fmt.mantissa_bits)) - 1)
    negative = magnitude != code
    is_nan = magnitude >= fmt.nan if fmt.nan is not None else (fmt.nan_at_negative_zero and negative and magnitude == 0)
    if is_nan:
        return Exact(NAN, magnitude & ((1 << fmt.mantissa_bits) - 1), -fmt.mantissa_bits, negative)
    if magnitude == fmt.infinity:
        return MINUS_INFINITY if negative else INFINITY
    if magnitude == 0 and fmt.zero:
        return NEGATIVE_ZERO if negative else ZERO
    value = magnitude_value(magnitude, fmt)
    return finite(-value.significand, value.exponent) if negative else value


def magnitude_value(magnitude: int, fmt: FloatFormat) -> Exact:
    """The finite value of a magnitude code (exponent and mantissa field), sign aside.

    Codes outside the format continue the pattern: beyond the largest finite code the binades go on, which is what
    "rounded as if the exponent range were unbounded" (IEEE 754-2019 7.4) compares against; below code 0 they go on
    downward in a format without zero.
    """
    exponent, mantissa = divmod(magnitude, 1 << fmt.mantissa_bits)
    if fmt.subnormals and exponent == 0:
        return finite(mantissa, 1 - fmt.bias - fmt.mantissa_bits)
    return finite((1 << fmt.mantissa_bits) + mantissa, exponent - fmt.bias - fmt.mantissa_bits)
