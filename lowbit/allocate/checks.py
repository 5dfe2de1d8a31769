"""What makes a problem well formed, and what a plan breaks: one message for each mistake."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from itertools import pairwise
from math import inf, isnan
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lowbit.allocate.arguments import listed, named, real_number, table
from lowbit.errors import AllocationError

if TYPE_CHECKING:
    from lowbit.allocate.problem import Problem

Rows = list[Any]

PAIR_MEMBERS = 3
"""Two layers and a table."""


def known_names(names: Iterable[object]) -> str:
    """A hint that lists what there is."""
    listed = [str(name) for name in names]
    return f"there is {', '.join(listed[:12])}{', ...' if len(listed) > 12 else ''}" if listed else "there is none"


def check_known(given: Iterable[object], known: Mapping[str, object], what: str, more: str = "") -> None:
    """Every given name must be a known one; ``more`` says how a name becomes one."""
    for name in given:
        if name not in known:
            close = get_close_matches(str(name), list(known), n=1)
            hint = f"did you mean {close[0]!r}? " if close else ""
            raise AllocationError(f"{what}: {name!r} is unknown", hint=hint + known_names(known) + more)


class Places:
    """Layers, by name or number, to numbers."""

    def __init__(self, index: Mapping[str, int]) -> None:
        self.index = index

    def __call__(self, layer: object) -> int:
        """The number of a layer."""
        if isinstance(layer, str):
            check_known([layer], self.index, "layer")
            return self.index[layer]
        if isinstance(layer, bool | np.bool_) or not isinstance(layer, Integral):
            hint = "a layer is given by its name, or by its number from 0 on"
            raise AllocationError(f"layer {layer!r} is neither a name nor a number of a layer", hint=hint)
        place = int(layer)
        if not 0 <= place < len(self.index):
            raise AllocationError(f"layer {place} is not one of the {len(self.index)} layers")
        return place

    def group(self, layers: Any) -> tuple[int, ...]:
        """The numbers of the layers of a tie."""
        return tuple(self(layer) for layer in listed(layers, "ties: a group", '["query", "key"]'))

    def pair(self, pair: Any) -> tuple[int, int, NDArray[np.float64]]:
        """The numbers of the two layers of a pair, and its table."""
        members = listed(pair, "pairs: a pair", '("query", "key", [[0, 0.5], [0.5, 0]])')
        if len(members) != PAIR_MEMBERS:
            hint = "(first layer, second layer, table of losses)"
            raise AllocationError(f"pairs: a pair has {len(members)} members instead of {PAIR_MEMBERS}", hint=hint)
        first, second, losses = members
        return self(first), self(second), matrix(losses, f"pair {first}, {second}")

    def fixed(self, fixed: Any) -> dict[int, Any]:
        """Number of a layer -> its choice; no layer twice, be it once by name and once by number."""
        found: dict[int, Any] = {}
        for layer, choice in table(fixed, "fixed", '{"conv1": "int8"}').items():
            place = self(layer)
            if place in found:
                hint = "name it once"
                raise AllocationError(f"fixed: layer {layer!r} is given twice: {found[place]!r}, {choice!r}", hint=hint)
            found[place] = named(choice, f"fixed: the choice of layer {layer!r}")
        return found


def rows_of(values: Any, what: str) -> Rows:
    """Rows, one a layer, each an array or a sequence."""
    if isinstance(values, np.ndarray):
        if values.ndim != 2:
            raise AllocationError(f"{what}: shape {values.shape} instead of (layers, choices)")
        return list(values)
    try:
        rows = [row if isinstance(row, np.ndarray) and row.ndim == 1 else list(row) for row in values]
    except TypeError as error:
        raise AllocationError(f"{what}: not a row of numbers a layer") from error
    return rows


def check_names(names: Sequence[str], count: int) -> None:
    """Layer names: as many as layers, all different."""
    if not count:
        raise AllocationError("there is no layer", hint="give losses for at least one")
    if len(names) != count:
        raise AllocationError(f"{len(names)} names for {count} layers")
    for name in names:
        named(name, "name of a layer")
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise AllocationError(f"two layers are called {twice!r}")


def choice_lists(choices: Sequence[Any], count: int, layers: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """One tuple of names a layer."""
    if isinstance(choices, str):
        raise AllocationError(f"choices: {choices!r} is one name instead of a list")
    choices = listed(choices, "choices", '["int4", "int8"]')
    if all(isinstance(choice, str) for choice in choices) and len(choices):
        return (tuple(choices),) * count
    if len(choices) != count:
        what = "an empty list of choices" if not len(choices) else f"{len(choices)} lists of choices"
        raise AllocationError(f"{what} for {count} layers ({layers[0]}, ...)")
    lists = [
        listed(own, f"choices of layer {layer!r}", "['int4', 'int8']")
        for own, layer in zip(choices, layers, strict=True)
    ]
    return tuple(
        tuple(named(name, f"choice of layer {layer!r}") for name in own)
        for own, layer in zip(lists, layers, strict=True)
    )


def check_lengths(rows: Rows, lists: Sequence[Sequence[str]], layers: Sequence[str], what: str) -> None:
    """As many rows as layers, and each as long as its layer's list of choices."""
    if len(rows) != len(layers):
        raise AllocationError(f"{what}: {len(rows)} rows for {len(layers)} layers")
    for row, names, layer in zip(rows, lists, layers, strict=True):
        if not len(names):
            raise AllocationError(f"layer {layer!r} has an empty list of choices", hint="leave it out, or fix it")
        if len(row) != len(names):
            raise AllocationError(f"{what}: layer {layer!r} has {len(row)} numbers for {len(names)} choices")


