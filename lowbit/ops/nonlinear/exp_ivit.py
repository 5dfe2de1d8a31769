"""Runs I-ViT's ShiftExp."""

from __future__ import annotations

from typing import Any

import numpy as np

from lowbit.nonlinear.ivit import SOFTMAX_SHIFT, VARIANTS, exp_widths, softmax_exp
from lowbit.ops.nonlinear.dispatch import (
    MODES,
    Answer,
    Request,
    binary32_scale,
    limits_of,
    require_code_range,
    require_not_positive,
    run_plain,
)
from lowbit.ops.nonlinear.softmax_ivit import kernel_constants

__all__ = ["OPTIONS", "VARIANTS", "run"]

OPTIONS: frozenset[str] = frozenset()


def run(request: Request) -> Answer:
    """ShiftExp of every code."""
    from lowbit.kernels.nonlinear.exp_ivit import exponential

    scale = binary32_scale(request.scale)
    require_code_range(request.rows)
    require_not_positive(request.rows)
    constants = kernel_constants(softmax_exp(scale, request.variant), request.variant, 0)
    widths = exp_widths(request.variant)
    limits, mode = limits_of(widths), MODES[request.overflow]

    def kernel(rows: Any, out: Any, trap: Any) -> None:
        exponential(rows, constants, limits, mode, out, trap)

    return Answer(run_plain(request, widths, np.int64, kernel), scale / (1 << SOFTMAX_SHIFT[request.variant]))
