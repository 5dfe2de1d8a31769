"""Bugs of requantisations that are not a scheme."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from lowbit.check.operation import UNDEFINED
from lowbit.check.requantize.code_bugs import RequantizeBug, code_bugs
from lowbit.check.requantize.rules import RequantizeRule
from lowbit.policy.requantize import HIGH_SHIFT, RequantizeScheme
from lowbit.vectors.case import Array, Case
from lowbit.vectors.requantize.cases import real_scale

WHOLE_MULTIPLIER = 31
HALF = Fraction(1, 2)
LOGICAL = "shifts right as if the product were unsigned, so that negative ones become large"
Compute = Callable[[Case, RequantizeRule], Array]


@lru_cache(maxsize=4)
def _exact(case: Case, asked: RequantizeScheme) -> tuple[list[Fraction], int]:
    """The products before they are rounded to integers, and the zero point."""
    accumulators = case.arrays["accumulators"]
    if asked.product == "binary32":
        products = accumulators.astype(np.float32) * np.float32(case.scalars["scale"])
        return [Fraction(float(value)) for value in products], int(case.scalars["zero_point"])
    scale = real_scale(asked, case.scalars)
    return [scale * int(value) for value in accumulators.tolist()], int(case.scalars["zero_point"])


def _rounded(rounding: Callable[[Fraction], int]) -> Compute:
    """The exact products, rounded in this way."""

    def compute(case: Case, rule: RequantizeRule) -> Array:
        products, zero_point = _exact(case, rule.asked)
        codes = [rounding(value) + zero_point for value in products]
        return np.array([min(max(code, rule.result.min_code), rule.result.max_code) for code in codes], np.int64)

    return compute


def _half_added(case: Case, rule: RequantizeRule) -> Array:
    """C's ``(int)(x + 0.5)``, whose sum is rounded to binary32 where the product was."""
    if rule.asked.product != "binary32":
        return _rounded(lambda value: int(value + HALF))(case, rule)
    return _rounded(lambda value: int(np.float32(value) + np.float32(0.5)))(case, rule)


def _by_integers(values: Callable[[NDArray[np.int64], int, int], NDArray[np.int64]]) -> Compute:
    """A bug between accumulators and codes, of kernels that are given a multiplier of 31 bits and a shift."""

    def compute(case: Case, rule: RequantizeRule) -> Array:
        asked = rule.asked
        if asked.takes_scale or asked.multiplier_bits != WHOLE_MULTIPLIER:
            return np.full(case.shape, UNDEFINED)
        right = asked.right_shift(int(case.scalars["shift"]))
        if right < 1:
            return np.full(case.shape, UNDEFINED)
        accumulators = case.arrays["accumulators"].astype(np.int64)
        scaled = values(accumulators, int(case.scalars["multiplier"]), right)
        zero_point = int(case.scalars["zero_point"])
        return np.clip(scaled + zero_point, rule.result.min_code, rule.result.max_code)

    return compute


def _half_up(values: NDArray[np.int64], right: int) -> NDArray[np.int64]:
    return (values + ((1 << right) >> 1)) >> right if right > 0 else values << -right


def _as_int32(values: NDArray[np.int64]) -> NDArray[np.int64]:
    return values.astype(np.int32).astype(np.int64)


def _logical_64(accumulators: NDArray[np.int64], multiplier: int, right: int) -> NDArray[np.int64]:
    """The product is shifted as an unsigned number."""
    rounded = (accumulators * multiplier + (1 << (right - 1))).astype(np.uint64)
    return _as_int32((rounded >> np.uint64(right)).astype(np.int64))


def _logical_32(accumulators: NDArray[np.int64], multiplier: int, right: int) -> NDArray[np.int64]:
    """The high half of the product is shifted as an unsigned number."""
    high, rest = _half_up(accumulators * multiplier, HIGH_SHIFT), right - HIGH_SHIFT
    if rest < 1:
        return _half_up(accumulators * multiplier, right)
    return ((high + (1 << (rest - 1))) & 0xFFFFFFFF) >> rest


def _carried_multiplier(accumulators: NDArray[np.int64], multiplier: int, right: int) -> NDArray[np.int64]:
    """The multiplier is rounded to 16 bits, of which the largest ones become the sign."""
    rounded = int(np.int64((multiplier + 0x8000) >> 16).astype(np.int16))
    return _half_up(accumulators * rounded, right - 16)


