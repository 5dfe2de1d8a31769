"""Runs FQ-ViT's log-int-softmax."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from lowbit.errors import InputError
from lowbit.nonlinear.fqvit import SOFTMAX_BITS, VARIANTS, softmax_widths
from lowbit.nonlinear.ibert import exp_constants, exp_widths
from lowbit.ops.nonlinear.dispatch import (
    MODES,
    Answer,
    Request,
    binary32_scale,
    limits_of,
    require_code_range,
    require_rows,
    require_whole,
    run_fast,
    run_plain,
    smallest_dtype,
)
from lowbit.ops.nonlinear.rows import centred_bytes, is_byte_sized
from lowbit.ops.nonlinear.softmax_ibert import kernel_constants

__all__ = ["OPTIONS", "VARIANTS", "run"]

OPTIONS: frozenset[str] = frozenset()
LONGEST = 1 << 20
SUM_BITS = 62
"""What the kernels hold: c * 2^30 an element."""


def run(request: Request) -> Answer:
    """Log-int-softmax along the rows; it has no scale, a result r stands for 2^-r."""
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
    # Nothing leaves 62 bits, so that no overflow rule can matter; the code's 2^8 for probability 0 needs a ninth bit.
    fast = is_byte_sized(request.rows) and bits < 8
    return Answer((_fast if fast else _plain)(request, constants, bits), None)


def _plain(request: Request, constants: npt.NDArray[np.int64], bits: int) -> Any:
    from lowbit.kernels.nonlinear.softmax_fqvit import log_softmax

    widths = softmax_widths(request.variant, bits)
    limits, mode = limits_of(widths), MODES[request.overflow]

    def kernel(rows: Any, out: Any, trap: Any) -> None:
        log_softmax(rows, constants, limits, mode, out, trap)

    result = widths["result"]
    return run_plain(request, widths, smallest_dtype(result.low, result.high), kernel)


def _fast(request: Request, constants: npt.NDArray[np.int64], bits: int) -> Any:
    from lowbit.kernels.nonlinear.exp_ibert import exponential
    from lowbit.kernels.nonlinear.fast_softmax_fqvit import log_softmax_bytes

    limits = limits_of(exp_widths("code"))
    distances = -np.arange(256, dtype=np.int64).reshape(1, -1)
    table, trap = np.empty_like(distances), np.full(4, -1, dtype=np.int64)
    exponential(distances, constants, limits, MODES["wrap"], table, trap)
    codes = request._replace(rows=centred_bytes(request.rows))

    def kernel(rows: Any, out: Any) -> None:
        log_softmax_bytes(rows, table[0], constants, out)

    result = softmax_widths(request.variant, bits)["result"]
    return run_fast(codes, smallest_dtype(result.low, result.high), kernel)
