"""``lowbit check quantize``: which block policy a kernel follows from values to codes and scales."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lowbit.check.block.identify import identified
from lowbit.check.block.policy_rule import policy_options
from lowbit.check.block.rules import BlockRule, canonical, in_a_row
from lowbit.check.claims import Claim
from lowbit.check.comparison import Comparison
from lowbit.check.operation import Operation
from lowbit.dut.prototype import INPUT, OUTPUT, SIZE, Parameter, Prototype
from lowbit.format.block import BlockFormat
from lowbit.format.protocol import Element
from lowbit.format.registry import scalar_format
from lowbit.policy.block import BlockPolicy
from lowbit.vectors.block.cases import FLOATS, directed_tensors, random_tensors
from lowbit.vectors.case import Array, Case

if TYPE_CHECKING:
    from lowbit.ops.block.tensor import BlockTensor


def field_parameter(role: str, name: str, fmt: Element) -> Parameter:
    """The codes of elements or of a scale; numbers where C has them. Those of vectors are integers to a kernel."""
    held = fmt.component if fmt.dimension == 1 else scalar_format(f"uint{fmt.bits}")
    return Parameter(role, name, held.id if held.id in FLOATS else held.code_dtype, held)


def quantize_prototype(fmt: BlockFormat) -> Prototype:
    """``f(values, codes, block, ..., rows, columns)``: a result for each scale of the format."""
    outputs = [field_parameter(OUTPUT, field.name, field.format) for field in fmt.scales]
    codes = field_parameter(OUTPUT, "codes", fmt.element)
    values = Parameter(INPUT, "values", "float32")
    return Prototype((values, codes, *outputs, Parameter(SIZE, "rows"), Parameter(SIZE, "columns")))


@dataclass(frozen=True)
class BlockDetail:
    """One wrong result: what it is of, its place there, the values of its block, and the scales that were expected."""

    result: str
    index: tuple[int, ...]
    place: tuple[int, ...]  # of the first value that it stands for; of a scale the index
    format: Element
    values: Array  # of the block that the result belongs to
    inputs: Array | None  # of a code
    expected: BlockTensor


class QuantizeOperation(Operation):
    """Values into a block format, compared under one policy."""

    name = "quantize"
    rule: BlockRule

    def __init__(self, fmt: BlockFormat, policy: BlockPolicy) -> None:
        self.format, self.policy = fmt, policy
        self.source, self.target = "float32", fmt.id
        self.types = {"--to": fmt.id}
        self.rule_name = f"block policy {policy.name or policy.spell(BlockPolicy())}"
        self.prototype = quantize_prototype(fmt)
        self.rule = BlockRule(policy=policy, format=fmt)

    def _directed(self) -> list[Case]:
        return self._defined(directed_tensors(self.format, short=self.policy.tail == "short"))

    def _random(self, count: int, seed: int) -> list[Case]:
        return self._defined(random_tensors(self.format, count, seed))

    def canonical(self, case: Case, answers: Array) -> Array:
        """One NaN for all, and one code for whatever a NaN scale makes NaN."""
        parts = canonical(self.prototype.split(np.ma.getdata(answers), case), self.format)
        row = in_a_row(parts, case)
        return np.ma.masked_array(row, answers.mask) if isinstance(answers, np.ma.MaskedArray) else row

    def identify(self, comparison: Comparison) -> list[Claim]:
        """Eliminate policies on one kind of answer after the other."""
        return identified(comparison, self.rule)

    def detail(self, case: Case, index: tuple[int, ...]) -> BlockDetail:
        """The block that a result belongs to."""
        from lowbit.ops.block.quantize import quantize

        values = case.arrays["values"]
        name, place = case.result_at(index[0])
        field = next((field for field in self.format.scales if field.name == name), self.format.scales[0])
        extents = field.extents(values.shape)
        of_code, index = name == "codes", place
        if of_code:
            place = self.format.values_shape(index)
        grid = tuple(at // size for at, size in zip(place, extents, strict=True)) if of_code else place
        grid = grid or (0,) * values.ndim
        block = values[tuple(slice(at * size, (at + 1) * size) for at, size in zip(grid, extents, strict=True))]
        fmt = self.format.element if name == "codes" else field.format
        own = values[place[:-1]][place[-1] : place[-1] + fmt.dimension] if of_code else None
        return BlockDetail(name, index, place, fmt, block, own, quantize(values, self.format, policy=self.policy))

    def _command(self, case: Case) -> str:
        policy = policy_options(self.policy, self.format.default_policy)
        return f"lowbit gen quantize --to {self.format.id}{policy} --case {case.name}"
