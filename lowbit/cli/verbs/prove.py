"""``lowbit prove``: what cannot overflow, an accumulator or an intermediate of a nonlinearity."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from typing import Any

from lowbit.cli.exit_codes import ExitCode
from lowbit.cli.file_options import input_file
from lowbit.cli.integer_models import MODEL, NAMED, add_conversion_options
from lowbit.cli.number_types import integer
from lowbit.cli.report.prove_model import prove_model
from lowbit.cli.terminal import Terminal, add_output_format, print_document, terminal
from lowbit.cli.widths import WIDTH_OPTIONS, add_width_options, prove_widths
from lowbit.errors import UsageError
from lowbit.nonlinear.scheme import NONLINEARITIES
from lowbit.policy.accumulator import ACCUMULATORS, Accumulator, get_accumulator
from lowbit.printable import columns
from lowbit.proof.accumulator import SafeLength, largest_safe_k
from lowbit.proof.weights import WeightBounds, prove_weights

LISTED_COLUMNS = 10
"""So many unsafe columns are listed in text; JSON has them all."""


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "prove",
        help="that an accumulator, a nonlinearity or a whole integer model cannot overflow",
        description="Prove that an accumulator cannot overflow: the largest K for given operand ranges, with operands "
        "that overflow at K + 1; or the bounds of each column of a weight matrix. Without a subject: all accumulators; "
        "int32 for --weights. Of a nonlinearity: for every intermediate the range that no row leaves, whether it fits "
        "the declared width, and a row that overflows where it does not. Of an integer model: where every intermediate "
        "of every layer lies, with the real weights, for any input codes, and the first one that does not fit. Exit "
        "status 1: an overflow is possible (of an accumulator: at the K or with the matrix) or something floats; "
        "5: an intermediate is neither proved nor refuted.",
    )
    parser.add_argument(
        "subject",
        metavar="ACCUMULATOR|OPERATION|model",
        nargs="?",
        help="an accumulator: a name of `lowbit explain accumulators`, or int8 to int64 for any width, int20_saturate "
        f"likewise; or a nonlinearity: {', '.join(NONLINEARITIES)}; or `model`, and its file",
    )
    input_file(parser, "file", what="the model", nargs="?", metavar="MODEL", help=f"model: {NAMED}")
    run_too = "model: also run these values or codes, and show that no kernel has a floating-point instruction"
    group = parser.add_argument_group("model")
    add_conversion_options(group)
    within = "input codes that may come, of the only input or of NAME (default: all of its format); may be repeated"
    group.add_argument("--input-range", action="append", default=[], metavar="[NAME=]LOW:HIGH", help=within)
    input_file(group, "--nothing-floats", what="the input", metavar="INPUT", help=run_too)
    group = parser.add_argument_group("accumulators")
    group.add_argument(
        "-a",
        "--a",
        metavar="RANGE",
        help="codes of a (activations): int8, uint8, or LOW:HIGH, -a=-5:5 where LOW is negative (default: what the "
        "accumulator takes, int8 if anything)",
    )
    group.add_argument("-b", "--b", metavar="RANGE", help="codes of b (weights), likewise")
    group.add_argument("--a-zero-point", type=integer, metavar="N", help="zero point of a (default: 0)")
    group.add_argument("--b-zero-point", type=integer, metavar="N", help="zero point of b (default: 0)")
    group.add_argument("--bias", metavar="RANGE", help="biases that may occur: N or LOW:HIGH (default: 0)")
    group.add_argument("-k", "--k", type=integer, metavar="K", help="ask about this K: exit status 0 safe, 1 not")
    weights = "a .npy matrix (k, n): bound each of its columns"
    input_file(group, "--weights", what="the matrix", metavar="FILE", help=weights)
    add_width_options(parser)
    add_output_format(parser)


ACCUMULATOR_OPTIONS = ("a", "b", "a-zero-point", "b-zero-point", "bias", "k", "weights")


def run(arguments: Namespace) -> int:
    if arguments.subject == MODEL:
        _refuse_other_options(arguments, ACCUMULATOR_OPTIONS)
        _refuse_other_options(arguments, WIDTH_OPTIONS)
        return prove_model(arguments)
    for option in ("file", "nothing_floats", "preset", "input_range"):
        if getattr(arguments, option):
            given = arguments.file if option == "file" else "--" + option.replace("_", "-")
            raise UsageError(f"{given} is for `lowbit prove model`, not for {arguments.subject or 'accumulators'}")
    of_widths = arguments.subject in NONLINEARITIES
    _refuse_other_options(arguments, ACCUMULATOR_OPTIONS if of_widths else WIDTH_OPTIONS)
    return prove_widths(arguments) if of_widths else _run_accumulators(arguments)


def _refuse_other_options(arguments: Namespace, foreign: Sequence[str]) -> None:
    kind = "an accumulator" if foreign is ACCUMULATOR_OPTIONS else "a nonlinearity"
    attributes = {"from": "source", "to": "target"}
    for option in foreign:
        if getattr(arguments, attributes.get(option, option.replace("-", "_"))) is not None:
            subject = f" {arguments.subject}" if arguments.subject else ""
            raise UsageError(
                f"--{option} is for {kind}, not for `lowbit prove{subject}`",
                hint="`lowbit prove --help` lists the options of both",
            )


def _run_accumulators(arguments: Namespace) -> int:
    page = terminal(arguments)
    if arguments.k is not None and arguments.k < 0:
        raise UsageError(f"--k {arguments.k} is negative", hint="--k 1024, say")
    if arguments.weights is not None:
        return _run_weights(arguments, page)
    chosen = [get_accumulator(arguments.subject)] if arguments.subject else list(ACCUMULATORS.values())
    answers = [(accumulator, *_operands(arguments, accumulator)) for accumulator in chosen]
    found = [
        (
            accumulator,
            (_words(a), _words(b)),
            largest_safe_k(
                accumulator,
                a,
                b,
                a_zero_point=arguments.a_zero_point or 0,
                b_zero_point=arguments.b_zero_point or 0,
                bias=parse_range(arguments.bias or "0", "--bias"),
            ),
        )
        for accumulator, a, b in answers
    ]
    if arguments.output_format == "json":
        print_document({"answers": [_record(*f) for f in found]}, "lowbit/prove/1", indent=None)
    elif arguments.subject:
        _write_answer(page, *found[0], arguments.k)
    else:
        _write_table(page, found)
    unsafe = arguments.k is not None and any(not _is_safe(answer, arguments.k) for _, _, answer in found)
    return ExitCode.MISMATCH if unsafe else ExitCode.EQUAL


def parse_range(text: str, option: str) -> Any:
    """A format's name as it is, ``LOW:HIGH`` or ``N`` as integers."""
    parts = text.split(":")
    try:
        numbers = [int(part, 0) for part in parts]
    except ValueError as error:
        if len(parts) == 1:
            return text
        raise UsageError(f"{option} {text!r} is not LOW:HIGH", hint=f"{option}=-127:127, say") from error
    if len(numbers) > 2:
        raise UsageError(f"{option} {text!r} has {len(numbers)} numbers", hint=f"{option}=-127:127, say")
    return (numbers[0], numbers[-1])


