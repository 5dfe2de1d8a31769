"""Tables of vectors: a code is worth several neighbouring values at once, those of a codebook or a lattice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import comb

from lowbit.errors import FormatError
from lowbit.exact import FINITE, ZERO, Exact, finite, floor_log2, from_float
from lowbit.format.listing import LISTED_BITS
from lowbit.format.protocol import Element, Scalar
from lowbit.format.table import MAX_PRECISION, TableFormat

MAX_DIMENSION = 256
MAX_NUMBERS = 1 << 20
"""Of a table, all vectors together."""

MAX_EXPONENT = 256
"""Of a number: distances are then ordinary numbers of binary64."""

Vector = tuple[Exact, ...]


@dataclass(frozen=True, kw_only=True)
class VectorFormat(Element):
    """A format whose codes are worth vectors, listed one by one: the element of a block format.

    Values are brought into it several at a time, ``dimension`` neighbours along the axis of the blocks: the code is
    that of the vector with the least Euclidean distance, exactly, and the lowest code of those with the same.

    Attributes
    ----------
    bits : int
        Width of a code, 1 to 16.
    values : tuple of tuple of Exact or float
        What code 0, 1, 2, ... is worth, at most 2**bits vectors of 2 to 256 finite numbers; kept as Exact, -0 as 0. A
        number has at most 53 significant bits, and is 0 or of a magnitude of 2**-256 to 2**256.
    """

    values: tuple[tuple[Exact | float, ...], ...] = ()

    def __post_init__(self) -> None:
        require = self._require
        self._require_common()
        require(1 <= self.bits <= LISTED_BITS, f"bits = {self.bits} is outside 1..{LISTED_BITS}")
        rows: object = self.values
        require(
            isinstance(rows, tuple) and all(isinstance(row, tuple) for row in rows), "values are not a tuple of tuples"
        )
        require(1 <= len(self.values) <= 1 << self.bits, f"{len(self.values)} vectors for 2^{self.bits} codes")
        lengths = sorted({len(vector) for vector in self.values})
        require(len(lengths) == 1, f"vectors of {' and '.join(map(str, lengths))} numbers", "one length for all")
        size = lengths[0]
        require(2 <= size <= MAX_DIMENSION, f"vectors of {size} numbers: 2 to {MAX_DIMENSION}", "kind = 'table' for 1")
        require(len(self.values) * size <= MAX_NUMBERS, f"more than {MAX_NUMBERS} numbers", "fewer or shorter vectors")
        object.__setattr__(self, "values", tuple(tuple(map(self._number, vector)) for vector in self.values))
        require(any(number.significand for number in self.numbers), "no number differs from zero")
        most = 1 << LISTED_BITS
        require(len(self.numbers) <= most, f"{len(self.numbers)} different numbers: at most {most}", "in binary16, say")
        object.__setattr__(self, "signed", any(number.significand < 0 for number in self.numbers))

    def __hash__(self) -> int:
        return hash(self.id)

    def _number(self, number: Exact | float) -> Exact:
        exact: object = from_float(number) if isinstance(number, float) else number
        if not isinstance(exact, Exact) or exact.kind != FINITE:
            shown = exact if isinstance(exact, Exact) else repr(number)
            raise FormatError(f"format {self.id!r}: {shown} is not a finite number")
        exact = exact.reduced()
        if not exact.significand:
            return ZERO
        bits = abs(exact.significand).bit_length()
        self._require(bits <= MAX_PRECISION, f"{exact} has more than {MAX_PRECISION} significant bits")
        self._require(abs(floor_log2(exact)) <= MAX_EXPONENT, f"{exact} is beyond 2^±{MAX_EXPONENT}")
        return exact

    @property
    def kind(self) -> str:
        return "vector"

    @property
    def dimension(self) -> int:  # type: ignore[override]  # a constant of scalar formats
        return len(self.values[0])

    @property
    def shape(self) -> str:
        return f"{self.bits} for {self.dimension}"

    @property
    def codes(self) -> range:
        return range(len(self.values))

    def vector(self, code: int) -> Vector:
        return self.values[code]  # type: ignore[return-value]  # Exact since the format was made

    @cached_property
    def numbers(self) -> frozenset[Exact]:
        """The different numbers of all vectors."""
        return frozenset(number for code in self.codes for number in self.vector(code))

    @cached_property
    def component(self) -> Scalar:
        """A table of the numbers that stand in vectors, the last one as often as fills it."""
        numbers = sorted(self.numbers, key=Exact.fraction)
        bits = max((len(numbers) - 1).bit_length(), 1)
        filled = numbers + numbers[-1:] * ((1 << bits) - len(numbers))
        return TableFormat(id=f"{self.id}.numbers", bits=bits, values=tuple(filled), default_policy=self.default_policy)

    @property
    def figures(self) -> Mapping[str, Exact | int | None]:
        return {**super().figures, "vectors": len(self.values), "dimension": self.dimension}


def pyramid(dimension: int, pulses: int) -> Iterator[tuple[int, ...]]:
    """All vectors of integers whose magnitudes add up to a number of pulses, 0, 1, -1, 2, -2, ... at each place.

    Source: Fischer, "A Pyramid Vector Quantizer", IEEE Transactions on Information Theory 32 (1986).

    Examples
    --------
    >>> list(pyramid(2, 1))
    [(0, 1), (0, -1), (1, 0), (-1, 0)]
    """
    if dimension == 1:
        yield from dict.fromkeys([(pulses,), (-pulses,)])
        return
    for magnitude in range(pulses + 1):
        for first in dict.fromkeys([magnitude, -magnitude]):
            for rest in pyramid(dimension - 1, pulses - magnitude):
                yield (first, *rest)


def pyramid_values(dimension: int, pulses: int) -> tuple[Vector, ...]:
    """The vectors of a pyramid.

    Raises
    ------
    FormatError
        There are more of them than a table has.
    """
    # With i places that are not zero: their choice, their signs, and the ways to share the pulses among them.
    places = range(1, min(dimension, pulses) + 1)
    count = sum(comb(dimension, i) * 2**i * comb(pulses - 1, i - 1) for i in places)
    if count > 1 << LISTED_BITS:
        raise FormatError(
            f"the pyramid of {dimension} integers and {pulses} pulses has more than {1 << LISTED_BITS} vectors",
            hint="fewer pulses, or shorter vectors",
        )
    return tuple(tuple(map(finite, vector)) for vector in pyramid(dimension, pulses))