def flat(rows: Rows) -> Any:
    """All rows in one."""
    if all(isinstance(row, np.ndarray) and row.dtype == rows[0].dtype for row in rows):
        return np.concatenate(rows)
    return [value for row in rows for value in (row.tolist() if isinstance(row, np.ndarray) else row)]


def flat_losses(rows: Rows, layers: Sequence[str], lists: Sequence[Sequence[str]]) -> NDArray[np.float64]:
    """All losses in one row of binary64."""
    return np.concatenate(
        [
            _reals(row, [f"loss of {name!r} in layer {layer!r}" for name in names] if _strange(row) else ())
            for row, layer, names in zip(rows, layers, lists, strict=True)
        ]
    )


_PLAIN = frozenset({float, int})
"""Types of numbers that need no closer look."""


def _strange(row: Any) -> bool:
    """Whether a row needs a closer look: it holds more than integers and floating-point numbers."""
    return row.dtype.kind not in "iuf" if isinstance(row, np.ndarray) else not _PLAIN.issuperset(map(type, row))


def _reals(row: Any, what: Sequence[str]) -> NDArray[np.float64]:
    """A row in binary64; what is not a real number is refused, ``what`` saying what each is."""
    if not what:
        try:
            return np.array(row, dtype=np.float64)
        except OverflowError:
            raise AllocationError(
                "losses: an integer is beyond binary64", hint="divide all by the same number"
            ) from None
    if isinstance(row, np.ndarray) and row.dtype.kind in "bcSU":
        row = row.tolist()  # Python's own values, which messages show as they are
    return np.array([real_number(value, words) for value, words in zip(row, what, strict=True)], dtype=np.float64)


def matrix(losses: Any, what: str) -> NDArray[np.float64]:
    """A table of pair losses."""
    words = f"{what}: not a table of numbers"
    rows = [_reals(row, [words] * len(row)) for row in rows_of(losses, words)]
    if len({len(row) for row in rows}) > 1:
        raise AllocationError(words, hint="rows of the same length")
    return np.array(rows, dtype=np.float64)


