"""``lowbit encode`` and ``lowbit decode`` of block formats: scales and elements, and the arithmetic behind them."""

from __future__ import annotations

import re
import sys
from argparse import Namespace
from collections.abc import Sequence
from typing import Any

from lowbit.cli.bits import painted, parse_code
from lowbit.cli.block_page import shape_words
from lowbit.cli.terminal import Terminal, print_document, terminal
from lowbit.cli.traces import Row, code_and_bits, is_power, power_rows, rounding_rows, short, write_rows_of_trace
from lowbit.cli.values import parse_value
from lowbit.cli.words import number_json
from lowbit.errors import PolicyError, UsageError
from lowbit.exact import FINITE, finite, format_decimal, format_value
from lowbit.format.block import BlockFormat
from lowbit.format.registry import scalar_format
from lowbit.oracle.arithmetic.exact import multiply
from lowbit.oracle.block.decode import element_value, field_value
from lowbit.oracle.block.encode import is_affine, levels
from lowbit.oracle.block.explain import BlockExplanation, ElementStep, ScaleStep, explain_blocks
from lowbit.oracle.cast.decode import decode
from lowbit.policy.block import POWER_RULES, BlockPolicy, get_block_policy
from lowbit.printable import columns

ELEMENT_HEAD = ("", "value", "quotient", "below", "midpoint", "above", "code", "bits", "worth", "rule")
SHOWN_PLACES = 3
"""More values that share the largest magnitude are not listed."""


def encode_blocks(arguments: Namespace, fmt: BlockFormat) -> int:
    """``lowbit encode`` into a block format: the values are one row, and a last block may be short."""
    _refuse_options_of_scalars(arguments, fmt)
    policy = chosen_block_policy(arguments, fmt.default_policy)
    policy.require_held(fmt)
    if fmt.nested and arguments.explain:
        what = f"--explain does not say how the scales of {fmt.id} are quantised themselves"
        raise UsageError(what, hint="leave it out, or explain the same format without nested scales")
    source = None if arguments.source == "exact" else scalar_format(arguments.source)
    values = [parse_value(text, source) for text in arguments.values]
    for value in values:
        if value.note:
            sys.stderr.write(f"note: {value.note}\n")
    shape = (1,) * (fmt.dimensions - 1) + (len(values),)
    if policy.search != "none" and len(fmt.block) == 1 and fmt.block[0] and len(values) % fmt.block[0]:
        what = f"{_policy_name(policy)} compares whole blocks of {fmt.block[0]}, and there are {len(values)} values"
        raise UsageError(what, hint="add zeros, or another policy")
    short = policy if policy.search != "none" else policy.choose(tail="short", name=policy.name)
    trace = explain_blocks([value.exact for value in values], shape, fmt, short)
    if arguments.output_format == "json":
        print_document(_document(fmt, policy, trace), "lowbit/encode-block/1", ensure_ascii=False)
        return 0
    page = terminal(arguments)
    if arguments.explain:
        _write_trace(page, fmt, policy, trace)
        return 0
    rows = [
        (_scale_name(step), *_code_cells(step.field.format, step.code, page), format_value(step.value))
        for step in trace.scales
    ]
    rows += [
        (str(number), *_code_cells(fmt.element, step.code, page), format_value(step.result))
        for number, step in enumerate(trace.elements)
    ]
    page.lines(columns(rows))
    return 0


def chosen_block_policy(arguments: Namespace, default: str) -> BlockPolicy:
    """The block policy of the command line: a preset or the default, and the axes changed on it.

    Raises PolicyError: a preset, an axis or a choice is unknown, or an axis is not written as ``AXIS=VALUE``.
    """
    policy = get_block_policy(arguments.policy or default)
    changes: dict[str, Any] = {}
    for text in arguments.choice:
        axis, separator, value = text.partition("=")
        if not separator:
            raise PolicyError(f"--choice {text!r} is not AXIS=VALUE", hint="--choice scale_rule=rceil")
        changes[axis] = BlockPolicy.read(axis, value)
    return policy.choose(**changes) if changes else policy


def _refuse_options_of_scalars(arguments: Namespace, fmt: BlockFormat) -> None:
    for option in ("rounding", "overflow", "random"):
        if getattr(arguments, option) is not None:
            hint = "the policy of the elements is an axis: --choice element=ocp_sat:rounding=nearest_away"
            raise UsageError(f"--{option} is for scalar formats, not for {fmt.id}", hint=hint)


