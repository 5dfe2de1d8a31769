"""Levels: the values that the codes of a block tensor may take, block by block."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lowbit.errors import InputError
from lowbit.format.protocol import Scalar
from lowbit.ops.arrays import Array, all_codes
from lowbit.ops.block.dequantize import dequantize
from lowbit.ops.block.tensor import BlockTensor
from lowbit.ops.cast.cast import decode
from lowbit.quantizers.inputs import Doubles

WIDEST_BITS = 8
"""Elements whose values are listed, a list a block."""


@dataclass(frozen=True, eq=False)
class Levels:
    """The levels of a matrix whose blocks lie along the inputs.

    Attributes
    ----------
    codes : ndarray, shape (count,)
        Codes of the element format, finite ones, by ascending value; -0 stands before 0.
    values : ndarray of float64, shape (outputs, blocks, count)
        Of these codes: ascending, or descending where the scale is negative, as in ggml's Q4_0.
    odd : ndarray of int64, shape (outputs, blocks)
        1 where a tie goes to odd codes: the zero point is odd.
    """

    codes: Array
    values: Doubles
    odd: npt.NDArray[np.int64]

    @property
    def even(self) -> npt.NDArray[np.int64]:
        """1 where a tie between a code and the next one goes to the code itself."""
        return (1 - (self.codes.astype(np.int64) & 1)).astype(np.int64)


def levels_of(tensor: BlockTensor) -> Levels:
    """The levels that the scales of a tensor (outputs, inputs) leave to its codes.

    Raises InputError: elements have more than 8 bits.
    """
    fmt, outputs = tensor.format, tensor.shape[0]
    length = fmt.block[0] if fmt.block and fmt.block[0] else tensor.shape[1]
    if any(field.block and field.block[-1] % length for field in fmt.scales if field.block[-1:] != (0,)):
        raise InputError(
            f"{fmt.id} has scales of blocks shorter than {length}, and this method takes one list of values a block",
            hint="round_to_nearest works in it",
        )
    codes = _ascending(fmt.scalar_element)
    blocks = tensor.shape[1] // length
    width = -(-codes.size // length) * length
    wide = np.resize(codes, width).astype(fmt.element.code_dtype)
    listed = np.broadcast_to(wide, (outputs, blocks, width)).reshape(outputs, blocks * width)
    scales = {field.name: tensor.scale_codes(field.name) for field in fmt.scales}
    for field in fmt.scales:
        if field.block and field.block[-1]:
            scales[field.name] = np.repeat(scales[field.name], width // length, axis=1)
    values = dequantize(BlockTensor.trusted(fmt, 1, np.ascontiguousarray(listed), scales), dtype=np.float64)
    odd = np.zeros((outputs, blocks), np.int64)
    for field in fmt.of_role("zero_point"):
        odd = odd + (tensor.scale_codes(field.name).astype(np.int64) & 1)
    return Levels(codes, values.reshape(outputs, blocks, width)[:, :, : codes.size], odd)


def _ascending(element: Scalar) -> Array:
    """Finite codes by their value, of equal ones the one with a sign first."""
    if element.bits > WIDEST_BITS:
        raise InputError(
            f"elements of {element.id} have {element.bits} bits, and this method lists their values",
            hint=f"elements of at most {WIDEST_BITS} bits",
        )
    codes = all_codes(element)
    codes = codes[(codes >= element.codes[0]) & (codes <= element.codes[-1])]
    values = np.asarray(decode(codes, element, dtype=np.float64))
    codes, values = codes[np.isfinite(values)], values[np.isfinite(values)]
    order = np.lexsort((~np.signbit(values), values))
    result: Array = codes[order]
    return result
