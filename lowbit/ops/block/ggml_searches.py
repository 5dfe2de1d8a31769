"""The searches of ggml-quants.c for its K-quants, IQ4 and Q8_K, in binary32 steps: one class a family of formats.

A kernel gives the scales of the small blocks, their minima where there are any, and codes. What is left is done here
for each super-block: the codes of its scales, its factor in binary16, and codes by the scales as they are stored.
Source: https://github.com/ggml-org/ggml at d99724f, src/ggml-quants.c.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
import numpy.typing as npt

from lowbit.errors import InputError
from lowbit.format.block import BlockFormat, Shape
from lowbit.ops.arrays import Array
from lowbit.ops.cast.cast import decode
from lowbit.ops.chunks import in_chunks
from lowbit.policy.block import BlockPolicy

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int32]

FIRST_ONLY = "ggml_first"
CHUNK = 1 << 17
"""Values that one thread works on at once."""
ROW_BLOCK = 32
INFINITY = 0x7F800000  # the word of infinity in binary32, which is below those of NaNs
TO_WHOLE, WHOLE, ZERO_WORD = np.float32(3 << 22), 0x007FFFFF, 0x00400000
"""A sum with the first has the nearest integer in these bits, which are the last one for 0."""
SMALLEST = np.float32(1e-15)
"""A super-block of Q6_K whose scales are all below this is zero (GROUP_MAX_EPS)."""
BESIDE_FACTOR, BESIDE_SCALE, BESIDE_ELEMENT = 4, 9, 7
"""How far trials go to both sides of the largest code, in tenths of it; of a table's first element, in ones."""
BYTE, NIBBLE, SIX_BITS = 0xFF, 0xF, 63
BINARY16_NAN = np.uint16(0xFE00)
NO_WEIGHTS = np.empty((0, 0), np.float32)
"""The kernels take those of ggml without importance."""


@dataclass(frozen=True)
class Part:
    """Some super-blocks, a row each, the importance of their values or None, and where their codes go."""

    values: Floats
    importance: Floats | None
    codes: npt.NDArray[np.int8]
    scales: Mapping[str, Array]
    first_only: bool = False

    def blocks(self, length: int) -> tuple[Floats, npt.NDArray[np.int8]]:
        """Values and codes, a row a block."""
        return self.values.reshape(-1, length), self.codes.reshape(-1, length)

    def grid(self, length: int) -> tuple[int, int]:
        """The numbers of super-blocks, and of blocks in each."""
        return len(self.values), self.values.shape[1] // length

    def weighted(self, length: int, factor: float) -> Floats:
        """``importance * sqrt(sigma + x^2)``, a row a block; sigma is a super-block's mean square times the factor."""
        assert self.importance is not None
        sigma = np.float32(factor) * of_rows("sums_of_squares", self.values) / np.float32(self.values.shape[1])
        weights = self.importance * np.sqrt(sigma[:, None] + self.values * self.values)
        return np.asarray(weights).reshape(-1, length)

    def encode(self, scales: Floats, minima: Floats, ends: tuple[int, int]) -> None:
        """Codes between two ends by the scales as they are stored, but in blocks whose scale is 0."""
        from lowbit.kernels.block.fast_whole_quotients import encode

        encode(self.values, scales, minima, *map(np.int32, ends), self.codes)


@dataclass(frozen=True)
class Affine:
    """Q2_K, Q4_K and Q5_K: a scale and a minimum of each block.

    Attributes
    ----------
    most, most_scale : int
        The largest code of an element, and of a scale or a minimum.
    length : int
        Of a block.
    trials : tuple
        First, step and number of steps of what is added to ``most``, which is the number of levels above the lowest.
    absolute : bool
        Errors are magnitudes, and weights |x|; else they are squares, and weights the root mean square and |x|. With
        importance they are squares.
    factor : int
        Of the mean square where there is importance.
    """

    most: int
    most_scale: int
    length: int
    trials: tuple[float, float, int]
    absolute: bool = False
    factor: int = 2

    WEIGHTED_TRIALS = (-0.9, 0.05, 36)

    def __call__(self, part: Part) -> None:
        from lowbit.kernels.block.fast_affine_search import search

        values, codes = part.blocks(self.length)
        important = part.importance is not None
        weights = part.weighted(self.length, self.factor) if important else NO_WEIGHTS
        trials = _steps(*(self.WEIGHTED_TRIALS if important else self.trials), self.most)
        found = np.empty((2, len(values)), np.float32)
        search(values, weights, trials, np.float32(self.most), self.absolute and not important, *found, codes)
        scales, minima = found.reshape(2, *part.grid(self.length))
        if important:
            sums = _in_order(weights).reshape(scales.shape)
            self._store(part, *(_factors(each, sums, self.most_scale) for each in (scales, minima)))
        else:
            self._store(part, *(_by_largest(each, self.most_scale) for each in (scales, minima)))

    def _store(self, part: Part, scales: tuple[Floats, Integers], minima: tuple[Floats, Integers]) -> None:
        if self.most_scale == NIBBLE:  # a byte has both: what a negative scale leaves above its nibble stays there
            byte = (scales[1] & BYTE) | ((minima[1] << 4) & BYTE)
            codes = byte & NIBBLE, byte >> 4
        else:
            codes = np.minimum(scales[1] & BYTE, SIX_BITS), np.minimum(minima[1] & BYTE, SIX_BITS)
        part.scales["block"][...], part.scales["min"][...] = codes
        stored = _halved(part, "super", scales[0]) * codes[0].astype(np.float32)
        part.encode(stored, _halved(part, "super_min", minima[0]) * codes[1].astype(np.float32), (0, self.most))


