"""The candidates of an identification: every accumulator of a wide grid, and the bugs that are not an accumulator."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import astuple, dataclass, replace
from functools import lru_cache
from itertools import product
from typing import Any

import numpy as np

from lowbit.check.gemm.problem import GemmBug, Matrix, Problem, wrapped
from lowbit.check.operation import Rule
from lowbit.format.scalar import FixedFormat
from lowbit.policy.accumulator import ACCUMULATORS, NARROWEST, WIDEST, Accumulator
from lowbit.vectors.case import Array, Case
from lowbit.vectors.gemm.values import Operands

COMBINED = (1, 2, 4, 8)
BLOCKS = (2, 4, 8, 16, 32, 64, 128, 256)
LANES = (2, 4, 8, 16, 32, 64)
REDUCTIONS = ("sequential", "adjacent", "halves")
SPILLS = (2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
NARROW = range(NARROWEST, 33)
TERM_WIDTHS = (16, 24)
DROPPED = range(1, 9)
ENDLESS = 1 << 80


@dataclass(frozen=True)
class GemmRule(Rule):
    """An accumulator, and perhaps a bug; computes what a kernel with it would return."""

    accumulator: Accumulator
    bits: int = 32  # of the results that the kernel hands out: wider sums keep their low bits
    bug: GemmBug | None = None

    def run(self, case: Case) -> Array:
        """The results of a case."""
        solved = solved_case(case)
        if self.bug is None:
            results = solved.run(self.accumulator)
        else:
            results = rewritten_case(case, self.bug).run(self.accumulator)
            results = self.bug.finish(solved.problem, results)
        return wrapped(results, self.bits)


@dataclass(frozen=True)
class Magnitudes:
    """What no product and no partial sum exceeds, of operands less their zero points and of raw codes."""

    peak: int
    bound: int
    raw_peak: int
    raw_bound: int
    largest_a: int
    largest_b: int
    length: int
    zero_points: bool

    @classmethod
    def of(cls, problem: Problem) -> Magnitudes:
        """Those of one problem."""
        a, b = np.abs(problem.a - problem.a_zero), np.abs(problem.b - problem.b_zero)
        sizes = _largest(a), _largest(b), problem.length
        peak, bound = sizes[0] * sizes[1], _largest(_product(a, b))
        if not (problem.a_zero or problem.b_zero):
            return cls(peak, bound, peak, bound, *sizes, zero_points=False)
        raw_a, raw_b = np.abs(problem.a), np.abs(problem.b)
        raw_peak, raw_bound = _largest(raw_a) * _largest(raw_b), _largest(_product(raw_a, raw_b))
        return cls(peak, bound, max(peak, raw_peak), max(bound, raw_bound), *sizes, zero_points=True)

    @classmethod
    def of_formats(cls, operands: Operands) -> Magnitudes:
        """Those of any problem with operands of two formats, however long its sums are."""
        sizes = [max(abs(fmt.min_code), abs(fmt.max_code)) for fmt in (operands.a, operands.b)]
        a, b = (2 * size if operands.zero_points else size for size in sizes)
        return cls(a * b, ENDLESS, a * b, ENDLESS, a, b, ENDLESS, operands.zero_points)

    def joined(self, other: Magnitudes) -> Magnitudes:
        """The larger of both."""
        return Magnitudes(*(max(pair) for pair in zip(astuple(self), astuple(other), strict=True)))

    def plain(self, accumulator: Accumulator, bits: int = WIDEST) -> Accumulator:
        """An accumulator that gives the same results in that many bits, without what cannot matter at such sizes.

        Where no step can overflow it is the widest one.
        """
        plain = _nameless(accumulator)
        dropped = plain.dropped_bits
        peak, bound = self.peak, self.bound
        if dropped:
            peak = ((self.largest_a >> dropped) + 1) * ((self.largest_b >> dropped) + 1)
            bound = min(bound, self.length * peak)
        if plain.zero_points == "compensated" and not dropped:
            peak, bound = self.raw_peak, self.raw_bound
            if not self.zero_points:
                plain = replace(plain, zero_points="subtracted")
        if (
            plain.spill_every == 2
            and plain.combine == 1
            and plain.order == "sequential"
            and peak < 1 << (plain.width - 1)
        ):
            # Only the sum of a pair can overflow: the pair is combined, and the spills are the sum.
            plain = Accumulator(
                width=plain.spill_width,
                overflow=plain.spill_overflow,
                combine=2,
                combine_width=plain.width,
                combine_overflow=plain.overflow,
                zero_points=plain.zero_points,
                dropped_bits=dropped,
            )
        if plain.combine_width and plain.combine * peak < 1 << (plain.combine_width - 1):
            plain = replace(plain, combine_width=0, combine_overflow="wrap")
        if self._only_terms_overflow(plain, peak, bound, bits):
            if not plain.combine_width:
                plain = Accumulator(width=plain.spill_width or WIDEST, dropped_bits=dropped)
            elif plain.zero_points == "subtracted" and not dropped:
                term = (plain.combine, plain.combine_width, plain.combine_overflow)
                plain = Accumulator(width=WIDEST, combine=term[0], combine_width=term[1], combine_overflow=term[2])
        if plain.is_modular:
            width = plain.result_width
            exact = bound < 1 << (width - 1) or width >= bits
            return Accumulator(width=WIDEST if exact else width, dropped_bits=dropped)
        if plain.spill_every and plain.spill_overflow == "wrap" and plain.width <= bits < plain.spill_width:
            plain = replace(plain, spill_width=bits)
        return plain

    @staticmethod
    def _only_terms_overflow(plain: Accumulator, peak: int, bound: int, bits: int) -> bool:
        """Whether the sum of terms stays exact or keeps all bits asked for; cutting a term never enlarges it."""
        chunk = min(bound, plain.spill_every * peak) if plain.spill_every else bound
        fits = chunk < 1 << (plain.width - 1)
        if not plain.spill_every:
            return fits or (plain.overflow == "wrap" and plain.width >= bits)
        return (
            fits
            and (plain.spill_overflow == "wrap" or bound < 1 << (plain.spill_width - 1))
            and (not plain.combine_width or bound < 1 << (plain.spill_width - 1))
        )


EXACT = Accumulator(width=WIDEST)


class Solved:
    """A problem with its exact results, and those of the accumulators that were asked for so far."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.magnitudes = Magnitudes.of(problem)
        self.exact = _product(problem.a - problem.a_zero, problem.b - problem.b_zero)
        # Nothing to add; or int16 that a bug takes for unsigned, which is looked at without overflow.
        self._beyond = not problem.length or max(_largest(problem.a), _largest(problem.b)) >= 1 << 15
        self._known: dict[Accumulator, Matrix] = {}

    def run(self, accumulator: Accumulator) -> Matrix:
        """What an accumulator makes of the problem."""
        plain = self.magnitudes.plain(accumulator)
        if self._beyond or plain == EXACT:
            return self.exact
        if plain not in self._known:
            self._known[plain] = self._accumulated(plain)
        return self._known[plain]

    def _accumulated(self, accumulator: Accumulator) -> Matrix:
        if accumulator.is_modular and not accumulator.dropped_bits:
            return wrapped(self.exact, accumulator.result_width)
        from lowbit.ops.gemm.accumulate import accumulate

        operands = self.problem.a.astype(np.int16), self.problem.b.astype(np.int16)
        results = accumulate(*operands, accumulator, a_zero_point=self.problem.a_zero, b_zero_point=self.problem.b_zero)
        return np.asarray(results).astype(np.int64)


