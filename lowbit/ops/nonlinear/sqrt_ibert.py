"""Runs I-BERT's i-sqrt."""

from __future__ import annotations

from typing import Any

import numpy as np

from lowbit.errors import InputError
from lowbit.nonlinear.ibert import square_root_widths
from lowbit.ops.nonlinear.dispatch import MODES, Answer, Request, limits_of, require_code_range, run_plain

VARIANTS = ("",)
OPTIONS: frozenset[str] = frozenset()
VALUE_BITS = 63
"""Signed: values below 2^62."""


def run(request: Request) -> Answer:
    """i-sqrt of every value."""
    from lowbit.kernels.nonlinear.layernorm_ibert import integer_sqrt

    require_code_range(request.rows, VALUE_BITS)
    if request.rows.size and request.rows.min() < 0:
        raise InputError(f"the value {int(request.rows.min()):,} is negative: it has no square root")
    widths = square_root_widths()
    limits, mode = limits_of(widths), MODES[request.overflow]

    def kernel(rows: Any, out: Any, trap: Any) -> None:
        integer_sqrt(rows, limits, mode, out, trap)

    return Answer(run_plain(request, widths, np.int64, kernel), None)
