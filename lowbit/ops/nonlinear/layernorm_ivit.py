"""Runs I-ViT's I-LayerNorm: the plain kernel, or 32-bit lanes for 8- and 16-bit codes that cannot overflow."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from lowbit.nonlinear.ivit import (
    LARGEST,
    NORM_FIRST,
    NORM_ITERATIONS,
    VARIANTS,
    layernorm_widths,
    norm_scale,
)
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

OPTIONS = frozenset({"gamma", "beta"})
CODE_BITS = 20
"""Squares of differences of such codes, over the longest rows, stay below 2^62."""
LONGEST = 1 << 20
LONGEST_TVM = (1 << 15) - 1
"""relay.mean divides by the length in the input's int16."""


def run(request: Request) -> Answer:
    """I-LayerNorm along the rows."""
    length = request.rows.shape[1]
    longest = LONGEST_TVM if request.variant == "tvm" else LONGEST
    require_rows(request.rows, longest, "the longest that the scheme's sums allow")
    require_code_range(request.rows, CODE_BITS)
    if request.bits is not None:
        require_whole("bits", request.bits, 32, 32)
    gamma, beta = affine(request.options, length)
    bias = norm_biases(gamma, beta, norm_scale(length), "I-LayerNorm")
    constants = np.array(
        [LARGEST, 0 if request.variant == "paper" else NORM_FIRST, NORM_ITERATIONS, request.variant == "tvm"],
        dtype=np.int64,
    )
    widest = {"torch": 16, "paper": 8, "tvm": 0}[request.variant]  # the paper's squares have 32 bits
    if request.rows.dtype.itemsize * 8 <= widest and cannot_overflow(request.rows, bias):
        codes = run_rows(request, bias, constants)
    else:
        codes = _plain(request, bias, constants)
    return Answer(codes, np.float32(norm_scale(length)) * gamma)


def _plain(request: Request, bias: npt.NDArray[np.int64], constants: npt.NDArray[np.int64]) -> Any:
    from lowbit.kernels.nonlinear import layernorm_ivit

    widths = layernorm_widths(request.variant)
    limits, mode = limits_of(widths), MODES[request.overflow]

    def kernel(rows: Any, out: Any, trap: Any) -> None:
        layernorm_ivit.layernorm(rows, bias, constants, limits, mode, out, trap)

    return run_plain(request, widths, np.int32, kernel)
