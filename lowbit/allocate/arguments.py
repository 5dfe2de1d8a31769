"""What the public functions are given, checked where it comes in: one word of what is wrong instead of a traceback."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import isfinite, isnan
from numbers import Complex, Integral, Real
from typing import Any

import numpy as np

from lowbit.errors import AllocationError


def whole_number(value: Any, what: str, *, least: int | None = None, most: int | None = None) -> int:
    """An integer (Python's or NumPy's, no bool) between two ends."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, Integral):
        raise AllocationError(f"{what}: {value!r} is not a whole number", hint=_range(least, most))
    number = int(value)
    if (least is not None and number < least) or (most is not None and number > most):
        raise AllocationError(f"{what}: {number} is out of range", hint=_range(least, most))
    return number


def _range(least: int | None, most: int | None) -> str:
    if least is None:
        return "an integer"
    return f"an integer of at least {least}" if most is None else f"an integer from {least} to {most}"


def real_number(value: Any, what: str) -> float:
    """A number that binary64 has, be it NaN or infinite; neither a bool, nor text, nor a complex number."""
    imaginary = isinstance(value, Complex) and not isinstance(value, Real)
    if imaginary or isinstance(value, bool | np.bool_ | str | bytes):
        hint = "take its real part or its magnitude" if imaginary else "convert it: float(value)"
        raise AllocationError(f"{what}: {value!r} is not a number", hint=hint)
    try:
        return float(value)
    except OverflowError:
        raise AllocationError(f"{what}: a number beyond binary64", hint="divide all by the same number") from None
    except (TypeError, ValueError, ArithmeticError):
        raise AllocationError(f"{what}: {value!r} is not a number", hint="write a number, such as 0.25") from None


def finite_number(value: Any, what: str) -> float:
    """A number that is neither NaN nor infinite."""
    number = real_number(value, what)
    if not isfinite(number):
        why = "NaN" if isnan(number) else "infinite"
        raise AllocationError(f"{what}: {number} is {why}", hint="give a finite number, or leave it out")
    return number


def table(value: Any, what: str, example: str) -> Mapping[Any, Any]:
    """A mapping; None stands for an empty one."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise AllocationError(f"{what}: {value!r} is not a mapping", hint=f"{what}={example}")
    return value


def listed(value: Any, what: str, example: str) -> list[Any]:
    """The members of an iterable that is neither text nor a mapping."""
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        raise AllocationError(f"{what}: {value!r} is not a list", hint=f"such as {example}")
    try:
        return list(value)
    except TypeError:  # an array without axes
        raise AllocationError(f"{what}: {value!r} is not a list", hint=f"such as {example}") from None


def named(value: Any, what: str) -> str:
    """Text."""
    if not isinstance(value, str):
        raise AllocationError(f"{what}: {value!r} is not text", hint=f"such as {str(value)!r}")
    return value


def row(values: Any, what: str, count: int) -> list[Any]:
    """A list of that many members, one a layer."""
    members = listed(values, what, "[0.5, 0.25], one number a layer")
    if len(members) != count:
        raise AllocationError(f"{what}: {len(members)} numbers for {count} layers", hint="one number a layer")
    return members


def check_kind(value: object, kind: type, what: str, hint: str) -> None:
    """An object must be of a class."""
    if not isinstance(value, kind):
        raise AllocationError(f"{what}: {type(value).__name__} instead of {kind.__name__}", hint=hint)
