"""What a number format is: frozen dataclasses of primary fields. Every other figure is a derived property.

A format says which values there are and how they are coded, never how a value is rounded into it: that is
:mod:`lowbit.policy.cast`. Codes of a float are non-negative integers; codes of an integer or fixed-point format are
the signed values themselves (two's complement in files).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from lowbit.errors import FormatError
from lowbit.exact import Exact, finite

MAX_BITS = 64

MAX_MAGNITUDE_BITS = 63
"""A magnitude code is held in a signed 64-bit integer wherever arrays are computed."""

MAX_FRACTION_BITS = 1000
"""One unit of a fixed-point format is then a normal binary64 number, as casts and printers expect."""


@dataclass(frozen=True)
class Source:
    """Where a format is defined, so that every figure can be checked."""

    title: str = ""
    edition: str = ""
    clause: str = ""
    url: str = ""


@dataclass(frozen=True, kw_only=True)
class Format:
    """What all scalar formats share.

    Attributes
    ----------
    id : str
        The canonical name; ml_dtypes' where there is one.
    bits : int
        Width of a code.
    signed : bool
        Whether negative values exist.
    aliases : tuple of str
        Other unambiguous names.
    family : str
        The parametric family that made it, or "".
    default_policy : str
        The preset that ``encode`` follows when none is given.
    source : Source
    facts : mapping of str to str
        What the source itself prints, as exact strings; redundant on purpose, tests derive them again.
    """

    id: str
    bits: int
    signed: bool = True
    aliases: tuple[str, ...] = ()
    family: str = ""
    summary: str = ""
    default_policy: str = "ieee"
    source: Source = field(default=Source(), compare=False)
    facts: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), compare=False, hash=False)

    @property
    def kind(self) -> str:
        """``"float"``, ``"integer"`` or ``"fixed"``."""
        raise TypeError(f"{type(self).__name__} is abstract: use FloatFormat or FixedFormat")

    @property
    def container_bits(self) -> int:
        """Width of the array element that holds one code: 8, 16, 32 or 64."""
        return max(8, 1 << (self.bits - 1).bit_length())

    @property
    def code_dtype(self) -> str:
        """NumPy name of the dtype that codes are returned in."""
        prefix = "int" if self.kind != "float" and self.signed else "uint"
        return f"{prefix}{self.container_bits}"

    def _require_common(self) -> None:
        """The types of the fields that every format has."""
        for name in ("id", "family", "summary", "default_policy"):
            value = getattr(self, name)
            self._require(isinstance(value, str), f"{name} = {value!r} is not a string")
        names: object = self.aliases
        self._require(
            isinstance(names, tuple) and all(isinstance(name, str) for name in names),
            f"aliases = {names!r} is not a tuple of names",
            "a tuple of one name is written ('name',)",
        )
        self._require_integers("bits")
        self._require_booleans("signed")

    def _require_integers(self, *names: str) -> None:
        for name in names:
            value = getattr(self, name)
            self._require(type(value) is int, f"{name} = {value!r} is not an integer")

    def _require_booleans(self, *names: str) -> None:
        for name in names:
            value = getattr(self, name)
            self._require(isinstance(value, bool), f"{name} = {value!r} is neither True nor False")

    def _require(self, condition: bool, what: str, hint: str = "") -> None:
        if not condition:
            raise FormatError(f"format {self.id!r}: {what}", hint=hint)


@dataclass(frozen=True, kw_only=True)
class FloatFormat(Format):
    """A binary floating-point format of any shape.

    The magnitude of a code is its exponent and mantissa field read as one integer; magnitudes are ordered like the
    values they code. Special values take the top magnitudes, and a NaN may take the code of negative zero.

    Attributes
    ----------
    exponent_bits, mantissa_bits, bias : int
        A code with exponent field e and mantissa field m is worth ``(2**M + m) * 2**(e - bias - M)``; with
        subnormals, e = 0 is worth ``m * 2**(1 - bias - M)``.
    subnormals : bool
        Whether exponent field 0 is a subnormal binade. Without it (float8_e8m0fnu) it is an ordinary binade.
    zero : bool
        Whether code 0 is zero.
    infinity : int or None
        Magnitude of the infinities.
    nan : int or None
        Lowest magnitude that is a NaN; all higher ones are too.
    nan_at_negative_zero : bool
        Whether the code of negative zero is the NaN (FNUZ, P3109 signed).
    canonical_nan : int or None
        The positive NaN code that conversions give.
    """

    exponent_bits: int
    mantissa_bits: int
    bias: int
    subnormals: bool = True
    zero: bool = True
    infinity: int | None = None
    nan: int | None = None
    nan_at_negative_zero: bool = False
    canonical_nan: int | None = None

    def __post_init__(self) -> None:
        require = self._require
        self._require_common()
        self._require_integers("exponent_bits", "mantissa_bits", "bias")
        self._require_integers(
            *(name for name in ("infinity", "nan", "canonical_nan") if getattr(self, name) is not None)
        )
        self._require_booleans("subnormals", "zero", "nan_at_negative_zero")
        require(2 <= self.bits <= MAX_BITS, f"bits = {self.bits} is outside 2..{MAX_BITS}")
        require(self.exponent_bits >= 0, f"exponent_bits = {self.exponent_bits} is negative")
        require(self.mantissa_bits >= 0, f"mantissa_bits = {self.mantissa_bits} is negative")
        total = int(self.signed) + self.exponent_bits + self.mantissa_bits
        require(
            total == self.bits,
            f"the fields overlap or leave a gap: sign {int(self.signed)} + exponent {self.exponent_bits} + mantissa "
            f"{self.mantissa_bits} = {total} bits, but bits = {self.bits}",
        )
        require(
            self.magnitude_bits <= MAX_MAGNITUDE_BITS,
            f"exponent and mantissa have {self.magnitude_bits} bits together, more than {MAX_MAGNITUDE_BITS}",
            "an unsigned float has at most 63 bits, a signed one 64",
        )
        require(self.exponent_bits <= 18 and abs(self.bias) < 1 << 20, "the exponent range is too wide")
        require(self.mantissa_bits <= 52, f"mantissa_bits = {self.mantissa_bits} is more than binary64's 52")
        require(self.exponent_bits > 0 or self.subnormals, "no exponent field and no subnormals leave no value")
        require(
            self.subnormals == self.zero,
            "zero and subnormals must both be present or both be absent",
            "a unit that flushes subnormals has the codes all the same: express it with Policy(flush_results=...)",
        )
        self._check_specials()

    def _check_specials(self) -> None:
        require, top = self._require, 1 << self.magnitude_bits
        for name in ("infinity", "nan"):
            value = getattr(self, name)
            require(value is None or 0 < value < top, f"{name} = {value} is not a nonzero magnitude code")
        if self.infinity is not None:
            above = self.infinity + 1
            require(
                above == (top if self.nan is None else self.nan),
                f"the infinity at magnitude {self.infinity:#x} must stand at the top or just below the NaNs",
            )
        require(not (self.nan_at_negative_zero and not self.signed), "an unsigned format has no negative zero for NaN")
        require(self.zero or not self.nan_at_negative_zero, "a format without zero has no negative zero for NaN")
        require(
            self.nan is None or not self.nan_at_negative_zero,
            "NaN stands both at the top of the range and at negative zero",
        )
        if self.nan_at_negative_zero:
            require(self.canonical_nan in (None, self.sign_bit), "the canonical NaN must be the code of negative zero")
            object.__setattr__(self, "canonical_nan", self.sign_bit)
        elif self.nan is None:
            require(self.canonical_nan is None, "a canonical NaN is given, but the format has no NaN")
        else:
            if self.canonical_nan is None:
                object.__setattr__(self, "canonical_nan", self._quiet_nan())
            assert self.canonical_nan is not None
            require(
                self.nan <= self.canonical_nan < top,
                f"the canonical NaN {self.canonical_nan:#x} is not one of the NaN codes",
            )
        require(self.max_code >= (1 if self.zero else 0), "the specials leave no finite value")

    def _quiet_nan(self) -> int:
        """IEEE 754-2019 6.2.1: the quiet NaN with an empty payload, or the only NaN there is."""
        quiet = ((1 << self.exponent_bits) - 1) << self.mantissa_bits
        if self.mantissa_bits:
            quiet |= 1 << (self.mantissa_bits - 1)
        assert self.nan is not None
        return max(quiet, self.nan)

    def __hash__(self) -> int:
        return hash(self.id)  # at every call a dictionary is asked for what belongs to a format

    @property
    def kind(self) -> str:
        return "float"

    @property
    def magnitude_bits(self) -> int:
        """Width of exponent and mantissa field together."""
        return self.exponent_bits + self.mantissa_bits

    @property
    def sign_bit(self) -> int:
        """The sign bit as a mask, 0 for an unsigned format."""
        return 1 << self.magnitude_bits if self.signed else 0

    @property
    def precision(self) -> int:
        """Significant bits of a normal number, the hidden one included."""
        return self.mantissa_bits + 1

    @property
    def negative_zero(self) -> bool:
        """Whether -0 has a code of its own."""
        return self.signed and self.zero and not self.nan_at_negative_zero

    @property
    def has_nan(self) -> bool:
        return self.nan is not None or self.nan_at_negative_zero

    @property
    def max_code(self) -> int:
        """Magnitude code of the largest finite value."""
        return min(code for code in (self.infinity, self.nan, 1 << self.magnitude_bits) if code is not None) - 1

    @property
    def smallest_exponent(self) -> int:
        """Exponent of the unit in the last place of the lowest binade: every value is a multiple of 2**this."""
        return (1 if self.subnormals else 0) - self.bias - self.mantissa_bits

    @property
    def min_normal_code(self) -> int:
        """Magnitude code of the smallest normal value."""
        return 1 << self.mantissa_bits if self.subnormals else 0

    def magnitude(self, code: int) -> Exact:
        """The value of a finite magnitude code (may lie beyond ``max_code``: the value it would have)."""
        exponent, mantissa = code >> self.mantissa_bits, code & ((1 << self.mantissa_bits) - 1)
        if self.subnormals and exponent == 0:
            return finite(mantissa, self.smallest_exponent)
        ulp = exponent - (1 if self.subnormals else 0) + self.smallest_exponent
        return finite((1 << self.mantissa_bits) + mantissa, ulp)

    @property
    def max(self) -> Exact:
        """The largest finite value."""
        return self.magnitude(self.max_code)

    @property
    def min(self) -> Exact:
        """The lowest finite value: -max, or the smallest value of an unsigned format."""
        if not self.signed:
            return self.magnitude(0)
        top = self.max
        return finite(-top.significand, top.exponent)

    @property
    def min_normal(self) -> Exact | None:
        """The smallest positive normal value; None where every value is subnormal."""
        return self.magnitude(self.min_normal_code) if self.min_normal_code <= self.max_code else None

    @property
    def min_subnormal(self) -> Exact | None:
        """The smallest positive subnormal value; None where there is none."""
        return self.magnitude(1) if self.subnormals and self.mantissa_bits > 0 else None

    @property
    def smallest(self) -> Exact:
        """The smallest positive value."""
        return self.magnitude(1 if self.zero else 0)

    @property
    def nan_count(self) -> int:
        """How many codes are NaNs."""
        if self.nan_at_negative_zero:
            return 1
        return 0 if self.nan is None else ((1 << self.magnitude_bits) - self.nan) << int(self.signed)

    @property
    def infinity_count(self) -> int:
        """How many codes are infinities."""
        return 0 if self.infinity is None else 1 + int(self.signed)

    @property
    def finite_count(self) -> int:
        """How many distinct finite values there are (-0 is not counted beside 0)."""
        magnitudes = self.max_code + 1
        return 2 * magnitudes - int(self.zero) if self.signed else magnitudes

    @property
    def ieee_like(self) -> bool:
        """Whether the top exponent is given to infinity and NaNs as IEEE 754 does, so that NaNs carry payloads."""
        top = ((1 << self.exponent_bits) - 1) << self.mantissa_bits
        return self.infinity == top and self.mantissa_bits > 0 and self.nan == top + 1

    def __str__(self) -> str:
        return self.id


@dataclass(frozen=True, kw_only=True)
class FixedFormat(Format):
    """Two's complement or unsigned fixed point; an integer where ``fraction_bits`` is 0.

    Attributes
    ----------
    fraction_bits : int
        A code c is worth ``c * 2**-fraction_bits``; -1000 to 1000, so that a unit is a normal binary64 number.
    narrow : bool
        Symmetric ("narrow range"): the lowest code is left out, so that the range is ±(2**(bits-1) - 1).
    """

    fraction_bits: int = 0
    narrow: bool = False

    def __post_init__(self) -> None:
        self._require_common()
        self._require_integers("fraction_bits")
        self._require_booleans("narrow")
        self._require(1 <= self.bits <= MAX_BITS, f"bits = {self.bits} is outside 1..{MAX_BITS}")
        self._require(
            abs(self.fraction_bits) <= MAX_FRACTION_BITS,
            f"fraction_bits = {self.fraction_bits} is outside -{MAX_FRACTION_BITS}..{MAX_FRACTION_BITS}",
        )
        self._require(not self.narrow or (self.signed and self.bits >= 2), "narrow range needs a sign and 2 bits")

    def __hash__(self) -> int:
        return hash(self.id)  # at every call a dictionary is asked for what belongs to a format

    @property
    def kind(self) -> str:
        return "fixed" if self.fraction_bits else "integer"

    @property
    def max_code(self) -> int:
        """The largest code."""
        return (1 << (self.bits - 1 if self.signed else self.bits)) - 1

    @property
    def min_code(self) -> int:
        """The lowest code."""
        if not self.signed:
            return 0
        return -self.max_code if self.narrow else -self.max_code - 1

    @property
    def max(self) -> Exact:
        return finite(self.max_code, -self.fraction_bits)

    @property
    def min(self) -> Exact:
        return finite(self.min_code, -self.fraction_bits)

    @property
    def smallest(self) -> Exact:
        """The smallest positive value, one unit in the last place."""
        return finite(1, -self.fraction_bits)

    @property
    def finite_count(self) -> int:
        return self.max_code - self.min_code + 1

    def __str__(self) -> str:
        return self.id


Scalar = FloatFormat | FixedFormat
