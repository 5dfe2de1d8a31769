"""A table of values by code: codebooks, and tapered floats whose fields have no fixed place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from math import inf

from lowbit.errors import FormatError
from lowbit.exact import FINITE, NAN, Exact, floor_log2, format_value, from_float
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
        object.__setattr__(self, "values", tuple(value.reduced() for value in values))
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

    @property
    def figures(self) -> Mapping[str, Exact | int | None]:
        counts = {"nan_codes": self.nan_count, "infinity_codes": self.infinity_count}
        return {**super().figures, "smallest": self.smallest, **counts}


def check_list(values: Sequence[Exact], *, ordered: bool, repeated: bool = False) -> None:
    """Refuse a list of one's own with a value that stands there twice or, where they shall rise, out of order.

    ``repeated``: values may stand there twice.

    Codes without a value, which are NaN, may be many; -0 and +0 are two values.

    Raises
    ------
    FormatError
        The first value that is wrong.
    """
    places: dict[object, int] = {}
    numbers = [(code, _place(value)) for code, value in enumerate(values) if value.kind != NAN]
    for code, place in numbers:
        first = places.setdefault(place, code)
        if first != code and not repeated:
            raise FormatError(
                f"values: codes {first} and {code} are both worth {format_value(values[code])}",
                hint="nan stands for a code without a value",
            )
    for (before, below), (code, place) in pairwise(numbers):
        if ordered and place < below:
            raise FormatError(
                f"values: code {code} is worth {format_value(values[code])}, less than code {before}, which is worth "
                f"{format_value(values[before])}",
                hint="sort the values; or, where the codes have another order, say ordered = false",
            )


def _place(value: Exact) -> tuple[Fraction | float, bool]:
    """Where a value stands in the order of all, -0 before +0."""
    number = value.fraction() if value.kind == FINITE else -inf if value.negative else inf
    return number, not value.negative
