"""Directed tensors of a block format: the maxima and the quotients on which rules differ, one kind of tensor a flag.

A tensor has two axes, the blocks along the last one. Nothing here knows the rule that is asked for, only the format.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lowbit.errors import LowbitError
from lowbit.format.block import WHOLE, BlockFormat
from lowbit.ops.arrays import all_codes
from lowbit.policy.block import BlockPolicy
from lowbit.vectors.block.magnitudes import elements, maxima, midpoints, smallest_maxima, tensor_unit
from lowbit.vectors.case import Array, Case, numbered
from lowbit.vectors.flags import block as f
from lowbit.vectors.flags.cast import RANDOM
from lowbit.vectors.splitmix import splitmix64

Values = NDArray[np.float32]
WHOLE_LENGTH = 24
"""Values along an axis that one block spans."""
SHAPES = ((1, 1), (2, 3), (3, 2), (5, 1), (1, 7))
"""Blocks along both axes of a tensor."""
SWIZZLED = (128, 4)
"""Scales of one tile of cuBLAS's layout of block scales."""
WIDEST = 1 << 15
"""A tensor of such a tile has no more values than this."""
MOST_VALUES = 1 << 16
"""Of a tensor of large blocks, which has fewer of them."""
RANDOM_SHAPE = (3, 4)
AFFINE_SCALES = (1.0, 0.1, 1 / 3, 1.7e-3)
"""The scales of blocks with a zero point."""


def directed_tensors(fmt: BlockFormat, *, short: bool) -> list[Case]:
    """All directed cases of a format; ``short``: those with a shorter last block, too."""
    rows = max(_length(fmt, -2), 1)
    maker = _Maker(fmt, rows, _length(fmt, -1))
    cases = [case for part in _PARTS for case in part(maker)]
    if short:
        cases += list(maker.tails())
    return numbered(cases)


def random_tensors(fmt: BlockFormat, count: int, seed: int) -> list[Case]:
    """Random tensors: normal values times a power of two for each block."""
    maker = _Maker(fmt, max(_length(fmt, -2), 1), _length(fmt, -1))
    return numbered(
        [maker.case(RANDOM, maker.spread_out(RANDOM_SHAPE, (seed << 20) + index)) for index in range(count)]
    )


def tensor_case(flag: int, values: Values, fmt: BlockFormat) -> Case:
    """The case of a tensor: its values, and the shapes of codes and scales."""
    values = np.ascontiguousarray(values, np.float32)
    shapes = {"codes": values.shape} | {field.name: field.grid(values.shape) for field in fmt.scales}
    sizes = dict(zip(("rows", "columns"), values.shape, strict=True))
    total = sum(int(np.prod(shape, dtype=np.int64)) for shape in shapes.values())
    return Case(flag, {"values": values}, sizes, (total,), shapes=shapes)


def _length(fmt: BlockFormat, axis: int) -> int:
    """How many values a block has along an axis."""
    shapes = [block for block in (fmt.block, *(field.block for field in fmt.scales)) if len(block) >= -axis]
    lengths = [block[axis] for block in shapes if block[axis] != WHOLE]
    return max(lengths, default=WHOLE_LENGTH if axis == -1 else 1)


