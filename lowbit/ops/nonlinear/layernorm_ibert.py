"""Runs I-BERT's I-LayerNorm: the plain kernel, or 32-bit lanes for 8-bit codes that cannot overflow."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from lowbit.nonlinear.ibert import NORM_NUMERATOR, VARIANTS, layernorm_widths
from lowbit.nonlinear.ivit import norm_scale
from lowbit.ops.nonlinear.dispatch import (
    MODES,
    Answer,
    Request,
    limits_of,
    require_code_range,
    require_rows,
    require_whole,
    run_plain,
)
from lowbit.ops.nonlinear.rows import affine, cannot_overflow, norm_biases, run_rows

__all__ = ["OPTIONS", "VARIANTS", "run"]

OPTIONS = frozenset({"gamma", "beta", "shift"})
CODE_BITS = 20
"""Squares of differences of such codes stay far below 2^62."""
LONGEST = 1 << 20
LONGEST_SHIFT = 16


def run(request: Request) -> Answer:
    """I-LayerNorm along the rows."""
    length = request.rows.shape[1]
    require_rows(request.rows, LONGEST, "the longest that the scheme's sums allow")
    require_code_range(request.rows, CODE_BITS)
    if request.bits is not None:
        require_whole("bits", request.bits, 32, 32)
    shift = require_whole("shift", request.options.get("shift", 0), 0, LONGEST_SHIFT)
    gamma, beta = affine(request.options, length)
    bias = norm_biases(gamma, beta, norm_scale(length), "I-LayerNorm")
    simple = request.variant == "code" and request.rows.dtype == np.int8 and shift == 0
    if simple and cannot_overflow(request.rows, bias):
        codes = run_rows(request, bias, np.array([NORM_NUMERATOR, 0, 0], dtype=np.int64))
    else:
        codes = _plain(request, bias, np.array([NORM_NUMERATOR, shift], dtype=np.int64))
    return Answer(codes, np.float32(norm_scale(length)) * gamma)


def _plain(request: Request, bias: npt.NDArray[np.int64], constants: npt.NDArray[np.int64]) -> Any:
    from lowbit.kernels.nonlinear import layernorm_ibert

    widths = layernorm_widths(request.variant)
    limits, mode = limits_of(widths), MODES[request.overflow]

    def kernel(rows: Any, out: Any, trap: Any) -> None:
        layernorm_ibert.layernorm(rows, bias, constants, limits, mode, out, trap)

    return run_plain(request, widths, np.int32, kernel)
