"""What a checkable operation is to the checker: operands, inputs, the rule asked for, other rules, and words."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from lowbit.dut.prototype import Prototype
from lowbit.vectors.case import Array, Case

SETS = ("directed", "random")


class Rule(ABC):
    """One way to compute an operation."""

    @abstractmethod
    def run(self, case: Case) -> Array:
        """The results of a case, as int64."""

    def agrees(self, case: Case, got: Array) -> bool:
        """Whether the rule gives the answers to a case."""
        return bool((self.run(case) == got).all())


@dataclass(frozen=True)
class Identification:
    """Which rules agree with every answer.

    Attributes
    ----------
    survivors : tuple of Rule
        All candidates that agree, the closest to the one asked for first; empty where none does.
    choices : mapping
        Axis -> the values that the survivors have there.
    asked : mapping
        Axis -> the value asked for.
    words : str
        What the kernel does, to follow "your kernel".
    """

    survivors: tuple[Rule, ...]
    choices: Mapping[str, str]
    asked: Mapping[str, str]
    words: str


class Operation(ABC):
    """A kernel of some operation, with its formats and the rule that it is compared with.

    Attributes
    ----------
    name : str
        ``gemm``, ``requantize``, ...
    source, target, rule_name : str
        Operands, result and rule as reports name them.
    prototype : Prototype
    result_bits : int
        Of one result.
    """

    name: str
    source: str
    target: str
    rule_name: str
    prototype: Prototype
    result_bits: int

    @abstractmethod
    def cases(self, set_name: str, count: int, seed: int) -> list[Case]:
        """The inputs of a set."""

    @abstractmethod
    def read_cases(self, path: str) -> list[Case]:
        """The inputs of a file that ``lowbit gen`` wrote."""

    @abstractmethod
    def expected(self, case: Case) -> Array:
        """The results that the rule asked for gives, as int64."""

    @abstractmethod
    def identify(self, cases: Sequence[Case], got: Sequence[Array]) -> Identification:
        """Find the rules that explain the answers."""

    @abstractmethod
    def explain(self, case: Case, index: tuple[int, ...], expected: int, got: int, found: Identification) -> str:
        """One wrong result, in a few lines."""

    @abstractmethod
    def command(self, case: Case) -> str:
        """The command that writes the inputs of a case, to look at them alone."""


def eliminate(rules: Iterable[Rule], cases: Sequence[Case], got: Sequence[Array], order: Sequence[int]) -> list[Rule]:
    """The rules that give every answer, looked at in an order that leaves few of them early."""
    left = list(rules)
    for index in order:
        if not left:
            break
        left = [rule for rule in left if rule.agrees(cases[index], got[index])]
    return left
