"""A table of values by code: codebooks, and tapered floats whose fields have no fixed place."""

from __future__ import annotations

from dataclasses import dataclass

from lowbit.exact import FINITE, Exact, floor_log2, from_float
from lowbit.format.listing import LISTED_BITS
from lowbit.format.protocol import Scalar

MAX_PRECISION = 53
"""Every value is then a binary64 significand, which casts compute with."""

MAX_EXPONENT = 1 << 20


@dataclass(frozen=True, kw_only=True)
class TableFormat(Scalar):
    """A format whose values are listed one by one.

    A value is rounded into it by comparison with its neighbours, exactly: to nearest means nearer than the midpoint,
    and a tie to even goes to the even code. Of several codes with one value conversions give the lowest.

    Attributes
    ----------
    values : tuple of Exact or float
        What each code is worth, 2**bits of them, infinities and NaNs included; kept as Exact. At most 16 bits, and 53
        significant bits a value.
    """

    values: tuple[Exact | float, ...] = ()

    def __post_init__(self) -> None:
        require = self._require
        self._require_common()
        require(1 <= self.bits <= LISTED_BITS, f"bits = {self.bits} is outside 1..{LISTED_BITS}")
        require(isinstance(self.values, tuple), f"values = {self.values!r} is not a tuple")
        require(len(self.values) == 1 << self.bits, f"{len(self.values)} values for 2^{self.bits} codes")
        values = tuple(from_float(value) if isinstance(value, float) else value for value in self.values)
        require(all(isinstance(value, Exact) for value in values), "a value is neither an Exact nor a float")
        finite = [value.reduced() for value in values if value.kind == FINITE]
        for value in finite:
            require(abs(value.significand).bit_length() <= MAX_PRECISION, f"{value} has more than 53 significant bits")
            require(
                not value.significand or abs(floor_log2(value)) <= MAX_EXPONENT, f"{value} is beyond 2^±{MAX_EXPONENT}"
            )
        require(any(value.significand for value in finite), "no value differs from zero")
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "signed", any(value.significand < 0 for value in finite))

    def __hash__(self) -> int:
        return hash(self.id)  # at every call a dictionary is asked for what belongs to a format

    @property
    def kind(self) -> str:
        return "table"

    def decode(self, code: int) -> Exact:
        value = self.values[code]
        assert isinstance(value, Exact)
        return value
