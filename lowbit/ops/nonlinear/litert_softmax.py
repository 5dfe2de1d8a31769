"""Runs LiteRT's optimised softmax of int8 codes: a table of binary32 exponentials, and binary32 sums."""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from lowbit.nonlinear.litert import softmax_table
from lowbit.nonlinear.tflite import binary32
from lowbit.ops.nonlinear.dispatch import Answer, Request, require_rows, run_fast
from lowbit.ops.nonlinear.tflite import LONGEST_ROW, WHY_LONGEST, require_codes, require_softmax_bits

__all__ = ["OPTIONS", "VARIANTS", "run"]

VARIANTS = ("",)
OPTIONS = frozenset({"beta"})


def run(request: Request) -> Answer:
    """Softmax along the rows; the result's zero point is its lowest code. No integer can overflow."""
    from lowbit.kernels.nonlinear.fast_softmax_litert import softmax_bytes, softmax_words

    bits = require_softmax_bits(request)
    require_rows(request.rows, LONGEST_ROW, WHY_LONGEST)
    require_codes(request.rows, 8, request.scheme)
    scale, beta = binary32(request.scale), binary32(request.options.get("beta", 1), "beta")
    table, unit = _table(scale.as_integer_ratio(), beta.as_integer_ratio()), np.float32(2.0**-bits)
    loop, container = (softmax_words, np.int16) if bits == 16 else (softmax_bytes, np.uint8)

    def kernel(rows: Any, out: Any) -> None:
        loop(rows, table, unit, out.view(container))

    rows = request.rows.astype(np.int8, copy=False)
    return Answer(run_fast(request._replace(rows=rows), np.dtype(f"int{bits}"), kernel), 2.0**-bits)


@lru_cache(maxsize=64)
def _table(scale: tuple[int, int], beta: tuple[int, int]) -> npt.NDArray[np.float32]:
    return np.array([float(entry) for entry in softmax_table(Fraction(*scale), Fraction(*beta))], dtype=np.float32)
