"""``lowbit check requantize``: which rounding scheme a kernel follows from accumulators to codes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lowbit.check.operation import Identification, Operation, eliminate
from lowbit.check.requantize.rules import BUGS, RequantizeRule, schemes
from lowbit.dut.kernel import place
from lowbit.dut.prototype import INPUT, OUTPUT, SCALAR, SIZE, Parameter, Prototype
from lowbit.errors import InputError
from lowbit.format.scalar import FixedFormat
from lowbit.policy.requantize import REQUANTIZE_SCHEMES, RequantizeScheme
from lowbit.vectors.case import Array, Case
from lowbit.vectors.requantize.cases import directed_requantizations, random_requantizations, real_scale

DEFINED_SHARE = 0.75
CLOSER = 10
"""A scheme is called the closest where so many times fewer results differ from it than from the one asked for."""
NAMED_AT_MOST = 4
"""So many names of one arithmetic are told; the rest is counted."""


def requantize_prototype(scheme: RequantizeScheme, result: FixedFormat) -> Prototype:
    """``f(accumulators, out, n, multiplier, shift, zero_point)``, or with a scale in place of multiplier and shift."""
    if scheme.takes_scale:
        given = [Parameter(SCALAR, "scale", "float32" if scheme.multiplier_bits <= 24 else "float64")]
    else:
        given = [Parameter(SCALAR, "multiplier", "int32"), Parameter(SCALAR, "shift", "int32")]
    accumulators = "int32" if scheme.accumulator_bits == 32 else "int64"
    return Prototype(
        (
            Parameter(INPUT, "accumulators", accumulators),
            Parameter(OUTPUT, "out", np.dtype(result.code_dtype).name),
            Parameter(SIZE, "n"),
            *given,
            Parameter(SCALAR, "zero_point", "int32"),
        )
    )


class RequantizeOperation(Operation):
    """A requantisation to one format, compared under one scheme.

    Parameters
    ----------
    scheme : RequantizeScheme
        What to compare with; parameters are in its convention.
    result : FixedFormat
    """

    name = "requantize"

    def __init__(self, scheme: RequantizeScheme, result: FixedFormat) -> None:
        self.scheme, self.result = scheme, result
        self.source = "int32" if scheme.accumulator_bits == 32 else "int48"
        self.target = result.id
        self.rule_name = f"scheme {scheme.name or 'as given'}"
        self.result_bits = result.container_bits
        self.prototype = requantize_prototype(scheme, result)
        self._file = ""
        self._rule = RequantizeRule(scheme, scheme, result)

    def cases(self, set_name: str, count: int, seed: int) -> list[Case]:
        """Directed or random accumulators."""
        if set_name == "directed":
            return directed_requantizations(self.scheme, self.result)
        if set_name == "random":
            return random_requantizations(self.scheme, self.result, count, seed)
        raise InputError(f"a requantisation has no set {set_name!r}", hint="directed or random", code="LB100")

    def read_cases(self, path: str) -> list[Case]:
        """The rows of a file that ``lowbit gen requantize`` wrote, each parameter set a case."""
        from lowbit.vectors.requantize.sets import read_requantizations

        self._file = path
        return read_requantizations(path, self.scheme)

    def expected(self, case: Case) -> Array:
        """What the scheme asked for gives."""
        return self._rule.run(case)

    def identify(self, cases: Sequence[Case], got: Sequence[Array]) -> Identification:
        """Eliminate schemes; where none is left, bugs with the scheme asked for."""
        right = [bool((self.expected(case) == answer).all()) for case, answer in zip(cases, got, strict=True)]
        order = sorted(range(len(cases)), key=lambda index: (right[index], cases[index].outputs))
        rules = [RequantizeRule(scheme, self.scheme, self.result) for scheme in schemes(self.scheme)]
        left = [rule for rule in eliminate(rules, cases, got, order) if isinstance(rule, RequantizeRule)]
        # A scheme that takes few of the scales is no explanation of the others.
        left = [rule for rule in left if sum(map(rule.is_defined, cases)) >= DEFINED_SHARE * len(cases)]
        if left:
            return self._identified(left)
        bugs = [RequantizeRule(self.scheme, self.scheme, self.result, bug) for bug in BUGS]
        left = [rule for rule in eliminate(bugs, cases, got, order) if isinstance(rule, RequantizeRule)]
        if left:
            words = " or ".join(BUGS[rule.bug][0] for rule in left)
            return Identification(tuple(left), {}, {}, f"{words}, and is otherwise exact")
        return Identification((), {}, {}, self._unknown(cases, got))

    def _identified(self, left: list[RequantizeRule]) -> Identification:
        best = min(left, key=lambda rule: (not rule.scheme.name, len(rule.scheme.differences(self.scheme))))
        found = [rule.scheme for rule in left]
        names = list(dict.fromkeys(scheme.name for scheme in found if scheme.name))
        axes = sorted({axis for scheme in found for axis in scheme.differences(self.scheme)})
        told = [axis for axis in RequantizeScheme.AXES if axis in axes]
        choices = {axis: "|".join(sorted({str(getattr(scheme, axis)) for scheme in found})) for axis in told}
        asked = {axis: str(getattr(self.scheme, axis)) for axis in told}
        return Identification(
            (best, *(rule for rule in left if rule is not best)), choices, asked, self._words(best.scheme, names)
        )

    def _words(self, best: RequantizeScheme, names: list[str]) -> str:
        if not names:
            changes = ", ".join(f"{axis} {own}" for axis, (own, _) in best.differences(self.scheme).items())
            return f"follows {self.scheme.name} but for {changes}, and is otherwise exact"
        more = len(names) - NAMED_AT_MOST
        rest = f" and {more} more" if more > 0 else ""
        also = f" (the same as {', '.join(names[1:NAMED_AT_MOST])}{rest})" if len(names) > 1 else ""
        return f"follows {names[0]}{also}: {best.summary}"

    def _unknown(self, cases: Sequence[Case], got: Sequence[Array]) -> str:
        wrong = steps = 0
        for case, answer in zip(cases, got, strict=True):
            distance = np.abs(self.expected(case) - answer)
            wrong += int(np.count_nonzero(distance))
            steps = max(steps, int(distance.max()))
        words = f"follows no scheme that lowbit knows: {wrong:,} results differ, by {steps} at most"
        nearest, count, first = self._nearest(cases, got)
        if count * CLOSER <= wrong:
            words += f"; closest is {nearest}, from which {count:,} differ, the first for accumulator {first}"
        return words

    def _nearest(self, cases: Sequence[Case], got: Sequence[Array]) -> tuple[str, int, int]:
        """The named scheme with the fewest differences, how many, and the first accumulator that shows one."""
        found = []
        for scheme in REQUANTIZE_SCHEMES.values():
            rule = RequantizeRule(scheme, self.scheme, self.result)
            wrong = [rule.run(case) != answer for case, answer in zip(cases, got, strict=True)]
            shown = [case.arrays["accumulators"][bad] for case, bad in zip(cases, wrong, strict=True)]
            first = np.concatenate(shown)[:1].tolist()
            found.append((scheme.name, sum(map(len, shown)), *(first or [0])))
        return min(found, key=lambda item: item[1])

    def explain(self, case: Case, index: tuple[int, ...], expected: int, got: int, found: Identification) -> str:
        """One wrong result: the exact product, the codes beside it, and what was asked for."""
        del found
        accumulator = int(case.arrays["accumulators"][index])
        scalars = {name: value for name, value in case.scalars.items() if name != "zero_point"}
        exact = real_scale(self.scheme, scalars) * accumulator
        twice = exact * 2
        tie = " (a tie)" if twice.denominator == 1 and twice.numerator % 2 else ""
        lines = [
            place(case),
            f"accumulator     {accumulator}",
            f"exact product   {float(exact):.9g}{tie}, zero point {case.scalars['zero_point']}",
            f"expected        {expected}",
            f"got             {got}, {got - expected:+d}",
        ]
        return "\n".join(lines)

    def command(self, case: Case) -> str:
        """Writes the accumulators of a case and the expected codes; or shows the row of a file."""
        if self._file:
            return f"grep -v // {self._file} | sed -n {case.number + 1}p"
        chosen = f"--scheme {self.scheme.name} --result {self.result.id}"
        return f"lowbit gen requantize {chosen} --case {case.name} -o case.npz"
