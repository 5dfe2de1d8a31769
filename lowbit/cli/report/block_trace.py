"""How a block is encoded, level by level: what each scale is made from, then a table of the elements."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from lowbit.cli.bits import painted
from lowbit.cli.block_page import shape_words
from lowbit.cli.terminal import Terminal
from lowbit.cli.traces import Row, code_and_bits, is_power, power_rows, rounding_rows, short, write_rows_of_trace
from lowbit.exact import FINITE, finite, format_decimal, format_value
from lowbit.format.block import BlockFormat
from lowbit.oracle.arithmetic.exact import multiply
from lowbit.oracle.block.encode import is_affine, levels
from lowbit.oracle.block.explain import BlockExplanation, ElementStep, ScaleStep
from lowbit.oracle.block.linear import adds_after_rounding
from lowbit.oracle.block.nested import first_format
from lowbit.policy.block import POWER_RULES, BlockPolicy
from lowbit.printable import columns

ELEMENT_HEAD = ("", "value", "quotient", "below", "midpoint", "above", "code", "bits", "worth", "rule")
SHOWN_PLACES = 3
"""More values that share the largest magnitude are not listed."""


def code_cells(fmt: Any, code: int, page: Terminal) -> tuple[str, str]:
    """A code in hexadecimal and in bits."""
    return fmt.hexadecimal(code), painted(code, fmt, page)


def scale_name(step: ScaleStep) -> str:
    """The name of a scale, and the number of its block."""
    return step.field.name if not step.block and not step.field.block else f"{step.field.name} {step.block}"


def policy_words(policy: BlockPolicy) -> str:
    """A policy as it is called, or what differs from the default."""
    return policy.name or policy.spell(BlockPolicy()) or "nearest"


def write_block_trace(page: Terminal, fmt: BlockFormat, policy: BlockPolicy, trace: BlockExplanation) -> None:
    """Each scale with what it is made from, then a table of the elements."""
    page.write(f"{page.paint(fmt.id, 'bold')}: value = {fmt.formula}; policy {policy_words(policy)}")
    plain = first_format(fmt) if trace.within else fmt
    for step in trace.within.first if trace.within else trace.scales:
        _write_scale(page, step, _scale_rows(page, step, plain, policy), " first" * fmt.nested)
    if trace.within:
        _write_within(page, fmt, policy, trace)
    words = f"elements: {fmt.element.id}, {_quotient_words(plain, policy)}"
    _write_elements(page, words, trace.elements, fmt)


def _write_within(page: Terminal, fmt: BlockFormat, policy: BlockPolicy, trace: BlockExplanation) -> None:
    """How scales are quantised themselves: their mean, their own scales, then a table of them."""
    within, field = trace.within, fmt.scales[0]
    assert within is not None
    value = f"value = {field.name} first"
    for step in (step for step in trace.scales if step.field is not field):
        if step.field.role == "offset":
            each = "" if policy.arithmetic == "exact" else f", rounded to {policy.arithmetic}"
            rows = [("mean", short(step.span[0]), f"of every {field.name} first{each}")]
            rows = [*rows, *_rounding_of_scale(step, policy), _code_row(page, step)]
            value += f" - {step.field.name}"
        else:
            rows = _scale_rows(page, replace(step, field=within.fmt.scales[0]), within.fmt, within.policy)
        _write_scale(page, step, rows)
    words = f"{field.name}: {field.format.id}, {value}, {_quotient_words(within.fmt, within.policy)}"
    _write_elements(page, f"{words}; policy {policy_words(within.policy)}", within.elements, within.fmt)


def _write_scale(page: Terminal, step: ScaleStep, rows: Iterable[Row], more: str = "") -> None:
    page.write()
    page.write(
        page.paint(f"{scale_name(step)}{more}: {step.field.format.id}, one for {shape_words(step.field.block)}", "bold")
    )
    write_rows_of_trace(page, list(rows), "  ")


def _write_elements(page: Terminal, words: str, steps: Iterable[ElementStep], fmt: BlockFormat) -> None:
    page.write()
    page.write(page.paint(words, "bold"))
    rows = [_element_row(page, number, step, fmt) for number, step in enumerate(steps)]
    page.lines(f"  {line}" for line in columns([ELEMENT_HEAD, *rows]))


def _scale_rows(page: Terminal, step: ScaleStep, fmt: BlockFormat, policy: BlockPolicy) -> list[Row]:
    rows = _span_rows(step)
    if policy.scale_rule == "mean" and step.field in levels(fmt)[0]:
        rows[0] = ("mean", rows[0][1], "of the magnitudes")
    if step.field in fmt.lower_exponents:
        rows[0] = ("quotient", *rows[0][1:])
        rows.append(("rule", "into the binade of the largest element and the exponents below, as far as it goes", ""))
        return [*rows, _code_row(page, step)]
    name = {"zero_point": "place", "offset": "offset"}.get(step.field.role, "scale")
    more, words = _derivation(step, fmt, policy)
    rows += [*more, (name, short(step.unrounded), words)]
    if policy.search != "none" and step.field in levels(fmt)[0]:
        rows.append(("search", policy.search, BlockPolicy.meaning("search", policy.search)))
    return [*rows, *_rounding_of_scale(step, policy), _code_row(page, step)]


def _rounding_of_scale(step: ScaleStep, policy: BlockPolicy) -> list[Row]:
    """How a scale is rounded into its format, or which rule says what it is instead."""
    if step.rounding is not None:
        return [*rounding_rows(step.field.format, step.rounding), ("rule", step.rounding.rule, "")]
    if step.field.role == "exponent":
        return []
    return [("rule", f"instead: {BlockPolicy.meaning('smallest_scale', policy.smallest_scale)}", "")]


def _code_row(page: Terminal, step: ScaleStep) -> Row:
    return "code", format_value(step.value), code_and_bits(step.field.format, step.code, page)


def _span_rows(step: ScaleStep) -> list[Row]:
    """What a scale is made from."""
    places = ", ".join(map(str, step.places[:SHOWN_PLACES])) + (", ..." if len(step.places) > SHOWN_PLACES else "")
    where = f"value {places}" if places else "no value"
    if len(step.span) > 1:
        low, high = step.span
        return [("lowest", short(low), where), ("highest", short(high), "")]
    return [("maximum", short(step.span[0]), where)]


def _derivation(step: ScaleStep, fmt: BlockFormat, policy: BlockPolicy) -> tuple[list[Row], str]:
    """How a scale follows from the largest value: numbers on the way, and the arithmetic with what it is."""
    if policy.scale_rule not in POWER_RULES or is_affine(fmt) or step.field in levels(fmt)[1]:
        return [], _quotient_of_maximum(step, fmt, policy)
    meaning = f"{policy.scale_rule}: {BlockPolicy.meaning('scale_rule', policy.scale_rule)}"
    if not is_power(step):
        return [], _block_of_zeros(step, policy) or meaning
    rows, power = power_rows(step, fmt, policy, _largest_element(step, fmt))
    return rows, f"{power}, {meaning}"


def _block_of_zeros(step: ScaleStep, policy: BlockPolicy) -> str:
    zeros = step.span[0].kind == FINITE and all(not value.significand for value in step.span)
    return f"a block of zeros: {BlockPolicy.meaning('zero_block', policy.zero_block)}" if zeros else ""


def _largest_element(step: ScaleStep, fmt: BlockFormat) -> str:
    """What the maximum of a block becomes, where exponents below its scale do not reach further."""
    if step.field.name == "negative":
        return format_decimal(fmt.number.min).removeprefix("-")
    return format_decimal(multiply(fmt.number.max, finite(1, fmt.headroom)))


def _quotient_of_maximum(step: ScaleStep, fmt: BlockFormat, policy: BlockPolicy) -> str:
    """A scale that is a quotient, in words."""
    field, largest = step.field, _largest_element(step, fmt)
    if zeros := _block_of_zeros(step, policy):
        return zeros
    if is_affine(fmt):
        return _steps_of_range(step, fmt, policy)
    finest, coarser = levels(fmt)
    each = _rounded_steps(policy)
    if field in coarser:
        reach = policy.scale_maximum or format_decimal(finest[0].format.max)
        ratio = f"({largest} * {reach}) / maximum" if field.role == "divide" else f"maximum / ({largest} * {reach})"
        return f"{ratio}: the largest element times what scales are to reach{each}"
    if coarser:
        return _named(BlockPolicy.meaning("scale_steps", policy.scale_steps), fmt, largest) + each
    if policy.scale_rule in ("amax", "mean"):
        return f"{BlockPolicy.meaning('scale_rule', policy.scale_rule)}{each}"
    if policy.scale_rule == "signed_amax":
        return f"maximum / {format_decimal(fmt.number.min)}, the lowest element{each}"
    by_reciprocal = each and policy.scale_steps in ("reciprocal", "folded")
    what = "the largest element, and exponents below" if fmt.headroom else "the largest element"
    return (f"maximum * (1 / {largest})" if by_reciprocal else f"maximum / {largest}") + f", {what}{each}"


def _steps_of_range(step: ScaleStep, fmt: BlockFormat, policy: BlockPolicy) -> str:
    """How a scale, a zero point or an offset follows from the range of its block, in words."""
    field, lowest, scale, more = step.field, fmt.element.codes[0], fmt.scales[0].name, _rounded_steps(policy)
    factor = _factor_of_range(fmt, policy)
    if field.role == "multiply":
        if step.span[0].reduced() == step.span[1].reduced():
            return f"a range of width 0: {BlockPolicy.meaning('zero_block', policy.zero_block)}"
        width = fmt.element.codes[-1] - lowest
        return (f"1 / {factor}" if factor else f"(highest - lowest) / {width}") + more
    unrounded = f", with {scale} before it is rounded" if policy.quotient_scale == "unrounded" else ""
    if field.role == "offset":
        return f"lowest - {lowest} * {scale}{more}{unrounded}"
    over = f"lowest * {factor}" if factor else f"lowest / {scale}"
    if field.format.wraps and policy.zero_point_steps == "quotient":
        over = f"round({over})"
    return f"{lowest} - {over}{more}" + ("" if factor else unrounded)


def _factor_of_range(fmt: BlockFormat, policy: BlockPolicy) -> str:
    """What values are multiplied by instead of a division by the scale; "" where they are divided."""
    reciprocal = policy.range_steps == "reciprocal" and policy.arithmetic != "exact"
    return f"({fmt.element.codes[-1] - fmt.element.codes[0]} / (highest - lowest))" if reciprocal else ""


def _rounded_steps(policy: BlockPolicy) -> str:
    return "" if policy.arithmetic == "exact" else f", each step in {policy.arithmetic}"


def _affine_quotient_words(fmt: BlockFormat, policy: BlockPolicy) -> str:
    """What the numbers are that elements of a block with a zero point or an offset are rounded from."""
    (scale, other), factor = fmt.scales, _factor_of_range(fmt, policy)
    if not factor and policy.quotient_steps == "reciprocal" and policy.arithmetic != "exact":
        factor = f"(1 / {scale.name})"
    value = f"(value - {other.name})" if other.role == "offset" else "value"
    words = f"quotient = {value} * {factor}" if factor else f"quotient = {value} / {scale.name}"
    added = other.role == "zero_point" and not adds_after_rounding(fmt.number, policy)
    words += f" + {other.name}" if added else ""
    words += _rounded_steps(policy)
    if policy.rounding_steps != "none":
        words += f"; {BlockPolicy.meaning('rounding_steps', policy.rounding_steps)}"
    if added and factor and policy.zero_point_place == "fused":
        words += ", the last two in one (a fused multiply-add)"
    if policy.quotient_scale == "unrounded":
        words += f", {scale.name} and {other.name} before they are rounded"
    plus = f"; code = that plus {other.name}" if other.role == "zero_point" and not added else ""
    return f"{words}, rounded{plus}" if plus else words


def _quotient_words(fmt: BlockFormat, policy: BlockPolicy) -> str:
    """What the quotients are."""
    if is_affine(fmt):
        return _affine_quotient_words(fmt, policy)
    each = _rounded_steps(policy)
    steps = BlockPolicy.meaning("quotient_steps", policy.quotient_steps if each else "divide")
    if not levels(fmt)[1]:
        steps = steps.replace("(s * S)", "s").replace("(s / R)", "s")
    exponents = "".join(f" / 2^{field.name}" for field in fmt.lower_exponents)
    words = f"quotient = {_named(steps, fmt, '')}{exponents}{each}"
    if policy.quotient_scale == "unrounded":
        words += f", {levels(fmt)[0][0].name} before it is rounded"
    if policy.rounding_steps != "none":
        words += f"; {BlockPolicy.meaning('rounding_steps', policy.rounding_steps)}"
    if policy.quotient_bins != "none":
        words += f", then {BlockPolicy.meaning('quotient_bins', policy.quotient_bins)}"
    return words + (f", then rounded to {policy.intermediate[0]}" if policy.intermediate[0] else "")


def _named(steps: str, fmt: BlockFormat, largest: str) -> str:
    """The steps of a policy with the names of a format's fields."""
    finest, coarser = levels(fmt)
    own = "(negative if value < 0 else positive)" if fmt.by_sign else finest[0].name
    names = {"x": "value", "s": own, "amax": "maximum", "maximum": largest}
    if coarser:
        above, inverse = coarser[0].name, f"(1 / {coarser[0].name})"
        names |= {"S": inverse, "R": above} if coarser[0].role == "divide" else {"S": above, "R": inverse}
    return re.sub(r"\b(x|s|S|R|amax|maximum)\b", lambda match: names.get(match[0], match[0]), steps)


def _element_row(page: Terminal, number: int, step: ElementStep, fmt: BlockFormat) -> tuple[str, ...]:
    trace, first = step.rounding, number % fmt.element.dimension == 0
    numbers = [trace.lower, trace.midpoint, trace.upper] if trace else [None, None, None]
    if trace and trace.lower is not None and trace.upper is not None and trace.lower.reduced() == trace.upper.reduced():
        numbers = [None, None, None]
    cells = ["" if value is None else short(value) for value in numbers]
    code, rule = (code_cells(fmt.element, step.code, page), step.rule) if first else (("", ""), "")
    return str(number), short(step.value), short(step.quotient), *cells, *code, short(step.result), rule
