"""The three committed models as integer ones, calibrated and asked with what needs no download."""

from functools import cache

import numpy as np

from lowbit.models import load
from lowbit.models.characters import tokens, topics
from lowbit.models.conversion.convert import convert
from lowbit.models.functions import Parameters
from lowbit.models.stored import StoredModel

PRESETS = {"mnist_vit": "ivit", "mnist_resnet": "hawq_v3", "character_llama": "mobilequant_w8a8"}
NARROW = {"blocks.2.first.conv.weight": "int4.channel"}
SIZE, LENGTH, LONGEST = 28, 24, 32


def drawings(count, seed=0):
    """Images of a few strokes, (count, 28, 28), from 0 to 1."""
    generator, places = np.random.default_rng(seed), np.arange(SIZE)
    images = np.zeros((count, SIZE, SIZE))
    for image in images:
        for _ in range(4):
            first, last = generator.uniform(4, 24, (2, 2))
            for row, column in np.linspace(first, last, 20):
                near = (places[:, None] - row) ** 2 + (places - column) ** 2
                np.maximum(image, np.exp(-near / 3), out=image)
    return images


@cache
def committed(name):
    """An integer model, and codes that it is asked with."""
    stored = load(name)
    parameters = {key: array.astype(np.float64) for key, array in stored.parameters.items()}
    if name == "character_llama":
        parameters = {"lm_head.weight": parameters["embed_tokens.weight"], **parameters}
        text = tokens(topics(held_out=False)).astype(np.int32)
        batch, asked = text[: 8 * LONGEST].reshape(8, LONGEST), text[-2 * LENGTH :].reshape(2, LENGTH)
    else:
        batch, asked = drawings(24), drawings(3, 1)
    weights = NARROW if name == "mnist_resnet" else {}
    model = convert(_forward(stored), parameters, [batch], PRESETS[name], weights=weights).model
    return model, _codes(stored, parameters, model, asked)


def _forward(stored: StoredModel):
    return lambda parameters: lambda batch, apply: stored.architecture.logits(parameters, batch, apply)


def _codes(stored: StoredModel, parameters: Parameters, model, batch):
    """What the model takes in the place of a batch."""
    from lowbit.models.conversion.subject import Subject

    return Subject("", "", _forward(stored), parameters, (), ()).codes(model, batch)