def decode_blocks(arguments: Namespace, fmt: BlockFormat) -> int:
    """``lowbit decode`` of one block: its scales are options, its elements the codes."""
    scales = _scales(arguments.scale, fmt)
    codes = [parse_code(text, fmt.element) for text in arguments.codes]
    values = [element_value(code, scales, fmt) for code in codes]
    if arguments.output_format == "json":
        results = [
            {"code": fmt.element.hexadecimal(code), **number_json(value)}
            for code, value in zip(codes, values, strict=True)
        ]
        own = {field.name: field.format.hexadecimal(scales[field.name]) for field in fmt.scales}
        print_document(
            {"format": fmt.id, "scales": own, "results": results}, "lowbit/decode-block/1", ensure_ascii=False
        )
        return 0
    page = terminal(arguments)
    rows = [
        (field.name, *_code_cells(field.format, code, page), format_value(field_value(code, field)), "")
        for field in fmt.scales
        for code in [scales[field.name]]
    ]
    for number, (code, value) in enumerate(zip(codes, values, strict=True)):
        cells = _code_cells(fmt.element, code, page)
        rows.append((str(number), *cells, format_value(decode(code, fmt.element)), format_value(value)))
    page.lines(columns([("", "code", "bits", "value", f"= {fmt.formula}"), *rows]))
    return 0


def _scales(texts: Sequence[str], fmt: BlockFormat) -> dict[str, int]:
    """The code of each scale, from NAME=CODE."""
    fields = {field.name: field for field in fmt.scales}
    example = " ".join(f"--scale {name}=CODE" for name in fields)
    scales = {}
    for text in texts:
        name, separator, code = text.partition("=")
        if not separator or name not in fields:
            raise UsageError(f"--scale {text!r} is not a scale of {fmt.id}", hint=example)
        scales[name] = parse_code(code, fields[name].format)
    missing = [name for name in fields if name not in scales]
    if missing:
        raise UsageError(f"a code of {fmt.id} has a value under its scales only: {', '.join(missing)}", hint=example)
    return scales


def _code_cells(fmt: Any, code: int, page: Terminal) -> tuple[str, str]:
    return fmt.hexadecimal(code), painted(code, fmt, page)


def _scale_name(step: ScaleStep) -> str:
    return step.field.name if not step.block and not step.field.block else f"{step.field.name} {step.block}"


def _document(fmt: BlockFormat, policy: BlockPolicy, trace: BlockExplanation) -> dict[str, Any]:
    """Scales and elements as JSON."""
    return {
        "format": fmt.id,
        "policy": _policy_name(policy),
        "scales": [
            {
                "name": step.field.name,
                "block": step.block,
                "from": [number_json(value) for value in step.span],
                "unrounded": number_json(step.unrounded),
                "code": step.field.format.hexadecimal(step.code),
                "value": number_json(step.value),
            }
            for step in trace.scales
        ],
        "elements": [
            {
                "value": number_json(step.value),
                "quotient": number_json(step.quotient),
                "rule": step.rounding.rule,
                "code": fmt.element.hexadecimal(step.code),
                "result": number_json(step.result),
            }
            for step in trace.elements
        ],
    }


def _policy_name(policy: BlockPolicy) -> str:
    return policy.name or policy.spell(BlockPolicy()) or "nearest"


def _write_trace(page: Terminal, fmt: BlockFormat, policy: BlockPolicy, trace: BlockExplanation) -> None:
    """Each scale with what it is made from, then a table of the elements."""
    page.write(f"{page.paint(fmt.id, 'bold')}: value = {fmt.formula}; policy {_policy_name(policy)}")
    for step in trace.scales:
        page.write()
        head = f"{_scale_name(step)}: {step.field.format.id}, one for {shape_words(step.field.block)}"
        page.write(page.paint(head, "bold"))
        write_rows_of_trace(page, _scale_rows(page, step, fmt, policy), "  ")
    page.write()
    page.write(page.paint(f"elements: {fmt.element.id}, {_quotient_words(fmt, policy)}", "bold"))
    rows = [_element_row(page, number, step, fmt) for number, step in enumerate(trace.elements)]
    page.lines(f"  {line}" for line in columns([ELEMENT_HEAD, *rows]))


