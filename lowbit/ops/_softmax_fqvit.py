"""Runs FQ-ViT's log-int-softmax."""

from __future__ import annotations

from typing import Any

import numpy as np

from lowbit.errors import InputError
from lowbit.nonlinear.fqvit import SOFTMAX_BITS, VARIANTS, softmax_widths
from lowbit.nonlinear.ibert import exp_constants
from lowbit.ops._nonlinear import (
    MODES,
    Answer,
    Request,
    binary32_scale,
    limits_of,
    require_code_range,
    require_rows,
    require_whole,
    run_plain,
    smallest_dtype,
)
from lowbit.ops._softmax_ibert import kernel_constants

__all__ = ["OPTIONS", "VARIANTS", "run"]

OPTIONS: frozenset[str] = frozenset()
LONGEST = 1 << 20
SUM_BITS = 62
"""What the kernels hold: c * 2^30 an element."""


def run(request: Request) -> Answer:
    """Log-int-softmax along the rows; it has no scale, a result r stands for 2^-r."""
    from lowbit.kernels.softmax_fqvit import log_softmax

    scale = binary32_scale(request.scale)
    require_rows(request.rows, LONGEST, "the longest that is supported")
    require_code_range(request.rows)
    bits = SOFTMAX_BITS if request.bits is None else require_whole("bits", request.bits, 2, 8)
    exp = exp_constants(scale, "code")
    if (exp.c << exp.shift) * request.rows.shape[1] >> SUM_BITS:
        raise InputError(
            f"scale = {scale!r} is too small for rows of {request.rows.shape[1]:,} codes: their sum needs more than "
            f"{SUM_BITS} bits",
            hint="a larger scale or shorter rows",
        )
    constants = np.append(kernel_constants(scale, "code", bits), np.int64(request.variant == "paper"))
    widths = softmax_widths(request.variant, bits)
    limits, mode = limits_of(widths), MODES[request.overflow]

    def kernel(rows: Any, out: Any, trap: Any) -> None:
        log_softmax(rows, constants, limits, mode, out, trap)

    result = widths["result"]
    return Answer(run_plain(request, widths, smallest_dtype(result.low, result.high), kernel), None)
