"""Runs I-ViT's ShiftGELU: the plain kernel, or a table of maximum and code for 8-bit codes."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lowbit.errors import InputError
from lowbit.nonlinear.ivit import GELU_SIGMOID_BITS, VARIANTS, gelu_exp, gelu_widths
from lowbit.nonlinear.widths import Widths
from lowbit.ops.nonlinear.dispatch import (
    MODES,
    Answer,
    Request,
    binary32_scale,
    limits_of,
    require_code_range,
    require_rows,
    run_fast,
    run_plain,
    smallest_dtype,
)
from lowbit.ops.nonlinear.softmax_ivit import LONGEST, kernel_constants

__all__ = ["OPTIONS", "VARIANTS", "run"]

OPTIONS: frozenset[str] = frozenset()


class ShiftGelu(NamedTuple):
    """All that depends on the scale; the table is there if every entry is a byte and no sum is 0."""

    constants: npt.NDArray[np.int64]
    widths: Widths
    limits: npt.NDArray[np.int64]
    table: npt.NDArray[np.uint8] | None


@lru_cache(maxsize=32)
def shiftgelu(scale: float, variant: str, overflow: str) -> ShiftGelu:
    """What a scale needs."""
    from lowbit.kernels.nonlinear.gelu_ivit import shiftgelu_table

    constants = kernel_constants(gelu_exp(scale, variant), variant, 32 - GELU_SIGMOID_BITS)
    constants = np.append(constants, np.int64(variant == "paper"))
    widths = gelu_widths(variant)
    limits = limits_of(widths)
    table = None
    if overflow != "trap":
        entries, trap = np.empty((256, 256), dtype=np.int64), np.full(4, -1, dtype=np.int64)
        shiftgelu_table(constants, limits, MODES[overflow], entries, trap)
        # |code * sigmoid| <= 128 * 255 fits every variant's result.
        if trap[0] < 0 and entries.min() >= 0 and entries.max() <= 255:
            table = entries.astype(np.uint8)
    return ShiftGelu(constants, widths, limits, table)


def run(request: Request) -> Answer:
    """ShiftGELU along the rows."""
    scale = binary32_scale(request.scale)
    require_rows(request.rows, LONGEST, "the longest that is supported")
    require_code_range(request.rows)
    if request.bits not in (None, GELU_SIGMOID_BITS):
        raise InputError(f"bits = {request.bits!r}: ShiftGELU's sigmoid has 8 bits", hint="leave bits out")
    made = shiftgelu(scale, request.variant, request.overflow)
    result = made.widths["result"]
    dtype = smallest_dtype(result.low, result.high)
    unit = float(np.float32(scale)) / (1 << (GELU_SIGMOID_BITS - 1))
    if request.rows.dtype == np.int8 and made.table is not None and dtype == np.int32:
        return Answer(_fast(request, made.table), unit)
    return Answer(_plain(request, made, dtype), unit)


def _plain(request: Request, made: ShiftGelu, dtype: Any) -> Any:
    from lowbit.kernels.nonlinear import gelu_ivit

    mode = MODES[request.overflow]

    def kernel(rows: Any, out: Any, trap: Any) -> None:
        gelu_ivit.shiftgelu(rows, made.constants, made.limits, mode, out, trap)

    return run_plain(request, made.widths, dtype, kernel)


def _fast(request: Request, table: npt.NDArray[np.uint8]) -> Any:
    from lowbit.kernels.nonlinear.fast_gelu_ivit import shiftgelu_rows

    return run_fast(request, np.int32, lambda rows, out: shiftgelu_rows(rows, table, out))
