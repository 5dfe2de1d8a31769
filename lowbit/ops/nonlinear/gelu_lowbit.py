"""Runs GELU of lowbit's own scheme: an elementwise function, so a table for 8-bit codes."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from lowbit.nonlinear import lowbit_scheme as own
from lowbit.ops.nonlinear.dispatch import (
    MODES,
    Answer,
    Request,
    binary32_scale,
    limits_of,
    require_code_range,
    require_whole,
    run_plain,
)
from lowbit.ops.nonlinear.rows import elementwise_by_table
from lowbit.ops.nonlinear.softmax_lowbit import kernel_constants

VARIANTS = ("",)
OPTIONS: frozenset[str] = frozenset()


def run(request: Request) -> Answer:
    """GELU of every code."""
    scale = binary32_scale(request.scale)
    require_code_range(request.rows, own.GELU_CODE_BITS)
    bits = own.GELU_BITS if request.bits is None else require_whole("bits", request.bits, 2, own.GELU_BITS)
    unit = scale / (1 << (bits - 1))
    if request.rows.dtype == np.int8:
        return Answer(elementwise_by_table(request, table(scale, bits)), unit)
    return Answer(plain(request, scale, bits), unit)


def plain(request: Request, scale: float, bits: int) -> Any:
    """By the plain kernel."""
    from lowbit.kernels.nonlinear.gelu_lowbit import gelu

    widths = own.gelu_widths(bits)
    constants = kernel_constants(own.gelu_multiplier(scale), own.GELU_LIMIT << own.FRACTION, bits)
    limits, mode = limits_of(widths), MODES[request.overflow]

    def kernel(rows: Any, out: Any, trap: Any) -> None:
        gelu(rows, constants, limits, mode, out, trap)

    return run_plain(request, widths, np.int32, kernel)


@lru_cache(maxsize=64)
def table(scale: float, bits: int) -> npt.NDArray[np.int64]:
    """The results for the codes 127, 126, ..., -128; none of them overflows anywhere."""
    codes = np.arange(127, -129, -1, dtype=np.int64).reshape(1, -1)
    entries: npt.NDArray[np.int64] = plain(Request(codes, scale, "", "trap", None, 1, {}), scale, bits)[0]
    return entries.astype(np.int64)
