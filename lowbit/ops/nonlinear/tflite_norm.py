"""Runs TFLite's L2 normalisation of int8 codes, and the layer normalisation of its integer LSTM."""

from __future__ import annotations

import numpy as np

from lowbit.errors import InputError
from lowbit.ops.arrays import check_range
from lowbit.ops.nonlinear.dispatch import Answer, Request, fast, integer_codes, plain, require_rows, require_whole
from lowbit.ops.nonlinear.tflite import require_codes, require_multiplier, require_rows_of_codes, vector, zero_point_of
from lowbit.ops.types import Array

LONGEST = 1 << 20
OUTPUT_SHIFT = 12


def l2norm(request: Request) -> Answer:
    """Normalise along the rows; the result is in 1/128."""
    from lowbit.kernels.nonlinear import fast_tflite_norm, tflite_norm

    require_rows_of_codes(request)
    zero_point = zero_point_of(request)
    if request.overflow == "trap":
        codes = plain(request, tflite_norm.l2norm, vector(request, 0, 0, zero_point))
    else:
        rows, single = request.rows.astype(np.int8, copy=False), int(request.variant == "single_rounding")
        codes = fast(request, rows, fast_tflite_norm.l2norm_bytes, zero_point, single, request.mode)
    return Answer(codes, 2.0**-7)


def layernorm(request: Request) -> Answer:
    """Normalise along the rows; the result is in 1/4096 of the multiplier's unit."""
    from lowbit.kernels.nonlinear import tflite_norm

    require_codes(request)
    require_rows(request.rows, LONGEST, "for which 2**20 / length is 0")
    stated = require_multiplier(request)
    if stated is None:
        raise InputError(
            "multiplier and shift are missing", hint="multiplier=1 << 30, shift=-10, say, as the LSTM has them"
        )
    if not -31 <= stated.shift + OUTPUT_SHIFT <= 30:
        raise InputError(f"shift = {stated.shift} is out of range: 12 more must be from -31 to 30")
    limit = require_whole("variance_limit", request.options.get("variance_limit", 1), 0, (1 << 31) - 1)
    operands = (_per_element(request, name, dtype) for name, dtype in request.call.scheme.operands.items())
    return Answer(plain(request, tflite_norm.layernorm, vector(request, *stated, 0, limit), *operands), None)


def _per_element(request: Request, name: str, dtype: str) -> Array:
    if name not in request.options:
        raise InputError(f"{name} are missing", hint=f"{name}=: an {dtype} for each element of a row")
    values = integer_codes(request.options[name])
    if values.shape != request.rows.shape[1:]:
        raise InputError(f"{name} have shape {values.shape}, and a row has {request.rows.shape[1]} elements")
    limits = np.iinfo(dtype)
    check_range(values, int(limits.min), int(limits.max), f"{name}, {dtype}")
    return np.ascontiguousarray(values, dtype=np.int64)
