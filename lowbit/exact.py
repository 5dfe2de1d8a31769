"""Exact numbers: a signed integer significand times a power of two, or one of the special values.

float64 cannot hold them all (members of IEEE P3109 reach 2**±2046 and beyond), so every exact value in lowbit
outside an array is an :class:`Exact`. Only the standard library is used here: the oracle stands on this module.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable
from fractions import Fraction
from typing import NamedTuple

from lowbit.errors import InputError

FINITE, POSITIVE_INFINITY, NEGATIVE_INFINITY, NAN = 0, 1, 2, 3
"""The kinds of an exact value, as ``decode_exact`` returns them."""


class Exact(NamedTuple):
    """One exact value.

    Attributes
    ----------
    kind : int
        0 finite, 1 +infinity, 2 -infinity, 3 NaN.
    significand : int
        Signed. For a NaN: its mantissa field (the payload), never negative.
    exponent : int
        The value is ``significand * 2**exponent``. For a NaN: minus the width of its mantissa field.
    negative : bool
        The sign bit; it tells -0 from +0 and gives a NaN its sign.
    """

    kind: int
    significand: int = 0
    exponent: int = 0
    negative: bool = False

    def reduced(self) -> Exact:
        """The same value with an odd significand (or zero), the form that ``decode_exact`` returns."""
        if self.kind != FINITE or self.significand == 0:
            return Exact(self.kind, 0, 0, self.negative)
        twos = (self.significand & -self.significand).bit_length() - 1
        return Exact(FINITE, self.significand >> twos, self.exponent + twos, self.negative)

    def fraction(self) -> Fraction:
        """The value of a finite number as a fraction; raises ValueError for the special values."""
        if self.kind != FINITE:
            raise ValueError(f"{self} is not a finite number")
        return Fraction(self.significand) * Fraction(2) ** self.exponent

    def __str__(self) -> str:
        return format_exact(self)


def finite(significand: int, exponent: int = 0) -> Exact:
    """The finite exact value ``significand * 2**exponent``."""
    return Exact(FINITE, significand, exponent, significand < 0)


def from_fraction(value: Fraction) -> Exact:
    """The exact value of a fraction whose denominator is a power of two."""
    return finite(value.numerator, 1 - value.denominator.bit_length())


ZERO = Exact(FINITE, 0, 0, False)
NEGATIVE_ZERO = Exact(FINITE, 0, 0, True)
INFINITY = Exact(POSITIVE_INFINITY, 0, 0, False)
MINUS_INFINITY = Exact(NEGATIVE_INFINITY, 0, 0, True)
NOT_A_NUMBER = Exact(NAN, 0, 0, False)


def nearest_binary32(value: Fraction) -> Fraction:
    """The binary32 number nearest to a number within binary32's range, ties to even."""
    if value == 0:
        return value
    exponent = abs(value).numerator.bit_length() - abs(value).denominator.bit_length()
    if Fraction(2) ** exponent > abs(value):
        exponent -= 1
    quantum = Fraction(2) ** max(exponent - 23, -149)  # of 24 significant bits, and of subnormal numbers
    return round(value / quantum) * quantum


def floor_log2(value: Exact) -> int:
    """The exponent of the leading bit of a nonzero finite value."""
    return abs(value.significand).bit_length() - 1 + value.exponent


_PLAIN_INTEGER_BITS = 20
_PLAIN_FRACTION_BITS = 4
"""Numbers of at most that many bits before and after the point are printed as plain decimals."""

LONG_FRACTION = 24
"""A fraction of more characters than this is written as a hexadecimal float in reports."""


def _require_exact(value: object) -> None:
    if not isinstance(value, Exact):
        hint = "lowbit.parse_exact(text) makes one; lowbit.Exact(0, 7, -2) is 7 * 2**-2"
        raise InputError(f"{value!r} is not an Exact", hint=hint)


