"""What no policy can express: rules on single rows that entries of the published list name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lowbit.check.compare import Comparison, is_nan
from lowbit.spec import FloatFormat

RowRule = Callable[[Comparison, NDArray[np.intp]], NDArray[np.bool_]]
"""(comparison, rows) -> which of the rows the rule explains."""


def nan_payload_unquieted(comparison: Comparison, rows: NDArray[np.intp]) -> NDArray[np.bool_]:
    """The payload of a NaN is moved over without the quiet bit being set; one that vanishes becomes 1."""
    source, target = comparison.source, comparison.target
    if not (isinstance(source, FloatFormat) and isinstance(target, FloatFormat)):
        return np.zeros(len(rows), dtype=bool)
    codes = comparison.codes[rows].astype(np.uint64)
    mantissa = codes & np.uint64((1 << source.mantissa_bits) - 1)
    move = target.mantissa_bits - source.mantissa_bits
    payload = mantissa << np.uint64(max(move, 0)) >> np.uint64(max(-move, 0))
    top = ((1 << target.exponent_bits) - 1) << target.mantissa_bits
    sign = np.where(codes & np.uint64(source.sign_bit), np.uint64(target.sign_bit), np.uint64(0))
    moved = sign | np.uint64(top) | np.maximum(payload, np.uint64(1))
    return np.asarray(is_nan(comparison.codes[rows], source) & (comparison.got[rows].astype(np.uint64) == moved))


def nan_gives(*codes: int) -> RowRule:
    """A NaN becomes one of these very codes."""

    def rule(comparison: Comparison, rows: NDArray[np.intp]) -> NDArray[np.bool_]:
        got = comparison.got[rows]
        wanted = np.array(codes, np.uint64)
        return np.asarray(is_nan(comparison.codes[rows], comparison.source) & np.isin(got.astype(np.uint64), wanted))

    return rule


def infinity_gives_all_ones(comparison: Comparison, rows: NDArray[np.intp]) -> NDArray[np.bool_]:
    """+infinity becomes the integer code of all ones: -1, or the largest unsigned one."""
    source, target = comparison.source, comparison.target
    if not isinstance(source, FloatFormat) or source.infinity is None:
        return np.zeros(len(rows), dtype=bool)
    ones = -1 if target.signed else (1 << target.bits) - 1
    return np.asarray((comparison.codes[rows] == source.infinity) & (comparison.got[rows] == ones))


def apply_rule(rule: RowRule | None, comparison: Comparison, rows: NDArray[Any]) -> NDArray[np.bool_]:
    """The rows that a rule explains; none where there is no rule."""
    return np.zeros(len(rows), dtype=bool) if rule is None else rule(comparison, rows)
