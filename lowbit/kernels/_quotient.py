"""Division of non-negative numbers as one instruction: Numba's ``//`` tests signs and zero first."""

# ruff: noqa: ARG001  (the signature is the one that numba calls)

from __future__ import annotations

from typing import Any

from numba.core import types
from numba.extending import intrinsic


@intrinsic
def positive_quotient(typing_context: Any, numerator: Any, denominator: Any) -> Any:
    """``numerator // denominator`` of int64 numbers, the first non-negative and the second positive."""
    if numerator != types.int64 or denominator != types.int64:
        return None

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.udiv(*arguments)

    return types.int64(numerator, denominator), generate
