"""Runs I-BERT's i-GELU: an elementwise function, so a table for 8-bit codes."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from lowbit.errors import InputError
from lowbit.nonlinear.ibert import VARIANTS, gelu_constants, gelu_scale, gelu_widths
from lowbit.ops.nonlinear.dispatch import (
    MODES,
    Answer,
    Request,
    binary32_scale,
    limits_of,
    require_code_range,
    run_plain,
)
from lowbit.ops.nonlinear.rows import elementwise_by_table

__all__ = ["OPTIONS", "VARIANTS", "run"]

OPTIONS: frozenset[str] = frozenset()


def run(request: Request) -> Answer:
    """i-GELU of every code."""
    scale = binary32_scale(request.scale)
    require_code_range(request.rows)
    if request.bits is not None:
        raise InputError(f"bits = {request.bits!r}: i-GELU leaves no choice of width", hint="leave bits out")
    unit = gelu_scale(scale, request.variant)
    if request.rows.dtype == np.int8 and request.overflow != "trap":
        return Answer(elementwise_by_table(request, table(scale, request.variant, request.overflow)), unit)
    return Answer(plain(request, scale), unit)


def plain(request: Request, scale: float) -> Any:
    """By the plain kernel."""
    from lowbit.kernels.nonlinear.gelu_ibert import gelu

    constants = np.array(gelu_constants(scale, request.variant), dtype=np.int64)
    widths = gelu_widths(request.variant)
    limits, mode = limits_of(widths), MODES[request.overflow]

    def kernel(rows: Any, out: Any, trap: Any) -> None:
        gelu(rows, constants, limits, mode, out, trap)

    return run_plain(request, widths, np.int32, kernel)


@lru_cache(maxsize=64)
def table(scale: float, variant: str, overflow: str) -> npt.NDArray[np.int64]:
    """The results for the codes 127, 126, ..., -128."""
    codes = np.arange(127, -129, -1, dtype=np.int64).reshape(1, -1)
    entries: npt.NDArray[np.int64] = plain(Request(codes, scale, variant, overflow, None, 1, {}), scale)[0]
    return entries.astype(np.int64)
