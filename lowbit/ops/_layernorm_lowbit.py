"""Runs LayerNorm of lowbit's own scheme."""

from __future__ import annotations

from typing import Any

import numpy as np

from lowbit.nonlinear import own
from lowbit.ops._affine import affine, rounded_biases
from lowbit.ops._nonlinear import (
    MODES,
    Answer,
    Request,
    limits_of,
    require_code_range,
    require_rows,
    require_whole,
    run_plain,
)

VARIANTS = ("",)
OPTIONS = frozenset({"gamma", "beta"})


def run(request: Request) -> Answer:
    """LayerNorm along the rows."""
    from lowbit.kernels.layernorm_lowbit import layernorm

    require_rows(request.rows, own.NORM_LONGEST, "for which the variance has its width")
    require_code_range(request.rows, own.NORM_CODE_BITS)
    if request.bits is not None:
        require_whole("bits", request.bits, 32, 32)
    gamma, beta = affine(request.options, request.rows.shape[1])
    bias = rounded_biases(gamma, beta, own.NORM_FRACTION)
    widths = own.layernorm_widths()
    limits, mode = limits_of(widths), MODES[request.overflow]

    def kernel(rows: Any, out: Any, trap: Any) -> None:
        layernorm(rows, bias, limits, mode, out, trap)

    return Answer(run_plain(request, widths, np.int32, kernel), gamma * np.float32(2.0**-own.NORM_FRACTION))
