"""A tensor into a block format as a trace: from the largest value to each scale, from each quotient to its code.

What ``lowbit encode --explain`` prints. Nothing is computed twice: scales and codes come from
:mod:`lowbit.oracle.block.encode`, and how a number is rounded from :mod:`lowbit.oracle.cast.explain`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from lowbit.exact import FINITE, ZERO, Exact
from lowbit.format.block import BlockFormat, ScaleField, Shape
from lowbit.format.registry import scalar_format
from lowbit.oracle.arithmetic.exact import divide, is_negative, is_zero
from lowbit.oracle.block.affine import centred, parameters, policy_of_place, value_range
from lowbit.oracle.block.decode import element_value, field_value
from lowbit.oracle.block.encode import (
    Quantized,
    Scales,
    Task,
    blocks_of,
    indices,
    is_affine,
    parts,
    place_of,
    quantize,
    quotients_of,
    scales_of,
    vectors_of,
)
from lowbit.oracle.block.linear import adds_after_rounding, unrounded
from lowbit.oracle.block.nested import fields_of, first_format, within
from lowbit.oracle.block.scale import ONE, largest, steps_of
from lowbit.oracle.block.vectors import explained
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
    rounding: Explanation | None  # how the quotient is rounded, before a zero point is added; None in a vector
    rule: str  # which rule decided, in words
    scales: Mapping[str, int]  # the scales of its block, by the name of the field
    code: int
    result: Exact  # what code and scales are worth


@dataclass(frozen=True, slots=True)
class ScalesWithin:
    """How scales that have scales are quantised themselves."""

    first: tuple[ScaleStep, ...]  # as they are before, which elements are divided by
    fmt: BlockFormat  # what they are brought into, less the offset
    policy: BlockPolicy
    elements: tuple[ElementStep, ...]  # one for each of them


@dataclass(frozen=True, slots=True)
class BlockExplanation:
    """The trace of a tensor."""

    # the coarsest first, but exponents below a scale, which are made from quotients, last
    scales: tuple[ScaleStep, ...]
    elements: tuple[ElementStep, ...]  # in C order
    within: ScalesWithin | None = None  # where scales have scales


def explain_blocks(values: Sequence[Exact], shape: Shape, fmt: BlockFormat, policy: BlockPolicy) -> BlockExplanation:
    """Quantise as :func:`lowbit.oracle.block.encode.quantize` does, and say how; same parameters and errors."""
    quantized = quantize(values, shape, fmt, policy)
    if policy.of_ggml:
        return _searched(values, Task(shape, fmt, policy), quantized)
    if fmt.nested:
        return _nested(values, shape, fmt, policy)
    fmt = fmt.without_sums  # sums are not made from the values
    task = Task(shape, fmt, policy)
    entered = [steps_of(policy).enter(value) for value in values]
    if is_affine(fmt):
        steps, quotients = _affine_steps(entered, task, quantized.scales)
    else:
        fine, above = scales_of(entered, task)
        steps = [
            step
            for of, part in (("tensor", above), ("scale", fine))
            for each in part
            for step in _steps(entered, each, of, task)
        ]
        quotients = quotients_of(entered, fine, above, task)
        if fmt.element.dimension > 1:
            near = [explained(numbers, fmt.element) for numbers in vectors_of(entered, quotients, fine, above, task)]
            return BlockExplanation(tuple(steps), tuple(_vector_steps(values, quotients, near, task, quantized)))
        lower, quotients = _exponent_steps(quotients, task, quantized.scales)
        steps += lower
    element = fmt.scalar_element
    rounded_to = scalar_format("int32") if is_affine(fmt) and adds_after_rounding(element, policy) else element
    elements = []
    for number, index in enumerate(indices(shape)):
        own = _scales_at(index, task, quantized)
        code, rounding = (
            quantized.codes[number],
            explain(quotients[number], rounded_to, policy.policy("element", fmt.element)),
        )
        result = element_value(code, own, fmt)
        elements.append(ElementStep(values[number], quotients[number], rounding, rounding.rule, own, code, result))
    return BlockExplanation(tuple(steps), tuple(elements))


def _searched(values: Sequence[Exact], task: Task, quantized: Quantized) -> BlockExplanation:
    """What a search of ggml gives, whose trials are not told."""
    steps = []
    for field in task.fmt.scales:
        for block, code in enumerate(quantized.scales[field.name]):
            worth = field_value(code, field)
            steps.append(ScaleStep(field, block, (), (), worth, worth, None, code, worth))
    elements = []
    for value, code, index in zip(values, quantized.codes, indices(task.shape), strict=True):
        own = _scales_at(index, task, quantized)
        result = element_value(code, own, task.fmt)
        elements.append(ElementStep(value, value, None, "ggml's search", own, code, result))
    return BlockExplanation(tuple(steps), tuple(elements))


def _vector_steps(
    values: Sequence[Exact], quotients: Sequence[Exact], near: Sequence[str], task: Task, quantized: Quantized
) -> Iterator[ElementStep]:
    """The values of vectors, of which those of one have one code; ``near``: why it has that."""
    for number, index in enumerate(indices(task.shape)):
        vector, place = divmod(number, task.fmt.element.dimension)
        own = _scales_at(index, task, quantized)
        code = quantized.codes[vector]
        result = element_value(code, own, task.fmt, place)
        yield ElementStep(values[number], quotients[number], None, near[vector], own, code, result)


def _scales_at(index: Shape, task: Task, quantized: Quantized) -> dict[str, int]:
    """The codes of the scales of an element."""
    return {field.name: quantized.scales[field.name][place_of(index, task.shape, field)] for field in task.fmt.scales}


def _nested(values: Sequence[Exact], shape: Shape, fmt: BlockFormat, policy: BlockPolicy) -> BlockExplanation:
    """Elements by scales as they are at first, then these scales as a tensor of their own."""
    field, above, offset = fields_of(fmt)
    inner = within(values, shape, fmt, policy, parts)
    plain = explain_blocks(values, shape, first_format(fmt), policy)
    scales = explain_blocks(inner.values, inner.shape, inner.fmt, inner.policy)
    steps = []
    if offset is not None and inner.mean is not None and inner.offset is not None:
        rounding = explain(inner.mean, offset.format, policy.policy("tensor", offset.format))
        worth = field_value(inner.offset, offset)
        steps.append(ScaleStep(offset, 0, (inner.mean,), (), inner.mean, inner.mean, rounding, inner.offset, worth))
    steps += [replace(step, field=above) for step in scales.scales]
    for block, step in enumerate(scales.elements):
        worth, value = field_value(step.code, field), step.value
        steps.append(ScaleStep(field, block, (value,), (), value, step.quotient, step.rounding, step.code, worth))
    codes = {part.name: [step.code for step in steps if step.field is part] for part in fmt.scales}
    elements = []
    for number, (step, index) in enumerate(zip(plain.elements, indices(shape), strict=True)):
        own = {part.name: codes[part.name][place_of(index, shape, part)] for part in fmt.scales}
        result = element_value(step.code, own, fmt, number % fmt.element.dimension)
        elements.append(replace(step, scales=own, result=result))
    of_scales = ScalesWithin(plain.scales, inner.fmt, inner.policy, scales.elements)
    return BlockExplanation(tuple(steps), tuple(elements), of_scales)


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


def _affine_steps(
    values: Sequence[Exact], task: Task, codes: Mapping[str, Sequence[int]]
) -> tuple[list[ScaleStep], list[Exact]]:
    """Scale and zero point or offset of each block, and the number that each element is rounded from."""
    fmt, policy = task.fmt, task.policy
    (scale, other), steps, quotients = fmt.scales, list[ScaleStep](), [ZERO] * len(values)
    for block, places in enumerate(blocks_of(range(len(values)), task.shape, scale)):
        own = [values[place] for place in places]
        low, high = span = value_range(own, policy)
        ends = tuple(place for place in places if values[place].reduced() in (low.reduced(), high.reduced()))
        found = parameters(span, fmt, policy)
        ratio = ONE if is_zero(found.ratio) and policy.zero_block == "one" else found.ratio
        pairs = (
            (scale, ratio, policy.policy("scale", scale.format)),
            (other, found.place, policy_of_place(other, policy)),
        )
        for field, number, rounded_by in pairs:
            code = codes[field.name][block]
            trace = explain(number, field.format, rounded_by)
            rounding = trace if trace.code == code else None
            steps.append(ScaleStep(field, block, span, ends, number, number, rounding, code, field_value(code, field)))
        for place, value in zip(places, centred(own, found, policy), strict=True):
            quotients[place] = unrounded(value, found.used, found.shift, fmt.number, policy, factor=found.factor)
    return steps, quotients
