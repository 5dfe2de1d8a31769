"""Directed tensors of a block format: the directed blocks of its golden sets, side by side, and what needs several.

A tensor has two axes, the blocks along the last one. Nothing here knows the rule that is asked for, only the format.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lowbit.errors import LowbitError
from lowbit.format.block import WHOLE, BlockFormat
from lowbit.ops.arrays import all_codes
from lowbit.policy.block import BlockPolicy
from lowbit.vectors.block.blocks import Block, Blocks
from lowbit.vectors.case import Array, Case, numbered
from lowbit.vectors.flags import block as f
from lowbit.vectors.flags.cast import RANDOM
from lowbit.vectors.splitmix import splitmix64

Values = NDArray[np.float32]
SHAPES = ((1, 1), (2, 3), (3, 2), (5, 1), (1, 7))
"""Blocks along both axes of a tensor."""
SWIZZLED = (128, 4)
"""Scales of one tile of cuBLAS's layout of block scales."""
FLOATS = ("float32", "float64")
"""Scales in these formats are numbers in C, not codes."""
BINARY32_BITS = 24
WIDEST = 1 << 15
"""A tensor of such a tile has no more values than this."""
MOST_VALUES = 1 << 16
"""Of a tensor of large blocks, which has fewer of them."""
MOST_BLOCKS, MOST_WHOLE = 96, 12
"""Of one flag; fewer where each is a tensor of its own."""
AT_ONCE = 28
"""Blocks of a tensor."""
RANDOM_SHAPE = (3, 4)
AFFINE_SCALES = (1.0, 0.1, 1 / 3, 1.7e-3)
"""The scales of blocks with a zero point."""
ALONE = (f.ZERO_BLOCK, f.MAXIMUM_AT_POWER, f.RANGE_OF_SCALE)
"""Flags of blocks that are in a tensor of their own, too, so that they make its scale."""


def directed_tensors(fmt: BlockFormat, *, short: bool) -> list[Case]:
    """All directed cases of a format; ``short``: those with a shorter last block, too."""
    maker = _Maker(fmt)
    cases = [*maker.of_flags(), *maker.affine_ties(), *maker.ties_of_offset(), *maker.shapes()]
    return numbered([*cases, *(maker.tails() if short else ())])


def random_tensors(fmt: BlockFormat, count: int, seed: int) -> list[Case]:
    """Random tensors: normal values times a power of two for each block."""
    maker = _Maker(fmt)
    tensors = (maker.spread_out(RANDOM_SHAPE, (seed << 20) + index) for index in range(count))
    return numbered(tensor_case(RANDOM, tensor, fmt) for tensor in tensors)


def tensor_case(flag: int, values: Values, fmt: BlockFormat) -> Case:
    """The case of a tensor: its values, and the shapes of codes and scales."""
    values = np.ascontiguousarray(values, np.float32)
    shapes = {"codes": fmt.codes_shape(values.shape)} | {field.name: field.grid(values.shape) for field in fmt.scales}
    sizes = dict(zip(("rows", "columns"), values.shape, strict=True))
    total = sum(int(np.prod(shape, dtype=np.int64)) for shape in shapes.values())
    return Case(flag, {"values": values}, sizes, (total,), shapes=shapes)


class _Filled(Blocks):
    """Blocks filled with the multiples of their largest value that elements have, and with what lies between two."""

    @cached_property
    def _points(self) -> NDArray[np.float64]:
        apart = self.fmt.by_sign or self.fmt.affine  # where the lowest element has a scale or a place of its own
        values = np.array([float(value) for value in self.values if apart or abs(value) <= self.largest])
        ends = values[np.abs(values).argsort(kind="stable")]
        few = np.concatenate([ends[:32], ends[-64:]]) if len(ends) > 96 else ends
        ordered = np.unique(few)
        return np.concatenate([few, (ordered[1:] + ordered[:-1]) / 2]) / float(self.largest)

    def tie_places(self) -> list[int]:
        """Ties that go to the even code upward, and such that go downward."""
        places, highest = super().tie_places(), self.fmt.scales[0].format.ordinals[-1]
        return [near for place in places for near in (place, place + 1) if near < highest]

    def filled(self, top: Any) -> Block:
        """A block with one largest value, at a place that depends on it."""
        top = np.float32(top)
        place = int(top.view(np.uint32)) % self.length
        with np.errstate(over="ignore"):
            block = (np.resize(np.roll(self._points, -7 * place), self.length) * np.float64(abs(top))).astype(
                np.float32
            )
        block[place] = top
        return block


