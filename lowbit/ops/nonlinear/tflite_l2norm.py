"""Runs TFLite's L2 normalisation of int8 codes."""

from __future__ import annotations

from typing import Any

import numpy as np

from lowbit.nonlinear.tflite_widths import VARIANTS, l2norm_widths
from lowbit.ops.nonlinear.dispatch import (
    MODES,
    Answer,
    Array,
    Request,
    limits_of,
    require_rows,
    require_whole,
    run_fast,
    run_plain,
)
from lowbit.ops.nonlinear.tflite import LONGEST_ROW, WHY_LONGEST, require_codes, require_result_bits

__all__ = ["OPTIONS", "VARIANTS", "run"]

OPTIONS = frozenset({"zero_point"})


def run(request: Request) -> Answer:
    """Normalise along the rows; the result is in 1/128."""
    require_rows(request.rows, LONGEST_ROW, WHY_LONGEST)
    require_codes(request.rows, 8, request.scheme)
    require_result_bits(request, 8)
    zero_point = require_whole("zero_point", request.options.get("zero_point", 0), -128, 127)
    single = request.variant == "single_rounding"
    codes = (_plain if request.overflow == "trap" else _by_tables)(request, zero_point, single)
    return Answer(codes, 2.0**-7)


def _plain(request: Request, zero_point: int, single: bool) -> Array:
    from lowbit.kernels.nonlinear.tflite_norm import l2norm_int8

    constants = np.array([0, 0, single, zero_point], np.int64)
    widths = l2norm_widths(request.variant)
    limits, mode = limits_of(widths), MODES[request.overflow]

    def plain(rows: Any, out: Any, trap: Any) -> None:
        l2norm_int8(rows, constants, limits, mode, out, trap)

    return run_plain(request, widths, np.dtype(np.int8), plain)


def _by_tables(request: Request, zero_point: int, single: bool) -> Array:
    from lowbit.kernels.nonlinear.fast_l2norm import l2norm_bytes

    mode = MODES[request.overflow]

    def kernel(rows: Any, out: Any) -> None:
        l2norm_bytes(rows, zero_point, int(single), mode, out.view(np.uint8))

    rows = request.rows.astype(np.int8, copy=False)
    return run_fast(request._replace(rows=rows), np.dtype(np.int8), kernel)
