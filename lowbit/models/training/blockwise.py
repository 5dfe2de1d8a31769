"""Methods that learn the layers of a model block by block, with the options that they have for a layer alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from inspect import signature
from typing import Any

import numpy as np

from lowbit.models.layer_inputs import EvaluatedModel
from lowbit.models.sentences import SentenceModel
from lowbit.models.training.blocks import LearnedBlock, Part, Quantised, blocks_of
from lowbit.models.training.omniquant import Choices, learn_block
from lowbit.ops.block.dequantize import dequantize
from lowbit.ops.block.tensor import BlockTensor
from lowbit.quantizers.method import Method

ALONE = (
    "clips alone are learned, as officially for weights alone: equivalent transformations, which "
    "lowbit.models.training.omniquant learns, are not in the file"
)
"""What is not there of OmniQuant in a file."""
Tensors = Mapping[str, BlockTensor]
Take = Callable[[list[str], Callable[[], LearnedBlock]], Tensors]
"""``(names, learn) -> tensors`` of the weights of a block: those of a journal, or of what ``learn`` returns."""


def is_blockwise(method: Method, model: EvaluatedModel) -> bool:
    """Whether a method learns whole blocks of a model: of sentences, whose file has weights as the model has them."""
    return isinstance(model, SentenceModel) and method.name.partition(":")[0] in _LEARN


def options_of(method: Method) -> dict[str, Any]:
    """The values of a method's options, those that its name says and the others."""
    return {name: one.default for name, one in signature(method.quantize).parameters.items()}


def quantise_blocks(
    model: EvaluatedModel, samples: Iterable[str], method: Method, formats: Mapping[str, str], take: Take
) -> None:
    """Learn the blocks of a model one after the other, from what the quantised ones before make of samples.

    Parameters
    ----------
    model : SentenceModel
    samples : iterable of str
        Sentences.
    method : Method
        One that :func:`is_blockwise`.
    formats : mapping of str to str
        Of the weights that are quantised, by their names.
    take : callable
        Takes the names of each block's weights and what learns them, and returns their codes.

    Raises
    ------
    InputError
        A format does not fit a weight, or what is learned diverges.
    """
    blocks, options = blocks_of(model, samples), options_of(method)  # type: ignore[arg-type]
    learn = _LEARN[method.name.partition(":")[0]]

    def quantise(part: Part) -> Quantised:
        own = {name: formats[name] for name in part.linears if name in formats}
        tensors = take(list(own), lambda: learn(part, own, options)) if own else {}
        values = {name: dequantize(tensor) for name, tensor in tensors.items()}
        return lambda hidden: part.forward(values, hidden)

    for _ in blocks.walk(quantise):
        pass


def _omniquant(part: Part, formats: Mapping[str, str], options: Mapping[str, Any]) -> LearnedBlock:
    """The clips alone, as officially for weights alone; samples of a step have about as many rows as one of a layer."""
    rows = np.mean([one.size // one.shape[-1] for one in part.inputs])
    batch = max(1, round(options["batch"] / float(rows)))
    choices = Choices(formats, options["steps"], options["seed"], clip_rate=options["rate"], batch=batch)
    return learn_block(part, choices)


_LEARN: Mapping[str, Callable[[Part, Mapping[str, str], Mapping[str, Any]], LearnedBlock]] = {"omniquant": _omniquant}
