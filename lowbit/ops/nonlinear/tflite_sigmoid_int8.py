"""Runs TFLite's logistic and tanh of int8 codes."""

from __future__ import annotations

from typing import Any

import numpy as np

from lowbit.nonlinear.tflite import binary32, sigmoid_parameters
from lowbit.nonlinear.tflite_widths import VARIANTS, sigmoid_int8_widths
from lowbit.ops.nonlinear.dispatch import MODES, Answer, Array, Request, limits_of, require_whole, run_plain
from lowbit.ops.nonlinear.tflite import by_table, require_codes, require_result_bits

__all__ = ["OPTIONS", "VARIANTS", "run"]

OPTIONS = frozenset({"zero_point"})
RESULT_SCALE = {"logistic": 2.0**-8, "tanh": 2.0**-7}
EVERY_CODE = np.arange(-128, 128, dtype=np.int8).reshape(1, -1)


def run(request: Request) -> Answer:
    """Each code by itself: through a table of all 256 where there are more of them."""
    require_codes(request.rows, 8, request.scheme)
    require_result_bits(request, 8)
    scale = RESULT_SCALE[request.operation]
    if request.rows.size <= EVERY_CODE.size or request.overflow == "trap":
        return Answer(_each(request), scale)
    return Answer(by_table(request, _each(request._replace(rows=EVERY_CODE))[0]), scale)


def _each(request: Request) -> Array:
    from lowbit.kernels.nonlinear.tflite_sigmoid import sigmoid_int8

    zero_point = require_whole("zero_point", request.options.get("zero_point", 0), -128, 127)
    multiplier, shift, radius = sigmoid_parameters(binary32(request.scale))
    single = request.variant == "single_rounding"
    constants = np.array([multiplier, shift, single, radius, zero_point, request.operation == "tanh"], np.int64)
    widths = sigmoid_int8_widths(request.operation, request.variant)
    limits, mode = limits_of(widths), MODES[request.overflow]

    def plain(rows: Any, out: Any, trap: Any) -> None:
        sigmoid_int8(rows, constants, limits, mode, out, trap)

    return run_plain(request, widths, np.dtype(np.int8), plain)
