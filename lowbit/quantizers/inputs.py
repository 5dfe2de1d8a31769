"""What every method is given: a matrix of weights, rows of activations, a block format; checked once, in one place."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import numpy.typing as npt

from lowbit.errors import InputError, UnknownFormatError
from lowbit.format.block import BlockFormat
from lowbit.format.registry import block_format_of
from lowbit.format.types import FormatLike
from lowbit.ops.arrays import Array, as_array
from lowbit.ops.block.values import plain_values

Doubles = npt.NDArray[np.float64]


def weight_matrix(weights: Any, what: str = "weights") -> Doubles:
    """Weights, shape (outputs, inputs), in binary64.

    Raises InputError: they are not a matrix of numbers that binary32 holds.
    """
    matrix = finite_matrix(weights, what, "(outputs, inputs), as in torch.nn.Linear")
    beyond = np.abs(matrix) > float(np.finfo(np.float32).max)
    if beyond.any():
        row, column = (int(index) for index in np.argwhere(beyond)[0])
        raise InputError(
            f"{what}[{row}, {column}] is {matrix[row, column]}, beyond binary32, in which quantisers take them",
            hint=f"scale the {what}",
        )
    return matrix


def activation_rows(activations: Any, inputs: int, method: str) -> Doubles:
    """Activations, shape (rows, inputs), in binary64; leading axes become rows.

    Raises InputError: they are missing, not finite, or of another width.
    """
    if activations is None:
        raise InputError(f"{method} needs activations", hint="rows that go into the layer, shape (rows, inputs)")
    array = as_array(activations, "activations")
    rows = finite_matrix(
        array.reshape(-1, array.shape[-1]) if array.ndim > 2 else array, "activations", "(rows, inputs)"
    )
    if rows.shape[1] != inputs:
        raise InputError(
            f"activations have {rows.shape[1]} columns and weights {inputs}: both are the layer's inputs",
            hint="weights are (outputs, inputs), activations (rows, inputs)",
        )
    return rows


def weight_format(to: FormatLike, inputs: int, method: str) -> BlockFormat:
    """The block format that weights are brought into, whose blocks divide the inputs.

    Raises InputError: its blocks have rows and columns, or do not divide the inputs.
    """
    try:
        fmt = block_format_of(to)
    except UnknownFormatError as error:
        others = _whose(to) if isinstance(to, str) else []
        if not others:
            raise
        what = f"{to} is not a block format, in which {method} works, but what {', '.join(others)} makes"
        raise InputError(what, hint="int4.g128, nf4.g64 or mxfp4, for example") from error
    if len(fmt.block) > 1:
        raise InputError(
            f"{method} works on blocks along the inputs, and {fmt.id} has blocks of {fmt.block}", hint="int4.g128, say"
        )
    lengths = [field.block[-1] for field in fmt.scales if field.block and field.block[-1]]
    length = next((length for length in lengths if inputs % length), 0)
    if length:
        raise InputError(
            f"{fmt.id} has blocks of {length}, which do not divide the {inputs} weights of a channel: quantisers work "
            "on whole blocks",
            hint="a shorter block, the block 'channel', or weights and activations padded with zeros",
        )
    return fmt


def _whose(to: str) -> list[str]:
    """The methods that work in something of this kind unasked, whatever its numbers are: tables, pulses."""
    from lowbit.quantizers.method import methods

    kind = re.sub(r"\d+", "0", to)
    return [method.name for method in methods().values() if re.sub(r"\d+", "0", method.to) == kind]


def adapter_product(adapter: Any, shape: tuple[int, ...]) -> Doubles:
    """What a low-rank adapter adds to weights, ``left @ right``; zeros without one.

    Raises InputError: it is not a pair of matrices (outputs, rank) and (rank, inputs).
    """
    if adapter is None:
        return np.zeros(shape)
    wanted = f"a pair of shapes ({shape[0]}, rank) and (rank, {shape[1]})"
    if not isinstance(adapter, tuple | list) or len(adapter) != 2:
        raise InputError("the adapter is not a pair of matrices", hint=wanted)
    left, right = (finite_matrix(part, f"adapter[{place}]", wanted) for place, part in enumerate(adapter))
    if (left.shape[0], right.shape[1]) != shape or left.shape[1] != right.shape[0]:
        raise InputError(f"the adapter's parts have the shapes {left.shape} and {right.shape}", hint=wanted)
    return left @ right


def finite_matrix(values: Any, what: str, shape: str) -> Doubles:
    """A matrix in binary64; ``what`` and its ``shape`` are for messages.

    Raises InputError: it is not a matrix, is empty, or holds what is not a finite number.
    """
    array: Array = as_array(values, what)
    if array.ndim != 2:
        raise InputError(f"{what} have the shape {array.shape}: a matrix is needed", hint=shape)
    if not array.size:
        raise InputError(f"{what} have the shape {array.shape}: there is nothing to quantise", hint=shape)
    matrix: Doubles = plain_values(array).astype(np.float64)
    finite = np.isfinite(matrix)
    if not finite.all():
        row, column = (int(index) for index in np.argwhere(~finite)[0])
        raise InputError(
            f"{what}[{row}, {column}] is {matrix[row, column]}: every number must be finite", hint="replace it first"
        )
    return matrix
