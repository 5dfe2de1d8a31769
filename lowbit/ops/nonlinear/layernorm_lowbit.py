"""Runs LayerNorm of lowbit's own scheme."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from lowbit.nonlinear import lowbit_scheme as own
from lowbit.ops.nonlinear.dispatch import (
    MODES,
    Answer,
    Request,
    limits_of,
    require_code_range,
    require_rows,
    require_whole,
    run_fast,
    run_plain,
)
from lowbit.ops.nonlinear.rows import affine, cannot_overflow, rounded_biases

VARIANTS = ("",)
OPTIONS = frozenset({"gamma", "beta"})


def run(request: Request) -> Answer:
    """LayerNorm along the rows."""
    require_rows(request.rows, own.NORM_LONGEST, "for which the variance has its width")
    require_code_range(request.rows, own.NORM_CODE_BITS)
    if request.bits is not None:
        require_whole("bits", request.bits, 32, 32)
    gamma, beta = affine(request.options, request.rows.shape[1])
    bias = rounded_biases(gamma, beta, own.NORM_FRACTION)
    unit = gamma * np.float32(2.0**-own.NORM_FRACTION)
    # 2^29 for the normalised value, so that nothing overflows and nothing can trap.
    if cannot_overflow(request.rows, bias):
        return Answer(_fast(request, bias), unit)
    return Answer(_plain(request, bias), unit)


def _plain(request: Request, bias: npt.NDArray[np.int64]) -> Any:
    from lowbit.kernels.nonlinear.layernorm_lowbit import layernorm

    widths = own.layernorm_widths()
    limits, mode = limits_of(widths), MODES[request.overflow]

    def kernel(rows: Any, out: Any, trap: Any) -> None:
        layernorm(rows, bias, limits, mode, out, trap)

    return run_plain(request, widths, np.int32, kernel)


def _fast(request: Request, bias: npt.NDArray[np.int64]) -> Any:
    from lowbit.kernels.nonlinear.fast_layernorm_lowbit import layernorm_rows

    narrow = bias.astype(np.int32)
    return run_fast(request, np.int32, lambda rows, out: layernorm_rows(rows, narrow, out))
