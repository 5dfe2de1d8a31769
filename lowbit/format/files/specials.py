"""The ``[specials]`` of a format file: which codes are infinities, NaNs and zeros."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from lowbit.errors import FormatError
from lowbit.format.files.patterns import CodeRange, parse_pattern
from lowbit.policy.table import Table


@dataclass(frozen=True)
class Fields:
    """The widths that give a pattern its shape."""

    signed: bool
    exponent_bits: int
    mantissa_bits: int

    @property
    def magnitude_bits(self) -> int:
        """Width of exponent and mantissa together."""
        return self.exponent_bits + self.mantissa_bits

    @property
    def both_signs(self) -> str:
        """The sign of a pattern that covers every sign there is."""
        return "s" if self.signed else "0"


def read_specials(specials: Table, fields: Fields) -> dict[str, Any]:
    """The fields of a FloatFormat that say which codes are special.

    Raises FormatError: a pattern does not fit the fields, two specials share a code, or NaNs do not stand together.
    """
    specials.only("zero", "negative_zero", "subnormals", "infinity", "nan", "canonical_nan")
    infinities = _ranges(specials, "infinity", fields)
    nans = _ranges(specials, "nan", fields)
    zero = specials.get("zero", bool)
    at_negative_zero = [(part.low, part.high, part.signs) for part in nans] == [(0, 0, "1")]
    _refuse_overlaps(specials, infinities, nans, _zeros(fields, zero, at_negative_zero))
    found = {
        "zero": zero,
        "subnormals": specials.get("subnormals", bool),
        "infinity": _infinity(specials, infinities, fields),
        "nan": None if at_negative_zero else _lowest_nan(specials, nans, fields),
        "nan_at_negative_zero": at_negative_zero,
        "canonical_nan": _canonical_nan(specials, fields, bool(nans)),
    }
    _check_negative_zero(specials, fields.signed and zero and not at_negative_zero)
    return found


def _ranges(specials: Table, name: str, fields: Fields) -> list[CodeRange]:
    return [_pattern(specials, name, text, fields) for text in specials.strings(name)]


def _pattern(specials: Table, name: str, text: str, fields: Fields) -> CodeRange:
    try:
        return parse_pattern(
            text, signed=fields.signed, exponent_bits=fields.exponent_bits, mantissa_bits=fields.mantissa_bits
        )
    except FormatError as error:
        raise specials.error(name, error.message, error.hint) from error


def _zeros(fields: Fields, zero: bool, at_negative_zero: bool) -> list[CodeRange]:
    if not zero:
        return []
    return [CodeRange(0, 0, "0" if at_negative_zero else fields.both_signs, "zero")]


def _refuse_overlaps(
    specials: Table, infinities: list[CodeRange], nans: list[CodeRange], zeros: list[CodeRange]
) -> None:
    taken = [("infinity", part) for part in infinities] + [("nan", part) for part in nans]
    taken += [("zero", part) for part in zeros]
    for index, (name, part) in enumerate(taken):
        for other_name, other in taken[:index]:
            if part.overlaps(other):
                raise specials.error(
                    other_name,
                    f"{other.pattern!r} clashes with {name} {part.pattern!r}: the magnitude "
                    f"{max(part.low, other.low):#x} is in both",
                    "every code has one meaning",
                )


def _infinity(specials: Table, parts: list[CodeRange], fields: Fields) -> int | None:
    if not parts:
        return None
    if len(parts) > 1 or parts[0].low != parts[0].high or parts[0].signs != fields.both_signs:
        raise specials.error(
            "infinity", "it is not one magnitude with every sign of the format", 'for example ["s.11111.00"]'
        )
    return parts[0].low


def _lowest_nan(specials: Table, parts: list[CodeRange], fields: Fields) -> int | None:
    if not parts:
        return None
    ordered = sorted(parts, key=lambda part: part.low)
    joined = all(lower.high + 1 == upper.low for lower, upper in pairwise(ordered))
    complete = all(part.signs == fields.both_signs for part in parts)
    if not joined or not complete or ordered[-1].high != (1 << fields.magnitude_bits) - 1:
        raise specials.error(
            "nan",
            f"{', '.join(repr(part.pattern) for part in parts)} is neither the top of the range with every sign, nor "
            "the code of negative zero alone",
            'for example ["s.1111.111"], ["s.11111.nonzero"] or ["1.0000.000"]',
        )
    return ordered[0].low


def _canonical_nan(specials: Table, fields: Fields, has_nan: bool) -> int | None:
    if not has_nan:
        if "canonical_nan" in specials.values:
            raise specials.error("canonical_nan", "it is given, but nan = [] says that there is none")
        return None
    text = specials.get("canonical_nan", str)
    part = _pattern(specials, "canonical_nan", text, fields)
    if part.low != part.high or part.signs == "s":
        raise specials.error("canonical_nan", f"{text!r} is more than one code", "spell every bit, the sign too")
    return part.low | (1 << fields.magnitude_bits if part.signs == "1" else 0)


def _check_negative_zero(specials: Table, implied: bool) -> None:
    if specials.get("negative_zero", bool) != implied:
        raise specials.error(
            "negative_zero",
            f"{str(not implied).lower()} contradicts the other fields, which imply {str(implied).lower()}",
            "a format has -0 if it is signed, has a zero, and the code of -0 is not its NaN",
        )