def _rounding_bit_wraps(accumulators: NDArray[np.int64], multiplier: int, right: int) -> NDArray[np.int64]:
    """What the last bit is rounded off is kept in 32 bits, which it needs one more of."""
    return (_as_int32((accumulators * multiplier) >> (right - 1)) + 1) >> 1


def _high_half_only(accumulators: NDArray[np.int64], multiplier: int, right: int) -> NDArray[np.int64]:
    """The rounding constant of the high half is the only one."""
    high, rest = _half_up(accumulators * multiplier, HIGH_SHIFT), right - HIGH_SHIFT
    return high >> rest if rest > 0 else _half_up(accumulators * multiplier, right)


def _cut_first(places: int, *, away: bool) -> Callable[[NDArray[np.int64], int, int], NDArray[np.int64]]:
    """The product is cut to what is above so many places, and only the rest of the shift is rounded."""

    def values(accumulators: NDArray[np.int64], multiplier: int, right: int) -> NDArray[np.int64]:
        high, rest = (accumulators * multiplier) >> min(places, right), right - places
        if away and rest > 0:
            return np.asarray(np.sign(high) * _half_up(np.abs(high), rest))
        return _half_up(high, max(rest, 0))

    return values


def _shifted(places: int) -> Callable[[NDArray[np.int64], int, int], NDArray[np.int64]]:
    return lambda accumulators, multiplier, right: _half_up(accumulators * multiplier, right + places)


def _in_int32(accumulators: NDArray[np.int64], multiplier: int, right: int) -> NDArray[np.int64]:
    return _half_up(_as_int32(accumulators * multiplier), right)


def _cut_multiplier(accumulators: NDArray[np.int64], multiplier: int, right: int) -> NDArray[np.int64]:
    return _half_up(accumulators * (multiplier >> 16), right - 16)


REQUANTIZE_BUGS = (
    RequantizeBug("floor", "shifts without rounding (toward -infinity)", _rounded(math.floor)),
    RequantizeBug("toward_zero", "truncates (toward zero)", _rounded(math.trunc)),
    *code_bugs(),
    RequantizeBug("half_added", "adds 0.5 and truncates: right for positive values only", _half_added),
    RequantizeBug("ceiling", "rounds up (toward +infinity)", _rounded(math.ceil)),
    RequantizeBug("half_down", "rounds half down", _rounded(lambda value: math.ceil(value - HALF))),
    RequantizeBug(
        "whole_added",
        "adds a whole unit before it shifts, not half of one",
        _rounded(lambda value: math.floor(value) + 1),
    ),
    RequantizeBug("shift_more", "shifts right by a place too many", _by_integers(_shifted(1))),
    RequantizeBug("shift_less", "shifts right by a place too few", _by_integers(_shifted(-1))),
    RequantizeBug(
        "high_half_only",
        "rounds the high half of the product, and shifts it without rounding",
        _by_integers(_high_half_only),
    ),
    *(
        RequantizeBug(
            f"high_cut_{places}_{how.split()[0]}",
            f"cuts the product to its high half (a shift by {places}), and rounds the rest of the shift half {how}",
            _by_integers(_cut_first(places, away=how != "up")),
        )
        for places in (HIGH_SHIFT, HIGH_SHIFT + 1)
        for how in ("up", "away from zero")
    ),
    RequantizeBug("product_wraps", "keeps the product in 32 bits, where it wraps", _by_integers(_in_int32)),
    RequantizeBug("multiplier_cut", "cuts the multiplier to its high 16 bits", _by_integers(_cut_multiplier)),
    RequantizeBug("logical_64", LOGICAL, _by_integers(_logical_64)),
    RequantizeBug("logical_32", LOGICAL, _by_integers(_logical_32)),
    RequantizeBug(
        "carried_multiplier",
        "rounds the multiplier to 16 bits, where the largest ones carry into the sign",
        _by_integers(_carried_multiplier),
    ),
    RequantizeBug(
        "rounding_bit_wraps",
        "keeps the product and its rounding bit in 32 bits, where large ones wrap",
        _by_integers(_rounding_bit_wraps),
    ),
)