@dataclass(frozen=True)
class Symmetric:
    """Q3_K and Q6_K: a scale with a sign of each block.

    Attributes
    ----------
    half, half_scale : int
        Codes reach from minus this to one less; those of scales, too.
    """

    half: int
    half_scale: int

    LENGTH = 16

    def __call__(self, part: Part) -> None:
        from lowbit.kernels.block.fast_symmetric_search import search, search_by_moves

        values, codes = part.blocks(self.LENGTH)
        scales, six = np.empty(part.grid(self.LENGTH), np.float32), self.half_scale > SIX_BITS
        trials = -_beside(self.half, BESIDE_SCALE)
        if part.importance is None:
            if six:
                search(values, NO_WEIGHTS, trials, np.int32(self.half), scales.reshape(-1), codes)
            else:
                search_by_moves(values, np.int32(self.half), scales.reshape(-1), codes)
        else:
            raw = np.ascontiguousarray(part.importance).reshape(-1, self.LENGTH)
            weights = raw if six else part.weighted(self.LENGTH, 2)
            search(values, weights, trials, np.int32(self.half), scales.reshape(-1), codes)
        if six:
            factors, scale_codes = self._in_eight_bits(part, scales)
        elif part.importance is None:
            factors, scale_codes = self._in_six_bits(scales)
        else:
            factors, own = np.empty(len(scales), np.float32), np.empty(scales.shape, np.int8)
            sums = _in_order(weights).reshape(scales.shape)
            half = np.int32(self.half_scale)
            search(scales, sums, -_beside(self.half_scale, BESIDE_SCALE), half, factors, own)
            scale_codes = own.astype(np.int32)
        part.scales["block"][...] = scale_codes
        stored = _halved(part, "super", factors) * scale_codes.astype(np.float32)
        part.encode(stored, np.zeros_like(stored), (-self.half, self.half - 1))

    def _in_six_bits(self, scales: Floats) -> tuple[Floats, Integers]:
        """Q3_K; a super-block of zeros has the codes of bytes that are 0."""
        peak = of_rows("peaks", scales)
        inverse = np.float32(-self.half_scale) / peak
        whole = nearest(inverse[:, None] * scales).astype(np.int8).astype(np.int32)
        codes = np.minimum(np.maximum(whole, -self.half_scale), self.half_scale - 1)
        codes[peak == 0] = -self.half_scale
        return np.where(peak == 0, np.float32(0), np.float32(1) / inverse), codes

    def _in_eight_bits(self, part: Part, scales: Floats) -> tuple[Floats, Integers]:
        """Q6_K; a super-block whose scales are all small has bytes that are 0."""
        peak = of_rows("peaks", scales)
        inverse = np.float32(-self.half_scale) / peak
        empty = np.abs(peak) < SMALLEST
        codes = np.minimum(nearest(inverse[:, None] * scales), self.half_scale - 1).astype(np.int8).astype(np.int32)
        codes[empty], part.codes[empty] = 0, -self.half
        return np.where(empty, np.float32(0), np.float32(1) / inverse), codes


