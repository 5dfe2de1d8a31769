"""``lowbit check softmax|gelu|layernorm|logistic|tanh|exp|l2norm``: which integer-only scheme a kernel follows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from lowbit.check.nonlinear.bugs import nonlinear_bugs
from lowbit.check.nonlinear.rules import UNDEFINED, NonlinearRule, candidates, own_bits, relatives
from lowbit.check.nonlinear.words import explain_code, pattern_words
from lowbit.check.operation import Identification, Operation
from lowbit.dut.prototype import INPUT, OUTPUT, SIZE, Parameter, Prototype
from lowbit.errors import InputError
from lowbit.format.scalar import FixedFormat
from lowbit.vectors.case import Array, Case
from lowbit.vectors.flags import nonlinear as f
from lowbit.vectors.nonlinear.cases import directed_nonlinearities, make_case, numbered, pool, random_nonlinearities
from lowbit.vectors.nonlinear.rule import Nonlinearity

DEFINED_SHARE, DEFINED_SHARE_OF_BUGS = 0.75, 0.5
"""A rule that has no result for more of the codes explains nothing; a sum that wraps to 0 has none."""
NAMED_AT_MOST, BUGS_AT_MOST = 4, 3
"""That many survivors are told; the rest is counted."""
MOST_TOLD_APART = 24
"""Rows added because relatives differ there."""
MOST_CODES_OF_BUGS = 4096
"""Larger calls are not run by the oracle with a bug in it."""


def nonlinear_prototype(made: Nonlinearity, source: FixedFormat, target: FixedFormat) -> Prototype:
    """``f(codes, out, rows, length)``, where there are some with weights and biases; or ``f(codes, out, n)``."""
    operands = [Parameter(INPUT, "codes", np.dtype(source.code_dtype).name)]
    operands += [Parameter(INPUT, name, dtype) for name, dtype in made.per_element.items()]
    sizes = [Parameter(SIZE, name) for name in (("rows", "length") if made.by_row else ("n",))]
    return Prototype((*operands, Parameter(OUTPUT, "out", np.dtype(target.code_dtype).name), *sizes))


class NonlinearOperation(Operation):
    """A nonlinearity of integer codes, compared under one scheme.

    Parameters
    ----------
    made : Nonlinearity
        What to compare with.
    source, target : FixedFormat
        Of the codes and of the results.
    """

    def __init__(self, made: Nonlinearity, source: FixedFormat, target: FixedFormat) -> None:
        self.made, self.formats = made, (source, target)
        self.name = made.operation
        self.source, self.target = source.id, target.id
        at = f" at scale {made.scale:g}" if made.scale is not None else ""
        self.rule_name = f"{made.label}{at}"
        self.result_bits = target.container_bits
        self.prototype = nonlinear_prototype(made, source, target)
        self._file = ""
        self._rule = NonlinearRule(made, target)

    def cases(self, set_name: str, count: int, seed: int) -> list[Case]:
        """Directed or random rows."""
        source = self.formats[0]
        if set_name == "random":
            return self._defined(random_nonlinearities(self.made, source, count, seed))
        if set_name != "directed":
            raise InputError(f"{self.name} has no set {set_name!r}", hint="directed or random", code="LB100")
        cases = self._defined(directed_nonlinearities(self.made, source))
        return numbered([*cases, *self._telling_apart(cases)]) if self.made.by_row else cases

    def read_cases(self, path: str) -> list[Case]:
        """The rows of a file that ``lowbit gen`` wrote, one case each."""
        from lowbit.vectors.nonlinear.sets import read_nonlinearities

        self._file = path
        return read_nonlinearities(path, self.made, self.formats[0])

    def expected(self, case: Case) -> Array:
        """What the scheme asked for gives."""
        return self._rule.run(case)

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

    def identify(self, cases: Sequence[Case], got: Sequence[Array]) -> Identification:
        """Eliminate schemes; where none is left, bugs with the scheme asked for, then with the others."""
        source, target = self.formats
        right = [bool((self.expected(case) == answer).all()) for case, answer in zip(cases, got, strict=True)]
        order = sorted(range(len(cases)), key=lambda index: (right[index], cases[index].outputs))
        found = candidates(self.made, source, target)
        rules = [NonlinearRule(made, target) for made in found]
        left = self._surviving(rules, cases, got, order)
        if left:
            return self._identified(left)
        constant = {int(value) for answer in got for value in (answer.min(), answer.max())}
        if len(constant) == 1:
            return Identification((), {}, {}, f"gives {constant.pop()} whatever the codes are")
        small = [index for index in order if cases[index].outputs <= MOST_CODES_OF_BUGS]
        for made in dict.fromkeys(item for item in found if item.overflow == "wrap"):
            bugs = [NonlinearRule(made, target, bug) for bug in nonlinear_bugs(made, source)]
            left = self._surviving(bugs, cases, got, small)
            if left:
                return self._of_bugs(left)
        return Identification((), {}, {}, pattern_words([*map(self.expected, cases)], cases, got))

    def _surviving(
        self, rules: Sequence[NonlinearRule], cases: Sequence[Case], got: Sequence[Array], order: Sequence[int]
    ) -> list[NonlinearRule]:
        """The rules that give every answer that they have one for, and have one for most."""
        left = [(rule, 0) for rule in rules]
        for index in order:
            still = []
            for rule, defined in left:
                results = rule.run(cases[index])
                known = results != UNDEFINED
                if (results == got[index])[known].all():
                    still.append((rule, defined + int(np.count_nonzero(known))))
            left = still
        total = sum(cases[index].outputs for index in order)
        share = DEFINED_SHARE_OF_BUGS if left and left[0][0].bug else DEFINED_SHARE
        return [rule for rule, defined in left if defined >= share * total]

    def _of_bugs(self, left: Sequence[NonlinearRule]) -> Identification:
        words = list(dict.fromkeys(rule.bug.words for rule in left if rule.bug))
        told = " or ".join(words[:BUGS_AT_MOST])
        if len(words) > BUGS_AT_MOST:
            told += f" (or one of {len(words) - BUGS_AT_MOST} more that cannot be told apart from it)"
        of = "" if left[0].made == self.made else f"follows {left[0].made.label}, but "
        return Identification(tuple(left), {}, {}, f"{of}{told}, and is otherwise exact")

    def _identified(self, left: list[NonlinearRule]) -> Identification:
        # Wrapping and saturating intermediates are one where nothing overflows: only what differs is told.
        names = list(dict.fromkeys(rule.made.label for rule in left if rule.made.overflow == "wrap"))
        names = names or list(dict.fromkeys(rule.made.label for rule in left))
        more = len(names) - NAMED_AT_MOST
        rest = f" and {more} more" if more > 0 else ""
        also = f" (the same on these inputs: {'; '.join(names[1:NAMED_AT_MOST])}{rest})" if len(names) > 1 else ""
        axes = ("scheme", "variant", "bits", "overflow")
        choices = {axis: list(dict.fromkeys(_choice(rule.made, axis) for rule in left)) for axis in axes}
        asked = {axis: _choice(self.made, axis) for axis in axes}
        told = [axis for axis in axes if asked[axis] not in choices[axis]]
        return Identification(
            tuple(left),
            {axis: "|".join(choices[axis]) for axis in told},
            {axis: asked[axis] for axis in told},
            f"follows {names[0]}{also}",
        )

    def explain(self, case: Case, index: tuple[int, ...], expected: int, got: int, found: Identification) -> str:
        """One wrong result: its code, its row, and the intermediates that lead to it."""
        del found
        return explain_code(self.made, case, index, expected, got)

    def command(self, case: Case) -> str:
        """Writes the codes of a case and the expected results; or shows the row of a file."""
        if self._file:
            return f"grep -v // {self._file} | sed -n {case.number + 1}p"
        made = self.made
        words = [f"lowbit gen {made.operation} --scheme {made.scheme}"]
        words += [f"--variant {made.variant}"] if made.variant else []
        words += [f"--scale {made.scale:g}"] if made.scale is not None else []
        words += [f"--option {name}={value}" for name, value in made.options]
        return " ".join([*words, f"--from {self.source} --to {self.target} --case {case.name} -o case.npz"])


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
