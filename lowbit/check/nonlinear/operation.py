"""``lowbit check`` of nonlinearities, from ``softmax`` to ``l2norm``: which integer-only scheme a kernel follows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lowbit.check.claims import Becomes, Claim, Unexplained, explained
from lowbit.check.comparison import Comparison
from lowbit.check.facts import Fact, NeverFirst, RightAtMaximumZero, off_by, only_at_codes, size_facts
from lowbit.check.nonlinear.bugs import nonlinear_bugs
from lowbit.check.nonlinear.intermediates import intermediates
from lowbit.check.nonlinear.measured_bugs import measured_bugs
from lowbit.check.nonlinear.rules import NonlinearRule, candidates, own_bits, relatives
from lowbit.check.operation import UNDEFINED, Operation, Rule, surviving
from lowbit.dut.prototype import INPUT, OUTPUT, SIZE, Parameter, Prototype, codes_of
from lowbit.format.scalar import FixedFormat
from lowbit.vectors.case import Array, Case, numbered
from lowbit.vectors.flags import nonlinear as f
from lowbit.vectors.nonlinear.cases import directed_nonlinearities, make_case, pool, random_nonlinearities
from lowbit.vectors.nonlinear.rule import Nonlinearity

DEFINED_SHARE, DEFINED_SHARE_OF_BUGS = 0.75, 0.5
"""A rule that has no result for more of the codes explains nothing; a sum that wraps to 0 has none."""
MOST_TOLD_APART = 24
"""Rows added because relatives differ there."""
MOST_CODES_OF_BUGS = 4096
"""Larger calls are not run by the oracle with a bug in it."""


def nonlinear_prototype(made: Nonlinearity, source: FixedFormat, target: FixedFormat) -> Prototype:
    """``f(codes, out, rows, length)``, where there are some with weights and biases; or ``f(codes, out, n)``."""
    operands = [codes_of(INPUT, "codes", source)]
    operands += [Parameter(INPUT, name, dtype) for name, dtype in made.per_element.items()]
    sizes = [Parameter(SIZE, name) for name in (("rows", "length") if made.by_row else ("n",))]
    return Prototype((*operands, codes_of(OUTPUT, "out", target), *sizes))


@dataclass(frozen=True)
class NonlinearDetail:
    """The code of a wrong result, the codes of its row, and the reference's intermediates by name."""

    code: int
    row: tuple[int, ...]
    intermediates: Mapping[str, int]