def check_costs(rows: Rows, layers: Sequence[str], lists: Sequence[Sequence[str]], budget: str) -> None:
    """Every cost is a number, finite and not negative."""
    for row, layer, names in zip(rows, layers, lists, strict=True):
        if isinstance(row, np.ndarray) and row.dtype.kind in "iuf" and bool(np.all((row >= 0) & (row < np.inf))):
            continue
        for value, choice in zip(row, names, strict=True):
            what = f"{budget} of {choice!r} in layer {layer!r}"
            if isinstance(value, bool | np.bool_ | str) or not hasattr(value, "__float__"):
                raise AllocationError(f"{what}: {value!r} is not a number")
            if not 0 <= (number := _float(value)) < inf:
                why = "is NaN" if isnan(number) else "is negative" if number < 0 else "is infinite"
                raise AllocationError(f"{what}: {value} {why}", hint="costs are finite and at least 0")


def _float(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:
        return float(np.finfo(np.float64).max) * (1 if value > 0 else -1)


def check_problem(problem: Problem) -> None:
    """Everything that must hold of the parts of a problem together."""
    check_names(problem.layers, len(problem.choices))
    for layer, names in zip(problem.layers, problem.choices, strict=True):
        if not names:
            raise AllocationError(f"layer {layer!r} has an empty list of choices", hint="leave it out, or fix it")
        if len(set(names)) != len(names):
            raise AllocationError(f"layer {layer!r} lists a choice twice: {', '.join(names)}")
    _check_numbers(problem)
    _check_pairs(problem)
    _check_magnitude(problem)
    _check_groups(problem)
    if problem.max_switches is not None and type(problem.max_switches) is not int:
        raise AllocationError(f"max_switches: {problem.max_switches!r} is not a whole number")
    if problem.max_switches is not None and problem.max_switches < 0:
        raise AllocationError(f"max_switches: {problem.max_switches} is negative", hint="0 means one choice for all")


def _check_numbers(problem: Problem) -> None:
    entries = int(problem.offsets[-1])
    for what, array in (("losses", problem.losses), *((f"costs of {b.name}", b.costs) for b in problem.budgets)):
        if not isinstance(array, np.ndarray):
            raise AllocationError(f"{what}: {type(array).__name__} instead of an array", hint="Problem.from_arrays")
    if problem.losses.dtype != np.float64:
        raise AllocationError(f"losses: {problem.losses.dtype} instead of float64", hint="Problem.from_arrays")
    if problem.losses.shape != (entries,):
        raise AllocationError(f"losses: {problem.losses.shape} instead of ({entries},)")
    if not np.isfinite(problem.losses).all():
        position = int(np.flatnonzero(~np.isfinite(problem.losses))[0])
        layer = int(np.searchsorted(problem.offsets, position, side="right")) - 1
        choice = problem.choices[layer][position - int(problem.offsets[layer])]
        raise AllocationError(
            f"loss of {choice!r} in layer {problem.layers[layer]!r}: {problem.losses[position]} is not finite",
            hint="leave a choice out that a layer must not take",
        )
    names = [budget.name for budget in problem.budgets]
    if len(set(names)) != len(names):
        raise AllocationError(f"two budgets have one name: {', '.join(names)}")
    for budget in problem.budgets:
        if budget.costs.shape != (entries,):
            raise AllocationError(f"costs of {budget.name}: {budget.costs.shape} instead of ({entries},)")
        if budget.costs.dtype not in (np.dtype(np.int64), np.dtype(object)):
            raise AllocationError(f"costs of {budget.name}: {budget.costs.dtype} instead of int64", hint="integer_row")
        if max(budget.denominator, int(max(budget.costs, default=0)) * entries) > LARGEST_COSTS:
            raise AllocationError(
                f"costs of {budget.name} need integers beyond 10^300 over one denominator", hint="round the costs"
            )
        if entries and min(budget.costs) < 0:
            raise AllocationError(f"costs of {budget.name}: {min(budget.costs)} is negative")


LARGEST_COSTS = 10**300
"""Bounds are in binary64, and so are prices per unit."""

LARGEST_LOSSES = 1e290
"""Prices, bounds and sums of larger losses could overflow binary64."""


def _check_magnitude(problem: Problem) -> None:
    largest = max(float(np.abs(table).max()) for table in (problem.losses, *(pair.losses for pair in problem.pairs)))
    if largest * (len(problem.layers) + len(problem.pairs)) > LARGEST_LOSSES:
        raise AllocationError(
            f"losses up to {largest:.6g} are too large to be added", hint="divide all losses by the same number"
        )


def _check_pairs(problem: Problem) -> None:
    for pair in problem.pairs:
        Places(dict.fromkeys(problem.layers, 0))(max(pair.first, pair.second))
        names = problem.layers[pair.first], problem.layers[pair.second]
        if pair.first == pair.second:
            raise AllocationError(f"pair {names[0]!r}, {names[1]!r}: one layer is not a pair")
        wanted = len(problem.choices[pair.first]), len(problem.choices[pair.second])
        if pair.losses.shape != wanted:
            raise AllocationError(f"pair {names[0]!r}, {names[1]!r}: shape {pair.losses.shape} instead of {wanted}")
        if not np.isfinite(pair.losses).all():
            raise AllocationError(f"pair {names[0]!r}, {names[1]!r}: a loss is not finite")


def _check_groups(problem: Problem) -> None:
    place = Places({name: index for index, name in enumerate(problem.layers)})
    for layer, choice in problem.fixed.items():
        if choice not in problem.choices[place(layer)]:
            raise AllocationError(
                f"layer {problem.layers[layer]!r} is fixed to {choice!r}, which it does not have",
                hint=known_names(problem.choices[layer]),
            )
    for group in problem.ties:
        if len(set(group)) < 2:
            raise AllocationError(f"a tie of {len(set(group))} layers", hint="a tie names at least two")
        for layer in group:
            place(layer)
    for members in tie_classes(problem):
        if not common_choices(problem, members):
            names = ", ".join(repr(problem.layers[layer]) for layer in members)
            raise AllocationError(
                f"layers {names} are tied but have no choice in common",
                hint="give them one, or take the tie out; a fixed choice counts as the only one",
            )


def tie_classes(problem: Problem) -> list[list[int]]:
    """Layers that must agree, directly or through others: classes of all layers, by their first member."""
    leader = list(range(len(problem.layers)))

    def find(layer: int) -> int:
        while leader[layer] != layer:
            leader[layer] = leader[leader[layer]]
            layer = leader[layer]
        return layer

    for group in problem.ties:
        for one, other in pairwise(group):
            first, second = sorted((find(one), find(other)))
            leader[second] = first
    classes: dict[int, list[int]] = {}
    for layer in range(len(leader)):
        classes.setdefault(find(layer), []).append(layer)
    return list(classes.values())


def common_choices(problem: Problem, members: Sequence[int]) -> list[str]:
    """The choices that all these layers have (a fixed layer has one), in the order of the first."""
    lists = [[problem.fixed[layer]] if layer in problem.fixed else problem.choices[layer] for layer in members]
    if len(lists) == 1:
        return list(lists[0])
    sets = [set(names) for names in lists[1:]]
    return [name for name in lists[0] if all(name in names for names in sets)]


def violations(problem: Problem, picks: Sequence[int]) -> list[str]:
    """What a plan breaks, in words."""
    broken = []
    named = [names[pick] for names, pick in zip(problem.choices, picks, strict=True)]
    for budget, total in zip(problem.budgets, problem.totals_of(picks), strict=True):
        limit = budget.integer_limit
        if limit is not None and total > limit:
            broken.append(f"budget {budget.name}: {budget.amount_of(total)} is over {budget.limit}")
    broken += [
        f"tie of {', '.join(problem.layers[layer] for layer in members)}"
        for members in tie_classes(problem)
        if len({named[layer] for layer in members}) > 1
    ]
    broken += [
        f"layer {problem.layers[layer]} is not {choice}"
        for layer, choice in problem.fixed.items()
        if named[layer] != choice
    ]
    if problem.max_switches is not None and problem.switches_of(picks) > problem.max_switches:
        broken.append(f"{problem.switches_of(picks)} switches instead of {problem.max_switches}")
    return broken
