"""Linear layers: codes times a weight, plus a bias in accumulator units, requantised."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from lowbit.errors import InputError
from lowbit.layers.layer import Bound, Interval, Layer, Quantity, Step, checked_parameter
from lowbit.layers.requantize import Output, check_output, finished, finished_bounds
from lowbit.ops.gemm.gemm import gemm
from lowbit.ops.gemm.paths import NOTHING
from lowbit.ops.gemm.prepack import PackedMatrix, prepack
from lowbit.ops.gemm.quick import quick_product
from lowbit.ops.memory import reused_empty
from lowbit.ops.types import Array


@dataclass(frozen=True, eq=False)
class Linear(Layer):
    """``requantise((codes - input.zero_point) @ (weight - weight_zero_point).T + bias)``.

    Attributes
    ----------
    input : Quantity
        int8, uint8, int16 or narrower.
    weight : ndarray of int8, shape (out, in)
        Codes of ``weight_format``.
    output : Rescale or Quantity
        With one multiplier, or one for each output; a Quantity of int32 hands out the accumulators.
    bias : ndarray of int32, shape (out,), optional
        In units of the accumulator.
    weight_zero_point : int or ndarray of int8, shape (out,)
        One for all outputs, or one for each.
    weight_format : str
        ``int8`` or narrower.

    Raises
    ------
    InputError
        A parameter has a wrong dtype, shape or value; the message begins with ``linear`` and names it.
    """

    operation = "linear"
    input: Quantity
    weight: npt.NDArray[np.int8]
    output: Output
    bias: npt.NDArray[np.int32] | None = None
    weight_zero_point: int | npt.NDArray[np.int8] = 0
    weight_format: str = "int8"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_parameter("weight", self.weight_format, (None, None))
        outputs = len(self.weight)
        if self.bias is not None:
            self.check_parameter("bias", "int32", (outputs,))
        if not isinstance(self.weight_zero_point, int):
            self.check_parameter("weight_zero_point", self.weight_format, (outputs,))
        else:
            checked_parameter(self.weight_zero_point, "linear: weight_zero_point", self.weight_format, ())
        self.require(
            self.input.format != "int32",
            "input has format int32, and products take at most 16 bits",
            hint="a requantize layer before it makes codes of 8 or 16 bits",
        )
        check_output(self.output, outputs, self.operation)

    @cached_property
    def packed(self) -> PackedMatrix:
        """The weight in the order in which kernels read it."""
        return prepack(self.weight.T, a_dtype=self.input.format)

    def accumulators(self, rows: Array, out: npt.NDArray[np.int32] | None = None) -> npt.NDArray[np.int32]:
        """The exact sums of rows of codes, modulo 2**32."""
        if isinstance(self.weight_zero_point, int) and self.weight_zero_point == 0:
            bias = NOTHING if self.bias is None else self.bias
            quick = quick_product(rows, self.packed, a_zero_point=self.input.zero_point, bias=bias, out=out)
            if quick is not None:
                return quick
        return gemm(
            rows,
            self.packed,
            a_zero_point=self.input.zero_point,
            b_zero_point=self.weight_zero_point,
            bias=self.bias,
            out=out,
        )

    def __call__(self, *codes: Array) -> Array:
        """The result's codes; as ``intermediates`` gives them, the sums in memory that is used again."""
        if isinstance(self.output, Quantity):
            return super().__call__(*codes)
        self.check(*codes)
        rows = self._rows(codes[0])
        outputs = len(self.weight)
        sums = self.accumulators(rows, reused_empty((len(rows), outputs), np.int32))
        return self.output(sums).reshape(*codes[0].shape[:-1], outputs)

    def _rows(self, array: Array) -> Array:
        length = self.weight.shape[1]
        if array.shape[-1:] != (length,):
            raise InputError(f"{self.operation}: input has shape {array.shape}, not (..., {length})")
        return array.reshape(-1, length)

    def channels(self, *given: int | None) -> int:
        self.require_channels(given[0], self.weight.shape[1])
        return len(self.weight)

    def steps(self, *codes: Array) -> Iterator[Step]:
        sums = self.accumulators(self._rows(codes[0]))
        return finished(self.output, sums.reshape(*codes[0].shape[:-1], len(self.weight)))

    def bounds(self, *ranges: Interval) -> Iterator[Bound]:
        weight = self.weight.astype(np.int64) - np.reshape(self.weight_zero_point, (-1, 1))
        return product_bounds(ranges[0].less(self.input.zero_point), weight, self.bias, self.output)


def product_bounds(
    inputs: Interval, weight: npt.NDArray[np.int64], bias: Array | None, output: Output
) -> Iterator[Bound]:
    """The bounds of ``inputs @ weight.T + bias`` and of what follows; inputs and weight less their zero points.

    Each product takes its extremes at the ends of its interval on its own, so the sums of the extremes are attained;
    the sums of the positive and of the negative ones bound any part of a sum, in whatever order it is made.
    """
    ends = weight * inputs.low, weight * inputs.high
    low, high = np.minimum(*ends), np.maximum(*ends)
    start = np.zeros(len(weight), np.int64) if bias is None else bias.astype(np.int64)
    parts = np.minimum(low, 0).sum(axis=1), np.maximum(high, 0).sum(axis=1)
    yield Bound("partial sums", parts[0] + np.minimum(start, 0), parts[1] + np.maximum(start, 0), 32)
    yield from finished_bounds(output, Interval(low.sum(axis=1) + start, high.sum(axis=1) + start))
