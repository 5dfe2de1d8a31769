"""A problem as the text of a costs file, exact: what ``read_costs`` reads back is the same problem."""

from __future__ import annotations

import json
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

from lowbit.allocate.arguments import check_kind
from lowbit.allocate.problem import Budget, Problem
from lowbit.files.whole import write_text


def write_costs(problem: Problem, file: str | Path) -> None:
    """Write a problem as a TOML file for ``lowbit allocate``, whole or not at all.

    Raises
    ------
    InputError
        The file cannot be written; code LB101.

    Examples
    --------
    >>> from lowbit.allocate import Problem
    >>> problem = Problem.from_arrays(
    ...     [[4.0, 1.0], [9.0, 2.0]], ["int4", "int8"], costs={"bits": [[4, 8], [4, 8]]}, limits={"bits": 12}
    ... )
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder) / "costs.toml"
    ...     write_costs(problem, file)
    ...     file.read_text().splitlines()[0]
    'choices = ["int4", "int8"]'
    """
    check_kind(problem, Problem, "problem", "Problem.from_arrays or read_costs makes one")
    write_text(file, costs_text(problem))


def costs_text(problem: Problem) -> str:
    """The text of a costs file."""
    return "\n".join(_lines(problem)) + "\n"


def _quoted(value: Any) -> str:
    """Text, and lists of text, as TOML and JSON both have them; TOML knows no pairs of surrogates, and no bare DEL."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _exact(value: Fraction) -> str:
    """A number that TOML has exactly: an integer, a decimal, or else a fraction in quotes."""
    if value.denominator == 1:
        return str(value.numerator)
    twos_and_fives = value.denominator
    for prime in (2, 5):
        while twos_and_fives % prime == 0:
            twos_and_fives //= prime
    if twos_and_fives != 1:
        return f'"{value.numerator}/{value.denominator}"'
    places = 0
    while (value * 10**places).denominator != 1:
        places += 1
    digits = str((value * 10**places).numerator).rjust(places + 1, "0")
    return f"{digits[:-places]}.{digits[-places:]}"


def _lines(problem: Problem) -> Iterator[str]:
    if problem.name:
        yield f"name = {_quoted(problem.name)}"
    shared = problem.choices[0] if len(set(problem.choices)) == 1 else None
    if shared:
        yield f"choices = {_quoted(list(shared))}"
    if problem.ties:
        groups = [[problem.layers[layer] for layer in group] for group in problem.ties]
        yield f"ties = {_quoted(groups)}"
    if problem.max_switches is not None:
        yield f"max_switches = {problem.max_switches}"
    if not problem.budgets:
        yield "budgets = {}"
    for budget in problem.budgets:
        yield from _budget(budget)
    if problem.fixed:
        yield "\n[fixed]"
        yield from (f"{_quoted(problem.layers[layer])} = {_quoted(choice)}" for layer, choice in problem.fixed.items())
    for index, layer in enumerate(problem.layers):
        row = slice(int(problem.offsets[index]), int(problem.offsets[index + 1]))
        yield f"\n[[layers]]\nname = {_quoted(layer)}"
        if not shared:
            yield f"choices = {_quoted(list(problem.choices[index]))}"
        yield f"loss = [{', '.join(repr(float(loss)) for loss in problem.losses[row])}]"
        for budget in problem.budgets:
            costs = ", ".join(_exact(Fraction(int(cost), budget.denominator)) for cost in budget.costs[row])
            yield f"{_quoted(budget.name)} = [{costs}]"
    for pair in problem.pairs:
        yield f"\n[[pairs]]\nlayers = {_quoted([problem.layers[pair.first], problem.layers[pair.second]])}"
        rows = ", ".join(f"[{', '.join(repr(float(loss)) for loss in row)}]" for row in pair.losses)
        yield f"loss = [{rows}]"


def _budget(budget: Budget) -> Iterator[str]:
    yield f"\n[budgets.{_quoted(budget.name)}]"
    if budget.limit is not None:
        yield f"limit = {_exact(budget.limit)}"
    if budget.unit:
        yield f"unit = {_quoted(budget.unit)}"
    if budget.divisor != 1:
        yield f"divisor = {_exact(budget.divisor)}"
