"""Values on the command line: decimals, exact fractions, hexadecimal floats and raw codes of another format."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import NamedTuple

from lowbit.cli.bits import parse_code
from lowbit.errors import InputError
from lowbit.exact import NAN, Exact, finite, format_hexfloat, parse_exact
from lowbit.format.registry import scalar_format
from lowbit.format.scalar import Scalar
from lowbit.oracle.cast.decode import decode
from lowbit.oracle.cast.project import project
from lowbit.policy.cast import Policy

EXPONENT_LIMIT = 100_000
"""Larger exponents only cost time: no format reaches 2^±262,144."""

GUARD_BITS = 192
"""Bits kept of a number that is not a binary fraction: more than any precision here, and the rest as one sticky bit."""

_EXPONENT = re.compile(r"[ep^][+-]?(\d+)\s*$", re.IGNORECASE)
_TO_SOURCE = Policy(nan_code="payload")

FORMS = (
    "a decimal (-0.5, 1e-7), a fraction (7/4*2^-7, 1/3), a C hexfloat (0x1.cp-7), inf, nan, or a code (0x3c@float16)"
)


class Value(NamedTuple):
    """A value as it was typed, what it is exactly, the format that it came from, and a remark on rounding."""

    text: str
    exact: Exact
    source: Scalar | None
    note: str = ""


def parse_value(text: str, source: Scalar | None) -> Value:
    """Read one value and, where a source format is given, round it to that (nearest even), with a note if it moved.

    Raises InputError: the text is none of the accepted forms, or is not a binary fraction and there is no format to
    round it to.
    """
    if "@" in text:
        digits, _, name = text.partition("@")
        fmt = scalar_format(name)
        return Value(text, decode(parse_code(digits, fmt), fmt), fmt)
    exact, inexact = _parse(text)
    if source is None:
        if inexact:
            raise InputError(f"{text} is not a binary fraction", hint="--from float64 rounds it to the nearest one")
        return Value(text, exact, None)
    code = project(exact, source, _TO_SOURCE).code
    rounded = decode(code, source)
    note = ""
    if inexact or (exact.kind != NAN and exact.reduced() != rounded.reduced()):
        note = f"{text} is not a {source.id} value: taken as {format_hexfloat(rounded)} ({source.hexadecimal(code)})"
    return Value(text, rounded, source, note)


def _parse(text: str) -> tuple[Exact, bool]:
    """The exact value, and whether it stands for a number that is not a binary fraction."""
    if not text.isascii() or "_" in text:  # Python's own readers take other digits and underscores
        raise InputError(f"{text!r} is not a value", hint=f"write {FORMS}")
    exponent = _EXPONENT.search(text)
    if exponent and int(exponent[1]) > EXPONENT_LIMIT:
        raise InputError(f"the exponent of {text!r} is beyond ±{EXPONENT_LIMIT}")
    try:
        return parse_exact(text), False
    except ValueError:
        pass
    try:
        return _jam(Fraction(text.strip()), negative=text.strip().startswith("-")), True
    except (ValueError, ZeroDivisionError) as error:
        raise InputError(f"{text!r} is not a value", hint=f"write {FORMS}") from error


def _jam(value: Fraction, *, negative: bool) -> Exact:
    """A binary fraction that rounds as ``value`` does to any precision of at most ``GUARD_BITS - 2`` bits.

    The tail is or-ed into the last bit, as SoftFloat's shiftRightJam does.
    """
    magnitude = abs(value)
    shift = GUARD_BITS - magnitude.numerator.bit_length() + magnitude.denominator.bit_length()
    scaled = magnitude * Fraction(2) ** shift
    significand = scaled.numerator // scaled.denominator
    significand |= int(significand * scaled.denominator != scaled.numerator)
    return finite(-significand if negative else significand, -shift)
