"""Runs TOSA's TABLE with the specification's tables of logistic and tanh, and gemmlowp's functions of both."""

from __future__ import annotations

from typing import Any

from lowbit.errors import InputError
from lowbit.nonlinear.fixed_point import TOSA_TABLES
from lowbit.nonlinear.stored_tables import stored_table
from lowbit.ops.arrays import check_range
from lowbit.ops.fixed_point.gemmlowp import checked_format
from lowbit.ops.fixed_point.table import table_lookup
from lowbit.ops.nonlinear.dispatch import Answer, Request, plain
from lowbit.ops.types import Array

DOUBLED = {"logistic": 0, "tanh": 1}
"""Tanh reads its input with one more integer bit."""


def tosa(request: Request) -> Answer:
    """Each int16 code by itself; the scale of the codes is fixed by the table, 1/4096 (tanh) or 1/2048."""
    table = stored_table(TOSA_TABLES[request.operation])
    return Answer(table_lookup(request.rows, table, scheme="tosa", threads=request.threads), 2.0**-22)


def gemmlowp(request: Request) -> Answer:
    """Each number by itself; no sum of gemmlowp's leaves its width here."""
    from lowbit.kernels.fixed_point.gemmlowp import logistic_each, tanh_each

    bits = request.bits
    if request.call.scale is not None:
        raise InputError(
            "gemmlowp's functions take integer_bits, not a scale", hint="integer_bits=4: one unit is 2**-27 of 32 bits"
        )
    if "integer_bits" not in request.options:
        raise InputError("integer_bits is missing", hint="integer_bits=4, say: bits before the point beside the sign")
    integer_bits = checked_format(request.options["integer_bits"], bits, DOUBLED[request.operation])
    check_range(request.rows, -(1 << (bits - 1)), (1 << (bits - 1)) - 1, f"Q{integer_bits}.{bits - 1 - integer_bits}")
    each = tanh_each if request.operation == "tanh" else logistic_each

    def flat(rows: Array, *arguments: Any) -> None:
        *_, out, _ = arguments
        each(rows.reshape(-1), integer_bits, bits, out.reshape(-1))

    return Answer(plain(request, flat), 2.0 ** (1 - bits))
