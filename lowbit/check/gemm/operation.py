"""``lowbit check gemm``: an integer matrix product and the accumulator that it follows."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import numpy as np

from lowbit.check.gemm.bugs import gemm_bugs
from lowbit.check.gemm.explain import explain_result, pattern_words
from lowbit.check.gemm.rules import GemmRule, Magnitudes, candidates, presets, problem_of, takes
from lowbit.check.gemm.words import accumulator_words, closest, ranges, survivor_choices
from lowbit.check.operation import Identification, Operation, Rule, eliminate
from lowbit.dut.prototype import INPUT, OUTPUT, SCALAR, SIZE, Parameter, Prototype
from lowbit.errors import InputError
from lowbit.policy.accumulator import Accumulator
from lowbit.vectors.case import Array, Case
from lowbit.vectors.gemm.cases import directed_cases, random_cases
from lowbit.vectors.gemm.values import Operands

LARGE = 1 << 17
"""Multiplications in a case that is worth putting off."""


def gemm_prototype(operands: Operands, result_bits: int = 32) -> Prototype:
    """The prototype of a matrix product: ``f(a, b, c, m, n, k)``, with zero points at the end if it takes them."""
    parameters = [
        Parameter(INPUT, "a", np.dtype(operands.a.code_dtype).name),
        Parameter(INPUT, "b", np.dtype(operands.b.code_dtype).name),
        Parameter(OUTPUT, "c", f"int{result_bits}"),
        *(Parameter(SIZE, name) for name in "mnk"),
    ]
    if operands.zero_points:
        parameters += [Parameter(SCALAR, f"{name}_zero_point", "int32") for name in "ab"]
    return Prototype(tuple(parameters))


class GemmOperation(Operation):
    """A matrix product of two formats, compared under one accumulator.

    Parameters
    ----------
    operands : Operands
    accumulator : Accumulator
        What to compare with.
    """

    name = "gemm"

    def __init__(self, operands: Operands, accumulator: Accumulator) -> None:
        if not takes(accumulator, operands.a, operands.b):
            kinds = accumulator.operands.replace("_", " x ")
            raise InputError(
                f"accumulator {accumulator.name} takes {kinds}, not {operands.words}",
                hint="--a and --b name the formats; --accumulator int32 takes any",
            )
        self.operands, self.accumulator = operands, accumulator
        self.result_bits = 32 if accumulator.result_width <= 32 else 64
        self.prototype = gemm_prototype(operands, self.result_bits)
        self.source, self.target = operands.words, f"int{self.result_bits}"
        self.rule_name = f"accumulator {accumulator.name or 'as given'}"
        self._file = ""
        self._rule = GemmRule(accumulator, self.result_bits)

    def cases(self, set_name: str, count: int, seed: int) -> list[Case]:
        """Directed or random matrices."""
        if set_name == "directed":
            return directed_cases(self.operands)
        if set_name == "random":
            return random_cases(self.operands, count, seed)
        raise InputError(f"a matrix product has no set {set_name!r}", hint="directed or random", code="LB100")

    def read_cases(self, path: str) -> list[Case]:
        """The rows of a file of dot products, one case each."""
        from lowbit.vectors.gemm.sets import read_dot_products

        self._file = path
        return read_dot_products(path, self.operands)

    def expected(self, case: Case) -> Array:
        """What the accumulator asked for gives."""
        return self._rule.run(case)

    def identify(self, cases: Sequence[Case], got: Sequence[Array]) -> Identification:
        """Eliminate accumulators; where none is left, bugs with the accumulator asked for or a named one."""
        # A wrong case leaves few candidates, and a small one is soon done; large ones come when few are left.
        right = [bool((self.expected(case) == answer).all()) for case, answer in zip(cases, got, strict=True)]
        order = sorted(range(len(cases)), key=lambda index: _order(cases[index], right=right[index]))
        survivors: list[Rule] = list(self._accumulators_left(cases, got, order))
        if not survivors:
            survivors = eliminate(self._bug_rules(), cases, got, order)
        return self._identified([rule for rule in survivors if isinstance(rule, GemmRule)], cases, got)

    def _accumulators_left(self, cases: Sequence[Case], got: Sequence[Array], order: Sequence[int]) -> list[GemmRule]:
        """The accumulators that agree; those that no sum of these sizes can tell apart are looked at once."""
        sizes = reduce(Magnitudes.joined, (Magnitudes.of(problem_of(case)) for case in cases))
        alike: dict[Accumulator, list[GemmRule]] = {}
        for item in (self.accumulator, *(item for item in candidates(self.operands) if item != self.accumulator)):
            rule = GemmRule(item, self.result_bits)
            alike.setdefault(sizes.plain(item, self.result_bits), []).append(rule)
        left = eliminate([rules[0] for rules in alike.values()], cases, got, order)
        return [rule for rules in alike.values() if rules[0] in left for rule in rules]

    def _bug_rules(self) -> list[Rule]:
        named = [self.accumulator, *(item for item in presets(self.operands) if item != self.accumulator)]
        return [
            GemmRule(item, self.result_bits, bug)
            for bug in gemm_bugs(self.operands)
            for item in (named if bug.any_accumulator else named[:1])
        ]

    def _identified(self, survivors: list[GemmRule], cases: Sequence[Case], got: Sequence[Array]) -> Identification:
        if not survivors:
            wrong = [np.asarray(self.expected(case) != answer) for case, answer in zip(cases, got, strict=True)]
            return Identification((), {}, {}, pattern_words(cases, wrong))
        bug = survivors[0].bug
        same_bug = [rule for rule in survivors if rule.bug is bug]
        accumulators = [rule.accumulator for rule in same_bug]
        best = closest(accumulators, self.accumulator)
        ordered = sorted(same_bug, key=lambda rule: rule.accumulator != best)
        spelled_alike = self._alike(accumulators, best, {"width", "overflow"})
        choices = survivor_choices(spelled_alike, self.accumulator)
        asked = {axis: ranges([getattr(self.accumulator, axis)]) for axis in choices}
        if bug is not None:
            others = {rule.bug.name: rule.bug.words for rule in survivors if rule.bug not in (None, bug)}
            words = " or ".join([bug.words, *others.values()])
            return Identification(tuple(ordered), {}, {}, f"{words}, and is otherwise exact")
        return Identification(tuple(ordered), choices, asked, self._words(best, accumulators))

    def _alike(self, accumulators: list[Accumulator], best: Accumulator, free: set[str]) -> list[Accumulator]:
        """The survivors that are spelled like the best one but for some axes, and those that cannot matter here."""
        idle = {"operands", "bias"} if self.operands.zero_points else {"operands", "bias", "zero_points"}
        return [item for item in accumulators if not item.differences(best).keys() - free - idle]

    def _words(self, best: Accumulator, accumulators: list[Accumulator]) -> str:
        widths = ranges([item.width for item in self._alike(accumulators, best, {"width"})])
        words = accumulator_words(
            best, widths.replace("|", " or ").replace("..", " to "), everything=self.operands.zero_points
        )
        named = [item.name for item in accumulators if item.name and item.name != self.accumulator.name]
        known = f" (as {', '.join(named)})" if named else ""
        return f"{words}{known}, and is otherwise exact"

    def explain(self, case: Case, index: tuple[int, ...], expected: int, got: int, found: Identification) -> str:
        """One wrong result: where it is, what it should be, and from which product on it is not."""
        rule = next((rule for rule in found.survivors if isinstance(rule, GemmRule)), None)
        return explain_result(case, (index[0], index[1]), expected, got, self.result_bits, rule)

    def command(self, case: Case) -> str:
        """Writes the matrices of a case and the expected result; or shows the row of a file."""
        if self._file:
            return f"grep -v // {self._file} | sed -n {case.number + 1}p"
        zero_points = " --zero-points" if self.operands.zero_points else ""
        formats = f"--a {self.operands.a.id} --b {self.operands.b.id}{zero_points}"
        return f"lowbit gen gemm {formats} --accumulator {self.accumulator.name} --case {case.name} -o case.npz"


def _order(case: Case, *, right: bool) -> tuple[bool, bool, int]:
    work = case.sizes["m"] * case.sizes["n"] * case.sizes["k"]
    return work > LARGE, right, work
