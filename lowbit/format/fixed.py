"""Integers and fixed point: a code is a multiple of one unit."""

from __future__ import annotations

from dataclasses import dataclass

from lowbit.exact import Exact, finite
from lowbit.format.common import MAX_BITS, Field, fields_of
from lowbit.format.protocol import Scalar

MAX_FRACTION_BITS = 1000
"""One unit of a fixed-point format is then a normal binary64 number, as casts and printers expect."""


@dataclass(frozen=True, kw_only=True)
class FixedFormat(Scalar):
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

    wraps = True
    listed = False
    zero = True
    negative_zero = False
    nan_ranges = ()

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

    def decode(self, code: int) -> Exact:
        return finite(code, -self.fraction_bits)

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
    def signed_codes(self) -> bool:
        return self.signed

    @property
    def codes(self) -> range:
        return range(self.min_code, self.max_code + 1)

    @property
    def fields(self) -> tuple[Field, ...]:
        fraction = min(max(self.fraction_bits, 0), self.bits)
        return fields_of(("integer", self.bits - fraction), ("fraction", fraction))

    @property
    def shape(self) -> str:
        return f"{self.bits - self.fraction_bits}.{self.fraction_bits}"

    # No special values

    def zero_code(self, negative: bool = False) -> int:
        del negative
        return 0

    def infinity_code(self, negative: bool = False) -> int | None:
        del negative
        return None

    def largest_code(self, negative: bool = False) -> int:
        return self.min_code if negative else self.max_code

    @property
    def lowest_code(self) -> int:
        return self.min_code

    # A code is its own ordinal

    @property
    def ordinals(self) -> range:
        return self.codes

    def ordinal(self, code: int) -> int | None:
        return code

    def from_ordinal(self, ordinal: int) -> int:
        return ordinal

    def value_at(self, ordinal: int) -> Exact:
        return self.decode(ordinal)

    @property
    def finite_count(self) -> int:
        return self.max_code - self.min_code + 1

    @property
    def precision(self) -> int:
        return self.bits - int(self.signed)

    @property
    def smallest_exponent(self) -> int:
        return -self.fraction_bits

    @property
    def live_axes(self) -> tuple[str, ...]:
        return ("rounding", "overflow", "infinity", "nan", "flush_inputs", "via")

    @property
    def formula(self) -> tuple[str, ...]:
        scale = f" * 2^{-self.fraction_bits}" if self.fraction_bits else ""
        kind = "two's complement" if self.signed else "unsigned"
        return (f"code{scale}, {kind}{', the lowest code left out' if self.narrow else ''}",)

    @property
    def landmarks(self) -> tuple[tuple[str, int], ...]:
        return ("largest", self.max_code), ("lowest", self.min_code), ("step", 1)
