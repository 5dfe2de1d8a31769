"""Bit patterns of special values, as format files write them: ``s.1111.111``.

A pattern names the fields of a code from the top, separated by points: sign (only where the format is signed),
exponent, mantissa; a field of no bits is left out. A field is spelt bit by bit (``0``, ``1``, ``x`` any bit) or
with a word: ``zeros``, ``ones``, ``any``, ``nonzero``. The sign is ``0``, ``1`` or ``s`` (both).
"""

from __future__ import annotations

from dataclasses import dataclass

from lowbit.errors import FormatError


@dataclass(frozen=True)
class CodeRange:
    """The codes that one pattern covers: consecutive magnitudes, with one sign or both."""

    # low, high: first and last magnitude (exponent and mantissa field read as one integer)
    low: int
    high: int
    signs: str  # ``"0"``, ``"1"``, or ``"s"`` for both; ``"0"`` in an unsigned format
    pattern: str  # the text it was written as

    def overlaps(self, other: CodeRange) -> bool:
        """Whether some code is in both."""
        same_sign = "s" in (self.signs, other.signs) or self.signs == other.signs
        return same_sign and self.low <= other.high and other.low <= self.high


def parse_pattern(text: str, *, signed: bool, exponent_bits: int, mantissa_bits: int) -> CodeRange:
    """The codes that a pattern covers.

    Raises FormatError: the pattern does not have the format's fields, or covers codes that are not consecutive.
    """
    widths = [("sign", int(signed)), ("exponent", exponent_bits), ("mantissa", mantissa_bits)]
    present = [(name, width) for name, width in widths if width]
    parts = text.split(".")
    if len(parts) != len(present):
        shape = ".".join(f"<{name}: {width}>" for name, width in present)
        raise FormatError(
            f"the pattern {text!r} has {len(parts)} fields, the format {len(present)}",
            hint=f"write {shape}, a field of no bits left out",
        )
    signs, low, high, count = "0", 0, 0, 1
    for part, (name, width) in zip(parts, present, strict=True):
        if name == "sign":
            signs = _sign(part, text)
            continue
        field_low, field_high, field_count = _field(part, name, width, text)
        low, high, count = low << width | field_low, high << width | field_high, count * field_count
    if high - low + 1 != count:
        raise FormatError(
            f"the pattern {text!r} covers codes that are not consecutive",
            hint="special values take consecutive codes: one pattern for each run",
        )
    return CodeRange(low, high, signs, text)


def _sign(part: str, text: str) -> str:
    if part not in ("0", "1", "s"):
        raise FormatError(f"the pattern {text!r} has the sign {part!r}", hint="the sign is 0, 1, or s for both")
    return part


def _field(part: str, name: str, width: int, text: str) -> tuple[int, int, int]:
    """Lowest value, highest value and number of values of one field."""
    ones = (1 << width) - 1
    words = {"zeros": (0, 0), "ones": (ones, ones), "any": (0, ones), "nonzero": (1, ones)}
    if part in words:
        low, high = words[part]
        return low, high, high - low + 1
    if len(part) != width or set(part) - set("01x"):
        raise FormatError(
            f"the pattern {text!r} has {part!r} where the {name} field of {width} bits stands",
            hint=f"write {width} of 0, 1 and x (any bit), or one of {', '.join(words)}",
        )
    low, high = int(part.replace("x", "0"), 2), int(part.replace("x", "1"), 2)
    return low, high, 1 << part.count("x")
