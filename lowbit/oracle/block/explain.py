"""A tensor into a block format as a trace: from the largest value to each scale, from each quotient to its code.

What ``lowbit encode --explain`` prints. Nothing is computed twice: scales and codes come from
:mod:`lowbit.oracle.block.encode`, and how a number is rounded from :mod:`lowbit.oracle.cast.explain`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from lowbit.exact import FINITE, Exact
from lowbit.format.block import BlockFormat, ScaleField, Shape
from lowbit.format.registry import scalar_format
from lowbit.oracle.arithmetic.exact import divide, is_negative, is_zero
from lowbit.oracle.block.affine import centred, parameters, value_range
from lowbit.oracle.block.decode import element_value, field_value
from lowbit.oracle.block.encode import (
    Quantized,
    Scales,
    Task,
    blocks_of,
    indices,
    is_affine,
    place_of,
    quantize,
    quotients_of,
    scales_of,
)
from lowbit.oracle.block.nested import first_format
from lowbit.oracle.block.scale import ONE, largest, steps_of
from lowbit.oracle.cast.explain import Explanation, explain
from lowbit.policy.block import BlockPolicy


@dataclass(frozen=True, slots=True)
class ScaleStep:
    """One scale of one block."""

    field: ScaleField
    block: int  # which of the field's blocks, in C order
    span: tuple[Exact, ...]  # what it is made from: the largest magnitude, or the lowest and the highest value
    places: tuple[int, ...]  # the places of the values of the block that are at an end of it
    compared: Exact  # what a rule of powers of two looks at, where there is one
    unrounded: Exact  # before it is rounded into the field's format
    rounding: Explanation | None  # how that is; None where a rule says what the code is instead
    code: int
    value: Exact  # what the code is worth


@dataclass(frozen=True, slots=True)
class ElementStep:
    """One element."""

    value: Exact  # the input
    quotient: Exact  # over its scales
    rounding: Explanation  # how the quotient is rounded, before a zero point is added
    scales: Mapping[str, int]  # the scales of its block, by the name of the field
    code: int
    result: Exact  # what code and scales are worth


@dataclass(frozen=True, slots=True)
class BlockExplanation:
    """The trace of a tensor."""

    scales: tuple[
        ScaleStep, ...
    ]  # the coarsest first, but exponents below a scale, which are made from quotients, last
    elements: tuple[ElementStep, ...]  # in C order


def explain_blocks(values: Sequence[Exact], shape: Shape, fmt: BlockFormat, policy: BlockPolicy) -> BlockExplanation:
    """Quantise as :func:`lowbit.oracle.block.encode.quantize` does, and say how; same parameters and errors."""
    quantized = quantize(values, shape, fmt, policy)
    if fmt.nested:
        return _nested(values, shape, fmt, policy, quantized)
    task = Task(shape, fmt, policy)
    entered = [steps_of(policy).enter(value) for value in values]
    if is_affine(fmt):
        steps = _affine_steps(entered, task, quantized.scales)
        scale = fmt.scales[0]
        stored = [field_value(code, scale) for code in quantized.scales[scale.name]]
        blocks = [place_of(index, shape, scale) for index in indices(shape)]
        spans = [value_range(block, policy) for block in blocks_of(entered, shape, scale)]
        each = [parameters(span, fmt, policy) for span in spans]
        quotients = [
            steps_of(policy).divide(centred([value], each[block], policy)[0], stored[block])
            for value, block in zip(entered, blocks, strict=True)
        ]
    else:
        fine, above = scales_of(entered, task)
        steps = [
            step
            for of, part in (("tensor", above), ("scale", fine))
            for each in part
            for step in _steps(entered, each, of, task)
        ]
        quotients = quotients_of(entered, fine, above, task)
        lower, quotients = _exponent_steps(quotients, task, quantized.scales)
        steps += lower
    rounded_to = scalar_format("int32") if is_affine(fmt) else fmt.element
    elements = []
    for number, index in enumerate(indices(shape)):
        own = {field.name: quantized.scales[field.name][place_of(index, shape, field)] for field in fmt.scales}
        code, rounding = (
            quantized.codes[number],
            explain(quotients[number], rounded_to, policy.policy("element", fmt.element)),
        )
        result = element_value(code, own, fmt)
        elements.append(ElementStep(values[number], quotients[number], rounding, own, code, result))
    return BlockExplanation(tuple(steps), tuple(elements))


def _nested(
    values: Sequence[Exact], shape: Shape, fmt: BlockFormat, policy: BlockPolicy, quantized: Quantized
) -> BlockExplanation:
    """Elements by scales as they are at first; of those that are stored, what they are worth."""
    plain = explain_blocks(values, shape, first_format(fmt), policy)
    steps = []
    for field in reversed(fmt.scales):
        for block, code in enumerate(quantized.scales[field.name]):
            value = field_value(code, field)
            steps.append(ScaleStep(field, block, (value,), (), value, value, None, code, value))
    elements = []
    for step, index in zip(plain.elements, indices(shape), strict=True):
        own = {field.name: quantized.scales[field.name][place_of(index, shape, field)] for field in fmt.scales}
        elements.append(replace(step, scales=own, result=element_value(step.code, own, fmt)))
    return BlockExplanation(tuple(steps), tuple(elements))


def _steps(values: Sequence[Exact], scales: Scales, of: str, task: Task) -> list[ScaleStep]:
    """The scales of a field, block by block."""
    field, steps = scales.field, []
    for block, places in enumerate(blocks_of(range(len(values)), task.shape, field)):
        amax, number, code = scales.maxima[block], scales.unrounded[block], scales.codes[block]
        if is_zero(amax) and task.policy.zero_block == "one":
            number = ONE
        rounding = None
        if field.role != "exponent":
            rounding = explain(number, field.format, task.policy.policy(of, field.format))
            rounding = rounding if rounding.code == code else None
        ends = tuple(place for place in places if _reaches(values[place], amax, field))
        value, looked_at = field_value(code, field), scales.compared[block] if scales.compared else amax
        steps.append(ScaleStep(field, block, (amax,), ends, looked_at, number, rounding, code, value))
    return steps


def _exponent_steps(
    quotients: list[Exact], task: Task, codes: Mapping[str, Sequence[int]]
) -> tuple[list[ScaleStep], list[Exact]]:
    """The exponents below the scales, block by block, and what they leave of the quotients."""
    steps = []
    for field in task.fmt.lower_exponents:
        powers = [field_value(code, field) for code in codes[field.name]]
        for block, places in enumerate(blocks_of(range(len(quotients)), task.shape, field)):
            amax = largest((quotients[place] for place in places), task.policy)
            ends = tuple(place for place in places if _reaches(quotients[place], amax, field))
            code = codes[field.name][block]
            steps.append(ScaleStep(field, block, (amax,), ends, amax, amax, None, code, powers[block]))
        own = (powers[place_of(index, task.shape, field)] for index in indices(task.shape))
        quotients = [divide(quotient, power) for quotient, power in zip(quotients, own, strict=True)]
    return steps, quotients


def _reaches(value: Exact, amax: Exact, field: ScaleField) -> bool:
    """Whether a value is the largest magnitude of a block; by sign, one of its own sign."""
    if field.role == "by_sign" and is_negative(value) != (field.name == "negative"):
        return False
    if FINITE in {value.kind, amax.kind}:
        return value.kind == amax.kind and abs(value.fraction()) == amax.fraction()
    return True


def _affine_steps(values: Sequence[Exact], task: Task, codes: Mapping[str, Sequence[int]]) -> list[ScaleStep]:
    """Scale and zero point of each block."""
    (scale, zero), steps = task.fmt.scales, []
    for block, places in enumerate(blocks_of(range(len(values)), task.shape, scale)):
        low, high = span = value_range([values[place] for place in places], task.policy)
        ends = tuple(place for place in places if values[place].reduced() in (low.reduced(), high.reduced()))
        found = parameters(span, task.fmt, task.policy)
        pairs = ((scale, found.ratio), (zero, found.place))
        for field, number in pairs:
            code = codes[field.name][block]
            steps.append(ScaleStep(field, block, span, ends, number, number, None, code, field_value(code, field)))
    return steps