class _Maker:
    """The tensors of a format."""

    def __init__(self, fmt: BlockFormat) -> None:
        self.fmt, self.blocks = fmt, _Filled(fmt)
        self.rows, self.columns = (1, *self.blocks.shape)[-2:]
        split = bool(fmt.block) and WHOLE not in fmt.block
        self.across, self.at_once, self.most = (4, AT_ONCE, MOST_BLOCKS) if split else (1, 1, MOST_WHOLE)
        reach = float(fmt.scales[0].format.max.fraction() * self.blocks.largest)
        anchor = np.zeros(self.blocks.length, np.float32)
        anchor[-1] = min(reach, float(np.finfo(np.float32).max))
        self.anchor = [anchor] if fmt.scales[0].block and not all(field.block for field in fmt.scales) else []

    def of_flags(self) -> Iterator[Case]:
        """Blocks of each flag side by side; where they share a scale, beside one that makes it 1."""
        most = min(self.most, max(self.across, MOST_VALUES // self.blocks.length))
        for flag, blocks in self.blocks.of_flag().items():
            some = list(islice(blocks, most if flag != RANDOM else 0))
            for start in range(0, len(some), self.at_once):
                yield self.beside(flag, [*self.anchor, *some[start : start + self.at_once]])
            if flag in ALONE and (self.anchor or flag == f.ZERO_BLOCK):
                for start in range(0, len(some), self.across):
                    yield self.beside(flag, some[start : start + self.across], some[0])

    def beside(self, flag: int, blocks: Sequence[Block], filling: Block | None = None) -> Case:
        """The tensor of some blocks, a few of them in a row; ordinary ones, or what is given, fill the last row."""
        ordinary = self.blocks.filled(1) if filling is None else filling
        every = np.array([*blocks, *[ordinary] * (-len(blocks) % self.across)], np.float32)
        grid = every.reshape(-1, self.across, self.rows, self.columns)
        return tensor_case(flag, grid.transpose(0, 2, 1, 3).reshape(-1, self.across * self.columns), self.fmt)

    def affine_ties(self) -> Iterator[Case]:
        """Blocks with a zero point in and beside the middle between two codes, and values there, too."""
        if not self.fmt.affine or not self.fmt.element.wraps:
            return
        size, (first, *_, last) = self.blocks.length, self.fmt.element.codes
        blocks = []
        for number, scale in enumerate(AFFINE_SCALES):
            for place in (first + 3, (first + last) // 2, last - 2):
                for half in (0, 0.5):
                    low, high = ((end - place + half) * scale for end in (first, last))
                    ties = (np.arange(size) - size // 2 + place % 2 + 0.5) * scale
                    block = np.clip(_beside(ties, number), low, high)
                    block[0], block[-1] = low, high
                    blocks += [_beside(block, side) for side in range(3)] if half else [block]
        for start in range(0, len(blocks), self.at_once):
            yield self.beside(f.UNEVEN_SIGNS, blocks[start : start + self.at_once])
        places, middle = np.arange(size), (first + last) // 2
        ramp = np.clip(places * (last - first) // max(size - 1, 1), 0, last - first) + first - middle
        ramps = [float(tie / self.blocks.largest) * ramp for tie in self.blocks.ties_of_scale()]
        for start in range(0, len(ramps), self.at_once):
            yield self.beside(f.TIE_OF_SCALE, [tie.astype(np.float32) for tie in ramps[start : start + self.at_once]])

    def ties_of_offset(self) -> Iterator[Case]:
        """Two blocks whose scales have a mean in the middle between two offsets."""
        offsets = [field.format for field in self.fmt.scales if field.role == "offset" and field.of]
        for unit in (2.0 ** (1 - fmt.precision) for fmt in offsets if fmt.precision < BINARY32_BITS):
            for place in (0, 1):
                pair = [self.blocks.filled((1 + step * unit) * self.blocks.largest) for step in (place, place + 1)]
                yield tensor_case(f.TIE_OF_SCALE, np.array([np.concatenate(pair)]), self.fmt)

    def shapes(self) -> Iterator[Case]:
        """Tensors of several blocks along both axes, and of random values."""
        for seed, shape in enumerate(SHAPES):
            yield self.case(f.SEVERAL_BLOCKS, shape, 500 + 2 * seed)
        if self.columns**2 <= MOST_VALUES:
            yield self.case(f.SEVERAL_BLOCKS, (max(self.columns // self.rows, 1), 2), 600)
        down, across = SWIZZLED
        if self.rows == 1 and down * across * self.columns <= WIDEST:
            yield self.case(f.SEVERAL_BLOCKS, (down, across), 700)
        for seed in range(2):
            yield self.case(RANDOM, (8, 4), 800 + 2 * seed)

    def tails(self) -> Iterator[Case]:
        """Tensors with a last block of one value, of all but one, and of a few."""
        for rest in dict.fromkeys((1, self.columns // 2, self.columns - 1)):
            if 0 < rest < self.columns:
                values = self.spread_out((3, 3), 77 + rest)
                yield tensor_case(f.SHORT_TAIL, values[:, : 2 * self.columns + rest], self.fmt)

    def case(self, flag: int, shape: tuple[int, int], seed: int) -> Case:
        """The case of a tensor of so many blocks along both axes."""
        return tensor_case(flag, self.spread_out(shape, seed), self.fmt)

    def spread_out(self, shape: tuple[int, int], seed: int) -> Values:
        """Normal values, those of each block times a power of two of its own."""
        down, across = shape
        count = down * self.rows * across * self.columns
        words = splitmix64(seed, 4 * count).reshape(4, -1)
        normal = (words / 2.0**62 - 2).sum(axis=0).reshape(down, self.rows, across, self.columns)
        powers = (splitmix64(seed + 1, down * across) % np.uint64(11)).astype(np.int64) - 5
        values = np.ldexp(normal, powers.reshape(down, 1, across, 1))
        return np.asarray(values.reshape(down * self.rows, -1), np.float32)


def _beside(values: NDArray[Any], side: int) -> Values:
    """Values in binary32, or their neighbours toward 0 or away from it."""
    toward = (values, np.zeros_like(values), np.copysign(np.inf, values))[side % 3]
    return np.nextafter(values.astype(np.float32), toward.astype(np.float32))


def coded_tensors(fmt: BlockFormat, policy: BlockPolicy, count: int | None = None, seed: int = 0) -> list[Case]:
    """Codes and scales for the way back: of directed tensors and with every scale of 8 bits, or of random tensors."""
    from lowbit.ops.block.quantize import quantize

    cases = []
    tensors = directed_tensors(fmt, short=policy.tail == "short") if count is None else random_tensors(fmt, count, seed)
    for case in tensors:
        try:
            tensor = quantize(case.arrays["values"], fmt, policy=policy)
        except LowbitError:
            continue
        scales = {field.name: tensor.scale_codes(field.name) for field in fmt.scales if field.format.id not in FLOATS}
        cases.append(_coded(case.flag, {"codes": tensor.codes, **tensor.scales, **scales}, fmt))
    return numbered([*cases, *(_every_scale(fmt) if count is None else ())])


def _coded(flag: int, arrays: dict[str, Array], fmt: BlockFormat) -> Case:
    shape = fmt.values_shape(arrays["codes"].shape)
    return Case(flag, arrays, dict(zip(("rows", "columns"), shape, strict=True)), shape)


def _every_scale(fmt: BlockFormat) -> Iterator[Case]:
    """Every code of the finest scale over the codes of the elements, beside a few scales of the tensor."""
    finest, *coarser = fmt.scales
    if finest.format.bits > 8 or len(finest.block) != 1 or finest.block[0] == WHOLE or len(coarser) > 1:
        return
    scales = all_codes(finest.format).reshape(-1, 1)
    codes = all_codes(fmt.number) if fmt.element.dimension == 1 else np.array(fmt.element.codes)
    (count,) = fmt.codes_shape(finest.block)
    for start in range(0, len(codes), count):
        row = np.resize(codes[start : start + count], count)
        arrays = {"codes": np.tile(row, (len(scales), 1)), finest.name: scales}
        for upper in (1.0, 2.0**-30, 1.1e-38, 3e30) if coarser else (None,):
            with np.errstate(over="ignore"):  # binary16 has an infinity in its place
                more = {} if upper is None else {coarser[0].name: np.array(upper, coarser[0].format.id)}
            yield _coded(f.EVERY_SCALE, {**arrays, **more}, fmt)
