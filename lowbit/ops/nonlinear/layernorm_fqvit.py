"""Runs FQ-ViT's LayerNorm with power-of-two factors."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from lowbit.errors import InputError
from lowbit.nonlinear.fqvit import LARGEST_FACTOR, layernorm_widths
from lowbit.ops.nonlinear.dispatch import (
    MODES,
    Answer,
    Request,
    binary32_scale,
    limits_of,
    require_code_range,
    require_rows,
    run_plain,
)
from lowbit.ops.nonlinear.rows import affine

VARIANTS = ("",)
OPTIONS = frozenset({"gamma", "beta", "factors", "result_scale"})
LONGEST = 1 << 16
CODE_BITS = 13
"""Codes shifted by a factor of 8 have 16 bits, and the variance over the longest rows 62."""


def run(request: Request) -> Answer:
    """LayerNorm along the rows; codes at ``result_scale``."""
    from lowbit.kernels.nonlinear.fast_layernorm_fqvit import layernorm

    length = request.rows.shape[1]
    require_rows(request.rows, LONGEST, "for which the variance fits 62 bits")
    require_code_range(request.rows, CODE_BITS)
    if request.bits is not None:
        raise InputError(f"bits = {request.bits!r}: the scheme leaves no choice of width", hint="leave bits out")
    unit = binary32_scale(request.options.get("result_scale"), "result_scale")
    gamma, beta = (values.astype(np.float64) for values in affine(request.options, length))
    factors = checked_factors(request.options.get("factors"), length)
    widths = layernorm_widths()
    limits, mode = limits_of(widths), MODES[request.overflow]

    def kernel(rows: Any, out: Any, trap: Any) -> None:
        layernorm(rows, gamma, beta, factors, unit, limits, mode, out, trap)

    return Answer(run_plain(request, widths, np.int32, kernel), unit)


def checked_factors(factors: Any, length: int) -> npt.NDArray[np.int64]:
    """The exponents of the power-of-two factors, one an element of a row."""
    array = np.asarray(0 if factors is None else factors)
    if array.dtype.kind not in "iu" or array.ndim > 1 or (array.ndim == 1 and array.size != length):
        raise InputError(f"factors must be whole numbers, one for each of {length} elements")
    if array.size and not 0 <= int(array.min()) <= int(array.max()) <= LARGEST_FACTOR:
        raise InputError(f"factors must lie in 0 to {LARGEST_FACTOR}: element i counts 2^factors[i]")
    return np.ascontiguousarray(np.broadcast_to(array.astype(np.int64), (length,)))
