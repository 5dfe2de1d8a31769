"""A block format in words: the policy or the bug of a kernel, and one wrong code or scale."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lowbit.check.block.dequantize import ValueDetail
from lowbit.check.block.linear import LinearDetail
from lowbit.check.block.operation import BlockDetail, QuantizeOperation
from lowbit.check.block.policy_rule import PolicyRule
from lowbit.check.block.variants import choice, differences
from lowbit.check.claims import Follows
from lowbit.check.operation import Operation
from lowbit.check.report.cast import describe_code
from lowbit.check.report.values import NOT_WRITTEN, alternatives
from lowbit.check.result import Example
from lowbit.exact import format_vector
from lowbit.format.protocol import Element
from lowbit.policy.block import BlockPolicy
from lowbit.policy.cast import Policy

FIELDS = {"scale": "scales", "tensor": "the tensor's scale", "element": "elements"}


def rule_words(claims: Sequence[Follows], operation: QuantizeOperation) -> str:
    """The policy that a kernel follows, and its bug; of policies that nothing tells apart each of the closest ones."""
    rules: list[PolicyRule] = list(claims[0].rules)  # type: ignore[arg-type]
    by_axes: dict[tuple[str, ...], list[PolicyRule]] = {}
    for rule in rules:
        by_axes.setdefault(tuple(differences(rule, operation.rule)), []).append(rule)
    fewest = min(map(len, by_axes))
    acts = [_acts(axes, alike) for axes, alike in by_axes.items() if len(axes) == fewest]
    common = [act for act in acts[0] if all(act in others for others in acts)]
    apart = list(filter(None, (", ".join(act for act in one if act not in common) for one in acts)))
    bugs = [bug.words for bug in claims[0].bugs]
    names = [rule.policy.name for rule in rules if rule.policy.name and not rule.bug]
    like = f" (as the preset {alternatives(names)})" if names and fewest else ""
    return ", ".join([*common, *(alternatives(words) for words in (apart, bugs) if words)]) + like


def _acts(axes: Sequence[str], rules: Sequence[PolicyRule]) -> list[str]:
    """What rules that differ on the same axes say there."""
    return [act_words(axis, list(dict.fromkeys(choice(rule, axis) for rule in rules))) for axis in axes]


def act_words(axis: str, values: Sequence[object]) -> str:
    """Choices of one axis that were not asked for, and that nothing tells apart."""
    field, _, part = axis.partition(".")
    if part == "defects" and values == [()]:
        return "has none of the defects of the preset"
    meaning = (Policy if part else BlockPolicy).CHOICES.get(part or axis, {})
    said = meaning.get(str(values[0]), "") if len(values) == 1 else ""
    name = f"{FIELDS[field]}: {part}" if part else axis
    return f"has {name} = {alternatives([repr(value) for value in values])}" + (f" ({said})" if said else "")


def example_lines(example: Example, operation: QuantizeOperation) -> list[str]:
    """The block of a wrong result, what was asked for, and what came instead."""
    if isinstance(example.detail, ValueDetail):
        return _value_lines(example, operation)
    if not isinstance(example.detail, BlockDetail):
        return _linear_lines(example, operation)
    detail: BlockDetail = example.detail
    fmt = detail.format
    with np.errstate(invalid="ignore"):
        amax = np.abs(detail.values).max()
    rows = [("case", f"{example.case.name}, {detail.result} {detail.index}")]
    rows.append(("block", f"{detail.values.size} values, the largest magnitude {float(amax):.9g}"))
    if detail.inputs is not None:
        rows.append(("value", ", ".join(f"{value:.9g}" for value in detail.inputs.tolist())))
        names = [field.name for field in operation.format.scales]
        rows += [(f"scale {name}"[:14], _scale_words(detail, name, operation)) for name in names]
    rows.append(("expected", _code_words(example.expected, fmt)))
    rows.append(("got", NOT_WRITTEN if example.got is None else _code_words(example.got, fmt)))
    return [f"{name:<14} {words}" for name, words in rows]


def _code_words(code: int, fmt: Element) -> str:
    """A code and what it is worth, be that a vector."""
    if fmt.dimension == 1 or code not in fmt.codes:
        return describe_code(code, fmt.component)
    return f"{fmt.hexadecimal(code)} = {format_vector(fmt.vector(code))}"


def _value_lines(example: Example, operation: Operation) -> list[str]:
    """A code, and what it was taken to be worth."""
    fmt, detail = operation.prototype.result, example.detail
    got = NOT_WRITTEN if example.got is None else describe_code(example.got, fmt)
    rows = [
        ("case", f"{example.case.place}, values {example.index}"),
        ("code", _code_words(detail.code, detail.format)),
    ]
    rows += [("expected", describe_code(example.expected, fmt)), ("got", got)]
    return [f"{name:<9} {words}" for name, words in rows]


def _linear_lines(example: Example, operation: Operation) -> list[str]:
    """An operand, its scale and zero point, the quotient, and the results."""
    case, place = example.case, example.index[0]
    name, inside = case.result_at(place) if case.shapes else ("", example.index)
    outputs = operation.prototype.outputs
    fmt = next((output.format for output in outputs if output.name == name), operation.prototype.result)
    assert fmt is not None
    rows = [("case", f"{case.place}{f', {name} {inside}' if name else ''}")]
    (operand,) = case.arrays.values()
    if name in ("", "codes"):
        rows.append(("operand", f"{operand[inside]:.9g}" if operand.dtype.kind == "f" else str(operand[inside])))
    if isinstance(example.detail, LinearDetail):
        rows.append(("quotient", f"{example.detail.quotient:.9g}"))
    rows.append(("expected", describe_code(example.expected, fmt)))
    rows.append(("got", NOT_WRITTEN if example.got is None else describe_code(example.got, fmt)))
    return [f"{name:<9} {words}" for name, words in rows]


def _scale_words(detail: BlockDetail, name: str, operation: QuantizeOperation) -> str:
    """The scale that goes with a code."""
    field = next(field for field in operation.format.scales if field.name == name)
    codes = detail.expected.scale_codes(name)
    extents = field.extents(detail.expected.shape)
    place = tuple(at // size for at, size in zip(detail.place, extents, strict=True)) if codes.ndim else ()
    return describe_code(int(codes[place]), field.format)
