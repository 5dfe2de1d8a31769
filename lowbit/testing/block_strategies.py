"""Strategies for block formats, for arrays aimed at their edges, and for tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from lowbit.format import registry
from lowbit.format.block import BlockFormat
from lowbit.format.block_name import block_format
from lowbit.format.registry import block_format_of
from lowbit.format.types import FormatLike
from lowbit.ops.arrays import Array
from lowbit.ops.block.quantize import quantize
from lowbit.ops.block.tensor import BlockTensor
from lowbit.policy.block import BlockPolicy

SCALES = ("float16", "float32", "bfloat16", "float8_e8m0fnu", "float8_e4m3fn")
WIDEST_ELEMENT = 8
REACH = 8
"""Values are drawn with exponents of at most this magnitude about the block's own."""


def block_formats(*, families: bool = True) -> SearchStrategy[BlockFormat]:
    """Block formats of one-dimensional blocks; shrinks to the named ones.

    Parameters
    ----------
    families : bool
        Whether others than the named ones come too: any scalar element of at most 8 bits, any length, some scales, and
        scales by sign.
    """
    every = [block_format_of(name) for name in registry.formats(kind="block")]
    named = st.sampled_from([fmt for fmt in every if len(fmt.block) == 1 and fmt.block[0]])
    return st.one_of(named, _of_parts()) if families else named


@st.composite
def _of_parts(draw: Any) -> BlockFormat:
    names = [name for name in registry.formats(kind="float") if registry.scalar_format(name).bits <= WIDEST_ELEMENT]
    elements = [name for name in names if registry.scalar_format(name).signed] + ["int8", "int4", "int2", "q2.6"]
    element, scale = draw(st.sampled_from(elements)), draw(st.sampled_from(SCALES))
    return block_format(element, block=draw(st.integers(1, 40)), scale=scale, by_sign=draw(st.booleans()))


@st.composite
def block_arrays(draw: Any, fmt: FormatLike, *, specials: bool = False) -> Array:
    """binary32 matrices that a block format divides, shrinking to zeros.

    Each block is of one kind: multiples of a part of the largest element, which are values and ties after scaling;
    with a largest value beside a power of two; of one sign; or zeros.

    Parameters
    ----------
    fmt : BlockFormat or str
        Of one-dimensional blocks.
    specials : bool
        Whether NaN and infinities come too.
    """
    length = block_format_of(fmt).block[0]
    rows, blocks = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    parts = [_block(draw, length, specials=specials) for _ in range(rows * blocks)]
    return np.stack(parts).reshape(rows, blocks * length)


def _block(draw: Any, length: int, *, specials: bool) -> Array:
    kind = draw(st.sampled_from(["zero", "multiples", "power", "one_sign"]))
    power = draw(st.integers(-REACH, REACH))
    numbers = draw(st.lists(st.integers(-32, 32), min_size=length, max_size=length))
    block = np.ldexp(np.float32(numbers), power - 4)
    if kind == "zero":
        block[:] = 0
    elif kind == "one_sign":
        block = np.abs(block) * np.float32(draw(st.sampled_from([1, -1])))
    elif kind == "power":
        top = np.ldexp(np.float32(1), power + 2)
        toward = np.float32(draw(st.sampled_from([0.0, float(top), np.inf])))
        block[draw(st.integers(0, length - 1))] = np.nextafter(top, toward)
    if specials and draw(st.booleans()):
        block[draw(st.integers(0, length - 1))] = draw(st.sampled_from([np.nan, np.inf, -np.inf]))
    return np.asarray(block, np.float32)


@st.composite
def block_tensors(draw: Any, fmt: FormatLike, *, policy: BlockPolicy | str | None = None) -> BlockTensor:
    """Tensors of a format, as ``quantize`` makes them of :func:`block_arrays`."""
    return quantize(draw(block_arrays(fmt)), fmt, policy=policy)


def block_policies() -> SearchStrategy[BlockPolicy]:
    """Block policies of any choices that refuse nothing; shrinks to the defaults."""
    axes = {axis: [item for item in values if item != "error"] for axis, values in BlockPolicy.CHOICES.items()}
    axes |= {"quotient_scale": ["stored"], "search": ["none"]}  # other choices are refused with exact steps
    chosen = {axis: st.sampled_from(values) for axis, values in axes.items()}
    return st.builds(BlockPolicy, scale=st.just("ocp_sat"), tensor=st.just("ocp_sat"), **chosen)
