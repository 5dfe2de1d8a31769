"""Runs logistic and tanh of int8 and int16 codes: TFLite's reference kernels, and LiteRT's optimised ones of int16."""

from __future__ import annotations

from typing import Any

import numpy as np

from lowbit.nonlinear.stored_tables import stored_table
from lowbit.nonlinear.tflite_parameters import sigmoid_int16_left_shift, sigmoid_int16_parameters, sigmoid_parameters
from lowbit.ops.nonlinear.dispatch import Answer, Request, plain
from lowbit.ops.nonlinear.rows import narrow_by_table
from lowbit.ops.nonlinear.tflite import require_codes, vector, zero_point_of
from lowbit.ops.types import Array

INT8_STEPS = {"logistic": (2.0**-8, -128), "tanh": (2.0**-7, 0)}
"""What one unit of a result is worth, and its zero point."""


def sigmoid_int8(request: Request) -> Answer:
    """Each code by itself."""
    require_codes(request)
    zero_point_of(request)
    return Answer(narrow_by_table(request, _each_int8), *INT8_STEPS[request.operation])


def _each_int8(request: Request) -> Array:
    from lowbit.kernels.nonlinear.tflite_sigmoid import sigmoid_int8

    is_tanh = request.operation == "tanh"
    constants = vector(request, *sigmoid_parameters(request.scale), zero_point_of(request), is_tanh)
    return plain(request, sigmoid_int8, constants)


def sigmoid_int16(request: Request) -> Answer:
    """Each code by itself."""
    require_codes(request)
    return Answer(narrow_by_table(request, _each_int16), 2.0**-15)


def _each_int16(request: Request) -> Array:
    from lowbit.kernels.nonlinear.tflite_sigmoid import sigmoid_int16, sigmoid_int16_optimised

    is_tanh = request.operation == "tanh"
    constants = vector(request, *sigmoid_int16_parameters(request.scale, request.operation), 0, 0, is_tanh)
    left_shift = sigmoid_int16_left_shift(request.scale, request.operation)
    if request.scheme == "litert_int16" and left_shift is not None:

        def optimised(rows: Array, *arguments: Any) -> None:
            *_, out, _ = arguments
            sigmoid_int16_optimised(rows, left_shift, int(is_tanh), out)

        return plain(request, optimised)
    return plain(request, sigmoid_int16, constants, np.array(stored_table("tflite_sigmoid"), np.int64))
