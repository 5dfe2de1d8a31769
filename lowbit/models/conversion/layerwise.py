"""An integer model beside its float twin, layer by layer, and output by output."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from lowbit.layers import Step
from lowbit.models.conversion.calibration import dequantized
from lowbit.models.conversion.subject import Subject
from lowbit.models.graph import IntegerModel
from lowbit.models.hook import plainly
from lowbit.ops.arrays import Array

FALLS_OFF = 0.99
"""The cosine below which a layer has fallen off its twin."""


@dataclass(frozen=True)
class LayerDistance:
    """How far a layer's results are from those of the float forward.

    Attributes
    ----------
    layer, operation : str
    format : str
        Of its codes.
    cosine : float
    largest : float
        The largest error, as a value.
    steps : float
        The same in codes.
    """

    layer: str
    operation: str
    format: str
    cosine: float
    largest: float
    steps: float


@dataclass(frozen=True)
class Outcome:
    """What integers cost the outputs on held-out data.

    Attributes
    ----------
    items : int
        Images, sequences or sentences.
    cosine : float
        Of an item's outputs and those of the float model, the mean; of a sentence's, their mean over its tokens.
    agreement, divergence : float or None
        Of classifiers: the share of items of the same class as the float model's, and the mean Kullback-Leibler
        divergence of its probabilities from the integer model's, in nats.
    float_accuracy, accuracy : float or None
        The share of items that each gives the right class, where it is known.
    """

    items: int
    cosine: float
    agreement: float | None
    divergence: float | None
    float_accuracy: float | None
    accuracy: float | None


def compare_layers(subject: Subject, model: IntegerModel, batch: Any) -> list[LayerDistance]:
    """The distance of every layer that has a twin, in the order of the model."""
    values: dict[str, Array] = {}

    def see(_: str, name: str, function: Callable[..., Any], *inputs: Any) -> Any:
        values[name] = np.asarray(function(*inputs))
        return values[name]

    subject.forward(subject.parameters)(batch, see)
    results: dict[str, Array] = {}

    def note(name: str, step: Step) -> None:
        results[name] = step.codes

    model.run(subject.codes(model, batch), note)
    twins = model.facts.get("twins", {})
    return [_distance(model, name, results[name], values[twins[name]]) for name in model.nodes if name in twins]


def _distance(model: IntegerModel, name: str, codes: Array, values: Array) -> LayerDistance:
    quantity = model.quantity(name)
    scale = np.asarray(model.facts.get("smooth", {}).get(name, 1.0))
    found = dequantized(codes, quantity) * scale
    error = np.abs(found - values)
    kind, steps = model.nodes[name].layer.operation, float((error / (quantity.scale * scale)).max())
    return LayerDistance(name, kind, quantity.format, cosine(found, values), float(error.max()), steps)


def cosine(one: Array, other: Array) -> float:
    """Of two arrays as vectors; 1 for two that are 0."""
    lengths = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float((one * other).sum() / lengths) if lengths else float(np.array_equal(one, other))


def falls_off(layers: list[LayerDistance]) -> LayerDistance | None:
    """The first layer whose cosine is below the limit."""
    return next((layer for layer in layers if layer.cosine < FALLS_OFF), None)


def measure(subject: Subject, model: IntegerModel) -> Outcome:
    """Run both over the held-out data."""
    forward = subject.forward(subject.parameters)
    pairs = [(subject.values(model, batch), np.asarray(forward(batch, plainly))) for batch in subject.held_out]
    if subject.is_sentences:
        cosines = [cosine(values.mean(axis=0), floats.mean(axis=0)) for values, floats in pairs]
        return Outcome(len(cosines), float(np.mean(cosines)), None, None, None, None)
    values, floats = (np.concatenate(part) for part in zip(*pairs, strict=True))
    similar = float(np.mean([cosine(*pair) for pair in zip(values, floats, strict=True)]))
    wanted, got = _logarithms(floats), _logarithms(values)
    divergence = float((np.exp(wanted) * (wanted - got)).sum(axis=-1).mean())
    agreement = float((values.argmax(axis=-1) == floats.argmax(axis=-1)).mean())
    right = (_accuracy(floats, subject.labels), _accuracy(values, subject.labels))
    return Outcome(len(values), similar, agreement, divergence, *right)


def _accuracy(scores: Array, labels: Array | None) -> float | None:
    """The share of items that are right, every one of their last places where there are several."""
    if labels is None:
        return None
    if labels.ndim == 1:
        return float((scores.argmax(axis=-1) == labels).mean())
    return float((scores[:, -labels.shape[1] :].argmax(axis=-1) == labels).all(axis=1).mean())


def _logarithms(scores: Array) -> Array:
    """Of the probabilities of a softmax."""
    less = scores - scores.max(axis=-1, keepdims=True)
    result: Array = less - np.log(np.exp(less).sum(axis=-1, keepdims=True))
    return result
