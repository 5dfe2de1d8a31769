"""TOSA's and gemmlowp's logistic and tanh of fixed-point numbers, through the functions of ``oracle/fixed_point``.

Source: TOSA specification 1.0, operator TABLE; gemmlowp, ``fixedpoint/fixedpoint.h``.
"""

from __future__ import annotations

from lowbit.nonlinear.scheme import Parameters
from lowbit.nonlinear.stored_tables import stored_table
from lowbit.oracle.fixed_point import gemmlowp as functions
from lowbit.oracle.fixed_point.table import interpolate
from lowbit.oracle.nonlinear.steps import Steps


def tosa(row: list[int], call: Parameters, steps: Steps) -> list[int]:
    """TABLE of int16 codes, with the specification's tables."""
    table = stored_table("tosa_sigmoid" if call.scheme.operation == "logistic" else "tosa_tanh")
    return steps.each(row, lambda code: steps("result", interpolate(code, table)))


def gemmlowp(row: list[int], call: Parameters, steps: Steps) -> list[int]:
    """The functions of gemmlowp, of raw numbers in Q(integer_bits)."""
    function = functions.logistic if call.scheme.operation == "logistic" else functions.tanh
    integer_bits = int(call.options["integer_bits"])
    return steps.each(row, lambda code: steps("result", function(code, integer_bits, call.result_bits)))
