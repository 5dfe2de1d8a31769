"""The other two operators beside QuantizeLinear that libraries have: codes to values, and values by their own range."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lowbit.check.block.identify import identified
from lowbit.check.block.policy_rule import PolicyRule
from lowbit.check.block.stages import ANSWERS
from lowbit.check.operation import UNDEFINED, Bug, Operation
from lowbit.dut.prototype import INPUT, OUTPUT, SCALAR, SIZE, Parameter, Prototype, codes_of
from lowbit.errors import LowbitError
from lowbit.format.registry import scalar_format
from lowbit.policy.block import get_block_policy
from lowbit.vectors.block.linear_cases import directed_codes, directed_ranges
from lowbit.vectors.case import Array, Case

if TYPE_CHECKING:
    from lowbit.check.claims import Claim
    from lowbit.check.comparison import Comparison
    from lowbit.format.protocol import Scalar

FLOAT32 = scalar_format("float32")
LIBRARY_ONLY = "lowbit check quantize_linear --library onnxruntime --verbose"


@dataclass(frozen=True)
class FormulaBug(Bug):
    """A bug: what is computed instead."""

    compute: Callable[[Case, FormulaRule], Array]


@dataclass(frozen=True, kw_only=True)
class FormulaRule(PolicyRule):
    """The formula of an operator for codes of one format, which no axis decides, and perhaps a bug."""

    codes: Scalar
    formula: Callable[[Case, FormulaRule], Array]
    known_bugs: tuple[FormulaBug, ...] = ()

    def run(self, case: Case) -> Array:
        """The results in a row."""
        try:
            compute = self.formula if self.bug is None else self.bug.compute
            with np.errstate(all="ignore"):
                return compute(case, self)
        except LowbitError:
            return np.full(case.shape, UNDEFINED)

    def format_of(self, field: str) -> Scalar:
        """The format of the codes."""
        del field
        return self.codes

    def bugs(self) -> tuple[FormulaBug, ...]:
        """Those of the operator."""
        return self.known_bugs


class FormulaOperation(Operation):
    """An operator of a library that one formula of its documentation defines."""

    rule: FormulaRule
    sets = ("directed",)

    def __init__(self, source: str, target: str, rule: FormulaRule) -> None:
        self.source, self.target, self.rule = source, target, rule
        self.types = {"--to": rule.codes.id}
        self.rule_name = "block policy onnx"

    def identify(self, comparison: Comparison) -> list[Claim]:
        """Try the bugs."""
        return identified(comparison, self.rule, ANSWERS)

    def changed(self, changes: Sequence[Mapping[str, Any]]) -> FormulaRule | None:
        """The formula with the bug of a published difference."""
        names = [change.get("bug") for change in changes]
        found = [bug for bug in self.rule.known_bugs if bug.name in names]
        return replace(self.rule, bug=found[0]) if len(found) == len(changes) == 1 else None

    def _command(self, case: Case) -> str:
        del case
        return LIBRARY_ONLY


def _bits(values: Array) -> Array:
    return np.asarray(values, np.float32).reshape(-1).view(np.uint32).astype(np.int64)


def _worth(case: Case, rule: FormulaRule) -> Array:
    from lowbit.ops.block.linear import dequantize_linear

    scale, place = np.float32(case.scalars["scale"]), case.scalars["zero_point"]
    return _bits(np.asarray(dequantize_linear(case.arrays["codes"], scale, place, fmt=rule.codes)))


def _without_zero_point(case: Case, rule: FormulaRule) -> Array:
    return _worth(replace(case, scalars={**case.scalars, "zero_point": 0}), rule)


def _two_products(case: Case, rule: FormulaRule) -> Array:
    del rule
    scale, place = np.float32(case.scalars["scale"]), np.float32(case.scalars["zero_point"])
    return _bits(case.arrays["codes"].astype(np.float32) * scale - place * scale)


def _flushed(case: Case, rule: FormulaRule) -> Array:
    values = _worth(case, rule).astype(np.uint32).view(np.float32)
    return _bits(np.where(np.abs(values) < np.finfo(np.float32).tiny, values * 0, values))


_BACK_BUGS = (
    FormulaBug("no_zero_point", "ignores the zero point", _without_zero_point),
    FormulaBug("two_products", "multiplies code and zero point by the scale before it subtracts them", _two_products),
    FormulaBug("flushed", "flushes subnormal values to zero", _flushed),
)


class DequantizeLinearOperation(FormulaOperation):
    """DequantizeLinear: ``(code - zero_point) * scale``."""

    name = "dequantize_linear"

    def __init__(self, codes: Scalar) -> None:
        policy = get_block_policy("onnx")
        rule = FormulaRule(policy=policy, codes=codes, formula=_worth, known_bugs=_BACK_BUGS)
        super().__init__(codes.id, "float32", rule)
        arrays = (codes_of(INPUT, "codes", codes), codes_of(OUTPUT, "out", FLOAT32), Parameter(SIZE, "n"))
        scalars = (Parameter(SCALAR, "scale", "float32"), Parameter(SCALAR, "zero_point", "int32"))
        self.prototype = Prototype((*arrays, *scalars))

    def _directed(self) -> list[Case]:
        return self._defined(directed_codes(self.rule.codes))


def _own_range(case: Case, rule: FormulaRule) -> Array:
    from lowbit.ops.block.linear import dynamic_quantize_linear

    codes, scale, zero_point = dynamic_quantize_linear(case.arrays["values"], to=rule.codes)
    return np.concatenate([codes.astype(np.int64), _bits(np.array([scale])), [zero_point]])


def _scale_of_zero(case: Case, rule: FormulaRule) -> Array:
    """A scale that is rounded to 0 stays 0, unless the range is empty."""
    values = case.arrays["values"]
    first, last = rule.codes.codes[0], rule.codes.codes[-1]
    low, high = min(np.float32(0), values.min()), max(np.float32(0), values.max())
    scale = np.float32(np.float32(high - low) / np.float32(last - first)) if high > low else np.float32(1)
    place = np.nan_to_num(np.clip(np.rint(np.float32(first) - np.float32(low / scale)), first, last), nan=last)
    codes = np.clip(np.rint(values / scale) + place, first, last)
    codes = np.where(np.isnan(codes), first, codes)
    return np.concatenate([codes.astype(np.int64), _bits(np.array([scale])), [int(place)]])


_RANGE_BUGS = (FormulaBug("scale_of_zero", "keeps a scale that is rounded to 0, and divides by it", _scale_of_zero),)


class DynamicQuantizeOperation(FormulaOperation):
    """DynamicQuantizeLinear: codes, scale and zero point of a tensor by its own range."""

    name = "dynamic_quantize_linear"

    def __init__(self, codes: Scalar) -> None:
        policy = get_block_policy("onnx")
        rule = FormulaRule(policy=policy, codes=codes, formula=_own_range, known_bugs=_RANGE_BUGS)
        super().__init__("float32", codes.id, rule)
        outputs = (codes_of(OUTPUT, "codes", codes), Parameter(OUTPUT, "scale", "float32", FLOAT32))
        inputs = (Parameter(INPUT, "values", "float32"), Parameter(SIZE, "n"))
        self.prototype = Prototype((inputs[0], *outputs, codes_of(OUTPUT, "zero_point", codes), inputs[1]))

    def _directed(self) -> list[Case]:
        return self._defined(directed_ranges(self.rule.codes))
