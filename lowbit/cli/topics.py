"""The names that lowbit prints, group by group, with a line on each: what ``lowbit explain`` looks up."""

from __future__ import annotations

import tomllib
from argparse import ArgumentParser
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from lowbit.cli.exit_codes import ExitCode
from lowbit.dut.kinds import KINDS
from lowbit.nonlinear.scheme import OPERATIONS, Scheme, schemes
from lowbit.nonlinear.widths import OVERFLOWS
from lowbit.policy.accumulator import ACCUMULATORS, Accumulator
from lowbit.policy.block import BLOCK_PRESETS, BlockPolicy
from lowbit.policy.cast import CAST_PRESETS, DEFECTS, ROUNDINGS, Policy
from lowbit.policy.choices import Choices
from lowbit.policy.presets import EVIDENCE
from lowbit.policy.requantize import DERIVATIONS, REQUANTIZE_SCHEMES, SCALE_PRODUCTS, RequantizeScheme

Topics = Mapping[str, str]


def _read(name: str) -> Topics:
    return tomllib.loads(Path(__file__).with_name(name).read_text(encoding="utf-8"))


ERROR_TOPICS = _read("error_topics.toml")
"""Error code -> what it means and how to mend it, a paragraph."""
WORDS = _read("glossary.toml")
"""Word that lowbit prints, neither an option nor a name in a table -> what it means, a sentence."""

OPTIONS_OF_SCHEMES = {
    "beta": "softmax: a factor of the differences, 1 in attention; layernorm, rmsnorm: what is added to each element",
    "gamma": "layernorm and rmsnorm: the factor of each element",
    "multiplier": "the scale as TensorFlow Lite stores it, an integer of 31 bits beside a shift, in place of --scale",
    "shift": "the power of two that goes with a multiplier; layernorm of ibert: by how much its squares are shifted",
    "factors": "layernorm of fqvit: the powers of two of its channels",
    "result_scale": "what one unit of a result is worth, where the caller chooses it",
    "weights": "layernorm of tflite_int16: an integer of 16 bits for each element",
    "biases": "layernorm of tflite_int16: an integer of 32 bits for each element",
    "variance_limit": "layernorm of tflite_int16: the variance that a row is given where its own is smaller",
    "zero_point": "the code that stands for 0",
    "rounding": "exact: how a result is rounded, nearest_even if it is not said",
    "integer_bits": "gemmlowp: how many bits of its fixed-point operands are left of the point, the sign apart",
}
"""Option of integer-only schemes -> what it is."""
VARIANTS = {
    "torch": "as the official PyTorch code computes it",
    "tvm": "as the official TVM code computes it",
    "paper": "as the paper writes it, in the widths that it states",
    "code": "as the official code computes it, where that is not what the paper says",
    "double_rounding": "products are rounded twice, as gemmlowp does (TFLITE_SINGLE_ROUNDING=0)",
    "single_rounding": "products are rounded once (TFLITE_SINGLE_ROUNDING=1)",
}
"""Variant of a scheme -> what it is."""


@cache
def parsers() -> Mapping[str, ArgumentParser]:
    """Verb -> its parser; all verbs are imported."""
    from lowbit.cli import VERBS, Parser

    subparsers = Parser(prog="lowbit").add_subparsers()
    for verb in VERBS:
        import_module(f"lowbit.cli.verbs.{verb}").add_parser(subparsers)
    return subparsers.choices


def options() -> Topics:
    """Option -> the verbs that take it."""
    from lowbit.cli import option_actions

    takers: dict[str, list[str]] = {"--color": ["every verb"], "--debug": ["every verb"], "--version": [""]}
    for verb, parser in parsers().items():
        for action in option_actions(parser):
            for name in action.option_strings:
                if name not in ("-h", "--help"):
                    takers.setdefault(name, []).append(verb)
    return {name: f"option of {', '.join(dict.fromkeys(verbs)) or 'lowbit'}" for name, verbs in sorted(takers.items())}


