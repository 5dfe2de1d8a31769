"""Directed rows of codes for integer-only nonlinearities: each is made to catch a bug that random rows miss.

The rows follow from format, operation and scheme by arithmetic and SplitMix64: they are the same for ever.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from lowbit.errors import LowbitError
from lowbit.format.scalar import FixedFormat
from lowbit.oracle.nonlinear.steps import Steps
from lowbit.vectors.flags import nonlinear as f
from lowbit.vectors.nonlinear.row_sums import near_powers
from lowbit.vectors.nonlinear.rule import Nonlinearity
from lowbit.vectors.patterns import random_codes
from lowbit.vectors.splitmix import splitmix64

Row = list[int]
Flagged = tuple[int, Row]
LENGTHS = (1, 2, 3, 4, 7, 8, 16, 17, 64, 197, 256)
TAILS = (5, 9, 15, 31, 33, 63, 65, 127, 129)
SUM_LENGTHS = (2, 8, 64, 256)
PLACES = 9
SWEEP = 4096
"""That many codes stand for all of 32 bits."""
MOST_PARTS = 256
NEAR_A_POWER = 2


def directed_rows(nonlinearity: Nonlinearity, source: FixedFormat) -> list[Flagged]:
    """(flag, row) of every directed row that the scheme is defined for, by what the format alone says."""
    low, high = source.min_code, nonlinearity.highest(source)
    if not nonlinearity.by_row:
        return [(flag, row) for flag, row in _single_codes(low, high)]
    rows = [*_equal(low, high), *_hot(low, high), *_places(low, high), *_moved(low, high), *_lengths(source)]
    rows += [*_tails(low, high), *_sums(nonlinearity, low, high), *_small_variances(low, high), *_long(low, high)]
    if nonlinearity.operation == "gelu":
        rows += [(f.EVERY_CODE, row) for _, row in _single_codes(low, high) if len(row) <= MOST_PARTS]
    return list({tuple(row): (flag, row) for flag, row in reversed(rows)}.values())[::-1]


def several_rows(source: FixedFormat, low: int, high: int) -> list[list[Row]]:
    """Blocks of different rows in one call, square ones among them."""
    blocks = []
    for index, (count, length) in enumerate(((2, 3), (3, 3), (8, 8), (5, 17), (16, 16), (4, 64))):
        codes = np.clip(random_codes(source, (count, length), 900 + index).astype(np.int64), low, high)
        # Rows of different height, so that a maximum kept from the row before is a wrong one.
        blocks.append((codes // (1 + np.arange(count) % 4)[:, None]).tolist())
    return blocks


def _single_codes(low: int, high: int) -> Iterator[Flagged]:
    if high - low < 1 << 16:
        codes = list(range(low, high + 1))
        for start in range(0, len(codes), MOST_PARTS):
            yield f.EVERY_CODE, codes[start : start + MOST_PARTS]
    else:
        step = (high - low) // (SWEEP - 1)
        yield f.EVERY_CODE, [low + step * index for index in range(SWEEP - 1)] + [high]
    edges = {low, low + 1, high - 1, high}
    for power in range((high - low).bit_length()):
        edges |= {sign * (1 << power) + near for sign in (-1, 1) for near in (-1, 0, 1)}
        edges |= {sign * (3 << power >> 1) for sign in (-1, 1)}
    yield f.TABLE_EDGE, sorted(code for code in edges if low <= code <= high)


def _equal(low: int, high: int) -> Iterator[Flagged]:
    middle = (low + high + 1) // 2
    for length in (1, 2, 3, 4, 16, 197, 256):
        for code in dict.fromkeys((low, high, middle, middle - 1, middle + 4)):
            yield f.EQUAL_CODES, [code] * length
    for length in (255, 257, 510, 511, 1024):
        yield f.EQUAL_CODES, [middle] * length


def _hot(low: int, high: int) -> Iterator[Flagged]:
    middle = (low + high + 1) // 2
    for length in (2, 5, 64, 197):
        for top, rest in ((high, low), (middle, low), (high, middle), (middle + 1, middle), (middle + 4, middle)):
            for place in dict.fromkeys((0, length - 1, length // 2)):
                row = [rest] * length
                row[place] = top
                yield f.ONE_HOT_ROW, row
        yield f.ONE_HOT_ROW, [high] * (length - 1) + [low]
        yield f.ONE_HOT_ROW, [high, low] * (length // 2) + [high] * (length % 2)


def _places(low: int, high: int) -> Iterator[Flagged]:
    span = high - low
    for place in range(PLACES):
        row = [low + span // 2 + (index * 5 + 3) % 7 * max(1, span // 64) for index in range(PLACES)]
        row[place] = high - place
        yield f.MAXIMUM_PLACE, row


def _moved(low: int, high: int) -> Iterator[Flagged]:
    span = high - low
    pattern = [0, -3, -span // 64, -span // 24, -1, -span // 12, -2, -span // 6, -span // 3, -span // 48]
    for tops in range(9):
        top = high - tops * (span * 2 // 3) // 8
        yield f.MAXIMUM_VALUE, [top + part for part in pattern]
    if low < 0 <= high:
        yield f.MAXIMUM_VALUE, pattern
        yield f.MAXIMUM_VALUE, [max(low, -1 + part) for part in pattern]


def _lengths(source: FixedFormat) -> Iterator[Flagged]:
    low, high = source.min_code, source.max_code
    for length in LENGTHS:
        yield f.ROW_LENGTH, random_codes(source, (length,), 100 + length).tolist()
        narrow = random_codes(source, (length,), 200 + length).astype(np.int64) // 4
        yield f.ROW_LENGTH, np.clip(narrow, low, high).tolist()
        yield f.ROW_LENGTH, [low + index * (high - low) // max(1, length - 1) for index in range(length)]


def _tails(low: int, high: int) -> Iterator[Flagged]:
    span = high - low
    for length in TAILS:
        row = [high - span // 32 - index % 5 for index in range(length)]
        row[-1] = high
        yield f.ROW_TAIL, row
        yield f.ROW_TAIL, [high - span // 4 - index % 11 for index in range(length)]


def _sums(nonlinearity: Nonlinearity, low: int, high: int) -> Iterator[Flagged]:
    """Rows of a softmax whose sum of exponentials is next to a power of two."""
    if nonlinearity.operation != "softmax":
        return
    parts = contributions(nonlinearity, low, high)
    for length in SUM_LENGTHS if parts else ():
        for row in near_powers(parts, high, length, NEAR_A_POWER, exact=False):
            yield f.SUM_OF_POWER, row


class _Sums(Steps):
    """Notes what the sum is after each element."""

    def __init__(self, nonlinearity: Nonlinearity) -> None:
        super().__init__(nonlinearity.widths, "saturate")
        self.sums: dict[int, int] = {}

    def __call__(self, name: str, value: int) -> int:
        if name == "sum":
            self.sums[self.element] = value
        return super().__call__(name, value)


def contributions(nonlinearity: Nonlinearity, low: int, high: int) -> dict[int, int]:
    """Code -> what it adds to the sum of a row with the maximum ``high``; empty where there is no such sum."""
    step = max(1, -(-(high - low) // MOST_PARTS))
    codes = list(range(high, low - 1, -step))
    parts: dict[int, int] = {}
    for start in range(0, len(codes), 16):
        row = [high, *codes[start : start + 16]]
        steps = _Sums(nonlinearity)
        try:
            nonlinearity.by_oracle(row, {}, steps)
        except (LowbitError, ValueError):
            return {}
        before = 0
        for element, code in enumerate(row):
            after = steps.sums.get(element, before)
            parts.setdefault(code, after - before)
            before = after
    return parts if any(parts.values()) else {}


def _small_variances(low: int, high: int) -> Iterator[Flagged]:
    middle = (low + high + 1) // 2
    for length in (2, 3, 8, 50, 197):
        for step in (1, 2, 3):
            yield f.SMALL_VARIANCE, [middle + step * (index % 2) for index in range(length)]
            yield f.SMALL_VARIANCE, [middle - 5 - step * (index % 2) for index in range(length)]
        yield f.SMALL_VARIANCE, [middle + index % 3 for index in range(length)]
        yield f.SMALL_VARIANCE, [min(high, middle + index) for index in range(min(length, high - middle))]


def _long(low: int, high: int) -> Iterator[Flagged]:
    span = high - low
    for length in (1024, 4096):
        yield f.LONG_ROW, [high - index % 7 for index in range(length)]
        yield f.LONG_ROW, [low + span * (index * 37 % 101) // 101 for index in range(length)]
        yield f.LONG_ROW, [high] + [low + index % 3 for index in range(length - 1)]


def random_rows(source: FixedFormat, count: int, seed: int, low: int, high: int) -> Iterable[Row]:
    """Random rows of random lengths up to 256; every other one is narrow."""
    lengths = (splitmix64(seed, count) % np.uint64(256)).astype(np.int64) + 1
    for index, length in enumerate(lengths.tolist()):
        codes = random_codes(source, (length,), (seed << 20) + index + 1).astype(np.int64)
        divisor = (1, 3, 8, 1)[index % 4]
        yield np.clip(codes // divisor, low, high).tolist()
