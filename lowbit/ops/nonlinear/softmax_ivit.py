"""Runs I-ViT's Shiftmax: constants from the scale, then the plain kernel or the one for 8-bit codes."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lowbit.nonlinear.ivit import LARGEST, NUMERATOR, SOFTMAX_BITS, VARIANTS, ExpConstants, softmax_exp, softmax_widths
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
from lowbit.ops.nonlinear.rows import byte_planes, centred_bytes, fits_planes, is_byte_sized, raise_zero_sum

__all__ = ["OPTIONS", "VARIANTS", "run"]

OPTIONS: frozenset[str] = frozenset()
LONGEST = 1 << 20
"""So many exponentials of the smallest scale, below 2^40 each, stay below the kernels' 2^62."""


class Shiftmax(NamedTuple):
    """All that depends on the scale: constants, widths and limits, and the table for 8-bit codes."""

    constants: npt.NDArray[np.int64]
    widths: Widths
    limits: npt.NDArray[np.int64]
    table: npt.NDArray[np.int64]


def kernel_constants(exp: ExpConstants, variant: str, result_shift: int) -> npt.NDArray[np.int64]:
    """The vector that the kernels take; the order is that of kernels/nonlinear/exp_ivit.py."""
    clamp = LARGEST if variant == "torch" else 0
    return np.array([*map(int, exp), NUMERATOR[variant], clamp, result_shift], dtype=np.int64)


@lru_cache(maxsize=64)
def shiftmax(scale: float, variant: str, bits: int, overflow: str) -> Shiftmax:
    """What a scale needs."""
    from lowbit.kernels.nonlinear.softmax_ivit import shiftmax_table

    constants = kernel_constants(softmax_exp(scale, variant), variant, 32 - bits)
    widths = softmax_widths(variant, bits)
    limits = limits_of(widths)
    table = np.empty(256, dtype=np.int64)
    shiftmax_table(constants, limits, MODES[overflow], table)
    return Shiftmax(constants, widths, limits, table)


def run(request: Request) -> Answer:
    """Shiftmax along the rows."""
    scale = binary32_scale(request.scale)
    require_rows(request.rows, LONGEST, "where the sum could leave 62 bits")
    require_code_range(request.rows)
    bits = SOFTMAX_BITS[request.variant] if request.bits is None else require_whole("bits", request.bits, 2, 31)
    made = shiftmax(scale, request.variant, bits, request.overflow)
    falling = bool(made.table[0] == made.table.max())  # not where exponentials have wrapped
    fast = is_byte_sized(request.rows) and bits <= 16 and fits_planes(made.table) and falling
    if request.overflow == "trap":
        fast = fast and _cannot_overflow(request, made)
    return Answer((_fast if fast else _plain)(request, made), 2.0 ** (1 - bits))


def _cannot_overflow(request: Request, made: Shiftmax) -> bool:
    """Whether no intermediate of 8-bit rows can leave its width.

    The exponentials are at most -unit * 2^N. While their sum fits, exponential * factor is at most the numerator; the
    paper's 2^31 is reached by the row of one code.
    """
    unit, shift = made.constants[:2].tolist()
    length = request.rows.shape[1]
    return (-unit << shift) * length <= LARGEST and (request.variant != "paper" or length > 1)


def _plain(request: Request, made: Shiftmax) -> Any:
    from lowbit.kernels.nonlinear import softmax_ivit

    mode = MODES[request.overflow]
    result = made.widths["result"]

    def kernel(rows: Any, out: Any, trap: Any) -> None:
        softmax_ivit.shiftmax(rows, made.constants, made.limits, mode, out, trap)

    return run_plain(request, made.widths, smallest_dtype(result.low, result.high), kernel)


def _fast(request: Request, made: Shiftmax) -> Any:
    from lowbit.kernels.nonlinear.fast_softmax_ivit import shiftmax_bytes, shiftmax_words

    wide = made.widths["result"].bits > 8
    loop, container = (shiftmax_words, np.int16) if wide else (shiftmax_bytes, np.uint8)
    planes, mode = byte_planes(made.table), MODES[request.overflow]
    narrow = made.table.astype(np.int32)  # read for products below 2^31 only: then the entries fit, too
    zero_sums: list[int] = []

    def kernel(rows: Any, out: Any) -> None:
        status = np.full(4, -1, dtype=np.int64)
        loop(rows, made.table, narrow, planes, made.constants, made.limits, mode, out.view(container), status)
        if status[0] >= 0:
            zero_sums.append(int(status[0]))

    codes = request._replace(rows=centred_bytes(request.rows))
    out = run_fast(codes, np.int16 if wide else np.int8, kernel)
    if zero_sums:
        return raise_zero_sum(made.widths)
    return out
