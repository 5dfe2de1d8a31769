"""Runs TFLite's softmax of int8 codes: parameters from the scale, then the plain kernel or the fast one."""

from __future__ import annotations

from typing import Any

import numpy as np

from lowbit.errors import IntermediateOverflowError
from lowbit.nonlinear.tflite import binary32, softmax_parameters
from lowbit.nonlinear.tflite_widths import VARIANTS, softmax_int8_widths
from lowbit.ops._nonlinear import MODES, Answer, Request, limits_of, require_rows, run_plain, unknown
from lowbit.ops._tflite import LONGEST_ROW, WHY_LONGEST, process_end, require_codes

__all__ = ["OPTIONS", "VARIANTS", "run"]

OPTIONS = frozenset({"beta"})
RESULT_BITS = (8, 16)


def run(request: Request) -> Answer:
    """Softmax along the rows; the result's zero point is its lowest code."""
    from lowbit.kernels.tflite_softmax import softmax_int8

    bits = 8 if request.bits is None else request.bits
    if bits not in RESULT_BITS:
        raise unknown("bits of tflite_int8's softmax", bits, RESULT_BITS)
    require_rows(request.rows, LONGEST_ROW, WHY_LONGEST)
    require_codes(request.rows, 8, "tflite_int8")
    scale, beta = binary32(request.scale), binary32(request.options.get("beta", 1), "beta")
    parameters = softmax_parameters(scale, beta, request.variant)
    single = request.variant == "single_rounding"
    constants = np.array(
        [parameters.multiplier, parameters.shift, single, parameters.lowest_difference, bits], np.int64
    )
    widths = softmax_int8_widths(request.variant, bits)
    limits, mode = limits_of(widths), MODES[request.overflow]

    def plain(rows: Any, out: Any, trap: Any) -> None:
        softmax_int8(rows, constants, limits, mode, out, trap)

    try:
        codes = run_plain(request, widths, np.dtype(f"int{bits}"), plain)
    except IntermediateOverflowError as error:
        raise process_end(error, request) from error
    return Answer(codes, 2.0**-bits)
