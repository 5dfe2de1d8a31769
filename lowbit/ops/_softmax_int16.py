"""Runs the softmax of int16 codes of TFLite Micro, LiteRT and CMSIS-NN: multiplier, tables, the plain kernel."""

from __future__ import annotations

from typing import Any

import numpy as np

from lowbit.errors import IntermediateOverflowError
from lowbit.nonlinear.stored_tables import stored_table
from lowbit.nonlinear.tflite import QuantizedMultiplier, binary32, softmax_int16_multiplier, softmax_reciprocal_table
from lowbit.nonlinear.tflite_widths import VARIANTS, softmax_int16_widths
from lowbit.ops._nonlinear import MODES, Answer, Request, limits_of, require_rows, require_whole, run_plain
from lowbit.ops._tflite import LONGEST_ROW, WHY_LONGEST, process_end, require_codes, require_multiplier

__all__ = ["OPTIONS", "VARIANTS", "run"]

OPTIONS = frozenset({"beta", "multiplier", "shift"})


def run(request: Request) -> Answer:
    """Softmax along the rows; the result is in 1/32768."""
    from lowbit.kernels.tflite_softmax import softmax_int16

    if request.bits is not None:
        require_whole("bits", request.bits, 16, 16)
    require_rows(request.rows, LONGEST_ROW, WHY_LONGEST)
    require_codes(request.rows, 16, request.scheme)
    multiplier, shift = _parameters(request)
    single = request.variant == "single_rounding"
    constants = np.array([multiplier, shift, single, 0, 16, request.scheme == "cmsis_int16"], np.int64)
    widths = softmax_int16_widths(request.variant, request.scheme)
    limits, mode = limits_of(widths), MODES[request.overflow]
    exp_table = np.array(stored_table("tflite_softmax_exp"), np.int64)
    reciprocal_table = np.array(stored_table(softmax_reciprocal_table(request.scheme)), np.int64)

    def plain(rows: Any, out: Any, trap: Any) -> None:
        softmax_int16(rows, constants, exp_table, reciprocal_table, limits, mode, out, trap)

    try:
        codes = run_plain(request, widths, np.dtype(np.int16), plain)
    except IntermediateOverflowError as error:
        raise process_end(error, request) from error
    return Answer(codes, 2.0**-15)


def _parameters(request: Request) -> QuantizedMultiplier:
    """Given as the C function takes them, or derived from the scale."""
    given = require_multiplier(request)
    if given is not None:
        return given
    beta = binary32(request.options.get("beta", 1), "beta")
    return softmax_int16_multiplier(binary32(request.scale), beta, request.scheme)
