"""The values that each axis may take in an identification, and the bugs that are no policy at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import combinations
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lowbit.check.cast.input_classes import Inputs, intermediate_formats, interval_defects
from lowbit.exact import floor_log2
from lowbit.format.scalar import FloatFormat, Scalar
from lowbit.policy.cast import Policy

STOCHASTIC = "stochastic_"
IDENTIFIED_AXES = (*(axis for axis in Policy.AXES if axis != "random_bits"), "defects")


def axis_values(source: Scalar, target: Scalar) -> dict[str, tuple[Any, ...]]:
    """The candidate values of every axis; a device cannot raise, and its random bits cannot be known."""
    values: dict[str, tuple[Any, ...]] = {}
    for axis, choices in Policy.CHOICES.items():
        kept = [choice for choice in choices if choice != "error" and not choice.startswith(STOCHASTIC)]
        if axis == "overflow" and not target.wraps:
            kept.remove("wrap")
        values[axis] = tuple(kept)
    values["via"] = ("", *intermediate_formats(source, target))
    known = interval_defects(source, target)
    values["defects"] = tuple(subset for size in range(len(known) + 1) for subset in combinations(known, size))
    return values


def as_policy(assignment: Mapping[str, Any], base: Policy | None = None) -> Policy:
    """The policy of an assignment, with ``base`` (the default policy) on the axes that it does not speak of."""
    base = base or Policy()
    if base.stochastic:
        base = base.choose(rounding="nearest_even", random_bits=0)
    return base.choose(**assignment) if assignment else base


def as_assignment(policy: Policy) -> dict[str, Any]:
    """A policy's value on every axis that can be identified."""
    return {axis: getattr(policy, axis) for axis in IDENTIFIED_AXES}


@dataclass(frozen=True)
class Hypothesis:
    """A bug that acts like the right conversion of other inputs.

    Attributes
    ----------
    words : str
        What the kernel does.
    rewrite : callable
        (inputs, source, target) -> the source codes that the kernel behaves as if it had been given.
    """

    words: str
    rewrite: Callable[[Inputs, FloatFormat, FloatFormat], NDArray[Any]]


def early_overflow(inputs: Inputs, source: FloatFormat, target: FloatFormat) -> NDArray[Any]:
    """Overflow decided before rounding: what is above the largest value counts as huge."""
    return _where_above_max(inputs, source, target, source.max_code, next_binade=False)


def late_overflow(inputs: Inputs, source: FloatFormat, target: FloatFormat) -> NDArray[Any]:
    """Overflow decided without the tie: only the next value that the format lacks counts as overflow."""
    limit = _source_magnitude(source, target)
    return _where_above_max(inputs, source, target, limit, next_binade=True)


def lost_sticky(inputs: Inputs, source: FloatFormat, target: FloatFormat) -> NDArray[Any]:
    """Only one bit below the result is looked at when rounding."""
    ulp = np.maximum(inputs.leading - target.mantissa_bits, target.smallest_exponent)
    source_ulp = np.maximum(inputs.leading - source.mantissa_bits, source.smallest_exponent)
    dropped = np.clip(ulp - 1 - source_ulp, 0, source.mantissa_bits + 1)
    codes = inputs.codes.astype(np.uint64)
    shift = dropped.astype(np.uint64)
    cut = (codes >> shift) << shift
    vanished = np.asarray(dropped > source.mantissa_bits)
    cut[vanished] = codes[vanished] & np.uint64(source.sign_bit)
    return np.where(inputs.kind == 0, cut, codes).astype(inputs.codes.dtype)


def _source_magnitude(source: FloatFormat, target: FloatFormat) -> int:
    """The source code of the target's largest value, or of the largest source value below it."""
    from lowbit.oracle.cast.project import project

    return project(target.max, source, Policy(rounding="toward_zero", overflow="saturate")).code


def _where_above_max(
    inputs: Inputs, source: FloatFormat, target: FloatFormat, replacement: int, *, next_binade: bool
) -> NDArray[Any]:
    magnitude = inputs.codes & ((1 << source.magnitude_bits) - 1)
    top = _source_magnitude(source, target)
    above = (magnitude > top) & (inputs.kind == 0)
    if next_binade:
        one = source.mantissa_bits - target.mantissa_bits
        step = 1 << max(one, 0)
        above &= (magnitude < top + step) & (inputs.leading == floor_log2(target.max))
    return np.where(above, replacement | (inputs.codes & source.sign_bit), inputs.codes).astype(inputs.codes.dtype)


HYPOTHESES: Mapping[str, Hypothesis] = MappingProxyType(
    {
        "early_overflow": Hypothesis("decides overflow before rounding", early_overflow),
        "late_overflow": Hypothesis("decides overflow one half ulp too late", late_overflow),
        "lost_sticky": Hypothesis("loses the sticky bit (looks at one discarded bit only)", lost_sticky),
    }
)
