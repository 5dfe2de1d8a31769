"""The names that lowbit prints, group by group, with a line on each: what ``lowbit explain`` looks up."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module

from lowbit.cli.error_topics import ERROR_TOPICS
from lowbit.cli.exit_codes import ExitCode
from lowbit.cli.glossary import WORDS
from lowbit.dut.kinds import KINDS
from lowbit.nonlinear.scheme import OPERATIONS, Scheme, schemes
from lowbit.policy.accumulator import ACCUMULATORS, Accumulator
from lowbit.policy.block import BLOCK_PRESETS, BlockPolicy
from lowbit.policy.cast import DEFECTS, PRESETS, ROUNDINGS, Policy
from lowbit.policy.choices import Choices
from lowbit.policy.presets import EVIDENCE
from lowbit.policy.requantize import DERIVATIONS, REQUANTIZE_SCHEMES, SCALE_PRODUCTS, RequantizeScheme

Topics = Mapping[str, str]

OPTIONS_OF_SCHEMES = {
    "beta": "softmax: a factor of the differences, 1 in attention; layernorm: what is added to each element",
    "gamma": "layernorm: the factor of each element",
    "multiplier": "the scale as TensorFlow Lite stores it, an integer of 31 bits beside a shift, in place of --scale",
    "shift": "the power of two that goes with a multiplier; layernorm of ibert: by how much its squares are shifted",
    "factors": "layernorm of fqvit: the powers of two of its channels",
    "result_scale": "what one unit of a result is worth, where the caller chooses it",
    "weights": "layernorm of tflite_int16: an integer of 16 bits for each element",
    "biases": "layernorm of tflite_int16: an integer of 32 bits for each element",
    "variance_limit": "layernorm of tflite_int16: the variance that a row is given where its own is smaller",
    "zero_point": "the code that stands for 0",
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
    }
    nonlinear = {name: f"integer-only, under {', '.join(schemes(name))}" for name in OPERATIONS}
    return {**conversions, **nonlinear}


def _flags() -> Topics:
    from lowbit.vectors.flags.cast import FLAGS

    return {flag.name: f"{flag.catches} ({flag.source})" for flag in FLAGS.values()}


def _choices() -> Topics:
    """Value of an axis -> the axes that have it, with its meaning on each."""
    meanings: dict[str, list[str]] = {}
    kinds: dict[str, type[Choices]] = {
        "cast": Policy,
        "block": BlockPolicy,
        "accumulator": Accumulator,
        "requantisation": RequantizeScheme,
    }
    for what, kind in kinds.items():
        for axis, values in kind.CHOICES.items():
            for value, words in values.items():
                if not (kind is Policy and axis == "rounding"):
                    meanings.setdefault(value, []).append(f"{what}, {axis}: {words}")
    return {value: "; ".join(words) for value, words in meanings.items()}


def _layouts() -> Topics:
    from lowbit.ops.pack.layouts import LAYOUTS

    return {name: layout.summary for name, layout in LAYOUTS.items()}


def methods() -> Topics:
    """Quantisation method -> what it does, from the files in ``quantizers/methods``."""
    from pkgutil import iter_modules

    import lowbit.quantizers.methods as package

    modules = [module.name for module in iter_modules(package.__path__)]
    docs = {name: import_module(f"{package.__name__}.{name}").__doc__ or "" for name in modules}
    return {name: text.strip().splitlines()[0].rstrip(".") for name, text in docs.items()}


def _solvers() -> Topics:
    from lowbit.allocate import METHODS

    return METHODS


def _scores() -> Topics:
    from lowbit.allocate.sensitivity.measure import SCORES

    return SCORES


def _verdicts() -> Topics:
    from lowbit.proof.nonlinear.result import VERDICTS

    return {name: f"of a proof: {words}" for name, words in VERDICTS.items()}


def _verbs() -> Topics:
    from lowbit.cli import VERBS

    return VERBS


GROUPS: dict[str, Callable[[], Topics]] = {
    "errors": lambda: ERROR_TOPICS,
    "statuses": lambda: {str(code.value): code.meaning for code in ExitCode},
    "verbs": _verbs,
    "options": options,
    "words": lambda: WORDS,
    "verdicts": _verdicts,
    "operations": _operations,
    "roundings": lambda: ROUNDINGS,
    "presets": lambda: PRESETS.summaries,
    "axes": lambda: Policy.AXES,
    "choices": _choices,
    "defects": lambda: {name: defect.summary for name, defect in DEFECTS.items()},
    "evidence": lambda: EVIDENCE,
    "block-presets": lambda: BLOCK_PRESETS.summaries,
    "block-axes": lambda: BlockPolicy.AXES,
    "accumulators": lambda: ACCUMULATORS.summaries,
    "accumulator-axes": lambda: Accumulator.AXES,
    "schemes": lambda: REQUANTIZE_SCHEMES.summaries,
    "scheme-axes": lambda: RequantizeScheme.AXES,
    "derivations": lambda: DERIVATIONS,
    "scale-products": lambda: SCALE_PRODUCTS,
    "nonlinear-schemes": _nonlinear_schemes,
    "variants": lambda: VARIANTS,
    "scheme-options": lambda: OPTIONS_OF_SCHEMES,
    "flags": _flags,
    "kernels": lambda: {name: kind.topic for name, kind in KINDS.items()},
    "layouts": _layouts,
    "methods": methods,
    "solvers": _solvers,
    "scores": _scores,
}
"""Group -> its topics with a line on each."""

TITLES = {
    "errors": "error code",
    "statuses": "exit status",
    "verbs": "verb",
    "options": "option",
    "words": "word",
    "verdicts": "verdict",
    "operations": "operation",
    "roundings": "choice of the axis `rounding`",
    "presets": "policy preset",
    "axes": "policy axis",
    "choices": "choice of an axis",
    "defects": "defect of a product",
    "evidence": "grade of evidence: the claim was",
    "block-presets": "preset of block formats",
    "block-axes": "axis of block formats",
    "accumulators": "accumulator preset",
    "accumulator-axes": "accumulator axis",
    "schemes": "requantisation scheme",
    "scheme-axes": "requantisation axis",
    "derivations": "derivation of a multiplier",
    "scale-products": "product of scales",
    "nonlinear-schemes": "integer-only scheme",
    "variants": "variant of an integer-only scheme",
    "scheme-options": "--option of an integer-only scheme",
    "flags": "vector flag: the bug that its rows are made to catch",
    "kernels": "kind of kernel of `lowbit check`",
    "layouts": "bit layout",
    "methods": "quantisation method",
    "solvers": "--solver of `lowbit allocate`",
    "scores": "--score of a layer",
}
