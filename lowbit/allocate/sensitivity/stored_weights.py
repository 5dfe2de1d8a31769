"""The weights of a layer as a block format stores them: nearest encoding ("RTN"), the baseline of all quantisers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lowbit.errors import InputError
from lowbit.format.block import MAX_LENGTH, BlockFormat
from lowbit.format.block_name import SCALE, block_format
from lowbit.format.registry import get_format, scalar_format
from lowbit.format.scalar import Scalar
from lowbit.format.types import FormatLike
from lowbit.ops.block.quantize import quantize
from lowbit.ops.block.tensor import BlockTensor
from lowbit.ops.pack.structs import STRUCTS
from lowbit.policy.block import get_block_policy

CHUNK = 1 << 20
"""Weights worked on at once: it bounds the memory, and with it the order in which errors are added."""


def stored_format(name: FormatLike, group: int = 128, scale_format: FormatLike = SCALE) -> BlockFormat:
    """A block format by its name; a scalar format with one scale for that many neighbours, 0: for an output.

    Raises
    ------
    InputError
        The name is unknown, the group is negative, the scales would be integers, or a scalar format has values of one
        sign only.
    """
    if group < 0:
        raise InputError(f"group = {group} is negative", hint="128, say, or 0 for one scale an output")
    fmt = get_format(name)
    if isinstance(fmt, BlockFormat):
        return fmt
    if not isinstance(fmt, Scalar) or not fmt.signed or fmt.max.fraction() <= 0:
        hint = f"int4, float4_e2m1fn or mxfp4, for example; with a zero point: {fmt.id}.g128.asymmetric"
        raise InputError(f"{fmt.id} cannot hold weights: it has no values of both signs", hint=hint)
    if scalar_format(scale_format).wraps:
        raise InputError(f"scale format {scale_format} is an integer format", hint="float16, bfloat16 or float32")
    stored = block_format(fmt, block=min(group, MAX_LENGTH) or "channel", scale=scale_format)
    get_block_policy(stored.default_policy).require_held(stored)
    return stored


def rows_and_columns(shape: tuple[int, ...]) -> tuple[int, int]:
    """A weight array as a matrix: a row an output (the first axis), a vector being one row."""
    rows = shape[0] if len(shape) > 1 else 1
    columns = 1
    for length in shape[1:] if len(shape) > 1 else shape:
        columns *= length
    return rows, columns


def stored_weights(weights: NDArray[Any], fmt: BlockFormat) -> Iterator[tuple[NDArray[Any], BlockTensor]]:
    """Some rows of a weight array after the other, and their codes and scales.

    The rows are outputs, the blocks lie along the other axes in storage order; a last one may be shorter, whatever the
    format's own policy says, but in ggml's structs. A format with scales over several rows has all rows at once.

    Raises
    ------
    InputError
        A weight is NaN or infinite, a scale is beyond its format, or ggml's blocks do not divide the rows.
    """
    rows, columns = rows_and_columns(weights.shape)
    matrix = np.asarray(weights).reshape(rows, columns)
    along_rows = all(len(field.block) == 1 for field in fmt.scales)
    step = max(1, CHUNK // max(1, columns)) if along_rows else max(1, rows)
    policy = replace(get_block_policy(fmt.default_policy), tail="short")
    if fmt.id in STRUCTS and columns % fmt.block[0]:
        what = f"{fmt.id} has blocks of {fmt.block[0]}, which do not divide a row of {columns}"
        raise InputError(what, hint="leave the tensor out with --exclude: ggml has whole blocks alone")
    for start in range(0, rows, step):
        part = matrix[start : start + step]
        finite = np.isfinite(part)
        if not finite.all():
            row, column = (int(index) for index in np.argwhere(~finite)[0])
            raise InputError(f"weights hold NaN or infinity, first in row {start + row}, column {column}")
        yield part, quantize(part, fmt, policy=policy)