class NonlinearOperation(Operation):
    """A nonlinearity of integer codes, compared under one scheme.

    ``made``: what to compare with; ``source`` and ``target``: of the codes and of the results.
    """

    def __init__(self, made: Nonlinearity, source: FixedFormat, target: FixedFormat) -> None:
        self.made, self.formats = made, (source, target)
        self.name = made.operation
        self.source, self.target = source.id, target.id
        at = f" at scale {made.scale:g}" if made.scale is not None else ""
        self.rule_name = f"{made.label}{at}"
        self.types = {"--from": source.id, "--to": target.id}
        self.prototype = nonlinear_prototype(made, source, target)
        self.rule = NonlinearRule(made, target)

    def _directed(self) -> list[Case]:
        cases = self._defined(directed_nonlinearities(self.made, self.formats[0]))
        return numbered([*cases, *self._telling_apart(cases)]) if self.made.by_row else cases

    def _random(self, count: int, seed: int) -> list[Case]:
        return self._defined(random_nonlinearities(self.made, self.formats[0], count, seed))

    def _read(self, path: str) -> list[Case]:
        from lowbit.vectors.nonlinear.sets import read_nonlinearities

        return read_nonlinearities(path, self.made, self.formats[0])

    def _defined(self, cases: Iterable[Case]) -> list[Case]:
        """The cases without the rows that the scheme refuses; their numbers stay."""
        kept = []
        for case in cases:
            good = self.expected(case) != UNDEFINED
            if good.all():
                kept.append(case)
            elif good.ndim == 2 and good.any():
                rows = case.arrays["codes"][good.all(axis=1)]
                kept.append(replace(make_case(case.flag, rows, self.made), number=case.number))
        return kept

    def _telling_apart(self, cases: Sequence[Case]) -> list[Case]:
        """Rows on which relatives of the scheme differ that agree on all the cases."""
        found = relatives(self.made, candidates(self.made, *self.formats))
        rules = [NonlinearRule(made, self.formats[1]) for made in found]
        classes = _classes(rules, cases)
        chosen: list[Case] = []
        for case in self._defined(pool(self.made, self.formats[0])):
            alike = [members for members in classes if len(members) > 1]
            if not alike or len(chosen) >= MOST_TOLD_APART:
                break
            answers = {rule: rule.run(case) for members in alike for rule in members}
            rows = {_first_difference(answers[members[0]], answers[rule]) for members in alike for rule in members[1:]}
            for row in sorted(rows - {None}, key=lambda item: item or 0):
                codes = case.arrays["codes"][row : (row or 0) + 1]
                chosen.append(make_case(f.TELLS_APART, codes, self.made))
                classes = [part for members in classes for part in _classes(members, chosen[-1:])]
        return chosen[:MOST_TOLD_APART]

    def identify(self, comparison: Comparison) -> list[Claim]:
        """Eliminate schemes; where none is left, bugs with the scheme asked for, then with the others."""
        source, target = self.formats
        order = comparison.by_worth()
        schemes = candidates(self.made, source, target)
        rules = [NonlinearRule(made, target) for made in schemes]
        claims = self._explained(surviving(rules, comparison, order, DEFINED_SHARE), comparison)
        if claims or not (comparison.wrong & comparison.good).any():
            return claims
        good = np.flatnonzero(comparison.good)
        if (comparison.got[good] == comparison.got[good[0]]).all():
            return [Becomes(good, "", len(comparison), comparison.got[good])]
        small = [index for index in order if comparison.cases[index].outputs <= MOST_CODES_OF_BUGS]
        measured = tuple(measured_bugs(comparison, source, by_row=self.made.by_row))
        for made in dict.fromkeys(item for item in schemes if item.overflow == "wrap"):
            bugs = [NonlinearRule(made, target, bug) for bug in (*nonlinear_bugs(made, source), *measured)]
            left = surviving(bugs, comparison, small, DEFINED_SHARE_OF_BUGS)
            if left:
                return self._explained(left, comparison, MOST_CODES_OF_BUGS)
        return [self._unknown(comparison)]

    def _explained(self, left: Sequence[Rule], comparison: Comparison, largest_case: int | None = None) -> list[Claim]:
        return explained(left, comparison, self._choices, lambda axis: _choice(self.made, axis), largest_case)

    def _choices(self, rules: Sequence[NonlinearRule]) -> dict[str, tuple[str, ...]]:
        """The values of schemes on the axes on which none of them is the one asked for."""
        axes = ("scheme", "variant", "bits", "overflow") if not rules[0].bug else ()
        choices = {axis: tuple(dict.fromkeys(_choice(rule.made, axis) for rule in rules)) for axis in axes}
        return {axis: values for axis, values in choices.items() if _choice(self.made, axis) not in values}

    def _unknown(self, comparison: Comparison) -> Unexplained:
        """What the wrong results have in common."""
        entries = only_at_codes(comparison)
        facts: list[Fact] = [off_by(comparison), *entries]
        if self.made.by_row and not entries:
            subtracted = {"difference", "distance"} & {step.name for step in self.made.widths.steps}
            facts += [fact for fact in (RightAtMaximumZero(),) if subtracted and fact.holds(comparison)]
            facts += size_facts(comparison, ("length",), ("rows", "elements"))
            facts += [fact for fact in (NeverFirst(),) if fact.holds(comparison)]
        return Unexplained(np.flatnonzero(comparison.wrong & comparison.good), "", len(comparison), tuple(facts))

    def detail(self, case: Case, index: tuple[int, ...]) -> NonlinearDetail:
        """The code, its row, and the intermediates that lead to the result."""
        codes = case.arrays["codes"][index[0]] if self.made.by_row else case.arrays["codes"]
        element = index[-1]
        code = int(codes[element])
        if not self.made.by_row:
            return NonlinearDetail(code, (), intermediates(self.made, case, codes[element : element + 1], 0))
        return NonlinearDetail(code, tuple(codes.tolist()), intermediates(self.made, case, codes, element))

    def _command(self, case: Case) -> str:
        made = self.made
        words = [f"lowbit gen {made.operation} --scheme {made.scheme}"]
        words += [f"--variant {made.variant}"] if made.variant else []
        words += [f"--scale {made.scale}"] if made.scale is not None else []
        words += [f"--option {name}={value}" for name, value in made.options]
        return " ".join([*words, f"--from {self.source} --to {self.target} --case {case.name}"])


def _choice(made: Nonlinearity, axis: str) -> str:
    value = own_bits(made) if axis == "bits" else getattr(made, axis)
    return str(value) if value not in (None, "") else "none"


def _classes(rules: Sequence[NonlinearRule], cases: Sequence[Case]) -> list[list[NonlinearRule]]:
    """The rules, those that agree on all cases together."""
    classes = [list(rules)]
    for case in cases:
        parted: dict[tuple[int, bytes], list[NonlinearRule]] = {}
        for number, members in enumerate(classes):
            for rule in members:
                answer = rule.run(case).tobytes() if len(members) > 1 else b""
                parted.setdefault((number, answer), []).append(rule)
        classes = list(parted.values())
    return classes


def _first_difference(left: Array, right: Array) -> int | None:
    rows = np.flatnonzero((left != right).any(axis=1))
    return int(rows[0]) if rows.size else None
