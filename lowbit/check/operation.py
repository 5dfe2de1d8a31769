"""What a checkable operation is to the checker: operands, inputs, the rule asked for, other rules, and claims."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lowbit.dut.prototype import Prototype
from lowbit.errors import InputError
from lowbit.vectors.case import Array, Case
from lowbit.vectors.flags.cast import FLAGS

if TYPE_CHECKING:
    from lowbit.check.claims import Claim
    from lowbit.check.comparison import Comparison

UNDEFINED = int(np.iinfo(np.int64).min)
"""No result: where a rule has none."""


@dataclass(frozen=True)
class Bug:
    """A bug that is not a rule of its own."""

    name: str
    words: str  # what the kernel does, to follow "your kernel"


@dataclass(frozen=True, eq=False)
class Group:
    """Answers that differ for one reason."""

    # name, catches: the flag or the kind of input, and the bug that such rows are made to catch ("" for a kind)
    name: str
    catches: str
    rows: NDArray[np.intp]  # the answers that differ
    total: int  # how many answers of this kind were compared


class Rule(ABC):
    """One way to compute an operation, perhaps with a bug in it."""

    bug: Any

    @abstractmethod
    def run(self, case: Case) -> Array:
        """The results of a case; ``UNDEFINED`` where the rule has none."""


class Operation(ABC):
    """A kernel of some operation, with its formats and the rule that it is compared with."""

    name: str  # ``convert``, ``gemm``, ``requantize``, ...
    # source, target, rule_name: operands, result and rule as reports name them
    source: str
    target: str
    rule_name: str
    types: Mapping[str, str]  # the options that name the types -> what they name here
    prototype: Prototype
    rule: Rule  # the one asked for
    sets: Sequence[str] = ("directed", "random")  # of inputs that it has
    _file = ""  # that the cases are from
    _sample: tuple[int, int] | None = None  # how many cases at random they are, and from which seed

    def cases(self, set_name: str, count: int, seed: int) -> list[Case]:
        """The inputs of one of its sets."""
        self._sample = (count, seed) if set_name == "random" else None
        if set_name == "directed":
            return self._directed()
        if set_name == "random":
            return self._random(count, seed)
        return self._other_set(set_name)

    @abstractmethod
    def _directed(self) -> list[Case]:
        """Inputs at which kernels err."""

    def _random(self, count: int, seed: int) -> list[Case]:
        """So many cases at random."""
        del count, seed
        return self._other_set("random")

    def _other_set(self, name: str) -> list[Case]:
        """A set that most operations do not have, and refuse."""
        raise InputError(f"`check {self.name}` has no set {name!r}", hint=" or ".join(self.sets), code="LB100")

    def _defined(self, cases: Iterable[Case]) -> list[Case]:
        """The cases that the rule asked for has all results of."""
        return [case for case in cases if (self.expected(case) != UNDEFINED).all()]

    def read_cases(self, path: str) -> list[Case]:
        """The inputs of a file that ``lowbit gen`` wrote: of each row a case, or one of all."""
        self._file = path
        return self._read(path)

    def _read(self, path: str) -> list[Case]:
        hint = "--set random --n 100 --seed 7, or the directed ones"
        raise InputError(f"--inputs {path}: `check {self.name}` has no inputs of a file", hint=hint, code="LB100")

    def expected(self, case: Case) -> Array:
        """The results that the rule asked for gives."""
        return self.rule.run(case)

    def canonical(self, case: Case, answers: Array) -> Array:
        """Answers with one and the same number for those that are worth the same."""
        del case
        return answers

    def differing(self, expected: Array, got: Array) -> NDArray[np.bool_]:
        """Which results differ."""
        return np.asarray(expected != got)

    @abstractmethod
    def identify(self, comparison: Comparison) -> list[Claim]:
        """What the kernel does, from the answers that are there and can be results."""

    def changed(self, changes: Sequence[Mapping[str, Any]]) -> Rule | None:
        """The rule asked for with the changes of published differences; None where they say nothing of it."""
        del changes
        return None

    def detail(self, case: Case, index: tuple[int, ...]) -> Any:
        """What there is to say of one result beside its operands."""
        del case, index
        return None

    def detail_of_wrong(
        self, case: Case, index: tuple[int, ...], expected: int, got: int | None, claims: Sequence[Claim]
    ) -> Any:
        """What there is to say of one wrong result beside its operands."""
        del expected, got, claims
        return self.detail(case, index)

    def command(self, case: Case, index: tuple[int, ...]) -> str:
        """The command that shows one wrong result, or the row of a file, or writes the case with what is expected."""
        del index
        if self._file:
            return f"grep -v // {self._file} | sed -n {case.number + 1}p"
        command = self._command(case)
        return f"{command} --set random --n {self._sample[0]} --seed {self._sample[1]}" if self._sample else command

    def _command(self, case: Case) -> str:
        """The command that writes a case; an operation without one overrides ``command``."""
        del case
        return ""

    def groups(self, comparison: Comparison) -> list[Group]:
        """The answers that differ, those of one flag together, the one with the largest share first."""
        return group_by_flag(comparison, np.concatenate([case.flags.reshape(-1) for case in comparison.cases]))


def group_by_flag(comparison: Comparison, flags: NDArray[np.uint8]) -> list[Group]:
    """The answers that differ, grouped by flags of all answers."""
    rows = np.flatnonzero(comparison.wrong)
    groups = []
    for number in dict.fromkeys(flags[rows].tolist()):
        flag, total = FLAGS[number], int(np.count_nonzero(flags == number))
        groups.append(Group(flag.name, flag.catches, rows[flags[rows] == number], total))
    return by_share(groups)


def by_share(groups: Iterable[Group]) -> list[Group]:
    """Groups of which the most differs first."""
    return sorted(groups, key=lambda group: (-len(group.rows) / group.total, -len(group.rows)))


def surviving(
    rules: Iterable[Rule], comparison: Comparison, order: Sequence[int], defined_share: float = 0.0
) -> list[Rule]:
    """The rules that give every answer for which they have one, in an order of cases that leaves few of them early.

    ``defined_share`` is the share of the answers for which a rule has to have one.
    """
    left = [(rule, 0) for rule in rules]
    for index in order:
        if not left:
            break
        case, got, good = comparison.cases[index], comparison.part("got", index), comparison.part("good", index)
        still = []
        for rule, defined in left:
            results = rule.run(case)
            agreeing = results == got
            if agreeing.all():
                still.append((rule, defined + agreeing.size))
                continue
            known = results != UNDEFINED
            if (agreeing | ~known | ~good).all():
                still.append((rule, defined + int(np.count_nonzero(known))))
        left = still
    total = sum(comparison.cases[index].outputs for index in order)
    return [rule for rule, defined in left if defined >= defined_share * total]
