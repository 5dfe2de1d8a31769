"""All that code outside this folder asks of a scalar format, of whatever kind, and of what codes of blocks are.

An :class:`Element` is what the codes of a block format are codes of: a scalar format, whose codes are worth one number
each, or a table of vectors (:mod:`lowbit.format.vector`).

A format says which values there are and how they are coded, never how a value is rounded into it: that is
:mod:`lowbit.policy.cast`. A kind is one file here: a frozen dataclass of primary fields whose :meth:`Scalar.decode`
says what a code is worth. Everything else follows from that by listing the codes; kinds that know it in closed form
(floats, fixed point) say so in their own file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lowbit.exact import FINITE, NAN, Exact, floor_log2, from_fraction
from lowbit.format.common import Field, Format, fields_of
from lowbit.format.listing import listing


@dataclass(frozen=True, kw_only=True)
class Element(Format):
    """A format of codes: all that is asked where it does not matter how many numbers a code is worth.

    Attributes
    ----------
    bits : int
        Width of a code.
    signed : bool
        Whether negative values exist.
    """

    bits: int
    signed: bool = True

    dimension = 1
    """How many neighbouring values of a tensor one code is worth: more than 1 for vectors."""

    wraps = False
    """Whether a value out of range can be taken modulo 2**bits, as integers are."""

    @property
    def component(self) -> Scalar:
        """The format of one of the numbers that a code is worth: of a scalar format itself."""
        raise TypeError(f"{type(self).__name__} does not say which numbers its codes are worth")

    def vector(self, code: int) -> tuple[Exact, ...]:
        """The numbers that a code is worth, exactly, as many as the dimension says."""
        raise TypeError(f"{type(self).__name__} does not say what code {code} is worth")

    @property
    def figures(self) -> Mapping[str, Exact | int | None]:
        """What ``[facts]`` of a file may state, by name."""
        return {"max": self.component.max, "min": self.component.min}

    def _require_common(self) -> None:
        super()._require_common()
        self._require_integers("bits")
        self._require_booleans("signed")

    # Codes as patterns of bits

    @property
    def container_bits(self) -> int:
        """Width of the array element that holds one code: 8, 16, 32 or 64."""
        return max(8, 1 << (self.bits - 1).bit_length())

    @property
    def code_dtype(self) -> str:
        """NumPy name of the dtype that codes are returned in."""
        return f"{'int' if self.signed_codes else 'uint'}{self.container_bits}"

    @property
    def signed_codes(self) -> bool:
        """Whether a code is the signed value of its two's complement pattern."""
        return False

    @property
    def codes(self) -> range:
        """All codes, from the lowest to the highest."""
        return range(1 << self.bits)

    @property
    def fields(self) -> tuple[Field, ...]:
        """The fields of a code, the most significant first."""
        return fields_of(("code", self.bits))

    @property
    def shape(self) -> str:
        """The widths of the fields, as ``lowbit formats`` lists them."""
        return "-".join(str(part.width) for part in self.fields)

    def pattern(self, code: int) -> int:
        """The bits of a code as a number that is not negative."""
        return code & ((1 << self.bits) - 1)

    def from_pattern(self, pattern: int) -> int:
        """The code of a pattern of bits; a narrow range may lack it."""
        return pattern - (1 << self.bits) if self.signed_codes and pattern >> (self.bits - 1) else pattern

    def hexadecimal(self, code: int) -> str:
        """A code in hexadecimal, as wide as the format, two's complement where it is negative."""
        return f"0x{self.pattern(code):0{-(-self.bits // 4)}x}"

    def split(self, code: int, separator: str = ".") -> str:
        """The bits of a code, most significant first, with the fields set apart: ``0.0111.100``."""
        pattern = self.pattern(code)
        parts = (f"{pattern >> part.low & (1 << part.width) - 1:0{part.width}b}" for part in self.fields)
        return separator.join(parts)


