"""Runs logistic and tanh of int16 codes: TFLite's reference kernels, and LiteRT's optimised ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from lowbit.nonlinear.stored_tables import stored_table
from lowbit.nonlinear.tflite import binary32, sigmoid_int16_left_shift, sigmoid_int16_parameters
from lowbit.nonlinear.tflite_widths import sigmoid_int16_widths
from lowbit.ops._nonlinear import MODES, Answer, Request, limits_of, run_plain
from lowbit.ops._tflite import require_codes, require_result_bits

__all__ = ["OPTIONS", "VARIANTS", "run"]

VARIANTS = ("",)
OPTIONS: frozenset[str] = frozenset()
RESULT_SCALE = 2.0**-15


def run(request: Request) -> Answer:
    """Each code by itself."""
    from lowbit.kernels.tflite_sigmoid import sigmoid_int16, sigmoid_int16_optimised

    require_codes(request.rows, 16, request.scheme)
    require_result_bits(request, 16)
    scale, is_tanh = binary32(request.scale), request.operation == "tanh"
    widths = sigmoid_int16_widths(request.operation)
    limits, mode = limits_of(widths), MODES[request.overflow]
    left_shift = sigmoid_int16_left_shift(scale, request.operation)
    constants = np.array([*sigmoid_int16_parameters(scale, request.operation), 0, 0, 0, is_tanh], np.int64)
    table = np.array(stored_table("tflite_sigmoid"), np.int64)

    def interpolated(rows: Any, out: Any, trap: Any) -> None:
        sigmoid_int16(rows, constants, table, limits, mode, out, trap)

    def optimised(rows: Any, out: Any, _: Any) -> None:
        sigmoid_int16_optimised(rows, left_shift, int(is_tanh), out)

    plain = optimised if request.scheme == "litert_int16" and left_shift is not None else interpolated
    return Answer(run_plain(request, widths, np.dtype(np.int16), plain), RESULT_SCALE)
