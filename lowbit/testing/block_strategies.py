"""Strategies for block formats, for arrays aimed at their edges, and for tensors."""

from __future__ import annotations

from functools import lru_cache
from itertools import islice
from typing import Any

import numpy as np
from hypothesis import reject
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from lowbit.errors import InputError
from lowbit.format import registry
from lowbit.format.block import BlockFormat
from lowbit.format.block_name import block_format
from lowbit.format.build import vector_format
from lowbit.format.registry import block_format_of
from lowbit.format.types import FormatLike
from lowbit.ops.arrays import Array
from lowbit.ops.block.quantize import is_made, quantize
from lowbit.ops.block.tensor import BlockTensor
from lowbit.policy.block import BINARY32_STEPS, BlockPolicy
from lowbit.vectors.block.blocks import Blocks
from lowbit.vectors.flags.block import INFINITY_IN_BLOCK, NAN_IN_BLOCK
from lowbit.vectors.flags.cast import RANDOM

SCALES = ("float16", "float32", "bfloat16", "float8_e8m0fnu", "float8_e4m3fn")
WIDEST_ELEMENT = 8
MOST_NUMBERS, MOST_VECTORS = 4, 9
REACH = 8
"""Values are drawn with exponents of at most this magnitude about the block's own."""
DRAWN = 32
"""So many values of a block are drawn; longer ones repeat them."""
FIRST = 40
"""So many directed blocks of a flag are drawn from."""
SPECIAL_FLAGS = (NAN_IN_BLOCK, INFINITY_IN_BLOCK, RANDOM)


def block_formats(*, families: bool = True) -> SearchStrategy[BlockFormat]:
    """Block formats of one-dimensional blocks that ``quantize`` makes; shrinks to the named ones.

    Parameters
    ----------
    families : bool
        Whether others than the named ones come too: any scalar element of at most 8 bits or a few vectors, any length,
        some scales, and scales by sign.

    Examples
    --------
    >>> from hypothesis import find
    >>> find(block_formats(), lambda fmt: fmt.element.id == "float4_e2m1fn").kind
    'block'
    """
    every = [block_format_of(name) for name in registry.formats(kind="block")]
    named = st.sampled_from([fmt for fmt in every if len(fmt.block) == 1 and fmt.block[0] and is_made(fmt)])
    return st.one_of(named, _of_parts(), _of_vectors()) if families else named


@st.composite
def _of_parts(draw: Any) -> BlockFormat:
    names = [name for name in registry.formats(kind="float") if registry.scalar_format(name).bits <= WIDEST_ELEMENT]
    elements = [name for name in names if registry.scalar_format(name).signed] + ["int8", "int4", "int2", "q2.6"]
    element, scale = draw(st.sampled_from(elements)), draw(st.sampled_from(SCALES))
    return block_format(element, block=draw(st.integers(1, 40)), scale=scale, by_sign=draw(st.booleans()))


@st.composite
def _of_vectors(draw: Any) -> BlockFormat:
    """Blocks of a few vectors, of which some are equally near to much."""
    size = draw(st.integers(2, MOST_NUMBERS))
    quarters = st.lists(st.integers(-8, 8), min_size=size, max_size=size)
    vectors = np.array([[4] * size, *draw(st.lists(quarters, max_size=MOST_VECTORS))]) / 4
    element, scale = vector_format(vectors), draw(st.sampled_from(SCALES))
    by_sign = element.signed and draw(st.booleans())
    return block_format(element, block=size * draw(st.integers(1, 8)), scale=scale, by_sign=by_sign)


def block_arrays(fmt: FormatLike, *, specials: bool = False) -> SearchStrategy[Array]:
    """binary32 arrays that a block format divides, of two axes or as many as its blocks have; shrinking to zeros.

    Each block is of one kind: multiples of a part of the largest element, of one sign or both; a largest value beside a
    power of two; zeros; or one of the directed blocks of golden sets: every value and every tie of the elements under
    a scale, largest values where scale rules part, ties of the scale, the ends of binary32.

    Parameters
    ----------
    fmt : BlockFormat or str
    specials : bool
        Whether NaN and infinities come too.

    Examples
    --------
    >>> from hypothesis import find
    >>> find(block_arrays("mxfp4"), lambda _: True).dtype.name
    'float32'
    """
    return _arrays(block_format_of(fmt), specials)


