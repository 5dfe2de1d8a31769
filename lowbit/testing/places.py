"""The places of a format that strategies draw from, the simplest first."""

from __future__ import annotations

from functools import lru_cache

from lowbit.errors import InputError
from lowbit.exact import FINITE, NAN, Exact, finite
from lowbit.format.registry import get_format
from lowbit.format.scalar import FixedFormat, FloatFormat, Scalar


def scalar(name: object) -> Scalar:
    """The scalar format of a name, a dtype or itself."""
    fmt = get_format(name)
    if not isinstance(fmt, FloatFormat | FixedFormat):
        raise InputError(f"{fmt.id} is not a scalar format")
    return fmt


def simplicity(value: Exact) -> tuple[int, int, int, bool]:
    """What a value is sorted by: 0 and 1 come first, small integers and halves soon, NaN last, + before -."""
    if value.kind != FINITE:
        return (2 if value.kind == NAN else 1, 0, value.significand, value.negative)
    reduced = value.reduced()
    width = abs(reduced.significand).bit_length()
    return (0, 0 if width == 0 else width + abs(reduced.exponent), abs(reduced.significand), value.negative)


def magnitude(fmt: Scalar, code: int) -> Exact:
    """The value of a magnitude code, which may lie beyond the largest one."""
    return finite(code, -fmt.fraction_bits) if isinstance(fmt, FixedFormat) else fmt.magnitude(code)


def midpoint(fmt: Scalar, code: int) -> Exact:
    """Half way from a magnitude code to the next."""
    low = magnitude(fmt, code)
    return finite(2 * low.significand + 1, low.exponent - 1)


@lru_cache(maxsize=64)
def overflow_values(fmt: Scalar) -> tuple[float, ...]:
    """Values around the largest one: its tie, both neighbours of that, the next binade; the simplest first."""
    top = fmt.max_code
    wanted = [magnitude(fmt, top), midpoint(fmt, top), magnitude(fmt, top + 1), magnitude(fmt, top + 2)]
    tie = midpoint(fmt, top)
    shift = 53 - tie.significand.bit_length()
    wanted += [finite((tie.significand << shift) + step, tie.exponent - shift) for step in (1, -1) if shift > 0]
    leading = wanted[0].significand.bit_length() + wanted[0].exponent
    wanted += [finite(1, leading), finite(1, leading + 1), finite(3, leading)]
    if isinstance(fmt, FixedFormat) and fmt.signed:
        wanted.append(finite(2 * fmt.min_code - 1, -fmt.fraction_bits - 1))
    signs = (1, -1) if fmt.signed else (1,)
    both = {finite(sign * value.significand, value.exponent).reduced() for value in wanted for sign in signs}
    return tuple(as_float(value) for value in sorted(both, key=simplicity) if fits_float(value))


def fits_float(value: Exact) -> bool:
    """Whether binary64 holds a finite value."""
    reduced = value.reduced()
    width = abs(reduced.significand).bit_length()
    return width <= 53 and reduced.exponent >= -1074 and reduced.exponent + width <= 1024


def as_float(value: Exact) -> float:
    """A value as a Python float; a NaN loses its payload."""
    if value.kind == NAN:
        return float("nan")
    if value.kind != FINITE:
        return float("-inf") if value.negative else float("inf")
    if value.significand == 0:
        return -0.0 if value.negative else 0.0
    return float(value.fraction())