@dataclass(frozen=True)
class FromTable:
    """IQ4_NL and IQ4_XS: elements out of a table, of blocks of 32; IQ4_XS has scales of six bits with a sign.

    Attributes
    ----------
    scaled : bool
        Whether the scales have a factor above them.
    """

    scaled: bool

    LENGTH = 32
    ELEMENTS = "ggml_nl4"
    HALF_SCALE = 32

    def __call__(self, part: Part) -> None:
        from lowbit.kernels.block.fast_table_search import encode, search

        values, codes = part.blocks(self.LENGTH)
        elements = np.asarray(decode(range(16), self.ELEMENTS))
        middles = (elements[1:] + elements[:-1]) / np.float32(2)
        weights = NO_WEIGHTS if part.importance is None else self._weighted(part)
        trials = np.arange(-BESIDE_ELEMENT, BESIDE_ELEMENT + 1, dtype=np.float32) + elements[0]
        first, trials = (elements[0], trials[:0]) if part.first_only else (-elements[0], trials)
        scales, inverses = np.empty((2, len(values)), np.float32)
        search(values, weights, first, trials, middles, elements, scales, inverses)
        if self.scaled:
            stored = self._store(part, scales.reshape(part.grid(self.LENGTH))).reshape(-1)
        else:
            part.scales["block"][...] = _binary16(scales)[:, None]
            stored = scales
        if not part.first_only:
            inverses = np.where(stored == 0, np.float32(0), np.float32(1) / stored)
        encode(values, inverses, middles, codes)

    def _weighted(self, part: Part) -> Floats:
        """As ``Part.weighted``, but the factor is over the length before it is multiplied."""
        assert part.importance is not None
        sigma = of_rows("sums_of_squares", part.values) * np.float32(2 / part.values.shape[1])
        weights = part.importance * np.sqrt(sigma[:, None] + part.values * part.values)
        return np.asarray(weights).reshape(-1, self.LENGTH)

    def _store(self, part: Part, scales: Floats) -> Floats:
        """What the elements of IQ4_XS are divided by: its factor as it is before it is rounded to binary16."""
        factors = -of_rows("peaks", scales) / np.float32(self.HALF_SCALE)
        inverse = np.where(factors == 0, np.float32(0), np.float32(1) / factors)
        codes = np.clip(nearest(inverse[:, None] * scales), -self.HALF_SCALE, self.HALF_SCALE - 1)
        part.scales["block"][...] = codes
        _halved(part, "super", factors)
        return factors[:, None] * codes.astype(np.float32)


def symmetric_rows(part: Part, half: int) -> None:
    """Q4_0 and Q5_0 where there is importance, in parts of whole rows: codes are those of the search."""
    from lowbit.kernels.block.fast_symmetric_search import search

    values, codes = part.blocks(ROW_BLOCK)
    weights, scales = part.weighted(ROW_BLOCK, 1), np.empty(len(values), np.float32)
    search(values, weights, -_beside(half, BESIDE_SCALE), np.int32(half), scales, codes)
    part.scales["block"][...] = _binary16(scales).reshape(part.grid(ROW_BLOCK))


def affine_rows(part: Part, most: int) -> None:
    """Q4_1 and Q5_1 in the same way; the minimum is stored as it is."""
    from lowbit.kernels.block.fast_affine_search import search

    values, codes = part.blocks(ROW_BLOCK)
    weights, (scales, minima) = part.weighted(ROW_BLOCK, 1), np.empty((2, len(values)), np.float32)
    trials = _steps(*Affine.WEIGHTED_TRIALS, most)
    search(values, weights, trials, np.float32(most), False, scales, minima, codes)
    part.scales["block"][...] = _binary16(scales).reshape(part.grid(ROW_BLOCK))
    part.scales["offset"][...] = _binary16(-minima).reshape(part.grid(ROW_BLOCK))


def by_peaks(part: Part) -> None:
    """Q8_K: one scale a super-block, and the sums of 16 codes each."""
    from lowbit.kernels.block.fast_whole_quotients import encode_by_peaks

    scales = np.empty(len(part.values), np.float32)
    encode_by_peaks(part.values, np.float32(-127), scales, part.codes, part.scales["sums"])
    part.scales["block"][...] = scales.view(np.uint32)[:, None]


def nearest(numbers: Floats) -> Integers:
    """``nearest_int`` of ggml, also where the number is beyond 22 bits; see ``kernels/block/fast_lanes.py``."""
    return ((numbers + TO_WHOLE).view(np.int32) & WHOLE) - ZERO_WORD


def of_rows(kernel: str, values: Floats) -> Floats:
    """What a kernel of ``fast_lanes.py`` makes of each row."""
    from lowbit.kernels.block import fast_lanes

    answers = np.empty(len(values), np.float32)
    getattr(fast_lanes, kernel)(values, answers)
    return answers


@lru_cache
def _steps(first: float, step: float, count: int, most: int) -> Floats:
    """``first + step * k + most`` for k from 0 to ``count``, in binary32."""
    number = np.float32
    return np.array([number(first) + number(step) * number(k) + number(most) for k in range(count + 1)], np.float32)


@lru_cache
def _beside(most: int, count: int) -> Floats:
    """``most``, then ``k / 10 + most`` for k from ``-count`` to ``count`` but 0, in binary32."""
    tenths = [np.float32(0.1) * np.float32(k) + np.float32(most) for k in range(-count, count + 1) if k]
    return np.array([np.float32(most), *tenths], np.float32)


def _in_order(weights: Floats) -> Floats:
    """The sum of each row, one number after the other."""
    return np.asarray(np.add.accumulate(weights, axis=1, dtype=np.float32)[:, -1])