class _Maker:
    """The tensors of a format whose blocks have so many rows and columns."""

    def __init__(self, fmt: BlockFormat, rows: int, columns: int) -> None:
        self.fmt, self.rows, self.columns = fmt, rows, columns
        self.unit = tensor_unit(fmt)
        self.elements = elements(fmt.element)
        self.top = float(np.abs(self.elements).max())

    def case(self, flag: int, values: Values) -> Case:
        """The case of a tensor."""
        return tensor_case(flag, values, self.fmt)

    def blocks(self, flag: int, blocks: Sequence[Values], across: int = 4) -> Case:
        """The case of a tensor of some blocks, some of them in a row; ones fill the last row."""
        blocks = blocks[: max(across, MOST_VALUES // (self.rows * self.columns))]
        missing = -len(blocks) % across
        every = [*blocks, *([np.ones(self.rows * self.columns, np.float32)] * missing)]
        grid = np.array(every, np.float32).reshape(-1, across, self.rows, self.columns)
        return self.case(flag, grid.transpose(0, 2, 1, 3).reshape(-1, across * self.columns))

    def filled(self, amax: float, number: int) -> Values:
        """A block with a largest magnitude: the multiples of it that elements have, and points between them."""
        size = self.rows * self.columns
        points = np.concatenate([self.elements, midpoints(self.elements)]) / self.top
        values = np.resize(np.roll(points, -7 * number), size) * np.float64(amax)
        values[(5 * number) % size] = amax if number % 2 else -amax
        with np.errstate(over="ignore"):
            return values.astype(np.float32)

    def anchored(self, flag: int, blocks: Sequence[Values]) -> Case:
        """Blocks beside one that fixes the scale of the tensor."""
        anchor = [] if self.unit is None else [self.filled(self.unit * self.top, 1)]
        return self.blocks(flag, [*anchor, *blocks])

    def tails(self) -> Iterator[Case]:
        """Tensors with a last block of one value, of all but one, and of a few."""
        for rest in dict.fromkeys((1, self.columns // 2, self.columns - 1)):
            values = self.spread_out((3, 3), 77 + rest)
            if 0 < rest < self.columns:
                yield self.case(f.SHORT_TAIL, values[:, : 2 * self.columns + rest])

    def spread_out(self, shape: tuple[int, int], seed: int) -> Values:
        """Normal values, those of each block times a power of two of its own."""
        down, across = shape
        count = down * self.rows * across * self.columns
        words = splitmix64(seed, 4 * count).reshape(4, -1)
        normal = (words / 2.0**62 - 2).sum(axis=0).reshape(down, self.rows, across, self.columns)
        powers = (splitmix64(seed + 1, down * across) % np.uint64(11)).astype(np.int64) - 5
        values = np.ldexp(normal, powers.reshape(down, 1, across, 1))
        return np.asarray(values.reshape(down * self.rows, -1), np.float32)


def _maximum(maker: _Maker) -> Iterator[Case]:
    every = maxima(maker.fmt)
    for start in range(0, len(every), 28):
        some = every[start : start + 28]
        yield maker.anchored(f.MAXIMUM_AT_RULE, [maker.filled(amax, index) for index, amax in enumerate(some)])


def _ties(maker: _Maker) -> Iterator[Case]:
    size, points = maker.rows * maker.columns, midpoints(maker.elements)
    near = np.concatenate([points, points, points]).astype(np.float32)
    toward = np.repeat(np.array([0, np.inf, -np.inf], np.float32), len(points))
    near = np.where(toward == 0, near, np.nextafter(near, toward))
    top, most = np.float32(maker.top), max(size - 1, 1)
    blocks = []
    for power in (0, 3, -4):
        for start in range(0, min(len(near), 12 * most), most):
            chunk = np.concatenate([[top], near[start : start + most]])
            blocks.append(np.ldexp(np.resize(chunk, size), power).astype(np.float32))
    for start in range(0, len(blocks), 28):
        unit = np.float32(maker.unit or 1)
        anchor = 1 if maker.unit is None else float(unit) / 2.0 ** int(np.log2(_scale_top(maker.fmt)) / 2)
        yield maker.anchored(f.SCALED_TIE, [block * np.float32(_power(anchor)) for block in blocks[start : start + 28]])


def _scale_top(fmt: BlockFormat) -> float:
    return float(fmt.scales[0].format.max.fraction())


def _power(value: float) -> float:
    return float(2.0 ** round(np.log2(value)))


def _affine_ties(maker: _Maker) -> Iterator[Case]:
    """Blocks with a zero point in and beside the middle between two codes, and values there, too."""
    if not maker.fmt.affine or not maker.fmt.element.wraps:
        return
    size, (first, *_, last) = maker.rows * maker.columns, maker.fmt.element.codes
    blocks = []
    for number, scale in enumerate(AFFINE_SCALES):
        for place in (first + 3, (first + last) // 2, last - 2):
            for half in (0, 0.5):
                low, high = ((end - place + half) * scale for end in (first, last))
                ties = (np.arange(size) - size // 2 + place % 2 + 0.5) * scale
                block = np.clip(_beside(ties, number), low, high)
                block[0], block[-1] = low, high
                blocks += [_beside(block, side) for side in range(3)] if half else [block]
    for start in range(0, len(blocks), 28):
        yield maker.blocks(f.UNEVEN_SIGNS, blocks[start : start + 28])


def _beside(values: NDArray[Any], side: int) -> Values:
    """Values in binary32, or their neighbours toward 0 or away from it."""
    toward = (values, np.zeros_like(values), np.copysign(np.inf, values))[side % 3]
    return np.nextafter(values.astype(np.float32), toward.astype(np.float32))


def _equal(maker: _Maker) -> Iterator[Case]:
    size = maker.rows * maker.columns
    values = (1.0, -1.0, maker.top, -maker.top, 0.1, -0.3, 5.0, -7.0, 1e-3, -1e3, 0.875, -1.75)
    yield maker.blocks(f.EQUAL_VALUES, [np.full(size, value, np.float32) for value in values])


def _outliers(maker: _Maker) -> Iterator[Case]:
    size, blocks = maker.rows * maker.columns, []
    for number, place in enumerate((0, size - 1, 1, size // 2, size - 2, 0, size - 1, 3)):
        block = np.resize(np.array([0.01, -0.02, 0.03, 0.015], np.float32), size)
        block[place % size] = (-1) ** (number // 2) * (40.0 + 3 * number)
        blocks.append(block)
    yield maker.blocks(f.ONE_OUTLIER, blocks)


def _signs(maker: _Maker) -> Iterator[Case]:
    blocks = []
    for number in range(4):
        values = np.abs(maker.filled(1.7 * (number + 1), number))
        mixed = values.copy()
        mixed[::3] *= np.float32(-1.5)
        blocks += [values, -values, mixed, -mixed]
    yield maker.blocks(f.ONE_SIGN_ONLY, blocks)


def _zeros(maker: _Maker) -> Iterator[Case]:
    zero = np.zeros(maker.rows * maker.columns, np.float32)
    half = zero.copy()
    half[1::2] = -0.0
    others = [maker.filled(3.0, number) for number in range(2)]
    yield maker.blocks(f.ZERO_BLOCK, [zero, others[0], -zero, others[1], half, half, others[0], zero])
    yield maker.blocks(f.ZERO_BLOCK, [zero, -zero, half, zero])


def _tiny(maker: _Maker) -> Iterator[Case]:
    small = smallest_maxima(maker.fmt)
    yield maker.anchored(f.RANGE_OF_SCALE, [maker.filled(amax, number) for number, amax in enumerate(small)])
    least = [2.0**power for power in (-149, -148, -140, -133, -128, -127, -126, -125, -120, -110)]
    yield maker.blocks(f.RANGE_OF_SCALE, [maker.filled(1.5 * amax, number) for number, amax in enumerate(least)])


def _huge(maker: _Maker) -> Iterator[Case]:
    largest = float(np.finfo(np.float32).max)
    large = [largest, largest / 2, 2.0**127, 1.75 * 2.0**127, 1.5 * 2.0**126, 2.0**120, 1.999 * 2.0**127]
    yield maker.blocks(f.RANGE_OF_SCALE, [maker.filled(amax, number) for number, amax in enumerate(large)])


def _not_numbers(maker: _Maker) -> Iterator[Case]:
    yield from _with_specials(maker, f.NAN_IN_BLOCK, np.nan)


def _infinities(maker: _Maker) -> Iterator[Case]:
    yield from _with_specials(maker, f.INFINITY_IN_BLOCK, np.inf)


def _with_specials(maker: _Maker, flag: int, special: float) -> Iterator[Case]:
    """Blocks with a special value of either sign at the first, the last and another place, beside ordinary ones."""
    size, blocks = maker.rows * maker.columns, []
    for number, place in enumerate((0, size - 1, size // 2, 1)):
        block = maker.filled(2.5 + number, number)
        block[place % size] = special if number % 2 == 0 else -special
        blocks += [block, maker.filled(1.25 * (number + 1), number + 1)]
    yield maker.blocks(flag, blocks)
    yield maker.blocks(flag, [np.full(size, special, np.float32), maker.filled(1.0, 0), blocks[1], blocks[3]])


def _shapes(maker: _Maker) -> Iterator[Case]:
    for seed, shape in enumerate(SHAPES):
        yield maker.case(f.SEVERAL_BLOCKS, maker.spread_out(shape, 500 + 2 * seed))
    if maker.columns**2 <= MOST_VALUES:
        yield maker.case(f.SEVERAL_BLOCKS, maker.spread_out((max(maker.columns // maker.rows, 1), 2), 600))
    down, across = SWIZZLED
    if maker.rows == 1 and down * across * maker.columns <= WIDEST:
        yield maker.case(f.SEVERAL_BLOCKS, maker.spread_out((down, across), 700))


def _random(maker: _Maker) -> Iterator[Case]:
    for seed in range(2):
        yield maker.case(RANDOM, maker.spread_out((8, 4), 800 + 2 * seed))


_PARTS = (
    _maximum,
    _ties,
    _affine_ties,
    _equal,
    _outliers,
    _signs,
    _zeros,
    _tiny,
    _huge,
    _not_numbers,
    _infinities,
    _shapes,
    _random,
)


def coded_tensors(fmt: BlockFormat, policy: BlockPolicy, count: int | None, seed: int) -> list[Case]:
    """Codes and scales for the way back: of directed tensors and with every scale of 8 bits, or of random tensors."""
    from lowbit.ops.block.quantize import quantize

    cases = []
    tensors = directed_tensors(fmt, short=policy.tail == "short") if count is None else random_tensors(fmt, count, seed)
    for case in tensors:
        try:
            tensor = quantize(case.arrays["values"], fmt, policy=policy)
        except LowbitError:
            continue
        cases.append(_coded(case.flag, {"codes": tensor.codes, **tensor.scales}))
    return numbered([*cases, *(_every_scale(fmt) if count is None else ())])


def _coded(flag: int, arrays: dict[str, Array]) -> Case:
    shape = arrays["codes"].shape
    return Case(flag, arrays, dict(zip(("rows", "columns"), shape, strict=True)), shape)


def _every_scale(fmt: BlockFormat) -> Iterator[Case]:
    """Every code of the finest scale over the codes of the elements, beside a few scales of the tensor."""
    finest, *coarser = fmt.scales
    if finest.format.bits > 8 or len(finest.block) != 1 or finest.block[0] == WHOLE or len(coarser) > 1:
        return
    scales = all_codes(finest.format).reshape(-1, 1)
    codes = all_codes(fmt.element)
    for start in range(0, len(codes), finest.block[0]):
        row = np.resize(codes[start : start + finest.block[0]], finest.block[0])
        arrays = {"codes": np.tile(row, (len(scales), 1)), finest.name: scales}
        for upper in (1.0, 2.0**-30, 1.1e-38, 3e30) if coarser else (None,):
            more = {} if upper is None else {coarser[0].name: np.array(upper, coarser[0].format.id)}
            yield _coded(f.EVERY_SCALE, {**arrays, **more})