@dataclass(frozen=True, kw_only=True)
class Scalar(Element):
    """A format of single numbers: the protocol of all kinds.

    Codes of a kind with ``signed_codes`` are the signed values of two's complement patterns, those of other kinds
    the patterns themselves. An *ordinal* numbers the values in their order: 0 is zero (the smallest value that is not
    negative in a format without zero), 1 the next value above; both zeros have ordinal 0, infinities come after the
    largest finite values, and a NaN has none.

    Attributes
    ----------
    bits : int
        Width of a code.
    signed : bool
        Whether negative values exist.
    """

    listed = True
    """Whether the list of its values is all that is known of a format: it has no fields to compute with."""

    @property
    def component(self) -> Scalar:
        return self

    def vector(self, code: int) -> tuple[Exact, ...]:
        return (self.decode(code),)

    def decode(self, code: int) -> Exact:
        """The exact value of one of the format's codes; the significand is the one that the code spells."""
        raise TypeError(f"{type(self).__name__} does not say what code {code} is worth")

    @property
    def sign_bit(self) -> int:
        """The sign as a mask, where a code is a sign and a magnitude; 0 where it is not."""
        return 0

    @property
    def magnitude_bits(self) -> int:
        """Width of a code without such a sign."""
        return self.bits

    # Special values

    @property
    def nan_ranges(self) -> tuple[tuple[int, int], ...]:
        """The lowest and the highest code of each run of NaNs."""
        return listing(self).nans

    @property
    def infinities(self) -> tuple[int, ...]:
        """The codes of the infinities, +infinity first."""
        codes = (self.infinity_code(negative) for negative in (False, True))
        return tuple(code for code in codes if code is not None)

    @property
    def has_nan(self) -> bool:
        return bool(self.nan_ranges)

    @property
    def has_infinity(self) -> bool:
        return bool(self.infinities)

    @property
    def nan_count(self) -> int:
        """How many codes are NaNs."""
        return sum(high - low + 1 for low, high in self.nan_ranges)

    @property
    def infinity_count(self) -> int:
        """How many codes are infinities."""
        return len(self.infinities)

    @property
    def canonical_nan(self) -> int | None:
        """The positive NaN code that conversions give; None where there is none."""
        return self.nan_ranges[0][0] if self.nan_ranges else None

    @property
    def zero(self) -> bool:
        """Whether zero is a value."""
        return self.value_at(0).significand == 0

    @property
    def negative_zero(self) -> bool:
        """Whether -0 has a code of its own."""
        return listing(self).negative_zero is not None

    @property
    def subnormals(self) -> bool:
        """Whether the values next to zero have fewer significant bits than the others, and can be flushed."""
        return False

    @property
    def min_normal_code(self) -> int:
        """Magnitude code of the smallest normal value; what is below it, but zero, is subnormal."""
        return 0

    @property
    def ieee_like(self) -> bool:
        """Whether the top exponent is given to infinity and NaNs as IEEE 754 does, so that NaNs carry payloads."""
        return False

    def zero_code(self, negative: bool = False) -> int:
        """The code of zero, of -0 if there is one and it is asked for; that of ordinal 0 in a format without zero."""
        minus = listing(self).negative_zero
        return minus if negative and minus is not None else self.from_ordinal(0)

    def infinity_code(self, negative: bool = False) -> int | None:
        """The code of an infinity; None where the format has none of that sign."""
        return listing(self).infinities[negative]

    def nan_code(self, negative: bool = False, *, all_ones: bool = False) -> int | None:
        """The canonical NaN, or that of all ones, with a sign if the NaNs have one; None where there is no NaN."""
        del negative, all_ones
        return self.canonical_nan

    def largest_code(self, negative: bool = False) -> int:
        """The code of the largest finite value of a sign; an unsigned format has one sign."""
        return listing(self).codes[0 if negative and self.signed else -1]

    @property
    def lowest_code(self) -> int:
        """The code of the lowest finite value."""
        return listing(self).codes[0]

    def classify(self, code: int) -> str:
        """``zero``, ``infinity`` or ``nan``; ``value`` where there is no more to say."""
        value = self.decode(code)
        if value.kind != FINITE:
            return "nan" if value.kind == NAN else "infinity"
        return "value" if value.significand else "zero"

    # The number line

    @property
    def ordinals(self) -> range:
        """The ordinals, from that of the lowest value to that of the highest."""
        listed = listing(self)
        plus, minus = (code is not None for code in listed.infinities)
        return range(-listed.below - minus, len(listed.codes) - listed.below + plus)

    def ordinal(self, code: int) -> int | None:
        """The ordinal of a code, None for a NaN."""
        return listing(self).ordinals.get(code)

    def from_ordinal(self, ordinal: int) -> int:
        """The code of an ordinal, +0 for 0."""
        listed = listing(self)
        place = ordinal + listed.below
        code = listed.codes[place] if 0 <= place < len(listed.codes) else listed.infinities[ordinal < 0]
        assert code is not None
        return code

    def value_at(self, ordinal: int) -> Exact:
        """The value of an ordinal; beyond the last finite value the gap before it goes on."""
        values = listing(self).values
        place = ordinal + listing(self).below
        inside = min(max(place, 0), len(values) - 1)
        if place == inside:
            return from_fraction(values[place])
        gap = abs(values[inside] - values[inside + (1 if inside == 0 else -1)]) if len(values) > 1 else 1
        return from_fraction(values[inside] + (place - inside) * gap)

    @property
    def max(self) -> Exact:
        """The largest finite value."""
        return self.decode(self.largest_code())

    @property
    def min(self) -> Exact:
        """The lowest finite value: -max, or the smallest value of an unsigned format."""
        return self.decode(self.lowest_code)

    @property
    def smallest(self) -> Exact:
        """The smallest positive value."""
        return self.value_at(1 if self.zero else 0)

    @property
    def max_exponent(self) -> int:
        """The exponent of the leading bit of the largest finite value."""
        return floor_log2(self.max)

    @property
    def finite_count(self) -> int:
        """How many distinct finite values there are (-0 is not counted beside 0)."""
        return len(listing(self).codes)

    @property
    def precision(self) -> int:
        """The most significant bits that a value has."""
        return max(abs(value.significand).bit_length() for value in listing(self).reduced())

    @property
    def smallest_exponent(self) -> int:
        """Every value is a multiple of 2**this."""
        return min(value.exponent for value in listing(self).reduced())

    # In words

    @property
    def live_axes(self) -> tuple[str, ...]:
        """The axes of a policy that can change a result in the format; the others are ignored there."""
        idle = {"without_infinity": self.has_infinity or not self.has_nan, "nan": self.has_nan}
        idle |= {"negative": self.signed, "negative_zero": not self.negative_zero}
        named = ("rounding", "overflow", "infinity", *idle, "flush_inputs", "via")
        return tuple(axis for axis in named if not idle.get(axis))

    @property
    def formula(self) -> tuple[str, ...]:
        """What a code is worth, in terms of its fields."""
        return ("a table of values by code",)

    @property
    def parameters(self) -> Mapping[str, int]:
        """Numbers that the kind is described by, for ``lowbit show``."""
        return {}

    @property
    def landmarks(self) -> tuple[tuple[str, int], ...]:
        """Name and code of the values that a page about the format starts with."""
        ends = (("largest", self.largest_code()), ("lowest", self.lowest_code))
        if self.max.significand <= 0:
            return ends
        return (*ends, ("smallest positive", self.from_ordinal(1 if self.zero else 0)))

    @property
    def figures(self) -> Mapping[str, Exact | int | None]:
        """What ``[facts]`` of a file may state, by name."""
        return {"max": self.max, "min": self.min, "finite_values": self.finite_count}
