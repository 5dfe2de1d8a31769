"""``lowbit check dequantize``: what a kernel takes the codes and scales of a block format to be worth."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lowbit.check.block.bugs_of_vectors import planes, reversed_vectors
from lowbit.check.block.identify import identified
from lowbit.check.block.operation import field_parameter
from lowbit.check.block.placement import from_tiles, swapped, to_tiles
from lowbit.check.block.policy_rule import PolicyRule
from lowbit.check.block.stages import ANSWERS
from lowbit.check.operation import UNDEFINED, Bug, Operation
from lowbit.check.transposed import read_transposed
from lowbit.dut.prototype import INPUT, OUTPUT, SIZE, Parameter, Prototype
from lowbit.errors import LowbitError
from lowbit.format.block import BlockFormat, ScaleField
from lowbit.format.registry import scalar_format
from lowbit.ops.arrays import is_nan
from lowbit.ops.block.blocks import spread
from lowbit.ops.block.tensor import BlockTensor
from lowbit.ops.cast.cast import encode
from lowbit.policy.block import get_block_policy
from lowbit.vectors.block.cases import coded_tensors
from lowbit.vectors.case import Array, Case

if TYPE_CHECKING:
    from lowbit.check.claims import Claim
    from lowbit.check.comparison import Comparison
    from lowbit.format.protocol import Element, Scalar

FLOAT32 = scalar_format("float32")
NAN = 0x7FC00000
Parts = Mapping[str, Array]


def dequantize_prototype(fmt: BlockFormat) -> Prototype:
    """``f(codes, block, ..., values, rows, columns)``."""
    inputs = [field_parameter(INPUT, "codes", fmt.element)]
    inputs += [field_parameter(INPUT, field.name, field.format) for field in fmt.scales]
    values = Parameter(OUTPUT, "values", "float32", FLOAT32)
    return Prototype((*inputs, values, Parameter(SIZE, "rows"), Parameter(SIZE, "columns")))


def _bits(values: Array) -> Array:
    """Values as codes of float32, with one NaN."""
    return np.where(np.isnan(values), NAN, np.asarray(values, np.float32).view(np.uint32).astype(np.int64))


@dataclass(frozen=True, kw_only=True)
class ValueRule(PolicyRule):
    """The exact value of every element, rounded once, and perhaps a bug."""

    format: BlockFormat

    def run(self, case: Case) -> Array:
        """The values, as codes of float32."""
        parts = dict(case.arrays)
        try:
            with np.errstate(all="ignore"):
                return _bits(self.values(parts) if self.bug is None else self.bug.compute(parts, self))
        except LowbitError:
            return np.full(case.shape, UNDEFINED)

    def values(self, parts: Parts, dtype: npt.DTypeLike = np.float32) -> Array:
        """The values without the bug.

        Raises LowbitError: there is no such tensor.
        """
        from lowbit.ops.block.dequantize import dequantize

        scales = {name: array for name, array in parts.items() if name != "codes"}
        codes = parts["codes"]
        shape = self.format.values_shape(codes.shape)
        return dequantize(BlockTensor(self.format, shape, codes.ndim - 1, codes, scales), dtype=dtype)

    def format_of(self, field: str) -> Scalar:
        """The format of the elements."""
        del field
        return self.format.number

    def bugs(self) -> tuple[ValueBug, ...]:
        """Those of every format, and of what its scales are."""
        first, last = self.format.scales[0], self.format.scales[-1]
        kinds = {
            _OF_BLOCKS: bool(first.block),
            _POWERS_OF_TWO: first.format.id == "float8_e8m0fnu",
            _BESIDE_TENSOR: len(self.format.of_role("multiply", "divide")) > 1 and not last.block,
            _OF_SIGNS: self.format.by_sign,
            _OF_ZERO_POINTS: bool(self.format.of_role("zero_point")),
            _OF_OFFSETS: any(field.role == "offset" for field in self.format.scales),
            _OF_NESTED: any(field.role == "super" for field in self.format.scales),
            _OF_VECTORS: self.format.element.dimension > 1,
        }
        return (*_ALWAYS, *(bug for bugs, fits in kinds.items() if fits for bug in bugs))


@dataclass(frozen=True)
class ValueBug(Bug):
    """A bug: the values that are given instead."""

    compute: Callable[[Parts, ValueRule], Array]


def _changed(change: Callable[[Parts, ValueRule], Parts]) -> Callable[[Parts, ValueRule], Array]:
    """The values of codes or scales that are read wrongly."""
    return lambda parts, rule: rule.values({**parts, **change(parts, rule)})


def _times(factor: float) -> Callable[[Parts, ValueRule], Array]:
    return lambda parts, rule: (rule.values(parts, np.float64) * factor).astype(np.float32)


def _flushed(parts: Parts, rule: ValueRule) -> Array:
    values = rule.values(parts)
    return np.where(np.abs(values) < np.finfo(np.float32).tiny, values * 0, values)


def _bfloat16(parts: Parts, rule: ValueRule) -> Array:
    import ml_dtypes

    return np.asarray(rule.values(parts).astype(ml_dtypes.bfloat16).astype(np.float32))


def _placed(order: Callable[[Array, ScaleField], Array]) -> Callable[[Parts, ValueRule], Array]:
    """The values of scales of blocks that are taken from other places."""
    return _changed(lambda parts, rule: {f.name: order(parts[f.name], f) for f in rule.format.scales[:1]})


def _nan_as_number(parts: Parts, rule: ValueRule) -> Array:
    """The NaN of E8M0 is taken for the next power of two."""
    field = rule.format.scales[0]
    shape = rule.format.values_shape(parts["codes"].shape)
    absent = spread(is_nan(parts[field.name], field.format), field, shape)
    lower = {field.name: np.where(is_nan(parts[field.name], field.format), 254, parts[field.name]).astype(np.uint8)}
    return np.where(absent, rule.values({**parts, **lower}) * np.float32(2), rule.values(parts))


def _tensor_of(rule: ValueRule) -> str:
    return rule.format.scales[-1].name


def _without_tensor(parts: Parts, rule: ValueRule) -> Parts:
    return {_tensor_of(rule): np.ones_like(parts[_tensor_of(rule)])}


def _divides(parts: Parts, rule: ValueRule) -> Array:
    return rule.values({**parts, **_without_tensor(parts, rule)}) / parts[_tensor_of(rule)]


def _without_zero_point(parts: Parts, rule: ValueRule) -> Parts:
    return {field.name: np.zeros_like(parts[field.name]) for field in rule.format.of_role("zero_point")}


def _plus_zero_point(parts: Parts, rule: ValueRule) -> Array:
    """(code + z) * s is twice code * s less (code - z) * s, in binary64 exactly."""
    without = rule.values({**parts, **_without_zero_point(parts, rule)}, np.float64)
    return (2 * without - rule.values(parts, np.float64)).astype(np.float32)


def _stored(worth: float, field: ScaleField, parts: Parts) -> Any:
    """A number as the scales of a field are stored: as it is, or a code."""
    return worth if parts[field.name].dtype.kind == "f" else encode(worth, field.format)


def _one_of(role: str, worth: float) -> Callable[[Parts, ValueRule], Parts]:
    """Codes with what the fields of a role are worth replaced."""

    def change(parts: Parts, rule: ValueRule) -> Parts:
        fields = [field for field in rule.format.scales if field.role == role]
        return {field.name: np.full_like(parts[field.name], _stored(worth, field, parts)) for field in fields}

    return change


_ALWAYS = (
    ValueBug("values_up", "takes its scales a binade too large", _times(2.0)),
    ValueBug("values_down", "takes its scales a binade too small", _times(0.5)),
    ValueBug("unsigned_values", "drops the sign of the values", lambda parts, rule: np.abs(rule.values(parts))),
    ValueBug("flushed_values", "flushes subnormal values to zero", _flushed),
    ValueBug("bfloat16_values", "rounds the values to bfloat16", _bfloat16),
    ValueBug(
        "codes_by_columns",
        "reads the codes column by column (rows and columns swapped)",
        _changed(lambda parts, _: {"codes": read_transposed(parts["codes"])}),
    ),
    ValueBug(
        "nibbles_swapped",
        "has the two codes of each pair in the other order (swapped nibbles)",
        _changed(lambda parts, _: {"codes": swapped(parts["codes"])}),
    ),
)
_OF_BLOCKS = (
    ValueBug(
        "scales_by_columns",
        "reads the scales column by column (transposed)",
        _placed(lambda scales, _: read_transposed(scales)),
    ),
    ValueBug("scales_by_tiles", "reads the scales in cuBLAS's tiles of 128 x 4 (swizzled)", _placed(from_tiles)),
    ValueBug(
        "scales_to_tiles", "puts the scales into cuBLAS's tiles of 128 x 4 (the swizzle transposed)", _placed(to_tiles)
    ),
    ValueBug(
        "scale_before",
        "multiplies a block by the scale of the one before it",
        _placed(lambda scales, _: np.concatenate([scales[..., :1], scales[..., :-1]], axis=-1)),
    ),
)
_POWERS_OF_TWO = (ValueBug("nan_scale", "takes a scale that is NaN for 2^128", _nan_as_number),)
_BESIDE_TENSOR = (
    ValueBug("tensor_ignored", "does not multiply by the tensor's scale", _changed(_without_tensor)),
    ValueBug("tensor_divides", "divides by the tensor's scale", _divides),
)
_OF_SIGNS = (
    ValueBug(
        "other_sign",
        "multiplies values by the scale of the other sign",
        _changed(lambda parts, _: {"positive": parts["negative"], "negative": parts["positive"]}),
    ),
    ValueBug(
        "positive_alone",
        "multiplies values of both signs by the positive ones' scale",
        _changed(lambda parts, _: {"negative": parts["positive"]}),
    ),
)
_OF_ZERO_POINTS = (
    ValueBug("no_zero_point", "does not subtract the zero point", _changed(_without_zero_point)),
    ValueBug("plus_zero_point", "adds the zero point instead of subtracting it", _plus_zero_point),
)
_OF_OFFSETS = (ValueBug("no_offset", "does not add the offset", _changed(_one_of("offset", 0.0))),)
_OF_NESTED = (ValueBug("no_super", "does not multiply scales by their own scales", _changed(_one_of("super", 1.0))),)
_OF_VECTORS = (
    ValueBug(
        "vectors_reversed",
        "writes the values of a vector in the opposite order",
        lambda parts, rule: reversed_vectors(rule.values(parts), rule.format),
    ),
    ValueBug(
        "vectors_apart",
        "writes the values of a vector all over its row (planes, not neighbours)",
        lambda parts, rule: planes(rule.values(parts), rule.format.element.dimension),
    ),
)


@dataclass(frozen=True)
class ValueDetail:
    """The code of an element."""

    code: int
    format: Element


class DequantizeOperation(Operation):
    """Codes and scales of a block format to float32."""

    name = "dequantize"
    rule: ValueRule

    def __init__(self, fmt: BlockFormat) -> None:
        self.source, self.target = fmt.id, "float32"
        self.types = {"--from": fmt.id}
        self.rule_name = "the exact value, rounded once"
        self.prototype = dequantize_prototype(fmt)
        self.rule = ValueRule(policy=get_block_policy(fmt.default_policy), format=fmt)

    def _directed(self) -> list[Case]:
        return self._defined(coded_tensors(self.rule.format, self.rule.policy))

    def _random(self, count: int, seed: int) -> list[Case]:
        return self._defined(coded_tensors(self.rule.format, self.rule.policy, count, seed))

    def canonical(self, case: Case, answers: Array) -> Array:
        """One NaN for all."""
        del case
        absent = is_nan(np.ma.getdata(answers).astype(np.int64), FLOAT32)
        one = np.where(absent, NAN, np.ma.getdata(answers).astype(np.int64))
        return np.ma.masked_array(one, answers.mask) if isinstance(answers, np.ma.MaskedArray) else one

    def identify(self, comparison: Comparison) -> list[Claim]:
        """Try the bugs."""
        return identified(comparison, self.rule, ANSWERS)

    def detail(self, case: Case, index: tuple[int, ...]) -> ValueDetail:
        """The code of the element."""
        element = self.rule.format.element
        place = (*index[:-1], index[-1] // element.dimension)
        return ValueDetail(int(case.arrays["codes"][place]), element)

    def _command(self, case: Case) -> str:
        return f"lowbit gen dequantize --from {self.source} --case {case.name}"
