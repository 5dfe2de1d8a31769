"""``lowbit check requantize``: which rounding scheme a kernel follows from accumulators to codes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from lowbit.check.claims import Claim, Closest, Unexplained, constant, covered_by, explained
from lowbit.check.comparison import Comparison
from lowbit.check.facts import off_by, size_facts
from lowbit.check.operation import Operation, Rule, surviving
from lowbit.check.requantize.bugs import REQUANTIZE_BUGS
from lowbit.check.requantize.code_bugs import measured_bugs
from lowbit.check.requantize.rules import RequantizeRule, schemes
from lowbit.dut.prototype import INPUT, OUTPUT, SCALAR, SIZE, Parameter, Prototype, codes_of
from lowbit.format.scalar import FixedFormat
from lowbit.oracle.requantize.requantize import requantize
from lowbit.policy.requantize import REQUANTIZE_SCHEMES, RequantizeScheme
from lowbit.vectors.case import Case
from lowbit.vectors.requantize.cases import directed_requantizations, multiplier_of, random_requantizations, real_scale

DEFINED_SHARE = 0.75
"""A scheme that takes few of the scales does not explain the others."""
CLOSER = 10
"""A scheme is called the closest where so many times fewer results differ from it than from the one asked for."""


def requantize_prototype(scheme: RequantizeScheme, result: FixedFormat) -> Prototype:
    """``f(accumulators, out, n, multiplier, shift, zero_point)``, or with a scale in place of multiplier and shift."""
    if scheme.takes_scale:
        scalars = [Parameter(SCALAR, "scale", "float32" if scheme.multiplier_bits <= 24 else "float64")]
    else:
        scalars = [Parameter(SCALAR, "multiplier", "int32"), Parameter(SCALAR, "shift", "int32")]
    accumulators = "int32" if scheme.accumulator_bits == 32 else "int64"
    return Prototype(
        (
            Parameter(INPUT, "accumulators", accumulators),
            codes_of(OUTPUT, "out", result),
            Parameter(SIZE, "n"),
            *scalars,
            Parameter(SCALAR, "zero_point", "int32"),
        )
    )


@dataclass(frozen=True)
class RequantizeDetail:
    """The product before it is rounded to an integer, and what the scheme makes of it, step by step."""

    product: Fraction
    steps: tuple[tuple[str, Fraction | int], ...]


class RequantizeOperation(Operation):
    """A requantisation to one format, compared under one scheme.

    ``scheme``: what to compare with; parameters are in its convention.
    """

    name = "requantize"

    def __init__(self, scheme: RequantizeScheme, result: FixedFormat) -> None:
        self.scheme, self.result = scheme, result
        self.source = "int32" if scheme.accumulator_bits == 32 else "int48"
        self.target = result.id
        self.types = {"--scheme": scheme.name, "--to": result.id}
        self.rule_name = f"scheme {scheme.name or 'as given'}"
        self.prototype = requantize_prototype(scheme, result)
        self.rule = RequantizeRule(scheme, scheme, result)

    def _directed(self) -> list[Case]:
        return directed_requantizations(self.scheme, self.result)

    def _random(self, count: int, seed: int) -> list[Case]:
        return random_requantizations(self.scheme, self.result, count, seed)

    def _read(self, path: str) -> list[Case]:
        from lowbit.vectors.requantize.sets import read_requantizations

        return read_requantizations(path, self.scheme)

    def identify(self, comparison: Comparison) -> list[Claim]:
        """Eliminate schemes; where none is left, bugs with the scheme asked for, then with the named ones."""
        if claims := constant(comparison):
            return claims
        order = comparison.by_worth()
        rules = [self._rule(scheme) for scheme in schemes(self.scheme)]
        every = tuple(self._bugs(comparison))
        bugs = [self._rule(self.scheme, bug) for bug in every]
        named = [scheme for scheme in REQUANTIZE_SCHEMES.values() if scheme != self.scheme]
        also = [self._rule(scheme, bug) for bug in every for scheme in (named if bug.any_scheme else ())]
        claims = self._explained(surviving(rules, comparison, order, DEFINED_SHARE), comparison)
        if claims and not any(isinstance(claim, Unexplained) for claim in claims):
            return claims
        left = surviving(bugs, comparison, order) or surviving(also, comparison, order, DEFINED_SHARE)
        return self._explained(left, comparison) or claims or self._unknown(comparison)

    def _rule(self, scheme: RequantizeScheme, bug: Any = None) -> Rule:
        """A candidate."""
        return RequantizeRule(scheme, self.scheme, self.result, bug)

    def _bugs(self, comparison: Comparison) -> Iterator[Any]:
        """The bugs that are looked for, the likeliest first."""
        yield from (*REQUANTIZE_BUGS, *measured_bugs(comparison, self.result))

    def _explained(self, left: list[Rule], comparison: Comparison) -> list[Claim]:
        left.sort(key=lambda rule: (not rule.scheme.name, len(rule.scheme.differences(self.scheme))))  # type: ignore[attr-defined]
        return explained(left, comparison, self._choices, lambda axis: getattr(self.scheme, axis))

    def _choices(self, rules: Sequence[RequantizeRule]) -> dict[str, tuple[Any, ...]]:
        """The values of schemes on the axes on which any of them is not the one asked for."""
        axes = {axis for rule in rules for axis in rule.scheme.differences(self.scheme)}
        return {
            axis: tuple(sorted({getattr(rule.scheme, axis) for rule in rules}))
            for axis in RequantizeScheme.AXES
            if axis in axes and not rules[0].bug
        }

    def _unknown(self, comparison: Comparison) -> list[Claim]:
        """The named scheme with the fewest differences, if these are few, and what all wrong results have in common."""
        rows, good = np.flatnonzero(comparison.wrong & comparison.good), np.flatnonzero(comparison.good)
        if not len(rows):
            return []
        facts = (off_by(comparison), *size_facts(comparison, (), ()))
        claims: list[Claim] = [Unexplained(rows, "", len(comparison), facts)]
        rules = [RequantizeRule(scheme, self.scheme, self.result) for scheme in REQUANTIZE_SCHEMES.values()]
        covered = [covered_by([rule], comparison, good) for rule in rules]
        best = max(range(len(rules)), key=lambda index: int(np.count_nonzero(covered[index])))
        left = good[~covered[best]]
        if len(left) * CLOSER <= len(rows):
            first = int(comparison.operand("accumulators")[left[0]]) if len(left) else None
            claims.append(Closest(good[covered[best]], rules[best], left, first))
        return claims

    def detail(self, case: Case, index: tuple[int, ...]) -> RequantizeDetail:
        """The exact product, and the steps of the oracle."""
        accumulator = int(case.arrays["accumulators"][index])
        steps: list[tuple[str, Fraction | int]] = []
        requantize(
            accumulator,
            self.scheme,
            *multiplier_of(self.scheme, case.scalars),
            zero_point=int(case.scalars["zero_point"]),
            low=self.result.min_code,
            high=self.result.max_code,
            note=lambda name, value: steps.append((name, value)),
        )
        return RequantizeDetail(real_scale(self.scheme, case.scalars) * accumulator, tuple(steps))

    def _command(self, case: Case) -> str:
        names = f"--scheme {self.scheme.name} --to {self.result.id}"
        return f"lowbit gen requantize {names} --case {case.name}"