@st.composite
def _arrays(draw: Any, fmt: BlockFormat, specials: bool) -> Array:
    shape = Blocks(fmt).shape
    rows, columns = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    grid = [[_block(draw, fmt, specials=specials).reshape(shape) for _ in range(columns)] for _ in range(rows)]
    if len(shape) == 1:
        return np.stack([np.concatenate(row) for row in grid])
    return np.concatenate([np.concatenate(row, axis=-1) for row in grid], axis=-2)


@lru_cache(maxsize=32)
def _directed(fmt: BlockFormat) -> dict[int, list[Array]]:
    """The first directed blocks of every flag that are finite, those of zeros first."""
    flags = Blocks(fmt).of_flag()
    first = {flag: list(islice(blocks, FIRST)) for flag, blocks in flags.items() if flag not in SPECIAL_FLAGS}
    return {flag: blocks for flag, blocks in first.items() if blocks}


def _block(draw: Any, fmt: BlockFormat, *, specials: bool) -> Array:
    length = Blocks(fmt).length
    kind = draw(st.sampled_from(["zero", "multiples", "directed", "power", "one_sign"]))
    block = np.zeros(length, np.float32)
    if kind == "directed":
        block = draw(st.sampled_from(draw(st.sampled_from(list(_directed(fmt).values()))))).copy()
    elif kind != "zero":
        power = draw(st.integers(-REACH, REACH))
        count = min(length, DRAWN)
        numbers = draw(st.lists(st.integers(-32, 32), min_size=count, max_size=count))
        block = np.ldexp(np.resize(np.float32(numbers), length), power - 4)
        if kind == "one_sign":
            block = np.abs(block) * np.float32(draw(st.sampled_from([1, -1])))
        elif kind == "power":
            top = np.ldexp(np.float32(1), power + 2)
            toward = np.float32(draw(st.sampled_from([0.0, float(top), np.inf])))
            block[draw(st.integers(0, length - 1))] = np.nextafter(top, toward)
    if specials and draw(st.booleans()):
        block[draw(st.integers(0, length - 1))] = draw(st.sampled_from([np.nan, np.inf, -np.inf]))
    return np.asarray(block, np.float32)


def block_tensors(
    fmt: FormatLike, *, policy: BlockPolicy | str | None = None, specials: bool = False
) -> SearchStrategy[BlockTensor]:
    """Tensors of a format, as ``quantize`` makes them of :func:`block_arrays`.

    Parameters
    ----------
    fmt : BlockFormat or str
    policy : BlockPolicy or str, optional
        What ``quantize`` follows; an array that it refuses is drawn again.
    specials : bool
        Whether blocks with NaN and infinities come too.

    Examples
    --------
    >>> from hypothesis import find
    >>> find(block_tensors("mxfp4"), lambda _: True).format.id
    'mxfp4'
    """
    known = block_format_of(fmt)

    def quantized(values: Array) -> BlockTensor:
        try:
            return quantize(values, known, policy=policy)
        except InputError:
            reject()
            raise

    return _arrays(known, specials).map(quantized)


def block_policies() -> SearchStrategy[BlockPolicy]:
    """Block policies of any choices that refuse nothing; shrinks to the defaults.

    Examples
    --------
    >>> from hypothesis import find
    >>> find(block_policies(), lambda _: True).name
    ''
    """
    axes = {axis: [item for item in values if item != "error"] for axis, values in BlockPolicy.CHOICES.items()}
    axes |= {
        "quotient_scale": ["stored"],
        "search": ["none"],
        "quotient_bins": ["none"],
        "rounding_steps": ["none"],
        "scale_rule": [rule for rule in axes["scale_rule"] if rule not in BINARY32_STEPS],
    }  # other choices are refused with exact steps
    chosen = {axis: st.sampled_from(values) for axis, values in axes.items()}
    return st.builds(BlockPolicy, scale=st.just("ocp_sat"), tensor=st.just("ocp_sat"), **chosen)
