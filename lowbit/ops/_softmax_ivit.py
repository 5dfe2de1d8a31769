"""Runs I-ViT's Shiftmax: constants from the scale, then the plain kernel or the one for 8-bit codes."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from lowbit.nonlinear.ivit import LARGEST, NUMERATOR, SOFTMAX_BITS, VARIANTS, ExpConstants, softmax_exp, softmax_widths
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

__all__ = ["OPTIONS", "VARIANTS", "run"]

OPTIONS: frozenset[str] = frozenset()
LONGEST = 1 << 20
"""So many exponentials of the smallest scale, below 2^40 each, stay below the kernels' 2^62."""


def kernel_constants(exp: ExpConstants, variant: str, result_shift: int) -> npt.NDArray[np.int64]:
    """The vector that the kernels take; the order is that of kernels/exp_ivit.py."""
    clamp = LARGEST if variant == "torch" else 0
    return np.array([*map(int, exp), NUMERATOR[variant], clamp, result_shift, variant == "paper"], dtype=np.int64)


def run(request: Request) -> Answer:
    """Shiftmax along the rows."""
    from lowbit.kernels.softmax_ivit import shiftmax

    scale = binary32_scale(request.scale)
    require_rows(request.rows, LONGEST, "where the sum could leave 62 bits")
    require_code_range(request.rows)
    bits = SOFTMAX_BITS[request.variant] if request.bits is None else require_whole("bits", request.bits, 2, 31)
    widths = softmax_widths(request.variant, bits)
    constants = kernel_constants(softmax_exp(scale, request.variant), request.variant, 32 - bits)
    limits, mode = limits_of(widths), MODES[request.overflow]
    dtype = smallest_dtype(widths["result"].low, widths["result"].high)

    def plain(rows: Any, out: Any, trap: Any) -> None:
        shiftmax(rows, constants, limits, mode, out, trap)

    return Answer(run_plain(request, widths, dtype, plain), 2.0 ** (1 - bits))