def _operands(arguments: Namespace, accumulator: Accumulator) -> tuple[Any, Any]:
    """The ranges that are given, else all codes that the instruction takes."""
    left, *others = ["int8"] if accumulator.operands == "any" else accumulator.operands.split("_")
    defaults = (left, others[0] if others else left)
    given = (arguments.a, arguments.b)
    ranges = [parse_range(text, option) if text else None for text, option in zip(given, ("-a", "-b"), strict=True)]
    return ranges[0] or defaults[0], ranges[1] or defaults[1]


def _words(values: Any) -> str:
    return values if isinstance(values, str) else f"{values[0]}..{values[1]}"


def _is_safe(answer: SafeLength, k: int) -> bool:
    return answer.k is None or k <= answer.k


def _name(accumulator: Accumulator) -> str:
    return accumulator.name or "accumulator"


def _record(accumulator: Accumulator, operands: tuple[str, str], answer: SafeLength) -> dict[str, Any]:
    return {
        "accumulator": _name(accumulator),
        "a": operands[0],
        "b": operands[1],
        "largest_safe_k": answer.k,
        "register": answer.register,
        "value": str(answer.value),
        "width": answer.width,
        "witness": answer.witness._asdict() if answer.witness else None,
    }


def _write_answer(
    page: Terminal, accumulator: Accumulator, operands: tuple[str, str], answer: SafeLength, asked: int | None
) -> None:
    rows = [("accumulator", _name(accumulator)), ("operands", f"{operands[0]} x {operands[1]}")]
    if answer.k is None or answer.witness is None:
        rows.append(("safe", "every K: no product differs from zero"))
    else:
        witness = answer.witness
        start = f", bias {witness.bias}" if witness.bias else ""
        rows += [
            ("safe", f"every K up to {answer.k:,}"),
            ("beyond", f"K = {witness.k:,}, all a = {witness.a}, all b = {witness.b}{start}"),
            ("", f"the {answer.register} would be {answer.value:,}, and has {answer.width} bits"),
        ]
    if asked is not None:
        rows.append((f"K = {asked:,}", "cannot overflow" if _is_safe(answer, asked) else "can overflow"))
    page.lines(columns(rows))


