"""One way to bring a tensor into a block format: a block policy, perhaps with a bug."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lowbit.check.block.policy_rule import PolicyRule
from lowbit.check.operation import UNDEFINED
from lowbit.errors import LowbitError
from lowbit.format.block import BlockFormat
from lowbit.format.protocol import Scalar
from lowbit.ops.arrays import is_nan
from lowbit.ops.block.affine import is_affine
from lowbit.ops.block.blocks import spread
from lowbit.vectors.case import Array, Case

if TYPE_CHECKING:
    from lowbit.check.block.bug import BlockBug

Parts = dict[str, Array]
"""The codes of a tensor and of its scales, by name."""
OF_FACTORS = frozenset({"scale_rule", "scale_steps", "tensor_steps", "search", "scale_maximum"})
"""The axes that say nothing where a block has a zero point."""
OF_RANGES = frozenset({"value_range", "range_steps", "zero_point_steps", "zero_point_place"})
"""The axes that say something only there."""
OF_NESTED = frozenset({"nested"})


@dataclass(frozen=True, kw_only=True)
class BlockRule(PolicyRule):
    """A policy of a block format, and perhaps a bug."""

    format: BlockFormat

    def format_of(self, field: str) -> Scalar:
        """The format of elements, of the finest scales, or of the scale of the tensor."""
        scales = self.format.scales
        return self.format.number if field == "element" else scales[-1 if field == "tensor" else 0].format

    def bugs(self) -> list[BlockBug]:
        """Those of kernels of the format."""
        from lowbit.check.block.bugs import block_bugs

        return block_bugs(self.format)

    @property
    def two_levels(self) -> bool:
        """Whether there is a scale above the finest ones."""
        return len(self.format.of_role("multiply", "divide")) > 1

    @property
    def dead_axes(self) -> frozenset[str]:
        """Those of other kinds of scales."""
        return (OF_FACTORS if is_affine(self.format) else OF_RANGES) | (set() if self.format.nested else OF_NESTED)

    def run(self, case: Case) -> Array:
        """Codes and scales in a row; ``UNDEFINED`` everywhere if the policy refuses the tensor."""
        try:
            values = case.arrays["values"]
            parts = self.parts(values) if self.bug is None else self.bug.compute(values, self)
        except LowbitError:
            return np.full(case.shape, UNDEFINED)
        return in_a_row(canonical(parts, self.format), case)

    def parts(self, values: Array, *, axis: int = -1, **choices: Any) -> Parts:
        """What the policy makes of a tensor, without the bug, along an axis, with other choices on some axes.

        Raises LowbitError: it refuses the tensor.
        """
        from lowbit.ops.block.quantize import quantize

        policy = self.policy.choose(**choices) if choices else self.policy
        tensor = quantize(values, self.format, axis=axis, policy=policy)
        return {"codes": tensor.codes} | {field.name: tensor.scale_codes(field.name) for field in self.format.scales}


def in_a_row(parts: Parts, case: Case) -> Array:
    """The results one after the other, as integers that hold the codes of each."""
    return np.concatenate([np.asarray(parts[name]).reshape(-1).astype(np.int64) for name in case.shapes])


def canonical(parts: Parts, fmt: BlockFormat) -> Parts:
    """Codes with one NaN for all, and 0 for what a scale that is NaN makes NaN anyway (OCP MX v1.0, 5.1)."""
    codes = np.asarray(parts["codes"]).astype(np.int64)
    result = {"codes": codes if fmt.element.dimension > 1 else _one_nan(codes, fmt.number)}
    result |= {field.name: _one_nan(parts[field.name], field.format) for field in fmt.scales}
    shape = fmt.values_shape(codes.shape)
    for field in fmt.scales:
        absent = is_nan(parts[field.name], field.format) if field.format.has_nan else np.zeros(1, bool)
        if not absent.any():
            continue
        of_values = np.broadcast_to(spread(absent, field, shape), shape)
        result["codes"] = np.where(of_values[..., :: fmt.element.dimension], 0, result["codes"])
        if not field.block:
            finer = {other.name: np.zeros_like(result[other.name]) for other in fmt.scales if other.block}
            result |= finer
    return result


def _one_nan(codes: Array, fmt: Scalar) -> Array:
    codes = np.asarray(codes).astype(np.int64)
    if not fmt.has_nan:
        return codes
    absent = is_nan(codes, fmt)
    return np.where(absent, np.int64(fmt.canonical_nan or 0), codes) if absent.any() else codes
