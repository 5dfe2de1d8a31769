"""Runs logistic and tanh of int16 codes: TFLite's reference kernels, and LiteRT's optimised ones."""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np

from lowbit.nonlinear.stored_tables import stored_table
from lowbit.nonlinear.tflite import binary32, sigmoid_int16_left_shift, sigmoid_int16_parameters
from lowbit.nonlinear.tflite_widths import sigmoid_int16_widths
from lowbit.ops.nonlinear.dispatch import MODES, Answer, Array, Request, limits_of, run_plain
from lowbit.ops.nonlinear.tflite import by_table, require_codes, require_result_bits

__all__ = ["OPTIONS", "VARIANTS", "run"]

VARIANTS = ("",)
OPTIONS: frozenset[str] = frozenset()
RESULT_SCALE = 2.0**-15
EVERY_CODE = np.arange(-(1 << 15), 1 << 15, dtype=np.int32).astype(np.int16).reshape(1, -1)


def run(request: Request) -> Answer:
    """Each code by itself: through a table of all 65,536 where there are more of them."""
    require_codes(request.rows, 16, request.scheme)
    require_result_bits(request, 16)
    scale = binary32(request.scale)
    if request.rows.size <= EVERY_CODE.size or request.overflow == "trap":
        return Answer(_each(request, scale), RESULT_SCALE)
    table = _table(request.operation, request.scheme, request.overflow, scale.as_integer_ratio())
    return Answer(by_table(request, table), RESULT_SCALE)


@lru_cache(maxsize=32)
def _table(operation: str, scheme: str, overflow: str, scale: tuple[int, int]) -> Array:
    every = Request(EVERY_CODE, None, "", overflow, None, 1, {}, operation, scheme)
    return _each(every, Fraction(*scale)).reshape(-1)


def _each(request: Request, scale: Fraction) -> Array:
    from lowbit.kernels.nonlinear.tflite_sigmoid import sigmoid_int16, sigmoid_int16_optimised

    is_tanh = request.operation == "tanh"
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
    return run_plain(request, widths, np.dtype(np.int16), plain)
