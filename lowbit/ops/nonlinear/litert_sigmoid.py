"""Runs LiteRT's logistic and tanh of int8 codes: a table for the scale, and the look-up."""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache

import numpy as np

from lowbit.nonlinear.litert import RESULT_STEPS, sigmoid_table
from lowbit.nonlinear.tflite import binary32
from lowbit.ops.nonlinear.dispatch import Answer, Array, Request, require_whole
from lowbit.ops.nonlinear.tflite import by_table, require_codes, require_result_bits

__all__ = ["OPTIONS", "VARIANTS", "run"]

VARIANTS = ("",)
OPTIONS = frozenset({"zero_point"})


def run(request: Request) -> Answer:
    """Each code by itself; nothing can overflow."""
    require_codes(request.rows, 8, request.scheme)
    require_result_bits(request, 8)
    zero_point = require_whole("zero_point", request.options.get("zero_point", 0), -128, 127)
    table = _table(request.operation, binary32(request.scale).as_integer_ratio(), zero_point)
    return Answer(by_table(request, table), 1 / RESULT_STEPS[request.operation][0])


@lru_cache(maxsize=64)
def _table(operation: str, scale: tuple[int, int], zero_point: int) -> Array:
    return np.array(sigmoid_table(operation, Fraction(*scale), zero_point), dtype=np.int8)
