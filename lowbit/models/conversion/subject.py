"""The float models that lowbit knows by name, with what they are calibrated with and measured on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lowbit.errors import InputError
from lowbit.models.arithmetic import TASKS
from lowbit.models.characters import tokens as characters
from lowbit.models.characters import topics
from lowbit.models.conversion.calibration import Forward, dequantized, quantized
from lowbit.models.conversion.convert import Converted, convert
from lowbit.models.diffusion.dit import Dit
from lowbit.models.functions import Parameters
from lowbit.models.graph import IntegerModel
from lowbit.models.mnist import mnist
from lowbit.models.packages import MINILM, minilm
from lowbit.models.resnet import ResNet
from lowbit.models.stored import DIGITS, StoredModel, load, names
from lowbit.models.vit import Vit
from lowbit.models.wordpiece import tokens
from lowbit.ops.arrays import Array
from lowbit.printable import excerpt

CALIBRATION_STEP = 16
"""Every 16th image of the training set is in the calibration: 250 of 4,000."""
CALIBRATION_BATCHES = 10
"""Of these images: what a forward computes of a tenth stays in caches."""
SEQUENCE, CALIBRATION_SEQUENCES, HELD_OUT_SEQUENCES = 128, 16, 16
"""Characters in a sequence, and how many there are in the calibration and on what figures are measured."""
CALIBRATION_PROBLEMS, HELD_OUT_PROBLEMS = 256, 1024
TOPICS, PRESET_OF_TEXT = "topics", "mobilequant_w8a8"
WHITE = 255
"""A pixel is an integer up to it, and values are from 0 to 1."""


@dataclass(frozen=True)
class Subject:
    """A float model, and its data.

    Attributes
    ----------
    name : str
    preset : str
        Of its conversion, if none is asked for.
    forward : callable
        From parameters to the float forward.
    parameters : mapping of str to ndarray
    calibration, held_out : sequence
        Batches.
    labels : ndarray of int, optional
        The right class of each item of the held-out data, or the right tokens of the last places, (items, places).
    names : tuple of str
        Those of the classes.
    """

    name: str
    preset: str
    forward: Callable[[Parameters], Forward]
    parameters: Parameters
    calibration: Sequence[Any]
    held_out: Sequence[Any]
    labels: Array | None = None
    names: tuple[str, ...] = ()

    @property
    def is_sentences(self) -> bool:
        """Whether an output is a vector for each token of a sentence."""
        return self.name == MINILM

    def convert(self, preset: str | None = None, **options: Any) -> Converted:
        """The integer model."""
        facts = {"float": self.name, "labels": list(self.names)}
        chosen = preset or self.preset
        return convert(self.forward, self.parameters, self.calibration, chosen, facts=facts, **options)

    def codes(self, model: IntegerModel, batch: Any) -> Array:
        """What an integer model takes in the place of a batch: what the first operation takes, as codes."""
        taken: list[Any] = []

        def apply(kind: str, _: str, function: Callable[..., Any], *inputs: Any) -> Any:
            if kind != "reshape" and not taken:
                taken.append(np.asarray(inputs[0]))
            return function(*inputs)

        self.forward(self.parameters)(batch, apply)
        (quantity,) = model.inputs.values()
        if taken[0].dtype.kind in "iu":
            return np.ascontiguousarray(taken[0], quantity.scalar.code_dtype)
        return quantized(taken[0], quantity)

    def values(self, model: IntegerModel, batch: Any) -> Array:
        """What the codes that an integer model gives for a batch are worth."""
        return dequantized(model.run(self.codes(model, batch)), model.quantity(model.outputs[0]))


def subject_of(name: str, calibration: Sequence[str] = (), held_out: Sequence[str] = ()) -> Subject:
    """A model by name, or from a file of ``lowbit.models.load``.

    Parameters
    ----------
    name : str
        ``minilm``, or one of ``lowbit.models.stored.names()``.
    calibration, held_out : sequence of str
        Sentences, for ``minilm``.

    Raises
    ------
    InputError
        There is no such model, its package is not installed, or sentences are missing.
    """
    if name == MINILM:
        return _sentences(calibration, held_out)
    stored = load(name)
    if isinstance(stored.architecture, Dit):
        what = f"{excerpt(name)} makes images, and no integer arithmetic of its layers is known"
        raise InputError(what, hint=f"one of {', '.join(known_subjects())}")
    parameters = {key: array.astype(np.float64) for key, array in stored.parameters.items()}
    if isinstance(stored.architecture, Vit | ResNet):
        return _images(name, stored, parameters)
    return _sequences(name, stored, parameters)


def known_subjects() -> list[str]:
    """The names."""
    return [*(name for name in names() if name != DIGITS), MINILM]


def _images(name: str, stored: StoredModel, parameters: Parameters) -> Subject:
    seen, _ = mnist(held_out=False)
    images, labels = mnist(held_out=True)
    preset = "ivit" if isinstance(stored.architecture, Vit) else "hawq_v3"
    digits = tuple("0123456789")
    batches = np.array_split(seen[::CALIBRATION_STEP] / WHITE, CALIBRATION_BATCHES)
    return Subject(name, preset, _logits(stored), parameters, batches, [images / WHITE], labels, digits)


def _sequences(name: str, stored: StoredModel, parameters: Parameters) -> Subject:
    parameters = {"lm_head.weight": parameters["embed_tokens.weight"], **parameters}
    data = np.atleast_1d(stored.facts.get("data", "")).tolist()
    if data == [TOPICS]:
        seen, others = _text(CALIBRATION_SEQUENCES, held_out=False), _text(HELD_OUT_SEQUENCES, held_out=True)
        return Subject(name, PRESET_OF_TEXT, _logits(stored), parameters, seen, others)
    if not set(data) <= set(TASKS):
        raise InputError(f"{name} has no data that it could be calibrated with", hint=", ".join(known_subjects()))
    seen = [TASKS[task].problems(CALIBRATION_PROBLEMS, 2, held_out=False)[:, :-1] for task in data]
    task = TASKS[data[0]]
    problems = task.problems(HELD_OUT_PROBLEMS, 3, held_out=True)
    labels = problems[:, task.prompt :]
    return Subject(name, PRESET_OF_TEXT, _logits(stored), parameters, seen, [problems[:, :-1]], labels)


def _text(count: int, *, held_out: bool) -> list[Array]:
    """Sequences of the text that the character model knows, a batch."""
    return [characters(topics(held_out=held_out))[: count * SEQUENCE].astype(np.int32).reshape(count, SEQUENCE)]


def _sentences(calibration: Sequence[str], held_out: Sequence[str]) -> Subject:
    if not calibration or not held_out:
        raise InputError(
            "minilm is calibrated with sentences, and measured on others",
            hint="--calibrate and --held-out of `lowbit run minilm --save FILE`, whose file other verbs take",
        )
    model = minilm()
    seen, others = (
        [np.asarray(tokens(text, model.vocabulary), np.int32) for text in texts] for texts in (calibration, held_out)
    )

    def forward(parameters: Parameters) -> Forward:
        return lambda batch, apply: model.encoder.hidden(parameters, batch, apply=apply)

    return Subject(MINILM, "ibert", forward, model.parameters, seen, others)


def _logits(stored: StoredModel) -> Callable[[Parameters], Forward]:
    return lambda parameters: replace(stored, parameters=parameters).logits
