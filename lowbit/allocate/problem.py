"""The allocation problem: layers with choices, what each choice loses and costs, and what must hold of a plan.

A plan picks one choice (a format, a scheme, anything with a name) for every layer. It minimises the sum of the
layers' losses and of the pair terms, within every budget. Costs are exact: integers over one denominator a budget.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from dataclasses import replace as dataclass_replace
from fractions import Fraction
from functools import cached_property
from itertools import pairwise
from math import fsum
from types import MappingProxyType
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lowbit.allocate import checks
from lowbit.allocate.amounts import Amount, amount, integer_row
from lowbit.allocate.arguments import listed, named, table
from lowbit.errors import AllocationError


@dataclass(frozen=True, eq=False)
class Budget:
    """A resource that the choices use up.

    Parameters
    ----------
    name : str
        ``bytes``, ``bops``, ``latency``, ``avg_bits``, ...
    costs : numpy.ndarray
        Numerators, one a choice, all layers' choices in a row: int64, or Python integers as objects.
    denominator : int
        The cost of choice i is ``costs[i] / denominator``.
    limit : Fraction or None
        The most that a plan may use, in the unit of ``used``; None: reported, not limited.
    unit : str
        For the report.
    divisor : Fraction
        ``used`` is the sum of the costs over this: the number of parameters makes bits an average.
    """

    name: str
    costs: NDArray[Any]
    denominator: int = 1
    limit: Fraction | None = None
    unit: str = ""
    divisor: Fraction = Fraction(1)

    @property
    def integer_limit(self) -> int | None:
        """The largest sum of numerators that keeps the limit."""
        if self.limit is None:
            return None
        product = self.limit * self.divisor * self.denominator
        return product.numerator // product.denominator

    def amount_of(self, total: int) -> Fraction:
        """What a sum of numerators is in the unit of ``limit``."""
        return Fraction(total, self.denominator) / self.divisor


@dataclass(frozen=True, eq=False)
class Pair:
    """A loss that depends on the choices of two layers.

    Parameters
    ----------
    first, second : int
        The two layers.
    losses : numpy.ndarray, shape (choices of first, choices of second)
        Added to the plan's loss.
    """

    first: int
    second: int
    losses: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Problem:
    """What :func:`lowbit.allocate.solve` takes. ``Problem.from_arrays`` is the convenient way to make one.

    Parameters
    ----------
    layers : tuple of str
        Names, in the order in which they follow each other.
    choices : tuple of tuple of str
        The choices of each layer; the same name means the same choice wherever layers are compared.
    losses : numpy.ndarray, float64
        One a choice, all layers' choices in a row.
    budgets : tuple of Budget
    pairs : tuple of Pair
        Terms between two layers, such as a weight format and the activation format that it meets.
    ties : tuple of tuple of int
        Layers that must take the same choice.
    fixed : mapping of int to str
        Layers whose choice is given.
    max_switches : int, optional
        At most that many neighbouring layers (i, i + 1) with different choices.
    name : str

    Raises
    ------
    AllocationError
        The parts contradict each other; the message names the layer, the choice and the value.
    """

    layers: tuple[str, ...]
    choices: tuple[tuple[str, ...], ...]
    losses: NDArray[np.float64]
    budgets: tuple[Budget, ...] = ()
    pairs: tuple[Pair, ...] = ()
    ties: tuple[tuple[int, ...], ...] = ()
    fixed: Mapping[int, str] = field(default_factory=dict)
    max_switches: int | None = None
    name: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "fixed", MappingProxyType(dict(table(self.fixed, "fixed", '{0: "int8"}'))))
        checks.check_problem(self)
        self.losses.setflags(write=False)
        for budget in self.budgets:
            budget.costs.setflags(write=False)

    @classmethod
    def from_arrays(  # noqa: PLR0913 (keywords, one a part of a problem)
        cls,
        losses: ArrayLike | Sequence[ArrayLike],
        choices: Sequence[str] | Sequence[Sequence[str]],
        *,
        costs: Mapping[str, Any] | None = None,
        limits: Mapping[str, Amount] | None = None,
        layers: Sequence[str] | None = None,
        units: Mapping[str, str] | None = None,
        divisors: Mapping[str, Amount] | None = None,
        pairs: Iterable[tuple[int | str, int | str, ArrayLike]] = (),
        ties: Iterable[Iterable[int | str]] = (),
        fixed: Mapping[Any, str] | None = None,
        max_switches: int | None = None,
        name: str = "",
    ) -> Self:
        """Make a problem from arrays.

        Parameters
        ----------
        losses : array_like, shape (layers, choices), or a sequence of rows of different lengths
            The loss of each choice of each layer; any finite numbers.
        choices : sequence of str, or of sequences of str
            The names of the choices: one list for all layers, or one a layer.
        costs : mapping of str to array_like
            Budget -> costs, shaped like ``losses``. Integers stay integers; a float stands for the shortest decimal
            that reads as it. None may be negative.
        limits : mapping of str to a number or text
            Budget -> the most that may be used, such as ``{"bytes": "3.2MB", "avg_bits": 4}``. A budget without one
            is only reported.
        layers : sequence of str, optional
            Names; ``layer0``, ``layer1``, ... unless given.
        units : mapping of str to str, optional
            Budget -> unit, for the report; a budget named ``bytes`` has its own.
        divisors : mapping of str to a number, optional
            Budget -> what the sum is divided by, before it is compared with the limit.
        pairs : iterable of (layer, layer, array_like)
            Loss terms of two layers, by name or number; shape (choices of the first, choices of the second).
        ties, fixed, max_switches, name
            As in the class; layers by name or number.

        Raises
        ------
        AllocationError
            Shapes differ, or a value is NaN, negative or missing; the message says where.
        """
        rows = checks.rows_of(losses, "losses")
        names = tuple(f"layer{index}" for index in range(len(rows)))
        if layers is not None:
            names = tuple(listed(layers, "layers", '["query", "key"]'))
        checks.check_names(names, len(rows))
        lists = checks.choice_lists(choices, len(rows), names)
        checks.check_lengths(rows, lists, names, "losses")
        costs, limits = table(costs, "costs", '{"bytes": ...}'), table(limits, "limits", '{"bytes": "3MB"}')
        units, divisors = table(units, "units", '{"latency": "ms"}'), table(divisors, "divisors", '{"avg_bits": 4096}')
        for budget in costs:
            named(budget, "name of a budget")
        for option, given in (("limits", limits), ("units", units), ("divisors", divisors)):
            checks.check_known(given, costs, option)
        budgets = [
            _budget(budget, checks.rows_of(given, budget), lists, names, (limits, units, divisors))
            for budget, given in costs.items()
        ]
        place = checks.Places({layer: position for position, layer in enumerate(names)})
        return cls(
            names,
            lists,
            checks.flat_losses(rows, names, lists),
            tuple(budgets),
            tuple(Pair(*place.pair(pair)) for pair in listed(pairs, "pairs", '[("query", "key", ...)]')),
            tuple(place.group(group) for group in listed(ties, "ties", '[("query", "key")]')),
            place.fixed(fixed),
            max_switches,
            named(name, "name"),
        )

    def with_limits(self, limits: Mapping[str, Amount | None], *, max_switches: int | None = None) -> Problem:
        """The same problem with other limits; ``max_switches`` replaces the number of switches if it is given.

        A limit is a number or text as in ``from_arrays``, None for no limit, or a share such as ``"50%"`` of the way
        from the cheapest choices of all layers to the dearest.
        """
        limits = table(limits, "limits", '{"bytes": "3MB"}')
        known = {budget.name: budget for budget in self.budgets}
        checks.check_known(limits, known, "limits", "; a file of costs declares a budget as [budgets.NAME]")
        budgets = tuple(
            dataclass_replace(budget, limit=self._limit(budget, limits[budget.name]))
            if budget.name in limits
            else budget
            for budget in self.budgets
        )
        switches = self.max_switches if max_switches is None else max_switches
        return dataclass_replace(self, budgets=budgets, max_switches=switches)

    def _limit(self, budget: Budget, value: Amount | None) -> Fraction | None:
        if isinstance(value, str) and value.strip().endswith("%"):
            share = amount(value.strip()[:-1], where=f"limit of {budget.name}")
            return self.between(budget.name, share / 100)
        return _limit(value, budget.name, budget.unit)

    def between(self, name: str, share: Amount) -> Fraction:
        """A limit that far on the way from the cheapest choices of all layers (0) to the dearest (1)."""
        budget = self.budget(name)
        rows = [budget.costs[start:end] for start, end in pairwise(self.offsets.tolist())]
        least, most = sum(int(min(row)) for row in rows), sum(int(max(row)) for row in rows)
        return budget.amount_of(least) + amount(share, where="share") * (budget.amount_of(most - least))

    @cached_property
    def offsets(self) -> NDArray[np.int64]:
        """Where each layer's choices start in ``losses`` and in the costs; one more entry than layers."""
        return np.concatenate(([0], np.cumsum([len(names) for names in self.choices]))).astype(np.int64)

    def budget(self, name: str) -> Budget:
        """The budget of this name."""
        named(name, "name of a budget")
        for budget in self.budgets:
            if budget.name == name:
                return budget
        raise AllocationError(f"there is no budget {name!r}", hint=checks.known_names(b.name for b in self.budgets))

    def positions(self, picks: Sequence[int]) -> list[int]:
        """Where the picked choices (one number a layer) stand in the rows."""
        return [int(start) + int(pick) for start, pick in zip(self.offsets[:-1], picks, strict=True)]

    def loss_of(self, picks: Sequence[int]) -> float:
        """The loss of a plan, its terms added exactly and rounded once."""
        terms = [float(self.losses[position]) for position in self.positions(picks)]
        terms += [float(pair.losses[picks[pair.first], picks[pair.second]]) for pair in self.pairs]
        return fsum(terms)

    def totals_of(self, picks: Sequence[int]) -> tuple[int, ...]:
        """What a plan uses of each budget: sums of numerators, in Python integers."""
        positions = self.positions(picks)
        return tuple(sum(int(budget.costs[position]) for position in positions) for budget in self.budgets)

    def switches_of(self, picks: Sequence[int]) -> int:
        """How many neighbouring layers of a plan have different choices."""
        named = [names[pick] for names, pick in zip(self.choices, picks, strict=True)]
        return sum(one != other for one, other in pairwise(named))

    def violations(self, picks: Sequence[int]) -> list[str]:
        """What a plan breaks, in words; empty for a plan that keeps everything."""
        return checks.violations(self, picks)


def _limit(value: Amount | None, name: str, unit: str) -> Fraction | None:
    if value is None:
        return None
    limit = amount(value, where=f"limit of {name}", unit=unit)
    if limit < 0:
        raise AllocationError(f"limit of {name}: {value} is negative")
    return limit


def _budget(
    name: str,
    rows: list[Any],
    lists: tuple[tuple[str, ...], ...],
    layers: tuple[str, ...],
    options: tuple[Mapping[str, Amount], Mapping[str, str], Mapping[str, Amount]],
) -> Budget:
    limits, units, divisors = options
    checks.check_lengths(rows, lists, layers, f"costs of {name}")
    checks.check_costs(rows, layers, lists, name)
    costs, denominator = integer_row(checks.flat(rows), where=f"costs of {name}")
    unit = named(units.get(name, "bytes" if name == "bytes" else ""), f"unit of {name}")
    divisor = amount(divisors.get(name, 1), where=f"divisor of {name}")
    if divisor <= 0:
        raise AllocationError(f"divisor of {name}: {divisors[name]} is not positive")
    return Budget(name, costs, denominator, _limit(limits.get(name), name, unit), unit, divisor)
