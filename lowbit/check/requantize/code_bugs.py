"""Bugs of requantisations at their zero point or of their codes, which may come on top of any scheme."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import cast

import numpy as np

from lowbit.check.comparison import Comparison
from lowbit.check.gemm.problem import saturated, wrapped
from lowbit.check.operation import UNDEFINED, Bug
from lowbit.check.requantize.rules import RequantizeRule
from lowbit.format.registry import scalar_format
from lowbit.format.scalar import FixedFormat
from lowbit.vectors.case import Array, Case


@dataclass(frozen=True)
class RequantizeBug(Bug):
    """A bug of the way from accumulators to codes."""

    compute: Callable[[Case, RequantizeRule], Array]  # (case, rule with the bug) -> the results
    any_scheme: bool = False  # whether the scheme of the rule matters: else the bug stands for one


def code_bugs() -> Iterator[RequantizeBug]:
    """The likeliest first."""

    def bug(name: str, words: str, compute: Callable[[Case, RequantizeRule], Array]) -> RequantizeBug:
        return RequantizeBug(name, words, compute, any_scheme=True)

    yield bug("no_zero_point", "ignores the zero point", lambda case, rule: rule.codes(case, 0))
    yield bug("minus_zero_point", "subtracts the zero point instead of adding it", _minus_zero_point)
    yield bug("zero_point_twice", "adds the zero point twice", _changed(lambda values, zero: values + 2 * zero))
    yield bug("zero_point_first", "adds the zero point to the accumulators, before they are scaled", _zero_point_first)
    yield bug("clamped_twice", "clamps before the zero point is added, and again after it", _clamped_twice)
    yield bug("clamped_first", "clamps before the zero point is added, and wraps after it", _clamped_first)
    yield bug("narrow_range", "never gives the lowest code (a narrow range, as -127 to 127)", _at_least(1))
    yield bug("rectified", "gives no negative codes (an activation, or codes of an unsigned type)", _at_least(None))
    yield bug(
        "magnitude",
        "loses the sign of every value",
        _changed(lambda values, zero: np.abs(values) + zero),
    )
    yield bug("negated", "negates every value", _changed(lambda values, zero: zero - values))
    words = "gives the zero point for all values below zero (an activation)"
    yield bug("rectified_values", words, _changed(lambda values, zero: np.maximum(values, 0) + zero))
    for bits in (16, 24):
        for how, cut in (("wraps", wrapped), ("saturates", saturated)):
            yield bug(f"accumulator_{bits}_{how}", f"{how} accumulators to {bits} bits first", _cut_first(bits, cut))


def measured_bugs(comparison: Comparison, result: FixedFormat) -> Iterator[RequantizeBug]:
    """Those whose numbers the answers suggest: a number that is added, ends that are not those of the format."""
    got, expected = (array[comparison.good].astype(np.int64) for array in (comparison.got, comparison.expected))
    inside = (np.minimum(got, expected) > result.min_code) & (np.maximum(got, expected) < result.max_code)
    added = int(np.median((got - expected)[inside])) if inside.any() else 0
    if added:
        compute = _changed(lambda values, zero: values + zero + added)
        yield RequantizeBug("added", f"adds {added} to every code", compute, any_scheme=True)
    ends = {"least": int(got.min()), "most": int(got.max())}
    if ends["least"] in (0, result.min_code, result.min_code + 1):  # which have words of their own
        del ends["least"]
    if ends["most"] == result.max_code:
        del ends["most"]

    def clamped(case: Case, rule: RequantizeRule) -> Array:
        codes = _own_codes(case, rule)
        clipped = np.clip(codes, ends.get("least", result.min_code), ends.get("most", result.max_code))
        return np.where(codes == UNDEFINED, UNDEFINED, clipped)

    if ends:
        told = " and ".join(f"{code} at {end}" for end, code in ends.items())
        yield RequantizeBug("clamped", f"clamps codes to {told}", clamped, any_scheme=True)


def _own_codes(case: Case, rule: RequantizeRule) -> Array:
    return rule.codes(case, int(case.scalars["zero_point"]))


def _within(values: Array, rule: RequantizeRule) -> Array:
    return np.clip(values, rule.result.min_code, rule.result.max_code)


def _changed(change: Callable[[Array, int], Array]) -> Callable[[Case, RequantizeRule], Array]:
    """What is made of the values before the clamp, and the zero point."""
    wide = cast("FixedFormat", scalar_format("int32"))

    def compute(case: Case, rule: RequantizeRule) -> Array:
        values = replace(rule, result=wide).codes(case, 0)
        changed = _within(change(values, int(case.scalars["zero_point"])), rule)
        return np.where(values == UNDEFINED, UNDEFINED, changed)

    return compute


def _at_least(above: int | None) -> Callable[[Case, RequantizeRule], Array]:
    """Nothing below 0, or below a code so far above the lowest one."""

    def compute(case: Case, rule: RequantizeRule) -> Array:
        low = 0 if above is None else rule.result.min_code + above
        results = _own_codes(case, rule)
        return np.where((results < low) & (results >= rule.result.min_code), low, results)

    return compute


def _minus_zero_point(case: Case, rule: RequantizeRule) -> Array:
    zero_point = -int(case.scalars["zero_point"])
    return rule.codes(case, min(max(zero_point, rule.result.min_code), rule.result.max_code))


def _zero_point_first(case: Case, rule: RequantizeRule) -> Array:
    limits = np.iinfo(case.arrays["accumulators"].dtype)
    sums = case.arrays["accumulators"].astype(np.int64) + int(case.scalars["zero_point"])
    within = np.clip(sums, limits.min, limits.max).astype(case.arrays["accumulators"].dtype)
    return rule.codes(replace(case, arrays={**case.arrays, "accumulators": within}), 0)


def _cut_first(bits: int, cut: Callable[[Array, int], Array]) -> Callable[[Case, RequantizeRule], Array]:
    def compute(case: Case, rule: RequantizeRule) -> Array:
        accumulators = case.arrays["accumulators"]
        narrow = cut(accumulators.astype(np.int64), bits).astype(accumulators.dtype)
        return _own_codes(replace(case, arrays={**case.arrays, "accumulators": narrow}), rule)

    return compute


def _clamped_first(case: Case, rule: RequantizeRule) -> Array:
    values = rule.codes(case, 0) + int(case.scalars["zero_point"])
    half = 1 << (rule.result.bits - 1) if rule.result.signed else 0
    return np.asarray(((values + half) & ((1 << rule.result.bits) - 1)) - half)


def _clamped_twice(case: Case, rule: RequantizeRule) -> Array:
    return _within(rule.codes(case, 0) + int(case.scalars["zero_point"]), rule)
