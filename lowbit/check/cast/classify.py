"""What an input is to its target, to group inputs that carry no flag."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lowbit.check.cast.rules import reference
from lowbit.exact import FINITE, NAN, NEGATIVE_INFINITY, POSITIVE_INFINITY
from lowbit.format.scalar import Scalar
from lowbit.ops.arrays import is_nan, is_zero
from lowbit.policy.cast import Policy

CLASS_NAMES = (
    "Exact",
    "Inexact",
    "TieEven",
    "TieOdd",
    "Underflow",
    "OverflowTie",
    "OverflowBand",
    "IntegerRail",
    "Negative",
    "NegativeZero",
    "Infinity",
    "NanSign",
    "NanPayload",
)
"""What an input is to its target, for inputs that carry no flag: the names of flags where one fits."""


def input_kinds(codes: NDArray[Any], source: Scalar, target: Scalar) -> NDArray[np.uint8]:
    """The index into ``CLASS_NAMES`` of each input."""
    from lowbit.ops.cast.exact import decode_exact

    kind, significand, _ = decode_exact(codes, source)

    def under(**axes: str) -> NDArray[Any]:
        return reference(codes, source, target, Policy(**axes))  # type: ignore[arg-type]

    kinds = np.full(len(codes), CLASS_NAMES.index("Exact"), np.uint8)

    def name(rows: NDArray[np.bool_], label: str) -> None:
        kinds[rows] = CLASS_NAMES.index(label)

    lower, upper = under(rounding="nearest_zero"), under(rounding="nearest_away")
    tie, odd = lower != upper, (lower & 1) != 0
    inexact, beyond = (
        under(rounding="toward_zero") != under(rounding="away_from_zero"),
        _overflows(codes, source, target),
    )
    name(inexact, "Inexact")
    name(tie & ~odd, "TieEven")
    name(tie & odd, "TieOdd")
    name(inexact & is_zero(lower, target), "Underflow")
    name(beyond, "IntegerRail" if target.wraps else "OverflowBand")
    name(beyond & tie, "OverflowTie")
    if not target.signed:
        name((kind == FINITE) & (significand < 0), "Negative")
    name((kind == FINITE) & (significand == 0), "NegativeZero")
    name((kind == POSITIVE_INFINITY) | (kind == NEGATIVE_INFINITY), "Infinity")
    name(kind == NAN, "NanPayload")
    if source.canonical_nan is not None:
        canonical = (codes == source.canonical_nan) | (codes == source.canonical_nan | source.sign_bit)
        name((kind == NAN) & canonical, "NanSign")
    return kinds


def _overflows(codes: NDArray[Any], source: Scalar, target: Scalar) -> NDArray[np.bool_]:
    """Whether rounding away from zero leaves the range."""
    if target.wraps:
        wrapped = reference(codes, source, target, Policy(rounding="away_from_zero", overflow="wrap"))
        return np.asarray(wrapped != reference(codes, source, target, Policy(rounding="away_from_zero")))
    infinite = reference(codes, source, target, Policy(rounding="away_from_zero", overflow="infinity"))
    saturated = reference(codes, source, target, Policy(rounding="away_from_zero", overflow="saturate"))
    return np.asarray((infinite != saturated) & ~is_nan(saturated, target))
