"""The candidates of an identification: every named scheme, their relatives, and bugs that are not a scheme."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from lowbit.check.operation import UNDEFINED, Bug, Rule
from lowbit.errors import InputError, PolicyError
from lowbit.format.scalar import FixedFormat
from lowbit.policy.requantize import REQUANTIZE_SCHEMES, RequantizeScheme
from lowbit.vectors.case import Array, Case, Number
from lowbit.vectors.requantize.cases import real_scale

RELATED_AXES = ("tie", "overflow", "high_half", "zero_point", "narrowing", "left_shift")


@dataclass(frozen=True)
class RequantizeBug(Bug):
    """A bug of the way from accumulators to codes."""

    compute: Callable[[Case, RequantizeRule], Array]  # (case, rule with the bug) -> the results


@dataclass(frozen=True)
class RequantizeRule(Rule):
    """A scheme, given the same scale as the scheme asked for, and perhaps a bug."""

    scheme: RequantizeScheme
    asked: RequantizeScheme  # in whose convention the cases are
    result: FixedFormat
    bug: RequantizeBug | None = None

    def run(self, case: Case) -> Array:
        """The results of a case; ``UNDEFINED`` everywhere if the scheme is not defined for it."""
        if self.bug is not None:
            return self.bug.compute(case, self)
        return self.codes(case, int(case.scalars["zero_point"]))

    def codes(self, case: Case, zero_point: int) -> Array:
        """The codes with another zero point than the case's."""
        from lowbit.ops.requantize.requantize import requantize

        accumulators = case.arrays["accumulators"]
        try:
            given = converted(self.scheme, self.asked, case.scalars)
            codes = requantize(
                accumulators,
                scheme=self.scheme,
                zero_point=zero_point,
                result=self.result.id,
                **given,  # type: ignore[arg-type]
            )
        except InputError:
            return np.full(case.shape, UNDEFINED)
        return np.asarray(codes).astype(np.int64)


def converted(scheme: RequantizeScheme, asked: RequantizeScheme, scalars: Mapping[str, Number]) -> dict[str, Number]:
    """The parameters of a case in the convention of another scheme.

    A multiplier of as many bits is taken as it is; for others the scheme's own derivation makes one of the scale.
    """
    given: dict[str, Number] = dict(scalars)
    given.pop("zero_point", None)
    if scheme.takes_scale == asked.takes_scale and scheme.takes_scale:
        return given
    if not scheme.takes_scale and not asked.takes_scale and scheme.multiplier_bits == asked.multiplier_bits:
        right = asked.right_shift(int(given["shift"]))
        shift = scheme.point - right if scheme.shift == "left" else right - scheme.point
        low, high = scheme.shift_range
        if not low <= shift <= high:
            raise InputError(f"shift {shift} is out of range")
        return {"multiplier": given["multiplier"], "shift": shift}
    return {"scale": float(real_scale(asked, given))}


def schemes(asked: RequantizeScheme) -> list[RequantizeScheme]:
    """The scheme asked for, the named ones, and those that differ from the first on one or two axes."""
    found = [asked, *REQUANTIZE_SCHEMES.values()]
    found += list(_related(asked))
    return list({(scheme, scheme.name): scheme for scheme in found}.values())


def _related(asked: RequantizeScheme) -> Iterator[RequantizeScheme]:
    singles = [
        (axis, value) for axis in RELATED_AXES for value in RequantizeScheme.CHOICES[axis] if value != "up_binary32"
    ]
    for index, (axis, value) in enumerate(singles):
        for other_axis, other in singles[index:]:
            try:
                scheme = asked.choose(**{axis: value, other_axis: other})
            except PolicyError:
                continue
            if scheme not in REQUANTIZE_SCHEMES.values():
                yield scheme


@lru_cache(maxsize=4)
def _exact(case: Case, asked: RequantizeScheme) -> tuple[list[Fraction], int]:
    """The products before they are rounded to integers, and the zero point."""
    accumulators = case.arrays["accumulators"]
    if asked.product == "binary32":
        products = accumulators.astype(np.float32) * np.float32(case.scalars["scale"])
        return [Fraction(float(value)) for value in products], int(case.scalars["zero_point"])
    scale = real_scale(asked, {name: value for name, value in case.scalars.items() if name != "zero_point"})
    return [scale * int(value) for value in accumulators.tolist()], int(case.scalars["zero_point"])


def _rounded(case: Case, rule: RequantizeRule, rounding: Callable[[Fraction], int]) -> NDArray[np.int64]:
    products, zero_point = _exact(case, rule.asked)
    values = [min(max(rounding(value) + zero_point, rule.result.min_code), rule.result.max_code) for value in products]
    return np.array(values, np.int64)


def _floor(case: Case, rule: RequantizeRule) -> Array:
    return _rounded(case, rule, lambda value: value.numerator // value.denominator)


def _toward_zero(case: Case, rule: RequantizeRule) -> Array:
    return _rounded(case, rule, int)


def _without_zero_point(case: Case, rule: RequantizeRule) -> Array:
    return rule.codes(case, 0)


def _zero_point_subtracted(case: Case, rule: RequantizeRule) -> Array:
    zero_point = -int(case.scalars["zero_point"])
    return rule.codes(case, min(max(zero_point, rule.result.min_code), rule.result.max_code))


def _clamped_first(case: Case, rule: RequantizeRule) -> Array:
    values = rule.codes(case, 0) + int(case.scalars["zero_point"])
    half = 1 << (rule.result.bits - 1) if rule.result.signed else 0
    return np.asarray(((values + half) & ((1 << rule.result.bits) - 1)) - half)


def _clamped_twice(case: Case, rule: RequantizeRule) -> Array:
    values = rule.codes(case, 0) + int(case.scalars["zero_point"])
    return np.asarray(np.clip(values, rule.result.min_code, rule.result.max_code))


REQUANTIZE_BUGS = (
    RequantizeBug("floor", "shifts without rounding (toward -infinity)", _floor),
    RequantizeBug("toward_zero", "truncates (toward zero)", _toward_zero),
    RequantizeBug("no_zero_point", "ignores the zero point", _without_zero_point),
    RequantizeBug("minus_zero_point", "subtracts the zero point instead of adding it", _zero_point_subtracted),
    RequantizeBug("clamped_twice", "clamps before the zero point is added, and again after it", _clamped_twice),
    RequantizeBug("clamped_first", "clamps before the zero point is added, and wraps after it", _clamped_first),
)
