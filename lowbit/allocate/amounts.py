"""Exact amounts: what a cost or a limit is as a fraction, and rows of costs as integers over one denominator."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from math import isfinite, lcm
from numbers import Integral, Rational
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lowbit.errors import AllocationError

Amount = int | float | str | Fraction | Decimal
"""What is taken for a limit: a number, or text such as ``"3.2MB"``, ``"4.5"`` or ``"1/3"``."""

PREFIXES = {
    "": 1,
    "k": 10**3,
    "K": 10**3,
    "M": 10**6,
    "G": 10**9,
    "T": 10**12,
    "Ki": 2**10,
    "Mi": 2**20,
    "Gi": 2**30,
    "Ti": 2**40,
}
"""Decimal prefixes (SI) and binary ones (IEC 80000-13)."""

_AMOUNT = re.compile(r"([0-9.]+(?:[eE][+-]?[0-9]+)?(?:/[0-9]+)?)\s*(Ki|Mi|Gi|Ti|[kKMGT]?)([A-Za-z]*)", re.ASCII)
_BYTES = {"B": "bytes", "byte": "bytes", "bytes": "bytes"}

MOST_EXPONENT = 1000
"""Amounts are exact fractions: the billion digits of 1e999999999 would take hours."""

MAX_DECIMALS = 15
"""Decimal places tried on whole arrays: an integer below 2^53 over 10^15 still has an exact numerator and divisor."""


def as_number(value: Fraction | None) -> int | float | None:
    """The amount as JSON has it: whole where it is, else the nearest float64."""
    if value is None:
        return None
    try:
        return value.numerator if value.denominator == 1 else float(value)
    except OverflowError:
        return round(value)


def amount(value: Any, *, where: str, unit: str = "") -> Fraction:
    """The exact value of a number or of text with a prefix.

    ``value``: a float stands for the shortest decimal that reads as it: 0.1 is one tenth. ``where``: what it is, for
    the message. ``unit``: the unit that text may carry; ``B`` stands for bytes.

    Raises AllocationError: it is not a number, infinite, NaN, or carries another unit.
    """
    if isinstance(value, str):
        return _from_text(value, where, unit)
    if isinstance(value, bool):
        raise AllocationError(f"{where}: {value} is not a number")
    if isinstance(value, Integral):
        return Fraction(int(value))
    if isinstance(value, Rational):
        return Fraction(int(value.numerator), int(value.denominator))
    if isinstance(value, Decimal) and value.is_finite():
        if value and abs(value.adjusted()) > MOST_EXPONENT:
            raise AllocationError(f"{where}: {value} is out of range", hint=f"powers of ten up to {MOST_EXPONENT}")
        return Fraction(value)
    if isinstance(value, float | np.floating) and isfinite(value):
        return Fraction(repr(float(value)))
    raise AllocationError(
        f"{where}: {value!r} is not a finite number", hint="write a number, such as 3200000 or '3.2MB'"
    )


def _from_text(text: str, where: str, unit: str) -> Fraction:
    match = _AMOUNT.fullmatch(text.strip())
    hint = "a number with an optional prefix and unit: 3.2MB, 512KiB, 4.5, 1e9"
    if match is None:
        raise AllocationError(f"{where}: {text!r} is not an amount", hint=hint)
    digits, prefix, found = match.groups()
    if found and _BYTES.get(found, found) != _BYTES.get(unit, unit):
        raise AllocationError(f"{where}: {text!r} is in {found!r}, the budget in {unit or 'no unit'!r}", hint=hint)
    number, _, divisor = digits.partition("/")
    try:
        decimal = Decimal(number)
        value = Fraction(1, int(divisor or 1))
    except (ValueError, ArithmeticError) as error:
        raise AllocationError(f"{where}: {text!r} is not an amount", hint=hint) from error
    return amount(decimal, where=where) * value * PREFIXES[prefix]


def integer_row(values: Any, *, where: str) -> tuple[NDArray[Any], int]:
    """A row of costs as integers over one denominator: ``values[i] == numerators[i] / denominator`` exactly.

    ``values``: integers stay as they are; floats stand for the shortest decimals that read as them.

    Returns ``numerators``, int64, or Python integers (dtype object) where those do not fit; ``denominator``.
    """
    array = values if isinstance(values, np.ndarray) else _to_array(values)
    if array.dtype.kind in "iu" and (array.dtype != np.uint64 or not array.size or array.max() < 2**63):
        return array.astype(np.int64), 1
    if array.dtype.kind == "f":
        whole = _whole_decimals(array.astype(np.float64))
        if whole is not None:
            return whole
    exact = [amount(value, where=f"{where}, entry {index}") for index, value in enumerate(array.tolist())]
    denominator = lcm(*(value.denominator for value in exact)) if exact else 1
    return narrow([value.numerator * (denominator // value.denominator) for value in exact]), denominator


def _to_array(values: Sequence[Any]) -> NDArray[Any]:
    values = list(values)
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        try:
            array = np.array(values)
        except OverflowError:
            return np.array(values, dtype=object)
        if array.dtype.kind != "f" or all(isinstance(value, float) or abs(value) < 2**53 for value in values):
            return array
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def _whole_decimals(array: NDArray[np.float64]) -> tuple[NDArray[np.int64], int] | None:
    """Find the fewest decimal places that give every value; None where some value needs more than 15 digits."""
    if not np.isfinite(array).all():
        return None
    for places in range(MAX_DECIMALS + 1):
        with np.errstate(over="ignore"):
            numerators = np.rint(array * 10.0**places)
        if np.abs(numerators).max(initial=0) >= 2**53:
            return None
        # Both operands are exact, so the division rounds the decimal correctly, as reading it would.
        if np.array_equal(numerators / 10.0**places, array):
            return numerators.astype(np.int64), 10**places
    return None


def narrow(numbers: Sequence[int]) -> NDArray[Any]:
    """Python integers as int64 where all fit, as objects where not."""
    if all(-(2**63) <= number < 2**63 for number in numbers):
        return np.array(numbers, dtype=np.int64)
    array = np.empty(len(numbers), dtype=object)
    array[:] = numbers
    return array


def format_amount(value: Fraction, digits: int = 6) -> str:
    """An amount for people: whole numbers in full with thousands separated, others to some significant digits."""
    if value.denominator == 1:
        return f"{value.numerator:,}"
    return f"{float(value):,.{digits}g}" if abs(value) < 10**digits else f"{float(value):,.2f}"
