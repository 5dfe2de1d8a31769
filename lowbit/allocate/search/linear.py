"""The problem as an integer linear program: for HiGHS, for PuLP, and as MPS and LP files for any other solver.

One binary variable for every entry of every node, one of them 1 a node. An edge has a continuous variable for every
pair of entries, whose sums over either side are the other side's variables (the local polytope, which is exact here
because the nodes are integer). Rows of budgets stay in integers: dividing one by its limit moves it within the
solver's tolerance, and the answer can then be some hundred bytes over.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import frexp, ldexp
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lowbit.allocate.arguments import check_kind
from lowbit.allocate.problem import Problem
from lowbit.allocate.search.core import Core, Edge, Integers, Reals, reduce
from lowbit.files.whole import write_text

OBJECTIVE_BITS = 20
"""Losses are multiplied by a power of two, so that their sum is about 2^20: solvers stop at absolute gaps of 1e-6."""

LARGEST_BITS = 31
"""Rows with larger integers are divided by a power of two: HiGHS takes coefficients beyond 1e15 for errors."""

COUPLED_BITS = 20
"""The same beside continuous variables: with 31 bits HiGHS 1.12 and 1.15 call plans optimal that are not."""

EXACT_BITS = 53
"""Integers of more bits are not exact in binary64."""


@dataclass(frozen=True, eq=False)
class LinearModel:
    """Minimise ``objective @ x`` with rows of ``coefficient * variable`` between two ends; 0 <= x <= 1."""

    names: tuple[str, ...]  # of the variables: ``x_NODE_ENTRY`` and ``y_NODE_NODE_ENTRY_ENTRY``
    objective: Reals  # losses times ``2**exponent``
    exponent: int
    integral: NDArray[np.bool_]  # which variables are binary
    row_names: tuple[str, ...]
    # row_index, column_index, coefficients: the entries of the rows
    row_index: Integers
    column_index: Integers
    coefficients: Reals
    # lower, upper: the ends of the rows; -inf for a budget
    lower: Reals
    upper: Reals
    columns: tuple[tuple[int, int], ...]  # node and entry of the binary variables, which come first

    def picks(self, values: Reals, nodes: int) -> Integers:
        """One entry a node: the one whose variable is largest."""
        best = np.full(nodes, -1.0)
        picks = np.zeros(nodes, dtype=np.int64)
        for (node, entry), value in zip(self.columns, values, strict=False):
            if value > best[node]:
                best[node], picks[node] = value, entry
        return picks


class _Rows:
    def __init__(self) -> None:
        self.names: list[str] = []
        self.index: list[int] = []
        self.columns: list[int] = []
        self.values: list[float] = []
        self.ends: list[tuple[float, float]] = []

    def add(self, name: str, columns: list[int], values: Sequence[float], lower: float, upper: float) -> None:
        self.index += [len(self.names)] * len(columns)
        self.columns += columns
        self.values += list(values)
        self.names.append(name)
        self.ends.append((lower, upper))


def linear_model(core: Core) -> LinearModel:
    """The integer linear program of a core."""
    nodes, entries = np.nonzero(np.isfinite(core.losses))
    columns = tuple(zip(nodes.tolist(), entries.tolist(), strict=True))
    place = {column: index for index, column in enumerate(columns)}
    names = [f"x_{node}_{entry}" for node, entry in columns]
    losses = core.losses[nodes, entries].tolist()
    rows = _Rows()
    of_node: dict[int, list[int]] = {}
    for index, (node, _) in enumerate(columns):
        of_node.setdefault(node, []).append(index)
    for node, own in of_node.items():
        rows.add(f"one_{node}", own, [1] * len(own), 1, 1)
    switched: list[tuple[int, int]] = []
    for edge in core.edges:
        switched += _add_edge(edge, (of_node[edge.first], of_node[edge.second]), columns, rows, names, losses)
    for number, row in enumerate(core.rows):
        costs = [(place[column], int(core.costs[(number, *column)])) for column in columns]
        if number == core.switch_row:
            costs += switched
        used = [(column, cost) for column, cost in costs if cost]
        bits = max((cost for _, cost in used), default=0).bit_length()
        shift = max(0, bits - (COUPLED_BITS if core.edges else LARGEST_BITS))
        if bits <= EXACT_BITS:
            values = [ldexp(cost, -shift) for _, cost in used]
            limit = ldexp(int(core.limits[number]), -shift)
        else:  # rounded down, so that no plan within the limit is lost
            values = [float(cost >> shift) for _, cost in used]
            limit = float(int(core.limits[number]) >> shift)
        rows.add(_row_name(number, row), [column for column, _ in used], values, -np.inf, limit)
    largest = sum(abs(loss) for loss in losses)
    exponent = OBJECTIVE_BITS - frexp(largest)[1] if largest else 0
    integral = np.zeros(len(names), dtype=bool)
    integral[: len(columns)] = True
    return LinearModel(
        tuple(names), np.ldexp(losses, exponent), exponent, integral, tuple(rows.names), np.array(rows.index, np.int64),
        np.array(rows.columns, np.int64), np.array(rows.values, np.float64), np.array([e[0] for e in rows.ends]),
        np.array([e[1] for e in rows.ends]), columns,
    )  # fmt: skip


_PLAIN_NAME = re.compile(r"[A-Za-z0-9_]{1,200}")
"""What both file formats take for the name of a row."""


def _row_name(number: int, budget: str) -> str:
    return f"budget_{budget}" if _PLAIN_NAME.fullmatch(budget) else f"row_{number}"


def _add_edge(
    edge: Edge,
    ends: tuple[list[int], list[int]],
    columns: tuple[tuple[int, int], ...],
    rows: _Rows,
    names: list[str],
    losses: list[float],
) -> list[tuple[int, int]]:
    """Variables and rows of an edge; its variables with the switches that they make."""
    first, second = ends
    pairs, switched = {}, []
    for one, other in product(first, second):
        entries = columns[one][1], columns[other][1]
        pairs[one, other] = len(names)
        names.append(f"y_{edge.first}_{edge.second}_{entries[0]}_{entries[1]}")
        losses.append(float(edge.losses[entries]))
        switched.append((pairs[one, other], int(edge.switches[entries])))
    for one in first:
        own = [pairs[one, other] for other in second]
        rows.add(f"from_{names[one]}_{edge.second}", [*own, one], [1] * len(own) + [-1], 0, 0)
    for other in second:
        own = [pairs[one, other] for one in first]
        rows.add(f"to_{names[other]}_{edge.first}", [*own, other], [1] * len(own) + [-1], 0, 0)
    return switched


def write_mps(problem: Problem, file: str | Path) -> None:
    """Write the integer linear program as a free MPS file; its objective is the loss, unscaled.

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
    ...     file = Path(folder) / "problem.mps"
    ...     write_mps(problem, file)
    ...     file.read_text().splitlines()[-1]
    'ENDATA'
    """
    check_kind(problem, Problem, "problem", "Problem.from_arrays or read_costs makes one")
    write_text(file, "\n".join(_mps_lines(problem)) + "\n")


def write_lp(problem: Problem, file: str | Path) -> None:
    """Write the integer linear program in CPLEX LP format; its objective is the loss, unscaled.

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
    ...     file = Path(folder) / "problem.lp"
    ...     write_lp(problem, file)
    ...     file.read_text().splitlines()[-1]
    'End'
    """
    check_kind(problem, Problem, "problem", "Problem.from_arrays or read_costs makes one")
    write_text(file, "\n".join(_lp_lines(problem)) + "\n")


def _key(problem: Problem, mark: str) -> Iterator[str]:
    reduction = reduce(problem)
    yield f"{mark} lowbit allocate: x_NODE_ENTRY is 1 if the node takes the entry"
    for number, budget in enumerate(reduction.core.rows):
        yield f"{mark} {_row_name(number, budget)}: budget {ascii(budget)[1:-1]}"
    for layer, name in enumerate(problem.layers):
        pairs = enumerate(reduction.pick_of[layer].tolist())
        listed = ", ".join(f"{entry} {problem.choices[layer][pick]}" for entry, pick in pairs if pick >= 0)
        yield f"{mark} node {reduction.node_of[layer]}: layer {ascii(name)[1:-1]}: {ascii(listed)[1:-1]}"


def _mps_lines(problem: Problem) -> Iterator[str]:
    model = linear_model(reduce(problem).core)
    yield from _key(problem, "*")
    yield "NAME lowbit"
    yield "ROWS"
    yield " N loss"
    for name, lower in zip(model.row_names, model.lower, strict=True):
        yield f" {'L' if lower == -np.inf else 'E'} {name}"
    yield "COLUMNS"
    by_column: dict[int, list[str]] = {}
    for row, column, value in zip(model.row_index, model.column_index, model.coefficients, strict=True):
        by_column.setdefault(int(column), []).append(f"{model.row_names[row]} {_number(value)}")
    marker = ""
    for column, name in enumerate(model.names):
        wanted = "INTORG" if model.integral[column] else "INTEND"
        if wanted != marker and (marker or wanted == "INTORG"):
            yield f" MARKER{wanted} 'MARKER' '{wanted}'"
        marker = wanted
        yield f" {name} loss {ldexp(model.objective[column], -model.exponent)!r}"
        yield from (f" {name} {entry}" for entry in by_column.get(column, []))
    if marker == "INTORG":
        yield " MARKEREND 'MARKER' 'INTEND'"
    yield "RHS"
    yield from (f" RHS {n} {_number(u)}" for n, u in zip(model.row_names, model.upper, strict=True) if u)
    yield "BOUNDS"
    yield from (f" UP BND {name} 1" for name in model.names)
    yield "ENDATA"


def _lp_lines(problem: Problem) -> Iterator[str]:
    model = linear_model(reduce(problem).core)
    yield from _key(problem, "\\")
    yield "Minimize"
    yield " loss:"
    yield from (f"  {_term(ldexp(v, -model.exponent), n)}" for v, n in zip(model.objective, model.names, strict=True))
    yield "Subject To"
    by_row: dict[int, list[str]] = {}
    for row, column, value in zip(model.row_index, model.column_index, model.coefficients, strict=True):
        by_row.setdefault(int(row), []).append(_term(float(value), model.names[column]))
    for row, name in enumerate(model.row_names):
        yield f" {name}:"
        yield from (f"  {term}" for term in by_row.get(row, [f"+ 0 {model.names[0]}"]))
        yield f"  {'<=' if model.lower[row] == -np.inf else '='} {_number(model.upper[row])}"
    yield "Bounds"
    yield from (f" 0 <= {name} <= 1" for name, whole in zip(model.names, model.integral, strict=True) if not whole)
    yield "Binary"
    yield from (f" {name}" for name, whole in zip(model.names, model.integral, strict=True) if whole)
    yield "End"


def _term(value: float, name: str) -> str:
    return f"{'-' if value < 0 else '+'} {_number(abs(value))} {name}"


def _number(value: float) -> str:
    """Whole numbers without a point, others as the shortest decimal that reads as them."""
    return str(int(value)) if float(value).is_integer() and abs(value) < 2**53 else repr(float(value))