def _write_table(page: Terminal, found: list[tuple[Accumulator, tuple[str, str], SafeLength]]) -> None:
    rows = [
        (_name(accumulator), f"{a} x {b}", "any" if answer.k is None else f"{answer.k:,}", answer.register)
        for accumulator, (a, b), answer in found
    ]
    page.table([("accumulator", "operands", "largest safe K", "overflows beyond"), *rows], right={2})


def _run_weights(arguments: Namespace, page: Terminal) -> int:
    from lowbit.files.arrays import read_npy

    accumulator = get_accumulator(arguments.subject or "int32")
    for option, given in (("--k", arguments.k), ("--b", arguments.b)):
        if given is not None:
            raise UsageError(f"{option} means nothing where --weights is given", hint=f"without {option}")
    weights = read_npy(arguments.weights)
    bias = parse_range(arguments.bias or "0", "--bias")
    if not isinstance(bias, tuple) or bias[0] != bias[1]:
        raise UsageError("--bias is one number where --weights is given", hint="--bias 0")
    activations = _operands(arguments, accumulator)[0]
    proof = prove_weights(
        weights,
        accumulator,
        activations=activations,
        activation_zero_point=arguments.a_zero_point or 0,
        weight_zero_point=arguments.b_zero_point or 0,
        bias=bias[0],
    )
    if arguments.output_format == "json":
        print_document(_weights_record(accumulator, proof), "lowbit/prove-weights/1", indent=None)
    else:
        _write_weights(page, accumulator, activations, proof)
    return ExitCode.EQUAL if bool(proof.safe.all()) else ExitCode.MISMATCH


def _weights_record(accumulator: Accumulator, proof: WeightBounds) -> dict[str, Any]:
    registers = {
        name: {"lowest": low.tolist(), "highest": high.tolist(), "bits": proof.widths[name].tolist()}
        for name, (low, high) in proof.bounds.items()
    }
    return {
        "accumulator": _name(accumulator),
        "safe": proof.safe.tolist(),
        "registers": registers,
    }


def _write_weights(page: Terminal, accumulator: Accumulator, activations: Any, proof: WeightBounds) -> None:
    unsafe = [column for column, safe in enumerate(proof.safe.tolist()) if not safe]
    count = proof.safe.size
    safe = f"{count - len(unsafe):,} of {count:,} columns cannot overflow"
    page.write(f"{_name(accumulator)}: {safe} for activations of {_words(activations)}")
    for name, (low, high) in proof.bounds.items():
        if count:
            page.write(f"{name}: {low.min():,} to {high.max():,}, {proof.widths[name].max()} bits")
    for column in unsafe[:LISTED_COLUMNS]:
        spans = ", ".join(f"{name} {low[column]:,} to {high[column]:,}" for name, (low, high) in proof.bounds.items())
        page.write(f"  column {column} can: {spans}")
    if len(unsafe) > LISTED_COLUMNS:
        page.write(f"  and {len(unsafe) - LISTED_COLUMNS:,} more; --output-format json lists them")
