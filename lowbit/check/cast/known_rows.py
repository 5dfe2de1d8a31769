"""What no policy can express: rules on single rows that entries of the published list name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lowbit.check.comparison import Comparison
from lowbit.format.scalar import FloatFormat, Scalar
from lowbit.ops.arrays import is_nan

RowRule = Callable[[Comparison, NDArray[np.intp]], NDArray[np.bool_]]
"""(comparison, rows) -> which of the rows the rule explains."""


def _codes(comparison: Comparison, rows: NDArray[np.intp]) -> NDArray[Any]:
    return comparison.operand("codes")[rows]


def _formats(comparison: Comparison) -> tuple[Scalar, Scalar]:
    prototype = comparison.operation.prototype
    source = next(prototype.inputs).format
    assert source is not None
    return source, prototype.result


def nan_payload_unquieted(comparison: Comparison, rows: NDArray[np.intp]) -> NDArray[np.bool_]:
    """The payload of a NaN is moved over without the quiet bit being set; one that vanishes becomes 1."""
    source, target = _formats(comparison)
    if not (isinstance(source, FloatFormat) and isinstance(target, FloatFormat)):
        return np.zeros(len(rows), dtype=bool)
    codes = _codes(comparison, rows).astype(np.uint64)
    mantissa = codes & np.uint64((1 << source.mantissa_bits) - 1)
    move = target.mantissa_bits - source.mantissa_bits
    payload = mantissa << np.uint64(max(move, 0)) >> np.uint64(max(-move, 0))
    top = ((1 << target.exponent_bits) - 1) << target.mantissa_bits
    sign = np.where(codes & np.uint64(source.sign_bit), np.uint64(target.sign_bit), np.uint64(0))
    moved = sign | np.uint64(top) | np.maximum(payload, np.uint64(1))
    return np.asarray(is_nan(_codes(comparison, rows), source) & (comparison.got[rows].astype(np.uint64) == moved))


def nan_gives(*codes: int) -> RowRule:
    """A NaN becomes one of these very codes."""

    def rule(comparison: Comparison, rows: NDArray[np.intp]) -> NDArray[np.bool_]:
        got = comparison.got[rows]
        wanted = np.array(codes, np.uint64)
        return np.asarray(
            is_nan(_codes(comparison, rows), _formats(comparison)[0]) & np.isin(got.astype(np.uint64), wanted)
        )

    return rule


def infinity_gives_all_ones(comparison: Comparison, rows: NDArray[np.intp]) -> NDArray[np.bool_]:
    """+infinity becomes the integer code of all ones: -1, or the largest unsigned one."""
    source, target = _formats(comparison)
    if not source.has_infinity:
        return np.zeros(len(rows), dtype=bool)
    ones = target.from_pattern((1 << target.bits) - 1)
    return np.asarray((_codes(comparison, rows) == source.infinities[0]) & (comparison.got[rows] == ones))


def nan_result_gives(*codes: int) -> RowRule:
    """A result that should be NaN, of a NaN or of an overflow, is one of these very codes."""

    def rule(comparison: Comparison, rows: NDArray[np.intp]) -> NDArray[np.bool_]:
        got = comparison.got[rows].astype(np.uint64)
        wanted = np.array(codes, np.uint64)
        return np.asarray(is_nan(comparison.expected[rows], _formats(comparison)[1]) & np.isin(got, wanted))

    return rule


def beyond_int32_gives_zero(comparison: Comparison, rows: NDArray[np.intp]) -> NDArray[np.bool_]:
    """A value out of the range of a 32-bit integer becomes 0, the low bits of the INT_MIN that x86 gives."""
    magnitude = _magnitudes(comparison, rows)
    return np.asarray(np.isfinite(magnitude) & (magnitude >= 2.0**31) & (comparison.got[rows] == 0))


def e8m0_negative_exponent(comparison: Comparison, rows: NDArray[np.intp]) -> NDArray[np.bool_]:
    """A value below 2^-127 becomes its biased exponent, which is negative and not a code."""
    magnitude = _magnitudes(comparison, rows)
    tiny = np.isfinite(magnitude) & (magnitude > 0) & (magnitude < 2.0**-127)
    return np.asarray(tiny & (comparison.got[rows].astype(np.int64) < 0))


def _magnitudes(comparison: Comparison, rows: NDArray[np.intp]) -> NDArray[np.float64]:
    from lowbit.ops.cast.cast import decode

    values: NDArray[np.float64] = np.asarray(
        decode(_codes(comparison, rows), _formats(comparison)[0], dtype=np.float64)
    )
    return np.abs(values)


RULES: Mapping[str, RowRule] = {
    rule.__name__: rule
    for rule in (nan_payload_unquieted, infinity_gives_all_ones, beyond_int32_gives_zero, e8m0_negative_exponent)
}
RULES_ON_CODES: Mapping[str, Callable[..., RowRule]] = MappingProxyType(
    {"nan_gives": nan_gives, "nan_result_gives": nan_result_gives}
)


def row_rule(name: str, codes: tuple[int, ...]) -> RowRule:
    """The rule that a row of the list names, with the codes that it speaks of."""
    return RULES_ON_CODES[name](*codes) if codes else RULES[name]