def format_exact(value: Exact) -> str:
    """Print exactly: ``7/4*2^-7``; integers and short binary fractions stay plain (``448``, ``15.5``).

    The significand is written as a fraction in [1, 2) over a power of two, as gfloat's ``float_pow2str`` does.

    Raises
    ------
    InputError
        It is not an Exact.

    Examples
    --------
    >>> format_exact(parse_exact("0.013671875"))
    '7/4*2^-7'
    """
    _require_exact(value)
    if value.kind != FINITE:
        return special_name(value)
    if value.significand == 0:
        return "-0" if value.negative else "0"
    sign = "-" if value.significand < 0 else ""
    magnitude = finite(abs(value.significand), value.exponent).reduced()
    leading = floor_log2(magnitude)
    if magnitude.exponent >= -_PLAIN_FRACTION_BITS and leading < _PLAIN_INTEGER_BITS:
        return f"{sign}{_plain_decimal(magnitude)}"
    width = magnitude.significand.bit_length() - 1
    head = "1" if width == 0 else f"{magnitude.significand}/{1 << width}"
    power = f"2^{leading}"
    return f"{sign}{power}" if head == "1" else f"{sign}{head}*{power}"


def _plain_decimal(magnitude: Exact) -> str:
    """A positive number of few fraction bits in full: n fraction bits are n decimals."""
    decimals = max(-magnitude.exponent, 0)
    digits = str(magnitude.significand * 5**decimals << max(magnitude.exponent, 0)).zfill(decimals + 1)
    return f"{digits[:-decimals]}.{digits[-decimals:]}" if decimals else digits


def special_name(value: Exact) -> str:
    """``inf``, ``-inf`` or ``nan`` (``-nan`` where the sign bit is set)."""
    if value.kind == NAN:
        return "-nan" if value.negative else "nan"
    return "inf" if value.kind == POSITIVE_INFINITY else "-inf"


def format_decimal(value: Exact, *, digits: int = 9) -> str:
    """Print in decimal, with a leading ``~`` where the digits are not the whole value.

    Beyond 2**±1000, where binary64 ends, the exact form of :func:`format_exact` is printed instead.

    Raises
    ------
    InputError
        It is not an Exact.

    Examples
    --------
    >>> format_decimal(parse_exact("7/4*2^-7")), format_decimal(parse_exact("7/4*2^-7"), digits=3)
    ('0.013671875', '~0.0137')
    """
    _require_exact(value)
    if value.kind != FINITE or value.significand == 0:
        return format_exact(value)
    exact = value.fraction()
    if -1000 < floor_log2(value) < 1000:
        short = f"{float(exact):.{digits}g}"
        if Fraction(short) == exact:
            return short
        full = repr(float(exact))
        return full if Fraction(full) == exact and len(full) <= digits + 4 else f"~{short}"
    return format_exact(value)


def format_value(value: Exact) -> str:
    """Print as reports do, exactly and in decimal where that reads differently: ``7/4*2^-7 = 0.013671875``.

    A fraction of more than 24 characters is written as a hexadecimal float.
    """
    exact, decimal = format_exact(value), format_decimal(value)
    if len(exact) > LONG_FRACTION:
        exact = format_hexfloat(value)
    if decimal in {exact, f"~{exact}"}:
        return exact
    return f"{exact} {decimal}" if decimal.startswith("~") else f"{exact} = {decimal}"


def format_vector(values: Iterable[Exact]) -> str:
    """Values as :func:`format_value` prints them, several in brackets."""
    texts = [format_value(value) for value in values]
    return texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"


