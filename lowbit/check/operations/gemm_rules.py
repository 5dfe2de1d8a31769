"""The candidates of an identification: every accumulator of a wide grid, and the bugs that are no accumulator."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product
from typing import Any

import numpy as np

from lowbit.accumulator import ACCUMULATORS, NARROWEST, WIDEST, Accumulator
from lowbit.check.operations.gemm_bugs import Bug, Matrix, Problem
from lowbit.check.operations.operation import Rule
from lowbit.spec import FixedFormat
from lowbit.vectors.case import Array, Case
from lowbit.vectors.gemm_values import Operands

COMBINED = (1, 2, 4, 8)
BLOCKS = (2, 4, 8, 16, 32, 64, 128, 256)
LANES = (2, 4, 8, 16, 32, 64)
REDUCTIONS = ("sequential", "adjacent", "halves")
SPILLS = (2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
NARROW = range(NARROWEST, 33)
TERM_WIDTHS = (16, 24)
DROPPED = range(1, 9)


@dataclass(frozen=True)
class GemmRule(Rule):
    """An accumulator, and perhaps a bug; computes what a kernel with it would return.

    Attributes
    ----------
    accumulator : Accumulator
    bits : int
        Of the results that the kernel hands out: wider sums keep their low bits.
    bug : Bug or None
    """

    accumulator: Accumulator
    bits: int = 32
    bug: Bug | None = None

    def run(self, case: Case) -> Array:
        """The results of a case."""
        problem = problem_of(case)
        if self.bug is None:
            results = accumulated(problem, self.accumulator, facts_of(case))
        else:
            other = self.bug.rewrite(problem)
            results = self.bug.finish(problem, accumulated(other, self.accumulator, Facts.of(other)))
        return low_bits(results, self.bits)


@dataclass(frozen=True)
class Facts:
    """What is worth knowing of a problem before it is accumulated: its exact results, and what no sum exceeds."""

    exact: Matrix
    bound: int
    raw_bound: int

    @classmethod
    def of(cls, problem: Problem) -> Facts:
        """Compute them."""
        a, b = problem.a - problem.a_zero, problem.b - problem.b_zero
        raw = _largest(np.abs(problem.a) @ np.abs(problem.b))
        own = raw if not (problem.a_zero or problem.b_zero) else _largest(np.abs(a) @ np.abs(b))
        return cls(a @ b, own, max(raw, own))


def _largest(values: Matrix) -> int:
    return int(values.max()) if values.size else 0


def problem_of(case: Case) -> Problem:
    """The operands of a case as a problem."""
    a, b = case.arrays["a"].astype(np.int64), case.arrays["b"].astype(np.int64)
    return Problem(a, b, int(case.scalars.get("a_zero_point", 0)), int(case.scalars.get("b_zero_point", 0)))


@lru_cache(maxsize=4)
def facts_of(case: Case) -> Facts:
    """The facts of a case, which all candidates ask for one after another."""
    return Facts.of(problem_of(case))


def accumulated(problem: Problem, accumulator: Accumulator, facts: Facts) -> Matrix:
    """What the accumulator makes of a problem; the exact results where no step can overflow."""
    if not problem.length or is_exact(accumulator, facts):
        return facts.exact
    from lowbit.ops.accumulate import accumulate

    operands = as_operand(problem.a), as_operand(problem.b)
    any_operands = replace(accumulator, operands="any")
    zero_points = {"a_zero_point": problem.a_zero, "b_zero_point": problem.b_zero}
    return np.asarray(accumulate(*operands, any_operands, **zero_points)).astype(np.int64)


def as_operand(matrix: Matrix) -> Array:
    """Codes of at most 16 bits in a type that holds them."""
    return matrix.astype(np.uint16 if _largest(matrix) >> 15 else np.int16)


def is_exact(accumulator: Accumulator, facts: Facts) -> bool:
    """Whether no step can overflow, whatever the order."""
    if accumulator.dropped_bits:
        return False
    narrowest = min(accumulator.width, accumulator.combine_width or WIDEST)
    bound = facts.bound if accumulator.zero_points == "subtracted" else facts.raw_bound
    return bound < 1 << (narrowest - 1)


def low_bits(values: Matrix, bits: int) -> Matrix:
    """Sums as a kernel hands them out in so many bits."""
    if bits == WIDEST:
        return values
    shift = np.int64(WIDEST - bits)
    return (values << shift) >> shift


def takes(accumulator: Accumulator, a: FixedFormat, b: FixedFormat) -> bool:
    """Whether an instruction takes operands of these formats, on either side."""
    if accumulator.operands == "any":
        return True
    wanted = accumulator.operands.split("_")
    given = [f"{'' if fmt.signed else 'u'}int{8 if fmt.bits <= 8 else 16}" for fmt in (a, b)]
    return sorted(wanted) == sorted(given)


def candidates(operands: Operands) -> Iterator[Accumulator]:
    """Presets that take the operands, then the grid; each set of axes once, whatever its name."""
    seen = set()
    for accumulator in (*presets(operands), *_grid(operands)):
        key = replace(accumulator, name="", operands="any", bias="added")
        if not operands.zero_points:
            key = replace(key, zero_points="subtracted")
        if key not in seen:
            seen.add(key)
            yield accumulator


def presets(operands: Operands) -> list[Accumulator]:
    """The named accumulators that take the operands."""
    return [item for item in ACCUMULATORS.values() if takes(item, operands.a, operands.b)]


@lru_cache(maxsize=2)
def _plain_grid() -> tuple[Accumulator, ...]:
    return tuple(_grid_families())


def _grid(operands: Operands) -> Iterator[Accumulator]:
    yield from _plain_grid()
    if operands.zero_points:
        # Only what can overflow is changed by the order of correction; orders and spills are left to the presets.
        for accumulator in _plain_grid():
            if accumulator.order == "sequential" and not accumulator.spill_every and not accumulator.dropped_bits:
                yield replace(accumulator, zero_points="compensated")


def _grid_families() -> Iterator[Accumulator]:
    both = ("wrap", "saturate")
    for width, overflow, combine in product(range(NARROWEST, WIDEST + 1), both, COMBINED):
        yield Accumulator(width=width, overflow=overflow, combine=combine)
    for width, order in product(range(NARROWEST, WIDEST + 1), _orders()):
        yield Accumulator(width=width, overflow="saturate", **order)
    for combine, term, term_overflow in product((2, 4), TERM_WIDTHS, both):
        for width, overflow in product(range(term, WIDEST + 1), both):
            yield Accumulator(
                width=width,
                overflow=overflow,
                combine=combine,
                combine_width=term,
                combine_overflow=term_overflow,
            )
    for width, overflow, every in product(NARROW, both, SPILLS):
        for spill_width in {32, 64, *({24} if width <= 24 else ())}:
            yield Accumulator(width=width, overflow=overflow, spill_every=every, spill_width=spill_width)
    for dropped, width, every in product(DROPPED, (32, 64), (0, *SPILLS)):
        spill: dict[str, Any] = {"spill_every": every, "spill_width": 64} if every else {}
        yield Accumulator(width=width, dropped_bits=dropped, **spill)
        if every:
            yield Accumulator(width=width, dropped_bits=dropped, combine=2, **spill)


def _orders() -> Iterator[dict[str, Any]]:
    yield {"order": "pairwise"}
    for block in BLOCKS:
        yield {"order": "blocked", "block": block}
    for lanes, reduction in product(LANES, REDUCTIONS):
        if lanes > 2 or reduction == "sequential":
            yield {"order": "lanes", "lanes": lanes, "reduction": reduction}
