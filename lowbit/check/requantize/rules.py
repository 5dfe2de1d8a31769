"""The candidates of an identification: every named scheme and their relatives."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lowbit.check.operation import UNDEFINED, Rule
from lowbit.errors import InputError, PolicyError
from lowbit.format.scalar import FixedFormat
from lowbit.policy.requantize import REQUANTIZE_SCHEMES, RequantizeScheme
from lowbit.vectors.case import Array, Case, Number
from lowbit.vectors.requantize.cases import real_scale

if TYPE_CHECKING:
    from lowbit.check.requantize.code_bugs import RequantizeBug

RELATED_AXES = ("tie", "overflow", "high_half", "zero_point", "narrowing", "left_shift")


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
