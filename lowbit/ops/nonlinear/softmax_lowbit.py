"""Runs softmax of lowbit's own scheme."""

from __future__ import annotations

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
    require_rows,
    require_whole,
    run_fast,
    run_plain,
    smallest_dtype,
)
from lowbit.ops.nonlinear.rows import byte_planes, centred_bytes, is_byte_sized

VARIANTS = ("",)
OPTIONS: frozenset[str] = frozenset()
Constants = npt.NDArray[np.int64]


def run(request: Request) -> Answer:
    """Softmax along the rows."""
    scale = binary32_scale(request.scale)
    require_rows(request.rows, own.LONGEST, "for which the sum has its width")
    require_code_range(request.rows)
    bits = own.SOFTMAX_BITS if request.bits is None else require_whole("bits", request.bits, 2, 24)
    multiplier = own.exp_multiplier(scale)
    constants = kernel_constants(multiplier, own.farthest(multiplier), bits)
    fast = bits == own.SOFTMAX_BITS and is_byte_sized(request.rows)
    codes = _fast(request, constants) if fast else _plain(request, constants, bits)
    return Answer(codes, 2.0 ** (1 - bits))


def kernel_constants(multiplier: own.Multiplier, limit: int, bits: int) -> Constants:
    """The vector that the kernels take; the order is that of kernels/nonlinear/exp_lowbit.py."""
    numbers = (*multiplier, limit, bits, *own.COEFFICIENTS, own.GELU_LINEAR, own.GELU_CUBIC)
    return np.array(numbers, dtype=np.int64)


def _plain(request: Request, constants: Constants, bits: int) -> Any:
    from lowbit.kernels.nonlinear.softmax_lowbit import softmax

    widths = own.softmax_widths(bits)
    limits, mode = limits_of(widths), MODES[request.overflow]
    dtype = smallest_dtype(widths["result"].low, widths["result"].high)

    def kernel(rows: Any, out: Any, trap: Any) -> None:
        softmax(rows, constants, limits, mode, out, trap)

    return run_plain(request, widths, dtype, kernel)


def _fast(request: Request, constants: Constants) -> Any:
    from lowbit.kernels.nonlinear.softmax_lowbit import exp_table, softmax_words

    limits = limits_of(own.softmax_widths())
    table, trap = np.empty(256, dtype=np.int64), np.full(4, -1, dtype=np.int64)
    exp_table(constants, limits, table, trap)
    planes = byte_planes(table)
    codes = request._replace(rows=centred_bytes(request.rows))

    def kernel(rows: Any, out: Any) -> None:
        softmax_words(rows, table, planes, constants, limits, out, trap)

    return run_fast(codes, np.int16, kernel)