@lru_cache(maxsize=1 << 14)
def _nameless(accumulator: Accumulator) -> Accumulator:
    """An accumulator that takes any operands: those of a check have no bias, and fit."""
    return replace(accumulator, name="", operands="any", bias="added")


def _product(a: Matrix, b: Matrix) -> Matrix:
    """The exact product, by way of binary64, which holds every sum of that many products of 17 bits."""
    return np.asarray((a.astype(np.float64) @ b.astype(np.float64)).astype(np.int64))


def _largest(values: Matrix) -> int:
    return int(values.max()) if values.size else 0


def problem_of(case: Case) -> Problem:
    """The operands of a case as a problem."""
    a, b = case.arrays["a"].astype(np.int64), case.arrays["b"].astype(np.int64)
    return Problem(a, b, int(case.scalars.get("a_zero_point", 0)), int(case.scalars.get("b_zero_point", 0)))


@lru_cache(maxsize=2)
def solved_case(case: Case) -> Solved:
    """A case with what is known of it, which all candidates ask for one after another."""
    return Solved(problem_of(case))


@lru_cache(maxsize=64)
def rewritten_case(case: Case, bug: GemmBug) -> Solved:
    """A case as a bug takes it, which many accumulators ask for in turn."""
    return Solved(bug.rewrite(solved_case(case).problem))


def takes(accumulator: Accumulator, a: FixedFormat, b: FixedFormat) -> bool:
    """Whether an instruction takes operands of these formats, on either side."""
    if accumulator.operands == "any":
        return True
    wanted = accumulator.operands.split("_")
    given = [f"{'' if fmt.signed else 'u'}int{8 if fmt.bits <= 8 else 16}" for fmt in (a, b)]
    return sorted(wanted) == sorted(given)


def candidates(operands: Operands) -> Iterator[Accumulator]:
    """Presets that take the operands, then the grid; each set of axes once, whatever its name."""
    yield from presets(operands)
    seen = {_key(item, operands) for item in presets(operands)}
    for accumulator in _grid(operands):
        key = _key(accumulator, operands)
        if key not in seen:
            seen.add(key)
            yield accumulator


def _key(accumulator: Accumulator, operands: Operands) -> Accumulator:
    key = _nameless(accumulator)
    return key if operands.zero_points else replace(key, zero_points="subtracted")


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
