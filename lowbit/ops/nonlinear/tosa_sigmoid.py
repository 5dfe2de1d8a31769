"""Runs TOSA's TABLE with the specification's tables of tanh and sigmoid."""

from __future__ import annotations

from lowbit.nonlinear.stored_tables import stored_table
from lowbit.ops.fixed_point.table import table_lookup
from lowbit.ops.nonlinear.dispatch import Answer, Request
from lowbit.ops.nonlinear.tflite import require_result_bits

__all__ = ["OPTIONS", "VARIANTS", "run"]

VARIANTS = ("",)
OPTIONS: frozenset[str] = frozenset()
TABLE = {"logistic": "tosa_sigmoid", "tanh": "tosa_tanh"}


def run(request: Request) -> Answer:
    """Each int16 code by itself; the scale of the codes is fixed by the table, 1/4096 (tanh) or 1/2048."""
    require_result_bits(request, 32)
    table = stored_table(TABLE[request.operation])
    return Answer(table_lookup(request.rows, table, scheme="tosa", threads=request.threads), 2.0**-22)
