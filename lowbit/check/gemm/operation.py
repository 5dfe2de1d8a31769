"""``lowbit check gemm``: an integer matrix product and the accumulator that it follows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

import numpy as np

from lowbit.check.claims import Claim, Follows, Unexplained, constant
from lowbit.check.comparison import Comparison
from lowbit.check.facts import size_facts
from lowbit.check.gemm.bugs import gemm_bugs
from lowbit.check.gemm.measured_bugs import measured_bugs
from lowbit.check.gemm.problem import wrapped
from lowbit.check.gemm.rules import GemmRule, Magnitudes, candidates, presets, problem_of, takes
from lowbit.check.gemm.sums import SumsInBinary32
from lowbit.check.operation import Operation, Rule, surviving
from lowbit.dut.prototype import INPUT, OUTPUT, SCALAR, SIZE, Parameter, Prototype, codes_of
from lowbit.errors import InputError
from lowbit.format.registry import scalar_format
from lowbit.policy.accumulator import Accumulator, get_accumulator
from lowbit.vectors.case import Case
from lowbit.vectors.gemm.cases import directed_cases, random_cases
from lowbit.vectors.gemm.values import Operands

LARGE = 1 << 17
"""Multiplications in a case that is worth putting off."""
NARROWED = (8, 16, 24)
NARROW = tuple(Accumulator(width=width, overflow=how) for width in (16, 24, 8) for how in ("wrap", "saturate"))
"""Accumulators that a bug of another kind may come on top of, beside the named ones."""


def gemm_prototype(operands: Operands, result_bits: int = 32) -> Prototype:
    """The prototype of a matrix product: ``f(a, b, c, m, n, k)``, with zero points at the end if it takes them."""
    parameters = [
        codes_of(INPUT, "a", operands.a),
        codes_of(INPUT, "b", operands.b),
        codes_of(OUTPUT, "c", scalar_format(f"int{result_bits}")),
        *(Parameter(SIZE, name) for name in "mnk"),
    ]
    if operands.zero_points:
        parameters += [Parameter(SCALAR, f"{name}_zero_point", "int32") for name in "ab"]
    return Prototype(tuple(parameters))


@dataclass(frozen=True)
class GemmDetail:
    """What a wrong element may be."""

    first: int | None = None  # it is the sum of so many products of the row
    missing: int | None = None  # it lacks the product of this k
    low: int | None = None  # it is the low bits of the sum, so many
    end: int | None = None  # it is the largest or the lowest number of so many bits
    overflow: int | None = None  # from which product on an accumulator like the kernel's overflows


class GemmOperation(Operation):
    """A matrix product of two formats, compared under one accumulator."""

    name = "gemm"

    def __init__(self, operands: Operands, accumulator: Accumulator) -> None:
        if not takes(accumulator, operands.a, operands.b):
            kinds = accumulator.operands.replace("_", " x ")
            raise InputError(
                f"accumulator {accumulator.name} takes {kinds}, not {operands.words}",
                hint="--a and --b name the formats; --accumulator int32 takes any",
            )
        self.operands, self.accumulator = operands, accumulator
        self.result_bits = 32 if accumulator.result_width <= 32 else 64
        self.prototype = gemm_prototype(operands, self.result_bits)
        self.source, self.target = operands.words, f"int{self.result_bits}"
        self.types = {"--a": operands.a.id, "--b": operands.b.id}
        self.rule_name = f"accumulator {accumulator.name or 'as given'}"
        self.rule = GemmRule(accumulator, self.result_bits)

    def _directed(self) -> list[Case]:
        return directed_cases(self.operands)

    def _random(self, count: int, seed: int) -> list[Case]:
        return random_cases(self.operands, count, seed)

    def _read(self, path: str) -> list[Case]:
        from lowbit.vectors.gemm.sets import read_dot_products

        return read_dot_products(path, self.operands)

    def changed(self, changes: Sequence[Mapping[str, Any]]) -> GemmRule | None:
        """Another accumulator."""
        names = [change["accumulator"] for change in changes]
        return GemmRule(get_accumulator(names[0]), self.result_bits) if len(names) == 1 else None

    def identify(self, comparison: Comparison) -> list[Claim]:
        """Eliminate accumulators; where none is left, bugs with the accumulator asked for or a named one."""
        if claims := constant(comparison):
            return claims
        wrong = [bool(mask.any()) for mask in comparison.parts("wrong")]
        # A wrong case leaves few candidates, and a small one is soon done; large ones come when few are left.
        order = sorted(range(len(wrong)), key=lambda index: _order(comparison.cases[index], right=not wrong[index]))
        left = self._accumulators_left(comparison, order) or surviving(self._bug_rules(comparison), comparison, order)
        if not left:
            rows = np.flatnonzero(comparison.wrong & comparison.good)
            single = SumsInBinary32()
            facts = (single,) if single.holds(comparison) else size_facts(comparison, "mnk", ("rows", "columns"))
            return [Unexplained(rows, "", len(comparison), tuple(facts))] if len(rows) else []
        accumulators = [rule.accumulator for rule in left if isinstance(rule, GemmRule) and rule.bug is left[0].bug]
        best = closest(accumulators, self.accumulator)
        rules = sorted(left, key=lambda rule: (rule.bug is not left[0].bug, rule.accumulator != best))  # type: ignore[attr-defined]
        choices = {} if left[0].bug else self._choices(accumulators, best)
        asked = {axis: getattr(self.accumulator, axis) for axis in choices}
        return [Follows(np.flatnonzero(comparison.good), rules, choices=choices, asked=asked)]

    def _accumulators_left(self, comparison: Comparison, order: Sequence[int]) -> list[Rule]:
        """The accumulators that agree; those that no sum of these sizes can tell apart are looked at once."""
        sizes = reduce(Magnitudes.joined, (Magnitudes.of(problem_of(case)) for case in comparison.cases))
        alike: dict[Accumulator, list[Rule]] = {}
        for item in (self.accumulator, *(item for item in candidates(self.operands) if item != self.accumulator)):
            rule = GemmRule(item, self.result_bits)
            alike.setdefault(sizes.plain(item, self.result_bits), []).append(rule)
        left = surviving([rules[0] for rules in alike.values()], comparison, order)
        return [rule for rules in alike.values() if rules[0] in left for rule in rules]

    def _bug_rules(self, comparison: Comparison) -> list[Rule]:
        named = [self.accumulator, *(item for item in presets(self.operands) if item != self.accumulator)]
        usual = [item for item in NARROW if item not in named]
        bugs = [*measured_bugs(comparison), *gemm_bugs(self.operands)]
        single = [(bug, item) for bug in bugs for item in (named if bug.any_accumulator else named[:1])]
        double = [(bug, item) for bug in bugs for item in (usual if bug.any_accumulator else ())]
        return [GemmRule(item, self.result_bits, bug) for bug, item in (*single, *double)]

    def _choices(self, accumulators: list[Accumulator], best: Accumulator) -> dict[str, tuple[Any, ...]]:
        """Axis -> the values that survive, for the axes that say something about any survivor."""
        alike = spelled_alike(accumulators, best, {"width", "overflow"}, zero_points=self.operands.zero_points)
        live = {axis for item in alike for axis in item.live_axes()} - {"operands", "bias", "zero_points"}
        values = {axis: {getattr(item, axis) for item in alike} for axis in Accumulator.AXES if axis in live}
        asked = self.accumulator
        return {
            axis: tuple(
                sorted(own, key=lambda value: (isinstance(value, str) and value != getattr(asked, axis), value))
            )
            for axis, own in values.items()
        }

    def detail_of_wrong(
        self, case: Case, index: tuple[int, ...], expected: int, got: int | None, claims: Sequence[Claim]
    ) -> GemmDetail:
        """Which sum a wrong value may be, and where an accumulator like the kernel's overflows."""
        if got is None:
            return GemmDetail()
        row, column = index
        problem = problem_of(case)
        products = (problem.a[row] - problem.a_zero) * (problem.b[:, column] - problem.b_zero)
        overflow = self._first_overflow(case, row, column, claims)
        sums = np.concatenate([[0], np.cumsum(products)])
        prefixes = np.flatnonzero(sums[:-1] == got)
        if len(prefixes) and got:
            return GemmDetail(first=int(prefixes[-1]), overflow=overflow)
        missing = np.flatnonzero(products == expected - got)
        if len(missing) == 1 and len(products) > 1:
            return GemmDetail(missing=int(missing[0]), overflow=overflow)
        low = next((bits for bits in NARROWED if got == int(wrapped(sums[-1:], bits)[0])), None)
        bits = max(got, ~got).bit_length() + 1
        end = bits if low is None and bits >= NARROWED[0] and max(got, ~got) + 1 == 1 << (bits - 1) else None
        return GemmDetail(low=low, end=end, overflow=overflow)

    def _first_overflow(self, case: Case, row: int, column: int, claims: Sequence[Claim]) -> int | None:
        """The first product at which the accumulator that the kernel follows overflows."""
        from lowbit.ops.gemm.accumulate import accumulate

        rule = next((rule for claim in claims if isinstance(claim, Follows) for rule in claim.rules), None)
        if not isinstance(rule, GemmRule) or rule.bug is not None:
            return None
        problem = problem_of(case)
        _, counts = accumulate(
            problem.a[row : row + 1].astype(np.int16),
            problem.b[:, column : column + 1].astype(np.int16),
            replace(rule.accumulator, operands="any"),
            a_zero_point=problem.a_zero,
            b_zero_point=problem.b_zero,
            return_counts=True,
        )
        return None if counts["first"] is None else int(counts["first"][-1])

    def _command(self, case: Case) -> str:
        zero_points = " --zero-points" if self.operands.zero_points else ""
        formats = f"--a {self.operands.a.id} --b {self.operands.b.id}{zero_points}"
        return f"lowbit gen gemm {formats} --accumulator {self.accumulator.name} --case {case.name}"


def _order(case: Case, *, right: bool) -> tuple[bool, bool, int]:
    work = case.sizes["m"] * case.sizes["n"] * case.sizes["k"]
    return work > LARGE, right, work


def closest(survivors: Sequence[Accumulator], asked: Accumulator) -> Accumulator:
    """The survivor to put into words: the one asked for, else a named one, else what takes the fewest words."""

    def rank(item: Accumulator) -> tuple[Any, ...]:
        idle = Accumulator(width=item.width, overflow=item.overflow)
        plain = item.order == "sequential" and not item.spill_every
        return (item != asked, not item.name, not plain, len(item.differences(idle)), item.width)

    return min(survivors, key=rank)


def spelled_alike(
    accumulators: Sequence[Accumulator], best: Accumulator, free: set[str], *, zero_points: bool
) -> list[Accumulator]:
    """The survivors that are spelled like the best one but for some axes, and those that cannot matter here."""
    idle = {"operands", "bias"} if zero_points else {"operands", "bias", "zero_points"}
    return [item for item in accumulators if not item.differences(best).keys() - free - idle]
