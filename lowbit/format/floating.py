"""Binary floating point of any shape: a sign, an exponent and a mantissa."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lowbit.exact import FINITE, INFINITY, MINUS_INFINITY, NAN, Exact, finite, floor_log2, format_decimal, format_exact
from lowbit.format.common import MAX_BITS, Field, fields_of
from lowbit.format.protocol import Scalar
from lowbit.policy.cast import Policy

MAX_MAGNITUDE_BITS = 63
"""A magnitude code is held in a signed 64-bit integer wherever arrays are computed."""


@dataclass(frozen=True, kw_only=True)
class FloatFormat(Scalar):
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

    listed = False

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

    def decode(self, code: int) -> Exact:
        magnitude = code & ~self.sign_bit
        negative = magnitude != code
        if self.ordinal(code) is None:
            return Exact(NAN, magnitude & ((1 << self.mantissa_bits) - 1), -self.mantissa_bits, negative)
        if magnitude == self.infinity:
            return MINUS_INFINITY if negative else INFINITY
        value = self.magnitude(magnitude)
        return Exact(FINITE, -value.significand if negative else value.significand, value.exponent, negative)

    def magnitude(self, code: int) -> Exact:
        """The value of a finite magnitude code (may lie beyond ``max_code``: the value it would have)."""
        exponent, mantissa = code >> self.mantissa_bits, code & ((1 << self.mantissa_bits) - 1)
        if self.subnormals and exponent == 0:
            return finite(mantissa, self.smallest_exponent)
        ulp = exponent - (1 if self.subnormals else 0) + self.smallest_exponent
        return finite((1 << self.mantissa_bits) + mantissa, ulp)

    # Codes as patterns of bits

    @property
    def fields(self) -> tuple[Field, ...]:
        return fields_of(("sign", int(self.signed)), ("exponent", self.exponent_bits), ("mantissa", self.mantissa_bits))

    @property
    def shape(self) -> str:
        return f"{int(self.signed)}-{self.exponent_bits}-{self.mantissa_bits}"

    @property
    def magnitude_bits(self) -> int:
        """Width of exponent and mantissa field together."""
        return self.exponent_bits + self.mantissa_bits

    @property
    def sign_bit(self) -> int:
        return 1 << self.magnitude_bits if self.signed else 0

    @property
    def max_code(self) -> int:
        """Magnitude code of the largest finite value."""
        return min(code for code in (self.infinity, self.nan, 1 << self.magnitude_bits) if code is not None) - 1

    @property
    def min_normal_code(self) -> int:
        return 1 << self.mantissa_bits if self.subnormals else 0

    # Special values

    @property
    def nan_ranges(self) -> tuple[tuple[int, int], ...]:
        if self.nan_at_negative_zero:
            return ((self.sign_bit, self.sign_bit),)
        if self.nan is None:
            return ()
        top, signs = (1 << self.magnitude_bits) - 1, (0, self.sign_bit) if self.signed else (0,)
        return tuple((self.nan | sign, top | sign) for sign in signs)

    @property
    def infinities(self) -> tuple[int, ...]:
        if self.infinity is None:
            return ()
        return (self.infinity, self.infinity | self.sign_bit) if self.signed else (self.infinity,)

    @property
    def negative_zero(self) -> bool:
        return self.signed and self.zero and not self.nan_at_negative_zero

    @property
    def ieee_like(self) -> bool:
        top = ((1 << self.exponent_bits) - 1) << self.mantissa_bits
        return self.infinity == top and self.mantissa_bits > 0 and self.nan == top + 1

    def zero_code(self, negative: bool = False) -> int:
        return self.sign_bit if negative and self.negative_zero else 0

    def infinity_code(self, negative: bool = False) -> int | None:
        return None if self.infinity is None else self.infinity | (self.sign_bit if negative else 0)

    def nan_code(self, negative: bool = False, *, all_ones: bool = False) -> int | None:
        if self.nan is None or self.canonical_nan is None:
            return self.canonical_nan
        magnitude = (1 << self.magnitude_bits) - 1 if all_ones else self.canonical_nan
        return magnitude | (self.sign_bit if negative else 0)

    def largest_code(self, negative: bool = False) -> int:
        return self.max_code | (self.sign_bit if negative else 0)

    @property
    def lowest_code(self) -> int:
        return self.largest_code(negative=True) if self.signed else 0

    def classify(self, code: int) -> str:
        """``zero``, ``subnormal``, ``normal``, ``infinity`` or ``nan``."""
        word = super().classify(code)
        if word != "value":
            return word
        return "normal" if code & ~self.sign_bit >= self.min_normal_code else "subnormal"

    # The number line

    @property
    def ordinals(self) -> range:
        top = self.max_code if self.infinity is None else self.infinity
        return range(-top - int(not self.zero) if self.signed else 0, top + 1)

    def ordinal(self, code: int) -> int | None:
        magnitude = code & ~self.sign_bit
        lost_zero = self.nan_at_negative_zero and code == self.sign_bit
        if lost_zero or (self.nan is not None and magnitude >= self.nan):
            return None
        return magnitude if magnitude == code else -magnitude - int(not self.zero)

    def from_ordinal(self, ordinal: int) -> int:
        return ordinal if ordinal >= 0 else (-ordinal - int(not self.zero)) | self.sign_bit

    def value_at(self, ordinal: int) -> Exact:
        if ordinal >= 0:
            return self.magnitude(ordinal)
        value = self.magnitude(-ordinal - int(not self.zero))
        return finite(-value.significand, value.exponent)

    @property
    def min_normal(self) -> Exact | None:
        """The smallest positive normal value; None where every value is subnormal."""
        return self.magnitude(self.min_normal_code) if self.min_normal_code <= self.max_code else None

    @property
    def min_subnormal(self) -> Exact | None:
        """The smallest positive subnormal value; None where there is none."""
        return self.magnitude(1) if self.subnormals and self.mantissa_bits > 0 else None

    @property
    def max_exponent(self) -> int:
        field, mantissa = self.max_code >> self.mantissa_bits, self.max_code & ((1 << self.mantissa_bits) - 1)
        if self.subnormals and field == 0:
            return mantissa.bit_length() - 1 + self.smallest_exponent
        return field - int(self.subnormals) + self.smallest_exponent + self.mantissa_bits

    @property
    def finite_count(self) -> int:
        magnitudes = self.max_code + 1
        return 2 * magnitudes - int(self.zero) if self.signed else magnitudes

    @property
    def precision(self) -> int:
        """Significant bits of a normal number, the hidden one included."""
        return self.mantissa_bits + 1

    @property
    def smallest_exponent(self) -> int:
        """Exponent of the unit in the last place of the lowest binade: every value is a multiple of 2**this."""
        return (1 if self.subnormals else 0) - self.bias - self.mantissa_bits

    # In words

    @property
    def live_axes(self) -> tuple[str, ...]:
        several_nans = self.nan is not None and self.nan_count > 1 + int(self.signed)
        idle = {
            "tie_without_mantissa": self.mantissa_bits > 0,
            "without_infinity": self.infinity is not None,
            "nan": self.has_nan,
            "nan_sign": not self.signed or self.nan is None,
            "nan_code": not several_nans,
            "negative": self.signed,
            "negative_zero": not self.negative_zero,
            "zero": self.zero,
            "underflow": self.zero,
            "flush_results": not self.subnormals or self.mantissa_bits == 0,
            "random_bits": True,
        }
        return tuple(axis for axis in Policy.AXES if not idle.get(axis))

    @property
    def formula(self) -> tuple[str, ...]:
        sign, step = "(-1)^s * " if self.signed else "", 1 << self.mantissa_bits
        lines = []
        if self.exponent_bits:
            power = f"2^(e - {self.bias})" if self.bias >= 0 else f"2^(e + {-self.bias})"
            normal = f" * (1 + m/{step})" if self.mantissa_bits else ""
            lines.append(f"{sign}{power}{normal}" + (" where e > 0" if self.subnormals else ""))
        if self.subnormals:
            lowest = f"{sign}2^{1 - self.bias} * m/{step}" if self.mantissa_bits else "0"
            lines.append(lowest + (" where e = 0" if self.exponent_bits else ""))
        return tuple(lines)

    @property
    def description(self) -> str:
        """Maximum, bias and specials, which tell formats of one name apart."""
        largest = f"max {min(format_decimal(self.max), format_exact(self.max), key=len)}, bias {self.bias}"
        if self.ieee_like:
            return f"{largest}, infinities and NaNs as in IEEE 754"
        infinity = ("no infinity", "infinity", "infinities")[self.infinity_count]
        if self.nan_at_negative_zero:
            return f"{largest}, {infinity}, NaN at the code of -0"
        nans = f"{self.nan_count} NaN" if self.nan_count == 1 else f"{self.nan_count or 'no'} NaNs"
        return f"{largest}, {infinity}, {nans}"

    @property
    def parameters(self) -> Mapping[str, int]:
        return {"bias": self.bias, "precision": self.precision}

    @property
    def landmarks(self) -> tuple[tuple[str, int], ...]:
        normal = (("smallest normal", self.min_normal_code),) if self.min_normal is not None else ()
        subnormal = (("smallest subnormal", 1),) if self.min_subnormal is not None else ()
        return (("largest", self.max_code), *normal, *subnormal)

    @property
    def figures(self) -> Mapping[str, Exact | int | None]:
        normal, subnormal = self.min_normal, self.min_subnormal
        return {
            "max": self.max,
            "min": self.min,
            "min_normal": normal,
            "max_subnormal": None if subnormal is None else self.magnitude(self.min_normal_code - 1),
            "min_subnormal": subnormal,
            "smallest": self.smallest,
            "max_exponent": self.max_exponent,
            "min_exponent": None if normal is None else floor_log2(normal),
            "precision": self.precision,
            "nan_codes": self.nan_count,
            "infinity_codes": self.infinity_count,
            "finite_values": self.finite_count,
        }