def option_helps(name: str) -> list[tuple[str, str]]:
    """What an option means, verb by verb."""
    from lowbit.cli import option_actions

    helps = {
        verb: action.help % {"default": action.default} if action.help else ""
        for verb, parser in parsers().items()
        for action in option_actions(parser)
        if name in action.option_strings
    }
    common = {"--color": "colour the output", "--debug": "show the traceback", "--version": "print the version"}
    return list(helps.items()) or [("lowbit", common[name])]


def records(name: str) -> list[Scheme]:
    """The integer-only schemes of an id, one an operation."""
    return [schemes(operation)[name] for operation in OPERATIONS if name in schemes(operation)]


def _nonlinear_schemes() -> Topics:
    ids = dict.fromkeys(name for operation in OPERATIONS for name in schemes(operation))
    return {name: ", ".join(record.operation for record in records(name)) for name in ids}


def _operations() -> Topics:
    conversions = {
        "encode": "float32, or --from, into a format",
        "decode": "a format into float32, or --to",
        "convert": "one format into another",
        "gemm": "integer matrix products, exact or in an accumulator",
        "requantize": "accumulators to the codes of the next layer",
        "linear": "a matrix product, a bias and a requantisation in one kernel",
        "conv": "a convolution of an image, a bias and a requantisation in one kernel",
    }
    nonlinear = {name: f"integer-only, under {', '.join(schemes(name))}" for name in OPERATIONS}
    return {**conversions, **nonlinear}


def _choices() -> Topics:
    """Value of an axis -> the axes that have it, with its meaning on each."""
    meanings: dict[str, list[str]] = {}
    for what, axis, values in closed_axes():
        for value, words in values.items():
            if (what, axis) != ("cast", "rounding"):
                meanings.setdefault(value, []).append(f"{what}, {axis}: {words}")
    return {value: "; ".join(words) for value, words in meanings.items()}


def closed_axes() -> Iterator[tuple[str, str, Mapping[str, str]]]:
    """What an axis is of, its name, and its choices with their meanings."""
    kinds: dict[str, type[Choices]] = {
        "cast": Policy,
        "block": BlockPolicy,
        "accumulator": Accumulator,
        "requantisation": RequantizeScheme,
    }
    for what, kind in kinds.items():
        yield from ((what, axis, values) for axis, values in kind.CHOICES.items())
    yield "intermediate of an integer-only scheme", "overflow", OVERFLOWS
    for name, method in _in("quantizers", "METHODS")().items():
        yield from ((name, option, record.choices) for option, record in method.own.items() if record.choices)


def methods() -> Topics:
    """Quantisation method -> what it does, which variants it has, and its source."""
    from lowbit.quantizers import METHODS

    texts = {"llm_int8": "vector-wise int8 with outlier columns in binary16: lowbit.llm_int8_matmul (arXiv:2208.07339)"}
    for name, method in METHODS.items():
        variants = "; ".join(f"{variant}: {words}" for variant, words in method.variants.items())
        texts[name] = f"{method.title}; in {method.to} unasked; variants: {variants}. Source: {method.source}"
    return texts


def _of_methods(words: str) -> Callable[[], Topics]:
    """The names of a table of each method, with what they mean in each."""

    def topics() -> Topics:
        from lowbit.quantizers import METHODS

        texts: dict[str, list[str]] = {}
        for name, method in METHODS.items():
            for word, meaning in getattr(method, words).items():
                texts.setdefault(word, []).append(f"{name}: {meaning}")
        return {word: "; ".join(meanings) for word, meanings in texts.items()}

    return topics


def _method_options() -> Topics:
    """Option of quantisation methods -> what it is, and of which."""
    from lowbit.quantizers import METHODS

    takers: dict[str, dict[str, list[str]]] = {}
    for name, method in METHODS.items():
        for option, record in method.options.items():
            takers.setdefault(option, {}).setdefault(record.meaning, []).append(name)
    return {
        option: "; ".join(f"{', '.join(names)}: {meaning}" for meaning, names in meanings.items())
        for option, meanings in takers.items()
    }


