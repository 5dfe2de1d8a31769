"""``lowbit encode`` and ``lowbit decode`` of block formats: scales and elements."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Sequence
from typing import Any

from lowbit.cli.bits import parse_code
from lowbit.cli.report.block_trace import code_cells, policy_words, scale_name, write_block_trace
from lowbit.cli.terminal import print_document, terminal
from lowbit.cli.values import parse_value
from lowbit.cli.words import number_json
from lowbit.errors import PolicyError, UsageError
from lowbit.exact import format_value, format_vector
from lowbit.format.block import BlockFormat
from lowbit.format.registry import scalar_format
from lowbit.oracle.block.decode import element_number, element_value, field_value
from lowbit.oracle.block.explain import BlockExplanation, explain_blocks
from lowbit.policy.block import BlockPolicy, get_block_policy
from lowbit.policy.cast import Policy
from lowbit.printable import columns


def encode_blocks(arguments: Namespace, fmt: BlockFormat) -> int:
    """``lowbit encode`` into a block format: the values are one row, and a last block may be short."""
    _refuse_options_of_scalars(arguments, fmt)
    policy = chosen_block_policy(arguments, fmt.default_policy)
    policy.require_held(fmt)
    source = None if arguments.source == "exact" else scalar_format(arguments.source)
    values = [parse_value(text, source) for text in arguments.values]
    for value in values:
        if value.note:
            sys.stderr.write(f"note: {value.note}\n")
    shape = (1,) * (fmt.dimensions - 1) + (len(values),)
    if policy.search != "none" and len(fmt.block) == 1 and fmt.block[0] and len(values) % fmt.block[0]:
        what = f"{policy_words(policy)} compares whole blocks of {fmt.block[0]}, and there are {len(values)} values"
        raise UsageError(what, hint="add zeros, or another policy")
    if policy.of_ggml and arguments.explain:
        hint = "without --explain; docs/explanation/block-formats.md says what they do"
        raise UsageError(f"the trials of the searches of ggml are not told for {fmt.id}", hint=hint)
    short = policy if policy.search != "none" else policy.choose(tail="short", name=policy.name)
    trace = explain_blocks([value.exact for value in values], shape, fmt, short)
    if arguments.output_format == "json":
        print_document(_document(fmt, policy, trace), "lowbit/encode-block/1", ensure_ascii=False)
        return 0
    page = terminal(arguments)
    if arguments.explain:
        write_block_trace(page, fmt, policy, trace)
        return 0
    rows = [
        (scale_name(step), *code_cells(step.field.format, step.code, page), format_value(step.value))
        for step in trace.scales
    ]
    for number, step in enumerate(trace.elements):
        cells = code_cells(fmt.element, step.code, page) if number % fmt.element.dimension == 0 else ("", "")
        rows.append((str(number), *cells, format_value(step.result)))
    page.lines(columns(rows))
    return 0


def chosen_block_policy(arguments: Namespace, default: str) -> BlockPolicy:
    """The block policy of the command line: a preset or the default, and the axes changed on it.

    Raises PolicyError: a preset, an axis or a choice is unknown, or an axis is not written as ``AXIS=VALUE``.
    """
    policy = get_block_policy(arguments.policy or default)
    changes = chosen_axes(arguments, BlockPolicy, "scale_rule=rceil")
    return policy.choose(**changes) if changes else policy


def chosen_axes(arguments: Namespace, kind: type[BlockPolicy | Policy], example: str) -> dict[str, Any]:
    """The axes of a policy and their values that ``--choice`` has; ``example`` is how one is written."""
    changes: dict[str, Any] = {}
    for text in arguments.choice:
        axis, separator, value = text.partition("=")
        if not separator:
            raise PolicyError(f"--choice {text!r} is not AXIS=VALUE", hint=f"--choice {example}")
        changes[axis] = kind.read(axis, value)
    return changes


def _refuse_options_of_scalars(arguments: Namespace, fmt: BlockFormat) -> None:
    for option in ("rounding", "overflow", "random"):
        if getattr(arguments, option) is not None:
            hint = "the policy of the elements is an axis: --choice element=ocp_sat:rounding=nearest_away"
            raise UsageError(f"--{option} is for scalar formats, not for {fmt.id}", hint=hint)


def decode_blocks(arguments: Namespace, fmt: BlockFormat) -> int:
    """``lowbit decode`` of one block: its scales are options, its elements the codes."""
    scales = _scales(arguments.scale, fmt)
    codes = [parse_code(text, fmt.element) for text in arguments.codes]
    numbers = range(fmt.element.dimension)
    values = [[element_value(code, scales, fmt, at) for at in numbers] for code in codes]
    if arguments.output_format == "json":
        results = [
            {"code": fmt.element.hexadecimal(code), **number_json(value)}
            for code, row in zip(codes, values, strict=True)
            for value in row
        ]
        own = {field.name: field.format.hexadecimal(scales[field.name]) for field in fmt.scales}
        print_document(
            {"format": fmt.id, "scales": own, "results": results}, "lowbit/decode-block/1", ensure_ascii=False
        )
        return 0
    page = terminal(arguments)
    rows = [
        (field.name, *code_cells(field.format, code, page), format_value(field_value(code, field)), "")
        for field in fmt.scales
        for code in [scales[field.name]]
    ]
    for number, (code, row) in enumerate(zip(codes, values, strict=True)):
        cells = code_cells(fmt.element, code, page)
        plain = format_vector(element_number(code, fmt.element, at) for at in numbers)
        rows.append((str(number), *cells, plain, format_vector(row)))
    page.lines(columns([("", "code", "bits", "value", f"= {fmt.formula}"), *rows]))
    return 0


def _scales(texts: Sequence[str], fmt: BlockFormat) -> dict[str, int]:
    """The code of each scale, from NAME=CODE."""
    fields = {field.name: field for field in fmt.scales}
    example = " ".join(f"--scale {name}=CODE" for name in fields)
    scales = {name: 0 for name, field in fields.items() if field.role == "sum"}  # of which no value is made
    for text in texts:
        name, separator, code = text.partition("=")
        if not separator or name not in fields:
            raise UsageError(f"--scale {text!r} is not a scale of {fmt.id}", hint=example)
        scales[name] = parse_code(code, fields[name].format)
    missing = [name for name in fields if name not in scales]
    if missing:
        raise UsageError(f"a code of {fmt.id} has a value under its scales only: {', '.join(missing)}", hint=example)
    return scales


def _document(fmt: BlockFormat, policy: BlockPolicy, trace: BlockExplanation) -> dict[str, Any]:
    """Scales and elements as JSON; of a search of ggml without what a rule makes a code from."""
    left_out = {"from", "unrounded", "quotient"} if policy.of_ggml else set()

    def kept(part: dict[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in part.items() if key not in left_out}

    return {
        "format": fmt.id,
        "policy": policy_words(policy),
        "scales": [
            kept(
                {
                    "name": step.field.name,
                    "block": step.block,
                    "from": [number_json(value) for value in step.span],
                    "unrounded": number_json(step.unrounded),
                    "code": step.field.format.hexadecimal(step.code),
                    "value": number_json(step.value),
                }
            )
            for step in trace.scales
        ],
        "elements": [
            kept(
                {
                    "value": number_json(step.value),
                    "quotient": number_json(step.quotient),
                    "rule": step.rule,
                    "code": fmt.element.hexadecimal(step.code),
                    "result": number_json(step.result),
                }
            )
            for step in trace.elements
        ],
    }
