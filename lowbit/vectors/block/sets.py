"""Sets of tensors in block formats in ``.vec`` files: a small tensor a row, its codes and its scales.

Columns of a quantisation: the values in binary32, the scales of each field, the codes. Of a dequantisation: the scales,
the codes, and the values. All hold the elements of a row in C order, element 0 in the last digits.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lowbit.errors import InputError
from lowbit.exact import FINITE
from lowbit.format.block import BlockFormat, ScaleField, Shape
from lowbit.format.protocol import Scalar
from lowbit.format.registry import block_format_of, scalar_format
from lowbit.oracle.arithmetic.exact import is_negative
from lowbit.oracle.block.decode import element_value
from lowbit.oracle.block.encode import Quantized, quantize
from lowbit.oracle.cast.cast import encode
from lowbit.oracle.cast.decode import decode
from lowbit.policy.block import BlockPolicy, get_block_policy
from lowbit.policy.cast import get_policy
from lowbit.vectors.block.blocks import Block, Blocks
from lowbit.vectors.cast.representative import representative_codes
from lowbit.vectors.elements import elements, elements_of
from lowbit.vectors.flags import block as f
from lowbit.vectors.flags.cast import RANDOM
from lowbit.vectors.in_turn import in_turn
from lowbit.vectors.patterns import from_patterns
from lowbit.vectors.recipe import Recipe
from lowbit.vectors.vec import Column, VectorFile, assemble, digits_for

BYTES = 46_000
"""About as large as the rows of a file may get."""
MOST_ROWS = 200
MOST_DEQUANTIZED = 72
RANDOM_ROWS = 16
SPECIAL_SCALES = 6
BLOCKS_BELOW_A_SCALE = 4
"""So many blocks has a row where they share a scale; else one."""
AT_ANY_SCALE = (f.ZERO_BLOCK, f.MAXIMUM_AT_POWER, f.RANGE_OF_SCALE, f.NAN_IN_BLOCK, f.INFINITY_IN_BLOCK, RANDOM)
"""Flags of blocks that come without a block beside them that makes the shared scale 1, too."""

Row = tuple[int, Block]


def parse_block_policy(text: str) -> BlockPolicy:
    """A block policy from ``preset`` or ``preset+axis=value+axis=value``."""
    preset, _, choices = text.partition("+")
    return BlockPolicy.parse(choices, get_block_policy(preset)) if choices else get_block_policy(preset)


def row_shape(fmt: BlockFormat) -> Shape:
    """The shape of the tensor of a row: a block, or several along the last axis where they share a scale."""
    block = Blocks(fmt).shape
    shared = any(field.block != fmt.block for field in fmt.scales)
    return (*block[:-1], block[-1] * BLOCKS_BELOW_A_SCALE) if shared else block


def quantize_set(recipe: Recipe) -> VectorFile:
    """The set of a recipe: binary32 values into a block format, as the oracle has it.

    Rows that the policy refuses are left out. The argument ``rows``: at most that many.

    Raises InputError: the policy refuses every row.
    """
    fmt, policy, source = block_format_of(recipe.target), parse_block_policy(recipe.policy), scalar_format("float32")
    shape = row_shape(fmt)
    width = 16 + math.prod(shape) * (8 + digits_for(fmt.element.bits))
    budget = min(int(recipe.arguments.get("rows", MOST_ROWS)), max(BYTES // width, 1))
    quantized: dict[bytes, Quantized] = {}
    rows = _accepted_rows(fmt, shape, policy, budget, quantized)
    if not rows:
        raise InputError(f"{fmt.id}: the policy {recipe.policy!r} refuses every row")
    rows.sort(key=lambda row: row[0])
    answers = [quantized[values.tobytes()] for _, values in rows]
    columns = [
        elements("values", np.stack([_bits(values) for _, values in rows]), source),
        *_scale_columns(fmt, [answer.scales for answer in answers]),
        elements("codes", np.array([answer.codes for answer in answers], np.int64), fmt.element),
    ]
    choices = policy.choose(name="").spell(separator=" ")
    return assemble(_header(recipe, source, fmt, choices, shape), columns, [flag for flag, _ in rows])


def _accepted_rows(
    fmt: BlockFormat, shape: Shape, policy: BlockPolicy, count: int, quantized: dict[bytes, Quantized]
) -> list[Row]:
    """Rows that the policy does not refuse, each flag in turn; what they become is filled in."""
    source = scalar_format("float32")

    def accepted(rows: Iterator[Row]) -> Iterator[Row]:
        for flag, values in rows:
            exact = [decode(bits, source) for bits in _bits(values).tolist()]
            try:
                quantized[values.tobytes()] = quantize(exact, shape, fmt, policy)
            except InputError:
                continue
            yield flag, values

    flags = Blocks(fmt).of_flag()
    most = {RANDOM: RANDOM_ROWS}
    sources = [
        accepted(islice(_rows(fmt, flag, blocks, policy), most.get(flag, count))) for flag, blocks in flags.items()
    ]
    return in_turn(sources, count, lambda row: row[1].tobytes())


def _rows(fmt: BlockFormat, flag: int, blocks: Iterator[Block], policy: BlockPolicy) -> Iterator[Row]:
    """The tensors of a flag: of one block each, or of several that share a scale."""
    shape, block = row_shape(fmt), Blocks(fmt)
    count = math.prod(shape) // block.length
    anchor = np.zeros(block.length, np.float32)
    reach = policy.scale_maximum or float(fmt.scales[0].format.max.fraction())
    anchor[-1] = min(float(block.largest) * reach, float(np.finfo(np.float32).max))
    ordinary = block.filled(1)
    while part := list(islice(blocks, count - 1 or 1)):
        padded = [*part, *[ordinary] * (count - 1 - len(part))]
        if count == 1:
            yield flag, part[0]
            continue
        yield flag, _tensor([*padded, anchor], block.shape)
        if flag in AT_ANY_SCALE:
            yield flag, _tensor([part[-1], *padded], block.shape)


def _tensor(blocks: Sequence[Block], shape: Shape) -> Block:
    """Blocks side by side along the last axis, in C order."""
    return np.concatenate([block.reshape(shape) for block in blocks], axis=-1).ravel()


def _bits(values: Block) -> NDArray[np.uint32]:
    return np.ascontiguousarray(values, np.float32).view(np.uint32)


def _scale_columns(fmt: BlockFormat, scales: Sequence[Mapping[str, Sequence[int]]]) -> list[tuple[Column, Any]]:
    return [
        elements(field.name, np.array([row[field.name] for row in scales], np.int64), field.format)
        for field in fmt.scales
    ]


def _header(recipe: Recipe, source: Any, target: Any, choices: str, shape: Shape) -> dict[str, str]:
    def words(fmt: Any) -> str:
        if isinstance(fmt, Scalar):
            return f"{fmt.id}, {fmt.bits} bits"
        tensor = " x ".join(map(str, shape))
        return f"{fmt.id}, elements of {fmt.element.bits} bits, tensors of {tensor}"

    return recipe.header(words(source), words(target), choices)


def dequantize_set(recipe: Recipe) -> VectorFile:
    """The set of a recipe: what codes and scales are worth, rounded once into the target.

    The argument ``rows``: at most that many. Scales come from both ends of their formats and between, elements in turn.
    """
    fmt, target = block_format_of(recipe.source), scalar_format(recipe.target)
    policy, shape = get_policy(recipe.policy, target), row_shape(fmt)
    width = 16 + math.prod(shape) * (digits_for(target.bits) + digits_for(fmt.element.bits))
    count = min(int(recipe.arguments.get("rows", MOST_DEQUANTIZED)), max(BYTES // width, 1))
    scales, codes = _representative_scales(fmt, shape, count), _all_codes(fmt, math.prod(fmt.codes_shape(shape)), count)
    rows = []
    for row_codes, row_scales in zip(codes.tolist(), scales, strict=True):
        own = _scales_of_elements(fmt, shape, row_scales)
        vectors = [divmod(number, fmt.element.dimension) for number in range(math.prod(shape))]
        pairs = zip(vectors, own, strict=True)
        exact = [element_value(row_codes[vector], scale, fmt, place) for (vector, place), scale in pairs]
        rows.append([encode(value, target, policy, source=None).code for value in exact])
    columns = [
        *_scale_columns(fmt, scales),
        elements("codes", codes, fmt.element),
        elements("values", np.array(rows, np.int64), target),
    ]
    choices = policy.without_defects().spell(separator=" ")
    return assemble(_header(recipe, fmt, target, choices, shape), columns, [f.EVERY_SCALE] * len(rows))


def _codes_of(fmt: Scalar) -> list[int]:
    """The codes of a format that stand for all."""
    codes = from_patterns(representative_codes(fmt), fmt).tolist()
    return [int(code) for code in codes if code in fmt.codes]


def _all_codes(fmt: BlockFormat, length: int, count: int) -> NDArray[np.int64]:
    """Every code of the elements one after the other, over all rows."""
    every = np.array(_codes_of(fmt.number) if fmt.element.dimension == 1 else fmt.element.codes, np.int64)
    return every[np.arange(count * length) % len(every)].reshape(count, length)


def _representative_scales(fmt: BlockFormat, shape: Shape, count: int) -> list[dict[str, list[int]]]:
    """The scales of each row: the ends and specials of each field first, then codes spread over all that it holds."""
    rows: list[dict[str, list[int]]] = [{} for _ in range(count)]
    for turn, field in enumerate(fmt.scales):
        blocks = math.prod(field.grid(shape))
        chosen = np.resize(np.roll(_scale_choice(field, count * blocks), -turn), (count, blocks))
        for row, codes in zip(rows, chosen.tolist(), strict=True):
            row[field.name] = codes
    return rows


def _scale_choice(field: ScaleField, count: int) -> NDArray[np.int64]:
    """At most that many codes of a scale; factors are not negative."""
    fmt = field.format
    decoded = {code: decode(code, fmt) for code in _codes_of(fmt)}
    offset = field.role in ("zero_point", "offset", "exponent")
    every = [code for code, value in decoded.items() if offset or not is_negative(value)]
    finite = sorted((code for code in every if decoded[code].kind == FINITE), key=lambda code: decoded[code].fraction())
    ends = [finite[0], finite[-1], *(code for code in every if decoded[code].kind != FINITE)][:SPECIAL_SCALES]
    left = max(min(count - len(ends), len(finite)), 1)
    spread = [finite[place * len(finite) // left] for place in range(left)]
    return np.array([*ends, *spread], np.int64)


def _scales_of_elements(
    fmt: BlockFormat, shape: Shape, scales: Mapping[str, Sequence[int]]
) -> Iterator[dict[str, int]]:
    """The scales that each element of a tensor has, in C order."""
    places = {
        field.name: np.ravel_multi_index(
            [axis // extent for axis, extent in zip(np.indices(shape), field.extents(shape), strict=True)],
            field.grid(shape),
        ).ravel()
        if field.block
        else np.zeros(math.prod(shape), np.int64)
        for field in fmt.scales
    }
    for element in range(math.prod(shape)):
        yield {name: scales[name][int(place[element])] for name, place in places.items()}


def block_rows(file: VectorFile, fmt: BlockFormat) -> dict[str, NDArray[Any]]:
    """The columns of a set as codes, shape (rows, count): "values" in binary32, "codes", and each scale by its name."""
    formats = {"values": scalar_format("float32"), "codes": fmt.element}
    formats |= {field.name: field.format for field in fmt.scales}
    return {name: elements_of(file, name, column) for name, column in formats.items()}
