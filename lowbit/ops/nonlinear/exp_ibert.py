"""Runs I-BERT's i-exp."""

from __future__ import annotations

from typing import Any

import numpy as np

from lowbit.nonlinear.ibert import SOFTMAX_BITS, VARIANTS, exp_scale, exp_widths
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
from lowbit.ops.nonlinear.softmax_ibert import kernel_constants

__all__ = ["OPTIONS", "VARIANTS", "run"]

OPTIONS: frozenset[str] = frozenset()


def run(request: Request) -> Answer:
    """i-exp of every code."""
    from lowbit.kernels.nonlinear.exp_ibert import exponential

    scale = binary32_scale(request.scale)
    require_code_range(request.rows)
    require_not_positive(request.rows)
    constants = kernel_constants(scale, request.variant, SOFTMAX_BITS)
    widths = exp_widths(request.variant)
    limits, mode = limits_of(widths), MODES[request.overflow]

    def kernel(rows: Any, out: Any, trap: Any) -> None:
        exponential(rows, constants, limits, mode, out, trap)

    return Answer(run_plain(request, widths, np.int64, kernel), exp_scale(scale, request.variant))