def _in(module: str, name: str) -> Callable[[], Any]:
    """A table of a module that is loaded when it is asked for."""
    return lambda: getattr(import_module(f"lowbit.{module}"), name)


def _summaries(table: Callable[[], Mapping[str, Any]], summary: str) -> Callable[[], Topics]:
    """The names of a table of records, and what each says of itself."""
    return lambda: {name: summary.format(record) for name, record in table().items()}


class Group(NamedTuple):
    """Topics of one kind: what each is, and a function that gives them with a line on each."""

    title: str
    topics: Callable[[], Topics]


GROUPS = {
    "errors": Group("error code", lambda: ERROR_TOPICS),
    "statuses": Group("exit status", lambda: {str(code.value): code.meaning for code in ExitCode}),
    "verbs": Group("verb", _in("cli", "VERBS")),
    "later-verbs": Group("verb of a later release", _in("cli.old_spellings", "LATER_VERBS")),
    "options": Group("option", options),
    "words": Group("word", lambda: WORDS),
    "verdicts": Group("verdict", _summaries(_in("proof.nonlinear.result", "VERDICTS"), "of a proof: {}")),
    "operations": Group("operation", _operations),
    "roundings": Group("choice of the axis `rounding`", lambda: ROUNDINGS),
    "presets": Group("policy preset", lambda: CAST_PRESETS.summaries),
    "axes": Group("policy axis", lambda: Policy.AXES),
    "choices": Group("choice of an axis", _choices),
    "defects": Group("defect of a product", _summaries(lambda: DEFECTS, "{.summary}")),
    "evidence": Group("grade of evidence: the claim was", lambda: EVIDENCE),
    "block-presets": Group("preset of block formats", lambda: BLOCK_PRESETS.summaries),
    "block-axes": Group("axis of block formats", lambda: BlockPolicy.AXES),
    "accumulators": Group("accumulator preset", lambda: ACCUMULATORS.summaries),
    "accumulator-axes": Group("accumulator axis", lambda: Accumulator.AXES),
    "schemes": Group("requantisation scheme", lambda: REQUANTIZE_SCHEMES.summaries),
    "scheme-axes": Group("requantisation axis", lambda: RequantizeScheme.AXES),
    "derivations": Group("derivation of a multiplier", lambda: DERIVATIONS),
    "scale-products": Group("product of scales", lambda: SCALE_PRODUCTS),
    "nonlinear-schemes": Group("integer-only scheme", _nonlinear_schemes),
    "variants": Group("variant of an integer-only scheme", lambda: VARIANTS),
    "scheme-options": Group("--option of an integer-only scheme", lambda: OPTIONS_OF_SCHEMES),
    "flags": Group(
        "vector flag: the bug that its rows are made to catch",
        lambda: {
            flag.name: f"{flag.catches} ({flag.source})" for flag in _in("vectors.flags.cast", "FLAGS")().values()
        },
    ),
    "kernels": Group("kind of kernel of `lowbit check`", _summaries(lambda: KINDS, "{.topic}")),
    "layouts": Group("bit layout", _summaries(_in("ops.pack.layouts", "LAYOUTS"), "{.summary}")),
    "methods": Group("quantisation method", methods),
    "method-variants": Group("variant of quantisation methods", _of_methods("variants")),
    "method-options": Group("option of quantisation methods", _method_options),
    "method-reports": Group("key of a quantisation method's report", _of_methods("report")),
    "solvers": Group("--solver of `lowbit allocate`", _in("allocate", "METHODS")),
    "scores": Group("--score of a layer", _in("allocate.sensitivity.measure", "SCORES")),
}
"""Name of a group -> the group."""
