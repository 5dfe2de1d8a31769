"""Directed inputs of an integer matrix product: each group is made to catch a bug that random matrices miss.

All values follow from the formats by arithmetic and SplitMix64, so the cases of two formats are the same for ever.
Shapes are m rows, n columns and k products; a is (m, k), b is (k, n), both row by row.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np
from numpy.typing import NDArray

from lowbit.format.scalar import FixedFormat
from lowbit.vectors.case import Case, Number, numbered
from lowbit.vectors.flags import gemm as f
from lowbit.vectors.flags.cast import RANDOM
from lowbit.vectors.gemm.values import Codes, Operands, as_matrices, extremes, rails, with_sum
from lowbit.vectors.patterns import random_codes
from lowbit.vectors.splitmix import splitmix64

SIZES = (1, 2, 3, 15, 16, 17, 31, 32, 33, 63, 64, 65)
LONGEST_TAIL = 2 * 64 + 1
MOST_PRODUCTS = 1 << 18
"""The longest row: 2^17 products of two int8 codes leave 32 bits."""
LONGEST_WALK = 1 << 16
NARROWEST, WIDEST = 8, 64
LANES = (1, 2, 4, 8, 16, 32, 64, 128)
FINE_STEPS = 192
WIDE_COLUMNS, NARROW_COLUMNS = 17, 2
WIDE_UP_TO = 2048
"""Rows up to this length come with enough columns for the widest vector loop, longer ones with a few."""


def directed_cases(operands: Operands) -> list[Case]:
    """All directed cases of two formats, numbered within each flag."""
    makers = (_products, _one_hot, _shapes, _tails, _product_rails, _ladder, _swamping, _rail_walks, _cancellation)
    cases = [case for maker in (*makers, _zeros, _long_runs, _zero_points) for case in maker(operands)]
    return numbered(cases)


def random_cases(operands: Operands, count: int, seed: int) -> list[Case]:
    """Random matrices of random sizes up to 80."""
    sizes = (splitmix64(seed, 3 * count) % np.uint64(80)).astype(np.int64).reshape(count, 3) + 1
    cases = []
    for index, (m, n, k) in enumerate(sizes.tolist()):
        start = (seed << 20) + 4 * index
        a, b = random_codes(operands.a, (m, k), start + 1), random_codes(operands.b, (k, n), start + 2)
        zero_points = (0, 0)
        if operands.zero_points:
            zero_points = (
                int(random_codes(operands.a, (1,), start + 3)[0]),
                int(random_codes(operands.b, (1,), start + 4)[0]),
            )
        cases.append(gemm_case(RANDOM, a, b, operands, zero_points))
    return numbered(cases)


def gemm_case(flag: int, a: Codes, b: Codes, operands: Operands, zero_points: tuple[int, int] = (0, 0)) -> Case:
    """A case from its matrices."""
    (m, k), (_, n) = a.shape, b.shape
    scalars: dict[str, Number] = {}
    if operands.zero_points:
        scalars = {"a_zero_point": zero_points[0], "b_zero_point": zero_points[1]}
    arrays = {"a": np.ascontiguousarray(a, operands.a.code_dtype), "b": np.ascontiguousarray(b, operands.b.code_dtype)}
    return Case(flag, arrays, {"m": m, "n": n, "k": k}, (m, n), scalars)


def _products(operands: Operands) -> Iterator[Case]:
    """Every product of two codes, of 256 codes spread over a wider format."""

    def codes(fmt: FixedFormat) -> Codes:
        low, high = fmt.min_code, fmt.max_code
        if high - low < 256:
            return np.arange(low, high + 1)
        return np.unique(np.concatenate([np.linspace(low, high, 250).astype(np.int64), extremes(fmt)]))

    yield gemm_case(f.PRODUCT, codes(operands.a)[:, None], codes(operands.b)[None, :], operands)


def _one_hot(operands: Operands) -> Iterator[Case]:
    """A permutation matrix, with ones and with the largest code, against places spelled out in codes."""
    for m, n, k in ((3, 5, 7), (5, 3, 4), (2, 33, 16), (16, 16, 16), (17, 31, 33), (33, 17, 64), (65, 2, 65)):
        places = np.arange(k * n).reshape(k, n) * 5 + 3
        span = operands.b.max_code - operands.b.min_code + 1
        b = places % span + operands.b.min_code
        places = np.arange(m * k).reshape(m, k) * 3 + 1
        a = places % (operands.a.max_code - operands.a.min_code + 1) + operands.a.min_code
        for one in (1, operands.a.max_code):
            hot = np.zeros((m, k), np.int64)
            hot[np.arange(m), (np.arange(m) * 3 + 1) % k] = one
            yield gemm_case(f.ONE_HOT, hot, b, operands)
        hot = np.zeros((k, n), np.int64)
        hot[(np.arange(n) * 3 + 2) % k, np.arange(n)] = 1
        yield gemm_case(f.ONE_HOT, a, hot, operands)


def _shapes(operands: Operands) -> Iterator[Case]:
    """Every pair of sizes on every pair of axes (a Latin square), with random codes."""
    for i, j in product(range(len(SIZES)), repeat=2):
        m, n, k = SIZES[i], SIZES[j], SIZES[(i + j) % len(SIZES)]
        a, b = (
            random_codes(operands.a, (m, k), 1000 + 100 * i + j),
            random_codes(operands.b, (k, n), 9000 + 100 * i + j),
        )
        yield gemm_case(f.SHAPE, a, b, operands)


def _tails(operands: Operands) -> Iterator[Case]:
    """Every length up to 129; the second matrix has no zeros, and the first none in its last column."""
    for k in range(1, LONGEST_TAIL + 1):
        a, b = random_codes(operands.a, (3, k), 20_000 + k), random_codes(operands.b, (k, 17), 30_000 + k)
        a[:, -1] = [operands.a.max_code, 1, operands.a.min_code or 2]
        yield gemm_case(f.K_TAIL, a, np.where(b == 0, 1, b), operands)


def _product_rails(operands: Operands) -> Iterator[Case]:
    """All short rows of extreme codes."""
    for k in (2, 4):
        choices = extremes if k == 2 else rails
        a = np.array(list(product(choices(operands.a), repeat=k)))
        b = np.array(list(product(choices(operands.b), repeat=k))).T
        yield gemm_case(f.PRODUCT_RAIL, a, b, operands)
    for k in (3, 5, 8, 16, 31):
        picks = (splitmix64(400 + k, 48 * k) % np.uint64(3)).astype(np.int64).reshape(48, k)
        a = np.array([*rails(operands.a), 0])[picks[:24]]
        b = np.array([*rails(operands.b), 1])[picks[24:]].T
        yield gemm_case(f.PRODUCT_RAIL, a, b, operands)


def _widths(operands: Operands) -> Iterator[tuple[int, int]]:
    """(width, products of the largest size that fill half of it) for every width within reach."""
    for width in range(NARROWEST, WIDEST + 1):
        fill = -(-(1 << (width - 1)) // operands.largest_step)
        if fill + 4 <= MOST_PRODUCTS:
            yield width, fill


def _columns(k: int) -> int:
    return WIDE_COLUMNS if k <= WIDE_UP_TO else NARROW_COLUMNS


def _ladder(operands: Operands) -> Iterator[Case]:
    """Sums that are exactly the ends of each width, and one beyond."""
    for width, _ in _widths(operands):
        edge = 1 << (width - 1)
        targets = (
            (edge - 1, edge, -edge, -edge - 1) if _has_signs(operands) else (edge - 1, edge, 2 * edge - 1, 2 * edge)
        )
        rows = [with_sum(target, operands) for target in targets]
        k = max(map(len, rows))
        rows = [row + [(0, 1)] * (k - len(row)) for row in rows]
        for row in rows:  # each sum needs factors of its own on the other side
            carrier, other = np.array(row).T
            if operands.pattern_in_a:
                yield gemm_case(f.WIDTH_LADDER, carrier[None, :], np.repeat(other[:, None], 2, axis=1), operands)
            else:
                yield gemm_case(f.WIDTH_LADDER, np.repeat(other[None, :], 2, axis=0), carrier[:, None], operands)


def _has_signs(operands: Operands) -> bool:
    return operands.a.signed or operands.b.signed


def _carrier_max(operands: Operands) -> int:
    return (operands.a if operands.pattern_in_a else operands.b).max_code


def _swamping(operands: Operands) -> Iterator[Case]:
    """Up and down again, in runs of every length: whole sums, lanes, blocks and trees meet the rails at other times."""
    most = _carrier_max(operands)
    for width, fill in _widths(operands):
        if 3 * fill > MOST_PRODUCTS // 4:
            continue
        up, step = fill + 2, most * np.ones(fill + 2, np.int64)
        rows = [np.concatenate([step, -step, step]), np.concatenate([-step, step, -step])]
        length = 3 * up
        place = np.arange(length)
        rows += [np.where((place // run) % 2 == 0, most, -most) for run in LANES if run * 2 <= length]
        del width
        yield gemm_case(f.SWAMPING, *as_matrices(np.array(rows), operands, _columns(length)), operands)


def _rail_walks(operands: Operands) -> Iterator[Case]:
    """Climb to a rail in every lane, then random steps beside it, then to the other rail.

    With one lane this shows width, overflow, order and spills; with L lanes each of them meets the rail by itself, some
    at the upper end and some at the lower one, so that the order in which lanes are added shows, too.
    """
    most = _carrier_max(operands)
    for width, fill in _widths(operands):
        for lanes in LANES:
            climb = fill * lanes
            if 2 * climb + 2 * FINE_STEPS > LONGEST_WALK:
                break
            rows = [_walk(most, climb, lanes, 64 * width + 8 * lanes + row) for row in range(3)]
            length = len(rows[0])
            yield gemm_case(f.RAIL_WALK, *as_matrices(np.array(rows), operands, _columns(length)), operands)
        if 2 * fill + 2 * FINE_STEPS > LONGEST_WALK:
            rows = [_long_walk(most, fill, width, shift) for shift in (0, 1, 3)]
            yield gemm_case(f.RAIL_WALK, *as_matrices(np.array(rows), operands, NARROW_COLUMNS), operands)


def _long_walk(most: int, fill: int, width: int, shift: int) -> NDArray[np.int64]:
    """One climb, random steps, the rail again, and a step off and back that a sum of 2, 4 or 8 products hides."""
    climb = np.full(-(-fill // 8) * 8, most)
    last = np.array([0] * shift + [most, -most] + [0] * (8 - shift))
    return np.concatenate([climb, _fine(most, width)[:FINE_STEPS], np.full(2 * FINE_STEPS, most), last])


def _fine(most: int, seed: int) -> NDArray[np.int64]:
    """Random steps, half of them of full size."""
    random = (splitmix64(seed, 3 * FINE_STEPS) >> np.uint64(16)).astype(np.int64)
    steps = random % (2 * most + 1) - most
    return np.where(random % 4 < 2, np.where(steps < 0, -most, most), steps)


def _walk(most: int, climb: int, lanes: int, seed: int) -> NDArray[np.int64]:
    fine = _fine(most, seed)
    random = (splitmix64(seed, lanes, 3 * FINE_STEPS) >> np.uint64(16)).astype(np.int64)
    signs = np.where(random % 2 == 0, 1, -1) if lanes > 1 else np.array([1])
    steps = most * np.tile(signs, -(-climb // lanes))[:climb]
    tail = climb % 7
    parts = [fine[:FINE_STEPS], steps, fine[FINE_STEPS : 2 * FINE_STEPS], -steps, -steps[: climb // 2]]
    return np.concatenate([*parts, fine[2 * FINE_STEPS : 3 * FINE_STEPS - tail]])


def _cancellation(operands: Operands) -> Iterator[Case]:
    """Large sums that cancel around ones: binary32 holds 24 bits."""
    most = _carrier_max(operands)
    for bits in (8, 11, 16, 24, 25, 26):
        count = (1 << bits) // operands.largest_step + 1
        if 2 * count + 64 > MOST_PRODUCTS // 2:
            continue
        up, ones = np.full(count, most, np.int64), np.ones(33, np.int64)
        rows = [np.concatenate(parts) for parts in ((up, ones, -up), (ones, up, -up), (-up, ones, up), (up, -up, ones))]
        yield gemm_case(f.CANCELLATION, *as_matrices(np.array(rows), operands, _columns(len(rows[0]))), operands)


def _zeros(operands: Operands) -> Iterator[Case]:
    for m, n, k in ((1, 1, 1), (3, 5, 7), (17, 33, 65)):
        yield gemm_case(f.ALL_ZERO, np.zeros((m, k), np.int64), np.zeros((k, n), np.int64), operands)
        ones = random_codes(operands.b, (k, n), 50_000 + k)
        yield gemm_case(f.ALL_ZERO, np.zeros((m, k), np.int64), ones, operands)


def _long_runs(operands: Operands) -> Iterator[Case]:
    """One extreme product again and again; the longest rows leave 32 bits."""
    lengths = [1 << power for power in range(5, 13)]
    fill = -(-(1 << 31) // operands.largest_step)
    if fill + 5 <= MOST_PRODUCTS:
        lengths.append(fill + 5)
    for k in sorted(set(lengths)):
        a = np.array([[code] * k for code in rails(operands.a)])
        b = np.array([[code] * k for code in rails(operands.b)]).T
        yield gemm_case(f.LONG_RUN, a, b, operands)


def _zero_points(operands: Operands) -> Iterator[Case]:
    """Zero points at the ends of their range and around zero; matrices that are all zero point give zero."""
    if not operands.zero_points:
        return
    pairs = product(sorted(extremes(operands.a)), sorted(extremes(operands.b)))
    for index, (a_zero, b_zero) in enumerate(pairs):
        m, n, k = ((3, 5, 33), (1, 17, 16), (5, 2, 65), (2, 16, 7))[index % 4]
        a, b = random_codes(operands.a, (m, k), 60_000 + index), random_codes(operands.b, (k, n), 70_000 + index)
        a[0, :] = operands.a.min_code if a_zero > 0 else operands.a.max_code
        yield gemm_case(f.ZERO_POINT, a, b, operands, (a_zero, b_zero))
        same = np.full((m, k), a_zero), np.full((k, n), b_zero)
        yield gemm_case(f.ZERO_POINT, *same, operands, (a_zero, b_zero))
