"""Integers under scales that are learned: what a format of integers makes of weights, differentiable, and its codes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lowbit.errors import InputError
from lowbit.format.block import BlockFormat, ScaleField
from lowbit.ops.arrays import Array
from lowbit.ops.block.affine import is_affine
from lowbit.ops.block.scales import field_values
from lowbit.ops.block.tensor import BlockTensor
from lowbit.ops.cast.cast import decode, encode
from lowbit.policy.block import BlockPolicy
from lowbit.quantizers.clip import block_length, nearest
from lowbit.quantizers.inputs import Doubles
from lowbit.quantizers.learned.estimators import fake_quantize, round_through, through
from lowbit.quantizers.learned.gradients import differentiable
from lowbit.quantizers.learned.optimizers import Arrays

SMALLEST_RANGE = 1e-6
"""CalibTIP's, of the largest range of the matrix here, which may be of any size."""


@dataclass(frozen=True)
class Integers:
    """A block format of integers and the matrix that is brought into it, with ranges that may be learned.

    Learned are ``weight`` (outputs, inputs), ``range`` (blocks and axes of 1), all of a block's steps together, and
    with a zero point ``lowest``, the value of the lowest code; all in binary32.

    Attributes
    ----------
    format : BlockFormat
    shape : tuple of int
        (outputs, blocks of a row, values of a block).
    start : dict of str to ndarray
        As round to nearest has them.
    """

    format: BlockFormat
    shape: tuple[int, int, int]
    start: Arrays

    @classmethod
    def of(cls, matrix: Doubles, fmt: BlockFormat, policy: BlockPolicy | str | None, method: str) -> Integers:
        """The start of a matrix.

        Raises InputError: the format is not of integers with a factor each block, and perhaps a zero point.
        """
        plain = fmt.number.wraps and [field.role for field in fmt.scales] == ["multiply"]
        if not plain and not (is_affine(fmt) and fmt.scales[-1].role == "zero_point"):
            what = f"{method} learns integers with one scale, with or without a zero point, and {fmt.id} has others"
            raise InputError(what, hint="int4.channel, uint4.g128.asymmetric")
        tensor, length = nearest(matrix, fmt, policy), block_length(fmt, matrix.shape[1])
        shape = (len(matrix), matrix.shape[1] // length, length)
        scale, *zero = (_numbers(tensor, field) for field in fmt.scales)
        scale = np.where(scale == 0, 1, np.abs(scale)).astype(np.float32)  # ggml has some below 0; 1 for zeros
        low, high = fmt.number.codes[0], fmt.number.codes[-1]
        start = {"weight": matrix.astype(np.float32), "range": scale * np.float32(high - low)}
        if zero:
            start["lowest"] = (np.float32(low) - zero[0]) * scale
        return cls(fmt, shape, start)

    @property
    def steps(self) -> int:
        """Between the lowest code and the highest."""
        return self.format.number.codes[-1] - self.format.number.codes[0]

    def scale(self, learned: Mapping[str, Any]) -> Any:
        """The factor of each block as it is stored, with a slope of 1 through the rounding to its format."""
        return through(learned["range"] / np.float32(self.steps), self._stored)

    def zero(self, learned: Mapping[str, Any], scale: Any) -> Any:
        """The zero point of each block: an integer that is a code, with a slope of 1."""
        if "lowest" not in learned:
            return np.float32(0)
        place = round_through(np.float32(self.format.number.codes[0]) - learned["lowest"] / scale)
        codes = self.format.scales[-1].format.codes
        return differentiable().namespace.clip(place, np.float32(codes[0]), np.float32(codes[-1]))

    def values(self, learned: Mapping[str, Any], estimator: str = "lsq") -> Any:
        """The quantised weights in binary32, bit for bit those of :meth:`tensor`."""
        scale, codes = self.scale(learned), self.format.number.codes
        blocks = learned["weight"].reshape(self.shape)
        zero = self.zero(learned, scale)
        result = fake_quantize(blocks, scale, zero, low=codes[0], high=codes[-1], estimator=estimator)
        return result.reshape((self.shape[0], -1))

    def tensor(self, learned: Arrays) -> BlockTensor:
        """The codes and the scales."""
        scale = np.asarray(self.scale(learned))
        zero, codes = np.asarray(self.zero(learned, scale)), self.format.number.codes
        blocks = learned["weight"].reshape(self.shape)
        integers = np.clip(np.rint(blocks / scale) + zero, codes[0], codes[-1]).reshape(self.shape[0], -1)
        factor, *rest = self.format.scales
        scales = {factor.name: encode(scale, factor.format).reshape(self._of(factor))}
        for field in rest:
            scales[field.name] = zero.reshape(self._of(field)).astype(field.format.code_dtype)
        return BlockTensor.trusted(self.format, 1, integers.astype(self.format.number.code_dtype), scales)

    def kept(self, learned: Arrays) -> Arrays:
        """Ranges above 0: what is done after every step."""
        least = np.float32(SMALLEST_RANGE) * self.start["range"].max()
        return {**learned, "range": np.maximum(learned["range"], least)}

    def _stored(self, scale: Array) -> Array:
        fmt = self.format.scales[0].format
        return np.asarray(decode(encode(scale, fmt), fmt, dtype=np.float32))

    def _of(self, field: ScaleField) -> tuple[int, ...]:
        return self.shape[:2] if field.block else ()


def _numbers(tensor: BlockTensor, field: ScaleField) -> npt.NDArray[np.float32]:
    """What a scale's codes stand for, an axis of 1 for the values of a block."""
    codes = tensor.scale_codes(field.name)
    values = np.asarray(field_values(codes, field), np.float32)
    return values.reshape(*values.shape, 1) if values.ndim == 2 else values.reshape(1, 1, 1)
