"""What a layer is if somebody computes it otherwise: the hypotheses on a layer whose codes differ.

A hypothesis changes one thing: the rounding of a requantisation, a zero point that is left out, a bias that is not
added, a mask that is not there. It holds if it gives every code that the kernel gave, from the layer's own inputs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import NamedTuple

import numpy as np

from lowbit.check.model.attention_bugs import attention_bugs
from lowbit.check.model.field_bugs import field_bugs
from lowbit.check.model.hypothesis import REFUSALS, LayerBug, of_result, result_of
from lowbit.check.model.nonlinear_bugs import function_bugs
from lowbit.check.model.product_bugs import product_bugs
from lowbit.check.model.rescale_bugs import REQUANTISES, rescale_bugs
from lowbit.layers import Attention, Layer
from lowbit.ops.types import Array
from lowbit.policy.requantize import REQUANTIZE_SCHEMES

PROBE_ROWS, PROBE_CODES = 8, 512
"""Of a layer that takes each row by itself, in which a hypothesis is tried first: at most, and about how many codes."""
NAMES_AT_MOST = 4
"""Schemes that a claim names where the codes do not tell them apart."""


class Probe(NamedTuple):
    """A small part of a layer's inputs and of what a kernel made of it, by which most hypotheses are refuted."""

    inputs: tuple[Array, ...]
    result: Array


def explain(layer: Layer, inputs: tuple[Array, ...], answers: Mapping[str, Array], result: Array | None) -> list[str]:
    """The hypotheses under which a layer gives exactly what a kernel gave, in words.

    ``answers``: what the kernel gave for intermediates, by their labels; ``result``: what it gave for the result.
    """
    probe = _probe(layer, inputs, result)
    found: dict[str, list[LayerBug]] = {}
    for bug in layer_bugs(layer, inputs, result):
        if probe is not None and bug.by_item and not _gives(bug, probe.inputs, {}, probe.result):
            continue
        if _gives(bug, inputs, answers, result):
            found.setdefault(bug.words, []).append(bug)
    return [_joined(bugs).words for bugs in found.values()]


def layer_bugs(layer: Layer, inputs: tuple[Array, ...], result: Array | None) -> Iterator[LayerBug]:
    """All hypotheses on a layer, the likely ones first."""
    families = field_bugs, attention_bugs, rescale_bugs, product_bugs, function_bugs
    yield from chain.from_iterable(family(layer) for family in families)
    if result is not None:
        yield from _measured_bugs(layer, inputs, result)


def _measured_bugs(layer: Layer, inputs: tuple[Array, ...], result: Array) -> Iterator[LayerBug]:
    """Those whose numbers the codes suggest."""
    own = result_of(layer.steps(*inputs)).astype(np.int64)
    ends = layer.result.scalar.codes
    inside = (np.minimum(own, result) > ends[0]) & (np.maximum(own, result) < ends[-1])
    added = int(np.median((result - own)[inside])) if inside.any() else 0
    if added:
        words = f"adds {added} to every code"
        yield of_result(layer, lambda codes: np.clip(codes.astype(np.int64) + added, ends[0], ends[-1]), words)
    if result.size and (result == result.flat[0]).all():
        constant = int(result.flat[0])
        yield of_result(layer, lambda codes: np.full_like(codes, constant), f"writes {constant} everywhere")


def _gives(bug: LayerBug, inputs: tuple[Array, ...], answers: Mapping[str, Array], result: Array | None) -> bool:
    """Whether a hypothesis gives everything that a kernel gave."""
    try:
        steps = list(bug.steps(*inputs))
    except REFUSALS:  # it does not apply to this layer
        return False
    seen: Iterable[tuple[Array, Array]] = [(step.codes, answers[step.label]) for step in steps if step.label in answers]
    if result is not None and steps:
        seen = [*seen, (steps[-1].codes, result)]
    return bool(seen) and all(one.shape == other.shape and np.array_equal(one, other) for one, other in seen)


def _probe(layer: Layer, inputs: tuple[Array, ...], result: Array | None) -> Probe | None:
    """The first small part that the layer makes by itself what it makes of it among the rest."""
    if result is None:
        return None
    own = result_of(layer.steps(*inputs))
    for probe, expected in _parts(layer, inputs, result, own):
        try:
            alone = result_of(layer.steps(*probe.inputs))
        except REFUSALS:
            continue
        if np.array_equal(alone, expected):
            return probe
    return None


def _parts(layer: Layer, inputs: tuple[Array, ...], result: Array, own: Array) -> Iterator[tuple[Probe, Array]]:
    """Parts of inputs with wrong results, the smallest first, and what the right results are among the rest."""
    wrong = result != own
    if isinstance(layer, Attention):  # whose last queries are those of the last keys
        item = _worst(wrong)
        one = tuple(array[item : item + 1] for array in inputs) if result.ndim > 2 else inputs
        queries = np.s_[..., -2:, :]
        right, left = (array[item : item + 1] if result.ndim > 2 else array for array in (own, result))
        if (right != left)[queries].any():
            yield Probe((one[0][queries], *one[1:]), left[queries]), right[queries]
    if result.ndim > 1 and all(array.shape[:-1] == result.shape[:-1] for array in inputs):
        count = wrong.reshape(-1, wrong.shape[-1]).sum(axis=1)
        rows = np.sort(np.argsort(-count, kind="stable")[: min(max(PROBE_CODES // wrong.shape[-1], 1), PROBE_ROWS)])
        flat = [array.reshape(-1, array.shape[-1])[rows] for array in (*inputs, result, own)]
        yield Probe(tuple(flat[:-2]), flat[-2]), flat[-1]
    if result.ndim > 1 and all(len(array) == len(result) for array in inputs):
        item = _worst(wrong)
        part = [array[item : item + 1] for array in (*inputs, result, own)]
        yield Probe(tuple(part[:-2]), part[-2]), part[-1]


def _worst(wrong: Array) -> int:
    """The item of a batch with the most wrong codes."""
    return int(wrong.reshape(len(wrong), -1).sum(axis=1).argmax())


def _joined(bugs: list[LayerBug]) -> LayerBug:
    """Hypotheses of the same words as one, the remote ones only where there are no others."""
    near = [bug for bug in bugs if not bug.remote] or bugs
    words, names = near[0].words, list(dict.fromkeys(bug.name for bug in near))
    if len(names) == 1 and words.startswith(REQUANTISES) and names[0] in REQUANTIZE_SCHEMES:
        return LayerBug(words.format(f"{names[0]}: {REQUANTIZE_SCHEMES.summaries[names[0]]}"), near[0].steps)
    if len(names) > NAMES_AT_MOST:
        first, more = ", ".join(names[:NAMES_AT_MOST]), len(names) - NAMES_AT_MOST
        return LayerBug(words.format(f"{first} or one of {more} more"), near[0].steps)
    return LayerBug(words.format(" or ".join(filter(None, (", ".join(names[:-1]), names[-1])))), near[0].steps)
