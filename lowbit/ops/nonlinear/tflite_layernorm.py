"""Runs the layer normalisation of TFLite's integer LSTM."""

from __future__ import annotations

from typing import Any

import numpy as np

from lowbit.errors import InputError
from lowbit.nonlinear.tflite_widths import VARIANTS, layernorm_widths
from lowbit.ops.arrays import check_range
from lowbit.ops.nonlinear.dispatch import (
    MODES,
    Answer,
    Array,
    Request,
    integer_codes,
    limits_of,
    require_rows,
    require_whole,
    run_plain,
)
from lowbit.ops.nonlinear.tflite import require_codes, require_multiplier, require_result_bits

__all__ = ["OPTIONS", "VARIANTS", "run"]

OPTIONS = frozenset({"weights", "biases", "multiplier", "shift", "variance_limit"})
LONGEST = 1 << 20


def run(request: Request) -> Answer:
    """Normalise along the rows; the result is in 1/4096 of the multiplier's unit."""
    from lowbit.kernels.nonlinear.tflite_norm import layernorm_int16

    require_rows(request.rows, LONGEST, "for which 2**20 / length is 0")
    require_codes(request.rows, 16, request.scheme)
    require_result_bits(request, 16)
    given = require_multiplier(request)
    if given is None:
        raise InputError(
            "multiplier and shift are missing", hint="multiplier=1 << 30, shift=-10, say, as the LSTM has them"
        )
    if not -31 <= given.shift + 12 <= 30:
        raise InputError(f"shift = {given.shift} is out of range: 12 more must be from -31 to 30")
    limit = require_whole("variance_limit", request.options.get("variance_limit", 1), 0, (1 << 31) - 1)
    weights = _per_element(request, "weights", 16)
    biases = _per_element(request, "biases", 32)
    constants = np.array([given.multiplier, given.shift, request.variant == "single_rounding", 0, limit], np.int64)
    widths = layernorm_widths(request.variant)
    limits, mode = limits_of(widths), MODES[request.overflow]

    def plain(rows: Any, out: Any, trap: Any) -> None:
        layernorm_int16(rows, constants, weights, biases, limits, mode, out, trap)

    return Answer(run_plain(request, widths, np.dtype(np.int16), plain), None)


def _per_element(request: Request, name: str, bits: int) -> Array:
    if name not in request.options:
        raise InputError(f"{name} are missing", hint=f"{name}=: an int{bits} for each element of a row")
    values = integer_codes(request.options[name])
    if values.shape != request.rows.shape[1:]:
        raise InputError(f"{name} have shape {values.shape}, and a row has {request.rows.shape[1]} elements")
    check_range(values, -(1 << (bits - 1)), (1 << (bits - 1)) - 1, f"{name}, int{bits}")
    return np.ascontiguousarray(values, dtype=np.int64)
