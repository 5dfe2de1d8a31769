"""``lowbit check quantize_linear``: values to codes by a scale and a zero point that are given."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lowbit.check.block.identify import identified
from lowbit.check.block.policy_rule import PolicyRule, policy_options
from lowbit.check.block.stages import LINEAR_STAGES
from lowbit.check.operation import UNDEFINED, Bug, Operation
from lowbit.dut.prototype import INPUT, OUTPUT, SCALAR, SIZE, Parameter, Prototype, codes_of
from lowbit.errors import LowbitError
from lowbit.policy.block import BlockPolicy
from lowbit.vectors.block.linear_cases import directed_values, random_values
from lowbit.vectors.case import Array, Case

if TYPE_CHECKING:
    from lowbit.check.claims import Claim
    from lowbit.check.comparison import Comparison
    from lowbit.format.protocol import Scalar


HALF = np.float32(0.5)


def linear_prototype(target: Scalar) -> Prototype:
    """``f(values, out, n, scale, zero_point)``."""
    arrays = (Parameter(INPUT, "values", "float32"), codes_of(OUTPUT, "out", target), Parameter(SIZE, "n"))
    return Prototype((*arrays, Parameter(SCALAR, "scale", "float32"), Parameter(SCALAR, "zero_point", "int32")))


@dataclass(frozen=True, kw_only=True)
class LinearRule(PolicyRule):
    """A policy for the quotients and the elements, and perhaps a bug."""

    target: Scalar

    def run(self, case: Case) -> Array:
        """The codes; ``UNDEFINED`` everywhere if the policy refuses the values."""
        try:
            return self.codes(case) if self.bug is None else self.bug.compute(case, self)
        except LowbitError:
            return np.full(case.shape, UNDEFINED)

    def codes(self, case: Case, zero_point: int | None = None) -> Array:
        """The codes without the bug, with another zero point than the case's."""
        from lowbit.ops.block.linear import quantize_linear

        place = case.scalars["zero_point"] if zero_point is None else zero_point
        scale = np.float32(case.scalars["scale"])
        codes = quantize_linear(case.arrays["values"], scale, place, to=self.target, policy=self.policy)
        return np.asarray(codes).astype(np.int64)

    def format_of(self, field: str) -> Scalar:
        """The format of the codes."""
        del field
        return self.target

    def bugs(self) -> Sequence[Bug]:
        """Those of kernels with zero points, or of all."""
        return LINEAR_BUGS if self.target.wraps else ()


@dataclass(frozen=True)
class LinearBug(Bug):
    """A bug: what a kernel makes of a case."""

    compute: Callable[[Case, LinearRule], Array]


def _wide(case: Case, rounding: Callable[[Array], Array], *, multiplies: bool = False) -> Array:
    """Rounded quotients of binary32, at most 2^40, and 0 for NaN."""
    with np.errstate(all="ignore"):
        scale = np.float32(case.scalars["scale"])
        quotients = case.arrays["values"] / (np.float32(1) / scale if multiplies else scale)
        rounded = rounding(np.nan_to_num(quotients, nan=0.0, posinf=2.0**40, neginf=-(2.0**40)))
    return np.asarray(np.clip(rounded, -(2.0**40), 2.0**40)).astype(np.int64)


def _clipped(codes: Array, rule: LinearRule) -> Array:
    return np.asarray(np.clip(codes, rule.target.codes[0], rule.target.codes[-1]))


def _zero_point(case: Case) -> int:
    return int(case.scalars["zero_point"])


def _saturated(
    rounding: Callable[[Array], Array] = np.rint, *, sign: int = 1, multiplies: bool = False
) -> Callable[[Case, LinearRule], Array]:
    """Rounded quotients and the zero point, to which a kernel may give another sign, within the format."""

    def compute(case: Case, rule: LinearRule) -> Array:
        return _clipped(_wide(case, rounding, multiplies=multiplies) + sign * _zero_point(case), rule)

    return compute


def _wraps(case: Case, rule: LinearRule) -> Array:
    low, count = rule.target.codes[0], len(rule.target.codes)
    return np.asarray((_wide(case, np.rint) + _zero_point(case) - low) % count + low)


def _clamped_first(case: Case, rule: LinearRule) -> Array:
    return _clipped(_clipped(_wide(case, np.rint), rule) + _zero_point(case), rule)


def _narrow(case: Case, rule: LinearRule) -> Array:
    return np.maximum(rule.codes(case), rule.target.codes[0] + 1)


LINEAR_BUGS = (
    LinearBug("no_zero_point", "ignores the zero point", lambda case, rule: rule.codes(case, 0)),
    LinearBug("minus_zero_point", "subtracts the zero point instead of adding it", _saturated(sign=-1)),
    LinearBug(
        "half_added",
        "adds 0.5 and truncates: right for positive values only",
        _saturated(lambda quotients: np.trunc(quotients + HALF)),
    ),
    LinearBug(
        "half_floor",
        "rounds by floor(x + 0.5), where the sum is rounded, too",
        _saturated(lambda quotients: np.floor(quotients + HALF)),
    ),
    LinearBug("wraps", "wraps instead of saturating", _wraps),
    LinearBug("clamped_first", "clamps before the zero point is added, and again after it", _clamped_first),
    LinearBug("multiplies", "multiplies by the scale instead of dividing", _saturated(multiplies=True)),
    LinearBug("narrow_range", "never gives the lowest code (a narrow range, as -127 to 127)", _narrow),
)


@dataclass(frozen=True)
class LinearDetail:
    """The quotient of a value in binary32."""

    quotient: float


class LinearOperation(Operation):
    """QuantizeLinear to one format, compared under one policy."""

    name = "quantize_linear"
    rule: LinearRule

    def __init__(self, target: Scalar, policy: BlockPolicy) -> None:
        self.policy = policy
        self.source, self.target = "float32", target.id
        self.types = {"--to": target.id}
        self.rule_name = f"block policy {policy.name or policy.spell(BlockPolicy())}"
        self.prototype = linear_prototype(target)
        self.rule = LinearRule(policy=policy, target=target)

    def _directed(self) -> list[Case]:
        return directed_values(self.rule.target)

    def _random(self, count: int, seed: int) -> list[Case]:
        return random_values(self.rule.target, count, seed)

    def identify(self, comparison: Comparison) -> list[Claim]:
        """Eliminate policies on one kind of values after the other."""
        return identified(comparison, self.rule, LINEAR_STAGES)

    def changed(self, changes: Sequence[Mapping[str, Any]]) -> LinearRule:
        """The policy with the changes of published differences."""
        policy = self.policy
        for change in changes:
            policy = policy.choose(**change)
        return replace(self.rule, policy=policy)

    def detail(self, case: Case, index: tuple[int, ...]) -> LinearDetail:
        """The quotient."""
        with np.errstate(all="ignore"):
            return LinearDetail(float(case.arrays["values"][index] / np.float32(case.scalars["scale"])))

    def _command(self, case: Case) -> str:
        return f"lowbit gen quantize_linear --to {self.target}{policy_options(self.policy)} --case {case.name}"
