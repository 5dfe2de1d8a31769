"""Runs LiteRT's optimised softmax, logistic and tanh of int8 codes: tables that it builds in binary32."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lowbit.nonlinear.binary32 import scale32
from lowbit.nonlinear.litert import RESULT_STEPS, sigmoid_table, softmax_table
from lowbit.ops.nonlinear.dispatch import Answer, Request, fast, prepared
from lowbit.ops.nonlinear.rows import narrow_by_table
from lowbit.ops.nonlinear.tflite import require_codes, require_rows_of_codes, zero_point_of
from lowbit.ops.types import Array


def softmax(request: Request) -> Answer:
    """Softmax along the rows; the result's zero point is its lowest code. No integer can overflow."""
    from lowbit.kernels.nonlinear.fast_litert import softmax_bytes, softmax_words

    require_rows_of_codes(request)
    table = _exponentials(request.scale, scale32(request.options.get("beta", 1), "beta"))
    rows, unit = request.rows.astype(np.int8, copy=False), np.float32(2.0**-request.bits)
    kernel = softmax_words if request.bits == 16 else softmax_bytes
    return Answer(fast(request, rows, kernel, table, unit), 2.0**-request.bits, -(1 << request.bits - 1))


@prepared
def _exponentials(scale: float, beta: float) -> npt.NDArray[np.float32]:
    return np.array([float(entry) for entry in softmax_table(scale, beta)], dtype=np.float32)


def sigmoid(request: Request) -> Answer:
    """Each code by itself; nothing can overflow."""
    require_codes(request)
    zero_point_of(request)
    steps, result_zero_point = RESULT_STEPS[request.operation]
    return Answer(narrow_by_table(request, _each), 1 / steps, result_zero_point)


def _each(request: Request) -> Array:
    table = _table(request.operation, request.scale, zero_point_of(request))
    return table[request.rows.astype(np.int64) + 128]


@prepared
def _table(operation: str, scale: float, zero_point: int) -> npt.NDArray[np.int8]:
    return np.array(sigmoid_table(operation, scale, zero_point), dtype=np.int8)
