"""``lowbit encode FORMAT VALUE...``: values to codes, and with ``--explain`` the arithmetic behind each."""

from __future__ import annotations

import re
import sys
from argparse import Namespace
from typing import Any

from lowbit.cli.bits import painted
from lowbit.cli.block_codes import chosen_axes, encode_blocks
from lowbit.cli.number_types import integer
from lowbit.cli.terminal import Terminal, add_output_format, print_document, terminal
from lowbit.cli.traces import code_and_bits, rounding_rows, write_rows_of_trace
from lowbit.cli.values import FORMS, Value, parse_value
from lowbit.cli.words import number_json, policy_name
from lowbit.errors import PolicyError
from lowbit.exact import format_value
from lowbit.format.block import BlockFormat
from lowbit.format.registry import get_format, scalar_format
from lowbit.format.scalar import Scalar
from lowbit.oracle.cast.cast import encode
from lowbit.oracle.cast.decode import decode
from lowbit.oracle.cast.explain import explain
from lowbit.oracle.cast.projection import Projection
from lowbit.policy.cast import CAST_PRESETS, ROUNDINGS, Policy, get_policy
from lowbit.printable import columns

FLAG_NAMES = ((16, "invalid"), (8, "divide by zero"), (4, "overflow"), (2, "underflow"), (1, "inexact"))
"""The exception flags of IEEE 754-2019 clause 7 at the bit positions of RISC-V's fflags."""

NEGATIVE_VALUE = r"^-(\d|\.\d|inf|nan)"


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "encode",
        help="values to codes, with the arithmetic behind it",
        description=f"Encode values into a format; into a block format as one row, its scales too. A VALUE is {FORMS}.",
    )
    # argparse takes -7/4*2^-7 and -inf for options unless they look like negative numbers to it.
    parser._negative_number_matcher = re.compile(NEGATIVE_VALUE, re.IGNORECASE)  # noqa: SLF001
    parser.add_argument("format", metavar="FORMAT", help="the target format")
    parser.add_argument("values", metavar="VALUE", nargs="+", help="a value to encode")
    parser.add_argument(
        "--from",
        dest="source",
        default="float64",
        metavar="SOURCE",
        help="the format that values are in: other ones are rounded to it first, with a note (default: float64; "
        "`exact` takes binary fractions as they are)",
    )
    add_policy_options(parser)
    parser.add_argument("--random", type=integer, metavar="R", help="the random integer of a stochastic rounding")
    parser.add_argument("--explain", action="store_true", help="show the exact arithmetic")
    add_output_format(parser)


def add_policy_options(parser: Any) -> None:
    """The options that choose a policy."""
    blocks = "a block format has those of `lowbit list policies --op block`"
    parser.add_argument(
        "--policy",
        metavar="PRESET",
        help=f"one of {', '.join(CAST_PRESETS)}; {blocks} (default: the format's own)",
    )
    parser.add_argument("--rounding", metavar="MODE", help=f"one of {', '.join(ROUNDINGS)}")
    parser.add_argument("--overflow", metavar="RULE", help=f"one of {', '.join(Policy.choices('overflow'))}")
    parser.add_argument(
        "--choice",
        action="append",
        default=[],
        metavar="AXIS=VALUE",
        help="any other axis (`lowbit explain axes`; of block formats, `lowbit explain block-axes`)",
    )


def chosen_policy(arguments: Namespace, fmt: Scalar) -> Policy:
    """The policy of the command line: a preset or the format's default, and the axes changed on it.

    Raises PolicyError: a preset, an axis or a choice is unknown, or an axis is not written as ``AXIS=VALUE``.
    """
    policy = get_policy(arguments.policy or fmt.default_policy, fmt)
    changes = chosen_axes(arguments, Policy, "negative_zero=positive")
    changes |= {axis: choice for axis in ("rounding", "overflow") if (choice := getattr(arguments, axis))}
    return policy.choose(**changes) if changes else policy


def run(arguments: Namespace) -> int:
    known = get_format(arguments.format)
    if isinstance(known, BlockFormat):
        return encode_blocks(arguments, known)
    fmt = scalar_format(known)
    source = None if arguments.source == "exact" else scalar_format(arguments.source)
    policy = chosen_policy(arguments, fmt)
    random = _random(arguments, policy)
    results = []
    for text in arguments.values:
        value = parse_value(text, source)
        if value.note:
            sys.stderr.write(f"note: {value.note}\n")
        results.append((value, encode(value.exact, fmt, policy, source=value.source, random=random)))
    if arguments.output_format == "json":
        print_document(document(fmt, policy, results), "lowbit/encode/1", ensure_ascii=False)
        return 0
    page = terminal(arguments)
    if arguments.explain:
        for index, (value, _) in enumerate(results):
            if index:
                page.write()
            _write_trace(page, fmt, policy, value, random)
        return 0
    page.lines(columns([_row(page, fmt, projection) for _, projection in results]))
    return 0


def _random(arguments: Namespace, policy: Policy) -> int:
    """The random integer, which a stochastic rounding needs and the others refuse, as in ``lowbit.encode``."""
    given: int | None = arguments.random
    if not policy.stochastic:
        if given is not None:
            raise PolicyError(f"--random is given, but rounding {policy.rounding!r} uses none", hint="leave it out")
        return 0
    span = f"0 <= R < 2**{policy.random_bits}"
    if given is None:
        raise PolicyError(f"rounding {policy.rounding!r} needs --random R, {span}", hint="--random 0, say")
    if not 0 <= given < 1 << policy.random_bits:
        raise PolicyError(f"--random {given} is outside {span}")
    return given


def _row(page: Terminal, fmt: Scalar, projection: Projection) -> tuple[str, ...]:
    result = decode(projection.code, fmt)
    return fmt.hexadecimal(projection.code), painted(projection.code, fmt, page), format_value(result)


def document(fmt: Scalar, policy: Policy, results: list[tuple[Value, Projection]]) -> dict[str, Any]:
    """The results as JSON."""
    return {
        "format": fmt.id,
        "policy": policy_name(policy),
        "results": [
            {
                "input": value.text,
                "source": value.source.id if value.source else "exact",
                "value": number_json(value.exact),
                "code": fmt.hexadecimal(projection.code),
                "result": number_json(decode(projection.code, fmt)),
                "flags": flag_names(projection.flags),
                "rule": projection.rule,
            }
            for value, projection in results
        ],
    }


def flag_names(flags: int) -> list[str]:
    """The exception flags that are raised."""
    return [name for bit, name in FLAG_NAMES if flags & bit]


def _write_trace(page: Terminal, fmt: Scalar, policy: Policy, value: Value, random: int) -> None:
    """Value, neighbours, midpoint, rule and result, a line each."""
    trace = explain(value.exact, fmt, policy, source=value.source, random=random)
    origin = f"{value.text} in {value.source.id}" if value.source and "@" not in value.text else value.text
    rows = [("value", format_value(value.exact), origin)]
    rows += [
        ("rounded", format_value(step.result), f"to {step.format} first: {step.projection.rule}")
        for step in trace.steps
    ]
    rows += rounding_rows(fmt, trace)
    rows += [("policy", policy_name(policy), ""), ("rule", trace.rule, "")]
    rows.append(("result", format_value(trace.decoded), code_and_bits(fmt, trace.code, page)))
    raised = ", ".join(flag_names(trace.flags)) or "none"
    rows.append(("flags", raised + ("; saturated" if trace.saturated else ""), ""))
    write_rows_of_trace(page, rows)
