"""The nonlinearities inside of the layers of an integer model: an audit of each, for the codes that reach it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from lowbit.errors import InputError, LowbitError
from lowbit.layers.attention import Attention
from lowbit.layers.layer import Interval, Layer, Quantity
from lowbit.layers.nonlinear import SHIFT_INVARIANT, Activation, Nonlinearity, Silu
from lowbit.layers.norm import Norm
from lowbit.models.graph import IntegerModel
from lowbit.proof.nonlinear.audit import audit
from lowbit.proof.nonlinear.result import OPEN, PROVED, row_in_words

PAIR = 2
"""Codes of a row in which a function of single codes, or of a code and its row's maximum, takes all its values."""


class FunctionProof(NamedTuple):
    """What is known of the intermediates of a nonlinearity of a layer."""

    layer: str
    title: str  # "softmax under ivit, rows of 197 codes from -128 to 127"
    verdict: str  # "proved" or "open": an audit that refutes has a row of codes, which the model need not reach
    words: str  # the first intermediate that can leave its width, and a row; empty if none can


def audits_of(model: IntegerModel, intervals: Mapping[str, Interval]) -> Iterator[FunctionProof]:
    """The audits of all nonlinearities, in order; ``intervals``: where each edge of the model lies."""
    for name, node in model.nodes.items():
        for function, quantity, codes, length in _calls(node.layer, [intervals[source] for source in node.inputs]):
            yield _audited(name, function, quantity, codes.whole(), length)


def _calls(layer: Layer, ranges: Sequence[Interval]) -> Iterator[tuple[Nonlinearity, Quantity, Interval, int]]:
    """The nonlinearities of a layer: what their codes mean, where they lie, and how long a row is at most."""
    if isinstance(layer, Attention):
        yield layer.softmax, layer.scores.result, layer.scores.result.interval, layer.longest
    elif isinstance(layer, Norm):
        yield layer.function, layer.input, ranges[0], layer.length
    elif isinstance(layer, Activation | Silu):
        yield layer.function, layer.input, ranges[0], max(ranges[0].low.size, PAIR)


def _audited(name: str, function: Nonlinearity, quantity: Quantity, codes: Interval, length: int) -> FunctionProof:
    call = function.parameters(quantity)
    centred = function.function not in SHIFT_INVARIANT and "zero_point" not in function.record.options
    low, high = (int(end) - (quantity.zero_point if centred else 0) for end in codes)
    title = f"{function.record.title}, rows of {length:,} codes from {low:,} to {high:,}"
    if len(call.widths.steps) == 1:
        return FunctionProof(name, title, PROVED, "")
    if not function.record.audited:
        return FunctionProof(name, title, OPEN, "there is no audit of it")
    options = tuple(sorted(call.options.items()))
    try:
        given = (function.function, call.scheme.id, call.variant, call.scale, call.bits, options)
        verdict = _verdict(*given, (low, high), length)
    except LowbitError as error:
        raise InputError(f"layer {name!r}: {error.message}", hint=error.hint) from error
    return FunctionProof(name, title, *verdict)


@lru_cache(maxsize=256)
def _verdict(
    operation: str, scheme: str, variant: str, scale: Any, bits: int | None, options: Any, codes: Any, length: int
) -> tuple[str, str]:
    """The verdict of an audit, and the first intermediate that is not proved; many layers ask for the same."""
    given = {"variant": variant or None, "inputs": codes, "scale": scale, "bits": bits, **dict(options)}
    report = audit(operation, scheme=scheme, length=length, **given)
    if report.verdict == PROVED:
        return PROVED, ""
    first = report.first_overflow
    if first is None or first.witness is None:
        names = ", ".join(repr(finding.step.name) for finding in report.findings if finding.verdict != PROVED)
        return OPEN, f"{names} cannot be bounded"
    words = f"{first.step.name!r} is {first.value:,} for {row_in_words(first.witness)}, and has {first.step.bits} bits"
    return OPEN, words
