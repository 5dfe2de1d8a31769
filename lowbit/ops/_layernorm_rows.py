"""The LayerNorms of I-ViT and I-BERT in 32-bit lanes, for rows where no intermediate can overflow."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from lowbit.ops._nonlinear import Request, run_fast

FAST_BITS = 31
"""What the 32-bit lanes hold: sums, and sums of squares of 8-bit codes."""


def cannot_overflow(rows: npt.NDArray[Any], bias: npt.NDArray[np.int64]) -> bool:
    """Whether every intermediate provably fits, whatever the codes; for 16 bits, all but the sum of squares."""
    if rows.dtype not in (np.int8, np.int16):
        return False
    length, width = rows.shape[1], rows.dtype.itemsize * 8
    if length << (width - 1) >> FAST_BITS:
        return False
    if width == 8 and length * 255**2 >> FAST_BITS:
        return False
    return int(np.abs(bias).max()) < 1 << 29


def run_rows(request: Request, bias: npt.NDArray[np.int64], constants: npt.NDArray[np.int64]) -> Any:
    """All rows; ``constants`` are numerator, first iterate and number of iterations (0: the exact floor)."""
    from lowbit.kernels.fast_layernorm import layernorm_rows

    narrow = bias.astype(np.int32)
    return run_fast(request, np.int32, lambda rows, out: layernorm_rows(rows, narrow, constants, out))