def _factors(scales: Floats, weights: Floats, most: int) -> tuple[Floats, Integers]:
    """The factor of each super-block and the codes of its scales (``make_qp_quants``)."""
    from lowbit.kernels.block.fast_super_scales import search

    factors, codes = np.empty(len(scales), np.float32), np.empty(scales.shape, np.uint8)
    search(scales, weights, _beside(most, BESIDE_FACTOR), np.int32(most), factors, codes)
    return factors, codes.astype(np.int32)


def _by_largest(scales: Floats, most: int) -> tuple[Floats, Integers]:
    """The factor of each super-block, the largest of its scales over ``most``, and the codes of these."""
    largest = of_rows("largest", scales)
    inverse = np.where(largest > 0, np.float32(most) / largest, np.float32(0))
    return largest / np.float32(most), nearest(inverse[:, None] * scales)


def _binary16(numbers: Floats) -> npt.NDArray[np.uint16]:
    """Codes of binary16; the NaN is the one that x86 makes."""
    return np.where(np.isnan(numbers), BINARY16_NAN, numbers.astype(np.float16).view(np.uint16))


def _halved(part: Part, name: str, factors: Floats) -> Floats:
    """Factors as they are stored, in binary16; a column."""
    codes = _binary16(factors)[:, None]
    part.scales[name][...] = codes
    return codes.view(np.float16).astype(np.float32)


SEARCHES: Mapping[str, Callable[[Part], None]] = {
    "ggml_q2_k": Affine(3, 15, 16, (-0.5, 0.1, 15), absolute=True, factor=1),
    "ggml_q3_k": Symmetric(4, 32),
    "ggml_q4_k": Affine(15, 63, 32, (-1.0, 0.1, 20)),
    "ggml_q5_k": Affine(31, 63, 32, (-0.5, 0.1, 15)),
    "ggml_q6_k": Symmetric(32, 128),
    "ggml_q8_k": by_peaks,
    "ggml_iq4_nl": FromTable(scaled=False),
    "ggml_iq4_xs": FromTable(scaled=True),
}
"""By the id of the format."""

ROW_SEARCHES: Mapping[str, Callable[[Part], None]] = {
    "ggml_q4_0": partial(symmetric_rows, half=8),
    "ggml_q4_1": partial(affine_rows, most=15),
    "ggml_q5_0": partial(symmetric_rows, half=16),
    "ggml_q5_1": partial(affine_rows, most=31),
}
"""Those that there are with importance alone, for parts of whole rows (``quantize_row_q4_0_impl``)."""


def quantize(
    values: Array, fmt: BlockFormat, policy: BlockPolicy, importance: Floats | None, threads: int
) -> tuple[Array, dict[str, Array]]:
    """Codes and scales of values whose axis of blocks is the last one; InputError: a value is not finite."""
    run, length = SEARCHES.get(fmt.id), fmt.block[0]
    if run is None:
        run, length = ROW_SEARCHES[fmt.id], values.shape[-1] or length
    with np.errstate(over="ignore"):
        rows = np.ascontiguousarray(values, np.float32).reshape(-1, length)
    codes = np.empty(rows.shape, np.int8)
    counts = {field: length // field.block[0] for field in fmt.scales}
    flat = {field.name: np.empty((len(rows), counts[field]), field.format.code_dtype) for field in fmt.scales}
    columns = None if importance is None else importance.reshape(-1, length)

    def part(start: int, stop: int) -> None:
        inside = slice(start, stop)
        _require_finite(rows[inside], start, fmt, values.shape)
        own = None if columns is None else columns[np.arange(start, stop) % len(columns)]
        scales = {name: array[inside] for name, array in flat.items()}
        with np.errstate(all="ignore"):
            run(Part(rows[inside], own, codes[inside], scales, policy.search == FIRST_ONLY))

    in_chunks(part, len(rows), threads, max(1, CHUNK // length))
    grids = {field.name: flat[field.name].reshape(field.grid(values.shape)) for field in fmt.scales}
    return codes.view(fmt.number.code_dtype).reshape(values.shape), grids


def _require_finite(rows: Floats, start: int, fmt: BlockFormat, shape: Shape) -> None:
    """Refuse rows, from one on, in which a number is not finite. Raises InputError."""
    from lowbit.kernels.block.fast_boundaries import maxima

    largest = np.empty(len(rows), np.int32)
    maxima(rows.view(np.int32), largest)
    if largest.max() < INFINITY:
        return
    row, column = np.argwhere(~np.isfinite(rows))[0].tolist()
    place = tuple(int(index) for index in np.unravel_index((start + row) * rows.shape[1] + column, shape))
    what = f"{fmt.id}: the value at {place}, the axis of the blocks last, is {rows[row, column]} in binary32"
    raise InputError(what, hint="the searches of ggml are defined for finite values")
