"""Runs the softmax of TFLite (int8 and int16 codes), LiteRT and CMSIS-NN (int16): the plain kernels or tables."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lowbit.nonlinear.binary32 import scale32
from lowbit.nonlinear.scheme import get_scheme
from lowbit.nonlinear.stored_tables import stored_table
from lowbit.nonlinear.tflite_parameters import (
    QuantizedMultiplier,
    softmax_int16_multiplier,
    softmax_parameters,
    softmax_reciprocal_table,
)
from lowbit.ops.nonlinear.dispatch import Answer, Integers, Request, fast_or_none, limits_of, no_trap, prepared
from lowbit.ops.nonlinear.rows import byte_planes
from lowbit.ops.nonlinear.tflite import plain_or_end, require_multiplier, require_rows_of_codes, vector
from lowbit.ops.types import Array

SUM_SHIFT = 12
DIFFERENCES = 1 << 16


class Tables(NamedTuple):
    """Of every distance from the maximum: the exponential, and the byte planes of what it adds to the sum."""

    exponentials: Integers
    sum_planes: npt.NDArray[np.uint8]


def softmax_int8(request: Request) -> Answer:
    """Softmax along the rows; the result's zero point is its lowest code."""
    from lowbit.kernels.nonlinear import fast_tflite_softmax, tflite_softmax

    require_rows_of_codes(request)
    scale, beta = request.scale, scale32(request.options.get("beta", 1), "beta")
    constants = vector(request, *softmax_parameters(scale, beta, request.variant), request.bits)
    codes = None
    if request.overflow != "trap":
        kernel = fast_tflite_softmax.softmax_words if request.bits == 16 else fast_tflite_softmax.softmax_bytes
        rows = request.rows.astype(np.int8, copy=False)
        codes = fast_or_none(request, rows, kernel, *_tables(tuple(constants.tolist())), request.mode)
    if codes is None:
        codes = plain_or_end(request, tflite_softmax.softmax_int8, constants)
    return Answer(codes, 2.0**-request.bits, -(1 << request.bits - 1))


@prepared
def _tables(constants: tuple[int, ...]) -> Tables:
    from lowbit.kernels.nonlinear.fast_tflite_softmax import exponentials

    table = np.empty(256, dtype=np.int64)
    exponentials(np.array(constants, dtype=np.int64), table)
    half = 1 << (SUM_SHIFT - 1)  # exponentials are not negative: no tie falls away from zero the other way
    return Tables(table, byte_planes((table + half) >> SUM_SHIFT))


class Plan(NamedTuple):
    """All that depends on the scheme and the multiplier: the arguments of the plain kernel."""

    constants: Integers
    exp_table: Integers
    reciprocal_table: Integers


def softmax_int16(request: Request) -> Answer:
    """Softmax along the rows; the result is in 1/32768."""
    from lowbit.kernels.nonlinear.tflite_softmax import softmax_int16

    require_rows_of_codes(request)
    plan = _plan(request.scheme, request.variant, _multiplier(request))
    # A table of the differences is worth its making where there are more codes than entries.
    by_table = request.overflow != "trap" and request.scheme != "cmsis_int16" and request.rows.size >= DIFFERENCES
    codes = _int16_by_table(request, plan) if by_table else None
    return Answer(plain_or_end(request, softmax_int16, *plan) if codes is None else codes, 2.0**-15)


def _int16_by_table(request: Request, plan: Plan) -> Array | None:
    """The codes; None where a row's sum is not positive, which the plain kernel reports."""
    from lowbit.kernels.nonlinear.fast_tflite_softmax import softmax_int16

    table = _exponentials(request.scheme, request.variant, tuple(plan.constants.tolist()), request.mode)
    rows = request.rows.astype(np.int16, copy=False)
    return fast_or_none(request, rows, softmax_int16, table, plan.reciprocal_table, request.mode)


@prepared
def _plan(scheme: str, variant: str, multiplier: QuantizedMultiplier) -> Plan:
    constants = [*multiplier, variant == "single_rounding", 0, 16, scheme == "cmsis_int16"]
    return Plan(
        np.array(constants, np.int64),
        np.array(stored_table("tflite_softmax_exp"), np.int64),
        np.array(stored_table(softmax_reciprocal_table(scheme)), np.int64),
    )


@prepared
def _exponentials(scheme: str, variant: str, constants: tuple[int, ...], mode: int) -> npt.NDArray[np.int16]:
    """Exp of every difference from the maximum."""
    from lowbit.kernels.nonlinear.fast_tflite_softmax import exponentials_int16

    limits = limits_of(get_scheme("softmax", scheme).with_parameters(variant).widths)
    stored = np.array(stored_table("tflite_softmax_exp"), np.int64)
    table = np.empty(DIFFERENCES, np.int64)
    exponentials_int16(np.array(constants, np.int64), stored, limits, mode, no_trap(), table)
    return table.astype(np.int16)


def _multiplier(request: Request) -> QuantizedMultiplier:
    """As the C function takes it, or derived from the scale."""
    stated = require_multiplier(request)
    if stated is not None:
        return stated
    beta = scale32(request.options.get("beta", 1), "beta")
    return softmax_int16_multiplier(request.scale, beta, request.scheme)