def _scale_rows(page: Terminal, step: ScaleStep, fmt: BlockFormat, policy: BlockPolicy) -> list[Row]:
    rows = _span_rows(step)
    if step.field in fmt.lower_exponents:
        rows[0] = ("quotient", *rows[0][1:])
        rows.append(("rule", "into the binade of the largest element and the exponents below, as far as it goes", ""))
        return [*rows, ("code", format_value(step.value), code_and_bits(step.field.format, step.code, page))]
    name = {"zero_point": "place", "offset": "offset"}.get(step.field.role, "scale")
    more, words = _derivation(step, fmt, policy)
    rows += [*more, (name, short(step.unrounded), words)]
    if policy.search != "none" and step.field in levels(fmt)[0]:
        rows.append(("search", policy.search, BlockPolicy.meaning("search", policy.search)))
    if step.rounding is not None:
        rows += rounding_rows(step.field.format, step.rounding)
        rows.append(("rule", step.rounding.rule, ""))
    elif not is_affine(fmt) and step.field.role != "exponent":
        rows.append(("rule", f"instead: {BlockPolicy.meaning('smallest_scale', policy.smallest_scale)}", ""))
    return [*rows, ("code", format_value(step.value), code_and_bits(step.field.format, step.code, page))]


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
        return format_decimal(fmt.element.min).removeprefix("-")
    return format_decimal(multiply(fmt.element.max, finite(1, fmt.headroom)))


def _quotient_of_maximum(step: ScaleStep, fmt: BlockFormat, policy: BlockPolicy) -> str:
    """A scale that is a quotient, in words."""
    field, largest = step.field, _largest_element(step, fmt)
    if zeros := _block_of_zeros(step, policy):
        return zeros
    if is_affine(fmt):
        steps = fmt.element.codes[-1] - fmt.element.codes[0]
        lowest, scale = fmt.element.codes[0], fmt.scales[0].name
        if field.role == "offset":
            return f"lowest - {lowest} * {scale}"
        return f"(highest - lowest) / {steps}" if field.role == "multiply" else f"{lowest} - lowest / {scale}"
    finest, coarser = levels(fmt)
    each = "" if policy.arithmetic == "exact" else f", each step in {policy.arithmetic}"
    if field in coarser:
        reach = policy.scale_maximum or format_decimal(finest[0].format.max)
        ratio = f"({largest} * {reach}) / maximum" if field.role == "divide" else f"maximum / ({largest} * {reach})"
        return f"{ratio}: the largest element times what scales are to reach{each}"
    if coarser:
        return _named(BlockPolicy.meaning("scale_steps", policy.scale_steps), fmt, largest) + each
    by_reciprocal = each and policy.scale_steps in ("reciprocal", "folded")
    what = "the largest element, and exponents below" if fmt.headroom else "the largest element"
    return (f"maximum * (1 / {largest})" if by_reciprocal else f"maximum / {largest}") + f", {what}{each}"


def _quotient_words(fmt: BlockFormat, policy: BlockPolicy) -> str:
    """What the quotients are."""
    if is_affine(fmt):
        if fmt.of_role("offset"):
            return f"quotient = (value - offset) / {fmt.scales[0].name}"
        return f"quotient = value / {fmt.scales[0].name}, rounded; code = that plus zero_point"
    each = "" if policy.arithmetic == "exact" else f", each step in {policy.arithmetic}"
    steps = BlockPolicy.meaning("quotient_steps", policy.quotient_steps if each else "divide")
    if not levels(fmt)[1]:
        steps = steps.replace("(s * S)", "s").replace("(s / R)", "s")
    exponents = "".join(f" / 2^{field.name}" for field in fmt.lower_exponents)
    return f"quotient = {_named(steps, fmt, '')}{exponents}{each}"


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
    trace = step.rounding
    numbers = [trace.lower, trace.midpoint, trace.upper]
    if trace.lower is not None and trace.upper is not None and trace.lower.reduced() == trace.upper.reduced():
        numbers = [None, None, None]
    cells = ["" if value is None else short(value) for value in numbers]
    code = _code_cells(fmt.element, step.code, page)
    return str(number), short(step.value), short(step.quotient), *cells, *code, short(step.result), trace.rule
