"""Runs the softmax of int16 codes of TFLite Micro, LiteRT and CMSIS-NN: multiplier, tables, the plain kernel."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lowbit.errors import IntermediateOverflowError
from lowbit.nonlinear.stored_tables import stored_table
from lowbit.nonlinear.tflite import QuantizedMultiplier, binary32, softmax_int16_multiplier, softmax_reciprocal_table
from lowbit.nonlinear.tflite_widths import VARIANTS, softmax_int16_widths
from lowbit.nonlinear.widths import Widths
from lowbit.ops.nonlinear.dispatch import MODES, Answer, Array, Request, limits_of, require_rows, run_fast, run_plain
from lowbit.ops.nonlinear.tflite import (
    LONGEST_ROW,
    WHY_LONGEST,
    process_end,
    require_codes,
    require_multiplier,
    require_result_bits,
)

__all__ = ["OPTIONS", "VARIANTS", "run"]

OPTIONS = frozenset({"beta", "multiplier", "shift"})
DIFFERENCES = 1 << 16


class Plan(NamedTuple):
    """All that depends on the scheme and the multiplier."""

    constants: npt.NDArray[np.int64]
    exp_table: npt.NDArray[np.int64]
    reciprocal_table: npt.NDArray[np.int64]
    widths: Widths


def run(request: Request) -> Answer:
    """Softmax along the rows; the result is in 1/32768."""
    require_result_bits(request, 16)
    require_rows(request.rows, LONGEST_ROW, WHY_LONGEST)
    require_codes(request.rows, 16, request.scheme)
    parameters = _parameters(request)
    plan = _plan(request.scheme, request.variant, parameters)
    # A table of the differences is worth its making where there are more codes than entries.
    fast = request.overflow != "trap" and request.scheme != "cmsis_int16" and request.rows.size >= DIFFERENCES
    codes = _by_table(request, plan, parameters) if fast else None
    return Answer(_plain(request, plan) if codes is None else codes, 2.0**-15)


def _plain(request: Request, plan: Plan) -> Array:
    from lowbit.kernels.nonlinear.tflite_softmax import softmax_int16

    limits, mode = limits_of(plan.widths), MODES[request.overflow]

    def plain(rows: Any, out: Any, trap: Any) -> None:
        softmax_int16(rows, plan.constants, plan.exp_table, plan.reciprocal_table, limits, mode, out, trap)

    try:
        return run_plain(request, plan.widths, np.dtype(np.int16), plain)
    except IntermediateOverflowError as error:
        raise process_end(error, request) from error


def _by_table(request: Request, plan: Plan, parameters: QuantizedMultiplier) -> Array | None:
    """The codes; None where a row's sum is not positive, which the plain kernel reports."""
    from lowbit.kernels.nonlinear.fast_softmax_int16 import softmax_words

    mode = MODES[request.overflow]
    table = _exponentials(request.scheme, request.variant, parameters, mode)
    ended: list[int] = []

    def kernel(rows: Any, out: Any) -> None:
        status = np.full(1, -1, dtype=np.int64)
        softmax_words(rows, table, plan.reciprocal_table, mode, out, status)
        if status[0] >= 0:
            ended.append(int(status[0]))

    rows = request.rows.astype(np.int16, copy=False)
    codes = run_fast(request._replace(rows=rows), np.dtype(np.int16), kernel)
    return None if ended else codes


@lru_cache(maxsize=64)
def _plan(scheme: str, variant: str, parameters: QuantizedMultiplier) -> Plan:
    constants = [*parameters, variant == "single_rounding", 0, 16, scheme == "cmsis_int16"]
    return Plan(
        np.array(constants, np.int64),
        np.array(stored_table("tflite_softmax_exp"), np.int64),
        np.array(stored_table(softmax_reciprocal_table(scheme)), np.int64),
        softmax_int16_widths(variant, scheme),
    )


@lru_cache(maxsize=16)
def _exponentials(scheme: str, variant: str, parameters: QuantizedMultiplier, mode: int) -> npt.NDArray[np.int16]:
    """Exp of every difference from the maximum."""
    from lowbit.kernels.nonlinear.fast_softmax_int16 import exponentials

    plan = _plan(scheme, variant, parameters)
    made = np.empty(DIFFERENCES, np.int64)
    exponentials(plan.constants, plan.exp_table, limits_of(plan.widths), mode, np.full(4, -1, np.int64), made)
    return made.astype(np.int16)


def _parameters(request: Request) -> QuantizedMultiplier:
    """Given as the C function takes them, or derived from the scale."""
    given = require_multiplier(request)
    if given is not None:
        return given
    beta = binary32(request.options.get("beta", 1), "beta")
    return softmax_int16_multiplier(binary32(request.scale), beta, request.scheme)
