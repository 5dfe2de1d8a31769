"""Runs I-BERT's i-softmax: constants from the scale, then the plain kernel or the one for 8-bit codes."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lowbit.nonlinear.ibert import NUMERATOR, SOFTMAX_BITS, VARIANTS, exp_constants, exp_multiplier, softmax_widths
from lowbit.nonlinear.widths import Widths
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
from lowbit.ops.nonlinear.rows import byte_planes, centred_bytes, fits_planes, is_byte_sized

__all__ = ["OPTIONS", "VARIANTS", "run"]

OPTIONS: frozenset[str] = frozenset()
LONGEST = 1 << 20
"""So many exponentials, 16 bits in the code and 33 in the paper's variant, stay below the kernels' 2^62."""


class Softmax(NamedTuple):
    """All that depends on the scale: constants, widths and limits, and the table for 8-bit codes."""

    constants: npt.NDArray[np.int64]
    widths: Widths
    limits: npt.NDArray[np.int64]
    table: npt.NDArray[np.int64]


def kernel_constants(scale: float, variant: str, bits: int) -> npt.NDArray[np.int64]:
    """The vector that the kernels take; the order is that of kernels/nonlinear/exp_ibert.py."""
    multiplier, right = exp_multiplier(scale) if variant == "code" else (0, 0)
    numbers = (*exp_constants(scale, variant), variant == "code", multiplier, right, NUMERATOR, bits)
    return np.array([int(number) for number in numbers], dtype=np.int64)


@lru_cache(maxsize=64)
def prepared(scale: float, variant: str, bits: int, overflow: str) -> Softmax:
    """What a scale needs."""
    from lowbit.kernels.nonlinear.softmax_ibert import exp_table

    constants = kernel_constants(scale, variant, bits)
    widths = softmax_widths(variant, bits)
    limits = limits_of(widths)
    table = np.empty(256, dtype=np.int64)
    exp_table(constants, limits, MODES[overflow], table)
    return Softmax(constants, widths, limits, table)


def run(request: Request) -> Answer:
    """i-softmax along the rows."""
    scale = binary32_scale(request.scale)
    require_rows(request.rows, LONGEST, "where the sum could leave 62 bits")
    require_code_range(request.rows)
    bits = SOFTMAX_BITS if request.bits is None else require_whole("bits", request.bits, 1, 16)
    made = prepared(scale, request.variant, bits, request.overflow)
    return Answer((_fast if _is_fast(request, made, bits) else _plain)(request, made), 2.0**-bits)


def _is_fast(request: Request, made: Softmax, bits: int) -> bool:
    """The code's variant, where results of at most 8 bits cannot overflow: factor * weight stays below 2^32."""
    if request.variant != "code" or bits > SOFTMAX_BITS or not is_byte_sized(request.rows):
        return False
    largest = int(made.table.max())
    return fits_planes(made.table) and largest < 1 << 15 and largest * (NUMERATOR // largest) < NUMERATOR


def _plain(request: Request, made: Softmax) -> Any:
    from lowbit.kernels.nonlinear import softmax_ibert

    mode = MODES[request.overflow]
    result = made.widths["result"]

    def kernel(rows: Any, out: Any, trap: Any) -> None:
        softmax_ibert.softmax(rows, made.constants, made.limits, mode, out, trap)

    return run_plain(request, made.widths, smallest_dtype(result.low, result.high), kernel)


def _fast(request: Request, made: Softmax) -> Any:
    from lowbit.kernels.nonlinear.fast_softmax_ibert import softmax_bytes

    planes = byte_planes(made.table)
    codes = request._replace(rows=centred_bytes(request.rows))

    def kernel(rows: Any, out: Any) -> None:
        softmax_bytes(rows, made.table, planes, made.constants, out)

    return run_fast(codes, np.uint8, kernel)