def format_hexfloat(value: Exact) -> str:
    """Print as a C99 hexadecimal float (``0x1.cp-7``), exact for every finite value.

    Raises
    ------
    InputError
        It is not an Exact.

    Examples
    --------
    >>> format_hexfloat(parse_exact("7/4*2^-7"))
    '0x1.cp-7'
    """
    _require_exact(value)
    if value.kind != FINITE or value.significand == 0:
        return special_name(value) if value.kind != FINITE else ("-0x0p+0" if value.negative else "0x0p+0")
    sign = "-" if value.significand < 0 else ""
    magnitude = finite(abs(value.significand), value.exponent).reduced()
    width = magnitude.significand.bit_length() - 1
    tail = magnitude.significand - (1 << width)
    digits = -(-width // 4)
    hexadecimal = f"{tail << (4 * digits - width):0{digits}x}" if digits else ""
    point = f".{hexadecimal}" if digits else ""
    return f"{sign}0x1{point}p{floor_log2(magnitude):+d}"


_POWER = re.compile(
    r"(?:(?P<head>[+-]?(?:\d+/\d+|\d+(?:\.\d*)?|\.\d+))\*)?(?P<sign>[+-]?)2\^(?P<power>[+-]?\d+)", re.ASCII
)
_HEXFLOAT = re.compile(r"(?P<sign>[+-]?)0x(?P<whole>[0-9a-f]+)(?:\.(?P<tail>[0-9a-f]*))?p(?P<power>[+-]?\d+)", re.ASCII)
_DECIMAL_POWER = re.compile(r"e([+-]?\d+)$", re.ASCII)
_LARGEST_POWER = 1 << 20
"""No format reaches further; a mistyped exponent must not fill the memory."""


def parse_exact(text: str) -> Exact:
    """Read what the three printers write, and plain decimal: ``7/4*2^-7``, ``0x1.cp-7``, ``-0.5``, ``inf``, ``nan``.

    A sum of powers is not read.

    Raises
    ------
    InputError
        The text is not a number, or not a dyadic one: 0.1 is not, and who wants the nearest binary64 says so.

    Examples
    --------
    >>> parse_exact("0x1.cp-7") == parse_exact("0.013671875")
    True
    """
    if not isinstance(text, str):
        raise InputError(f"{text!r} is not text", hint="lowbit.parse_exact('7/4*2^-7'), say")
    text = text.strip().lower()
    unsigned = text[1:] if text[:1] in ("+", "-") else text
    negative = text.startswith("-")
    if unsigned in ("inf", "infinity"):
        return MINUS_INFINITY if negative else INFINITY
    if unsigned == "nan":
        return Exact(NAN, 0, 0, negative)
    match = _HEXFLOAT.fullmatch(text)
    if match:
        tail = match["tail"] or ""
        power = _power(match["power"], text)
        return _signed(int(match["whole"] + tail, 16), power - 4 * len(tail), negative)
    match = _POWER.fullmatch(text)
    if match:
        head = _dyadic(match["head"] or "1", text)
        minus = (match["head"] or "").startswith("-") != (match["sign"] == "-")
        return _signed(head.significand, head.exponent + _power(match["power"], text), minus)
    match = _DECIMAL_POWER.search(text)
    if match:
        _power(match[1], text)
    value = _dyadic(text, text)
    return _signed(value.significand, value.exponent, negative)


def _signed(magnitude: int, exponent: int, negative: bool) -> Exact:
    return Exact(FINITE, -magnitude if negative else magnitude, exponent, negative).reduced()


def _power(digits: str, text: str) -> int:
    power = int(digits)
    if abs(power) > _LARGEST_POWER:
        raise InputError(f"the exponent of {text!r} is beyond ±{_LARGEST_POWER}")
    return power


def _dyadic(number: str, text: str) -> Exact:
    """The magnitude of a plain number or fraction."""
    try:
        value = abs(Fraction(number))
    except (ValueError, ZeroDivisionError) as error:
        raise InputError(f"{text!r} is not an exact binary number") from error
    if value.denominator & (value.denominator - 1):
        raise InputError(f"{text!r} is not a multiple of a power of two")
    return from_fraction(value)


def from_float(value: float) -> Exact:
    """A Python float (binary64) exactly, sign of zero, NaN sign and payload included."""
    bits = struct.unpack("<Q", struct.pack("<d", value))[0]
    negative, exponent, mantissa = bits >> 63 == 1, bits >> 52 & 0x7FF, bits & (1 << 52) - 1
    if exponent == 0x7FF:
        if mantissa:
            return Exact(NAN, mantissa, -52, negative)
        return MINUS_INFINITY if negative else INFINITY
    magnitude = mantissa | (1 << 52 if exponent else 0)
    return Exact(FINITE, -magnitude if negative else magnitude, max(exponent, 1) - 1075, negative)
