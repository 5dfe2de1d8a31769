"""Runs TFLite's softmax of int8 codes: parameters from the scale, then the plain kernel or the one with tables."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lowbit.errors import IntermediateOverflowError
from lowbit.nonlinear.tflite import SoftmaxParameters, binary32, softmax_parameters
from lowbit.nonlinear.tflite_widths import VARIANTS, softmax_int8_widths
from lowbit.ops.nonlinear.dispatch import MODES, Answer, Array, Request, limits_of, require_rows, run_fast, run_plain
from lowbit.ops.nonlinear.rows import byte_planes
from lowbit.ops.nonlinear.tflite import LONGEST_ROW, WHY_LONGEST, process_end, require_codes, require_softmax_bits

__all__ = ["OPTIONS", "VARIANTS", "run"]

OPTIONS = frozenset({"beta"})
SUM_SHIFT = 12


class Tables(NamedTuple):
    """Of every distance from the maximum: the exponential, and the byte planes of what it adds to the sum."""

    exponentials: npt.NDArray[np.int64]
    sum_planes: npt.NDArray[np.uint8]


def run(request: Request) -> Answer:
    """Softmax along the rows; the result's zero point is its lowest code."""
    bits = require_softmax_bits(request)
    require_rows(request.rows, LONGEST_ROW, WHY_LONGEST)
    require_codes(request.rows, 8, "tflite_int8")
    scale, beta = binary32(request.scale), binary32(request.options.get("beta", 1), "beta")
    parameters = softmax_parameters(scale, beta, request.variant)
    codes = None if request.overflow == "trap" else _by_tables(request, parameters, bits)
    if codes is None:
        codes = _plain(request, parameters, bits)
    return Answer(codes, 2.0**-bits)


def _constants(parameters: SoftmaxParameters, variant: str, bits: int) -> npt.NDArray[np.int64]:
    multiplier, shift, lowest = parameters
    return np.array([multiplier, shift, variant == "single_rounding", lowest, bits], np.int64)


def _plain(request: Request, parameters: SoftmaxParameters, bits: int) -> Array:
    from lowbit.kernels.nonlinear.tflite_softmax import softmax_int8

    constants = _constants(parameters, request.variant, bits)
    widths = softmax_int8_widths(request.variant, bits)
    limits, mode = limits_of(widths), MODES[request.overflow]

    def plain(rows: Any, out: Any, trap: Any) -> None:
        softmax_int8(rows, constants, limits, mode, out, trap)

    try:
        return run_plain(request, widths, np.dtype(f"int{bits}"), plain)
    except IntermediateOverflowError as error:
        raise process_end(error, request) from error


def _by_tables(request: Request, parameters: SoftmaxParameters, bits: int) -> Array | None:
    """The codes; None where a row ends the product's process, which the plain kernel reports."""
    from lowbit.kernels.nonlinear.fast_softmax_tflite import softmax_bytes, softmax_words

    tables, mode = _tables(parameters, request.variant), MODES[request.overflow]
    loop, container = (softmax_words, np.int16) if bits == 16 else (softmax_bytes, np.uint8)
    ended: list[int] = []

    def kernel(rows: Any, out: Any) -> None:
        status = np.full(1, -1, dtype=np.int64)
        loop(rows, tables.exponentials, tables.sum_planes, mode, out.view(container), status)
        if status[0] >= 0:
            ended.append(int(status[0]))

    rows = request.rows.astype(np.int8, copy=False)
    codes = run_fast(request._replace(rows=rows), np.dtype(f"int{bits}"), kernel)
    return None if ended else codes


@lru_cache(maxsize=64)
def _tables(parameters: SoftmaxParameters, variant: str) -> Tables:
    from lowbit.kernels.nonlinear.fast_softmax_tflite import exponentials

    made = np.empty(256, dtype=np.int64)
    exponentials(_constants(parameters, variant, 8), made)
    half = 1 << (SUM_SHIFT - 1)  # exponentials are not negative: no tie falls away from zero the other way
    return Tables(made, byte_planes((made + half) >> SUM_SHIFT))
