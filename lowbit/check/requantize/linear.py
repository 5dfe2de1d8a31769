"""``lowbit check linear``: a matrix product, a bias and a requantisation as one kernel."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from lowbit.check.claims import Claim, Unexplained
from lowbit.check.comparison import Comparison
from lowbit.check.facts import size_facts
from lowbit.check.requantize.code_bugs import RequantizeBug
from lowbit.check.requantize.linear_rules import LinearBug, LinearRule, linear_bugs
from lowbit.check.requantize.operation import RequantizeDetail, RequantizeOperation
from lowbit.dut.prototype import INPUT, OUTPUT, SCALAR, SIZE, Parameter, Prototype, codes_of
from lowbit.format.scalar import FixedFormat
from lowbit.policy.requantize import RequantizeScheme
from lowbit.vectors.case import Case
from lowbit.vectors.gemm.values import Operands
from lowbit.vectors.requantize.layer_sets import read_linear
from lowbit.vectors.requantize.linear import directed_linear, random_linear, require_layer_scheme


@dataclass(frozen=True)
class LinearDetail(RequantizeDetail):
    """The same with the sum of products before it, and the accumulator."""

    sum: int
    accumulator: int


def layer_prototype(
    operands: Operands,
    scheme: RequantizeScheme,
    result: FixedFormat,
    sizes: Sequence[str] = "mnk",
    scalars: Sequence[str] = (),
) -> Prototype:
    """The prototype: ``f(a, b, bias, multiplier, shift, c, m, n, k, a_zero_point, b_zero_point, zero_point)``.

    ``sizes``: others than m, n and k; ``scalars``: further ones, before the zero points.
    """
    scale = ("scale",) if scheme.takes_scale else ("multiplier", "shift")
    of_b = ("b_zero_point",) if operands.zero_points else ()
    return Prototype(
        (
            codes_of(INPUT, "a", operands.a),
            codes_of(INPUT, "b", operands.b),
            Parameter(INPUT, "bias", "int32"),
            *(Parameter(INPUT, name, "float64" if name == "scale" else "int32") for name in scale),
            codes_of(OUTPUT, "c", result),
            *(Parameter(SIZE, size) for size in sizes),
            *(Parameter(SCALAR, name, "int32") for name in (*scalars, "a_zero_point", *of_b, "zero_point")),
        )
    )


class LinearOperation(RequantizeOperation):
    """A linear layer: ``c = requantise((a - a_zero_point) @ (b - b_zero_point) + bias)``, compared under one scheme."""

    name = "linear"
    _sizes: Sequence[str] = "mnk"
    _axes: Sequence[str] = ("rows", "columns")  # of the results
    rule: LinearRule

    def __init__(self, operands: Operands, scheme: RequantizeScheme, result: FixedFormat) -> None:
        require_layer_scheme(scheme)
        self.operands = operands
        super().__init__(scheme, result)
        self.source = operands.words
        self.types = {"--a": operands.a.id, "--b": operands.b.id, **self.types}
        self.prototype = layer_prototype(operands, scheme, result)
        self.rule = self._rule(scheme)

    def _rule(self, scheme: RequantizeScheme, bug: LinearBug | RequantizeBug | None = None) -> LinearRule:
        return LinearRule(scheme, self.scheme, self.result, bug)

    def _bugs(self, comparison: Comparison) -> Iterator[LinearBug | RequantizeBug]:
        yield from linear_bugs(self.operands)
        yield from super()._bugs(comparison)

    def _directed(self) -> list[Case]:
        return directed_linear(self.operands, self.scheme, self.result)

    def _random(self, count: int, seed: int) -> list[Case]:
        return random_linear(self.operands, self.scheme, self.result, count, seed)

    def _read(self, path: str) -> list[Case]:
        return read_linear(path, self.operands, self.scheme)

    @property
    def _flags(self) -> tuple[str, ...]:
        return ("--zero-points",) if self.operands.zero_points else ()

    def _unknown(self, comparison: Comparison) -> list[Claim]:
        rows = np.flatnonzero(comparison.wrong & comparison.good)
        facts = tuple(size_facts(comparison, self._sizes, self._axes))
        return [Unexplained(rows, "", len(comparison), facts)] if len(rows) else []

    def detail(self, case: Case, index: tuple[int, ...]) -> LinearDetail:
        """The sum, the accumulator, and the steps of the oracle."""
        *places, column = index
        row = int(np.ravel_multi_index(places, case.shape[:-1]))
        one = self.rule.exact_columns(case)[column]
        found = super().detail(one, (row,))
        total = int(self.rule.sums(case)[row, column])
        return LinearDetail(found.product, found.steps, total, int(one.arrays["accumulators"][row]))

    def _command(self, case: Case) -> str:
        formats = " ".join(["--a", self.operands.a.id, "--b", self.operands.b.id, *self._flags])
        return f"lowbit gen {self.name} {formats} --scheme {self.scheme.name} --to {self.result.id} --case {case.name}"
