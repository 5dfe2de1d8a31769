"""Runs gemmlowp's logistic and tanh of fixed-point numbers."""

from __future__ import annotations

from typing import Any

from lowbit.errors import InputError
from lowbit.nonlinear.widths import Intermediate, Widths
from lowbit.ops.fixed_point.gemmlowp import WIDTHS, checked_format
from lowbit.ops.nonlinear.dispatch import Answer, Request, run_plain
from lowbit.ops.nonlinear.tflite import require_codes

__all__ = ["OPTIONS", "VARIANTS", "run"]

VARIANTS = ("",)
OPTIONS = frozenset({"integer_bits"})
DOUBLED = {"logistic": 0, "tanh": 1}
"""Tanh reads its input with one more integer bit."""


def run(request: Request) -> Answer:
    """Each number by itself; no sum of gemmlowp's leaves its width here."""
    from lowbit.kernels.fixed_point.gemmlowp import logistic_each, tanh_each

    bits = 32 if request.bits is None else request.bits
    if request.scale is not None:
        raise InputError(
            "gemmlowp's functions take integer_bits, not a scale", hint="integer_bits=4: one unit is 2**-27 of 32 bits"
        )
    if "integer_bits" not in request.options:
        raise InputError("integer_bits is missing", hint="integer_bits=4, say: bits before the point beside the sign")
    integer_bits = checked_format(request.options["integer_bits"], bits, DOUBLED[request.operation])
    require_codes(request.rows, bits, f"Q{integer_bits}.{bits - 1 - integer_bits}")
    each = tanh_each if request.operation == "tanh" else logistic_each

    def plain(rows: Any, out: Any, _: Any) -> None:
        each(rows.reshape(-1), integer_bits, bits, out.reshape(-1))

    widths = Widths(request.operation, "gemmlowp", "", (Intermediate("result", bits, note="Q0"),))
    return Answer(run_plain(request, widths, WIDTHS[bits], plain), 2.0 ** (1 - bits))
