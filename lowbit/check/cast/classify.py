"""Group what differs: by the flag of the vector that caught it, or by what the input is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lowbit.check.cast.compare import Comparison
from lowbit.check.cast.reference import reference
from lowbit.exact import FINITE, NAN, NEGATIVE_INFINITY, POSITIVE_INFINITY
from lowbit.format.scalar import Scalar
from lowbit.ops.arrays import is_nan, is_zero
from lowbit.policy.cast import Policy
from lowbit.vectors.flags.cast import FLAGS


@dataclass(frozen=True)
class Group:
    """Rows that differ for one reason.

    Attributes
    ----------
    name : str
        The flag, or the class of input.
    catches : str
        The bug that such rows are made to catch, "" for a class.
    rows : int array
        The rows that differ.
    total : int
        How many rows of this kind were compared.
    """

    name: str
    catches: str
    rows: NDArray[np.intp]
    total: int


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


def group_differences(comparison: Comparison) -> list[Group]:
    """The rows that differ, by flag (or class of input), the largest group first."""
    rows = comparison.rows
    if not len(rows):
        return []
    if comparison.flags is not None:
        kinds = comparison.flags
        names = {number: (flag.name, flag.catches) for number, flag in FLAGS.items()}
    else:
        # Classes cost a few conversions of every row, so only those that differ are looked at.
        kinds = np.full(len(comparison.codes), len(CLASS_NAMES), np.uint8)
        kinds[rows] = input_kinds(comparison.codes[rows], comparison.source, comparison.target)
        catches = {flag.name: flag.catches for flag in FLAGS.values()}
        names = {number: (name, catches.get(name, "")) for number, name in enumerate(CLASS_NAMES)}
    groups = []
    for kind in np.unique(kinds[rows]):
        members = rows[kinds[rows] == kind]
        total = int(np.count_nonzero(kinds == kind)) if comparison.flags is not None else len(members)
        groups.append(Group(*names[int(kind)], members, total))
    return sorted(groups, key=lambda group: -len(group.rows))


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
