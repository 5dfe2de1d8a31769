"""A walk through the blocks of a model: what goes into each, and what should come out of it.

The one walk under OmniQuant, QLLM, decoupleQ, MREM and their like, which differ in what they learn of a block, in
whether its inputs come from the quantised or the float blocks before it, and in how many blocks make one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from lowbit.errors import InputError
from lowbit.models.bert import Bert
from lowbit.models.functions import Parameters
from lowbit.models.hook import Apply, plainly
from lowbit.models.language.model import LanguageModel
from lowbit.models.llama import Llama
from lowbit.models.sentences import SentenceModel
from lowbit.models.stored import StoredModel
from lowbit.models.wordpiece import tokens
from lowbit.ops.arrays import Array
from lowbit.ops.block.tensor import BlockTensor
from lowbit.policy.choices import require_choice
from lowbit.quantizers.learned.gradients import differentiable
from lowbit.quantizers.learned.reconstruction import Reconstruction
from lowbit.quantizers.learned.settings import checked

PREFIXES = {
    "quantised": "what the quantised blocks before make of it (OmniQuant, QLLM)",
    "float": "what the float blocks before make of it: blocks are then independent of one another",
}
Quantised = Callable[[Any], Any]
"""A block, or several in a row, as they are after quantisation: states in, states out."""


@dataclass(frozen=True, eq=False)
class Part:
    """A block of a model, or several in a row, with samples of what goes through it.

    Attributes
    ----------
    architecture : Bert or Llama
        Over arrays that can be differentiated.
    numbers : range
        Of the blocks.
    parameters : mapping of str to ndarray
        Of these blocks alone, by the names that they have in the model.
    inputs : tuple of ndarray, shape (..., tokens, width)
        Of each sample, from the quantised or the float prefix.
    float_inputs, targets : tuple of ndarray
        The same from the float prefix, and what the float blocks make of that.
    """

    architecture: Bert | Llama
    numbers: range
    parameters: Mapping[str, Array]
    inputs: tuple[Array, ...]
    float_inputs: tuple[Array, ...]
    targets: tuple[Array, ...]

    @property
    def names(self) -> list[str]:
        """What the names of each block's parameters begin with."""
        return [self.architecture.block_name(number) for number in self.numbers]

    @property
    def linears(self) -> list[str]:
        """The names of the weights of the linear layers."""
        return [name for name, array in self.parameters.items() if array.ndim == 2]

    def forward(self, parameters: Parameters, hidden: Any, apply: Apply = plainly) -> Any:
        """What the blocks make of states, with some of their parameters replaced.

        Parameters
        ----------
        parameters : mapping of str to array
            In place of the part's own of these names; others, biases that a model does not have, are added.
        hidden : array, shape (..., tokens, width)
        apply : callable
            Stands around every operation: see :mod:`lowbit.models.hook`.
        """
        own = {**self.parameters, **parameters}
        for number in self.numbers:
            hidden = self.architecture.block(own, number, hidden, apply)
        return hidden

    def augmented(self) -> tuple[Array, ...]:
        """What the float blocks make of the inputs as they are: the second target of OmniQuant's ``aug_loss``."""
        return tuple(np.asarray(self.forward({}, one)) for one in self.inputs)


@dataclass(frozen=True, eq=False)
class LearnedBlock:
    """A block of a model, quantised.

    Attributes
    ----------
    part : Part
        With the samples that it was learned from.
    tensors : mapping of str to BlockTensor
        The codes of its weights.
    parameters : mapping of str to ndarray
        All that stands in place of its float parameters: the values of the codes, norms and biases as transformed.
    apply : callable
        The hook that rounds its activations.
    reconstruction : Reconstruction
        Errors are of the outputs that the float model has there.
    """

    part: Part
    tensors: Mapping[str, BlockTensor]
    parameters: Mapping[str, Array]
    apply: Apply
    reconstruction: Reconstruction

    def forward(self, hidden: Any) -> Any:
        """What the quantised block makes of states."""
        return self.part.forward(self.parameters, hidden, self.apply)


@dataclass(frozen=True, eq=False)
class Blocks:
    """A model as its blocks, and what goes into the first one.

    Attributes
    ----------
    architecture : Bert or Llama
        Over arrays that can be differentiated.
    parameters : mapping of str to ndarray
        Of the whole model, in one precision.
    inputs : tuple of ndarray, shape (..., tokens, width)
        Of each sample.
    """

    architecture: Bert | Llama
    parameters: Mapping[str, Array]
    inputs: tuple[Array, ...]

    def parts(self, length: int = 1) -> list[range]:
        """The numbers of the blocks, as many at a time; the last part may be shorter."""
        checked(length=length)
        count = self.architecture.layers
        return [range(start, min(start + length, count)) for start in range(0, count, length)]

    def part(self, numbers: range, inputs: Iterable[Array], float_inputs: Iterable[Array]) -> Part:
        """Some blocks in a row with samples of their inputs; the targets are computed."""
        names = tuple(f"{self.architecture.block_name(number)}." for number in numbers)
        own = {name: array for name, array in self.parameters.items() if name.startswith(names)}
        part = Part(self.architecture, numbers, own, tuple(inputs), tuple(float_inputs), ())
        return replace(part, targets=tuple(np.asarray(part.forward({}, one)) for one in part.float_inputs))

    def walk(
        self, quantise: Callable[[Part], Quantised], *, prefix: str = "quantised", length: int = 1
    ) -> Iterator[Part]:
        """Quantise the blocks one after the other.

        Parameters
        ----------
        quantise : callable
            Takes a part with its samples, and returns what stands in its place.
        prefix : str
            One of ``PREFIXES``: what the inputs of a part are.
        length : int
            Blocks of a part.

        Yields
        ------
        part : Part
            As ``quantise`` had it.

        Raises
        ------
        PolicyError
            The prefix is unknown.
        """
        require_choice("prefix", prefix, PREFIXES)
        inputs = floats = self.inputs
        for numbers in self.parts(length):
            part = self.part(numbers, inputs, floats)
            quantised = quantise(part)
            yield part
            floats = part.targets
            inputs = floats if prefix == "float" else tuple(np.asarray(quantised(one)) for one in part.inputs)


def blocks_of(
    model: SentenceModel | LanguageModel | StoredModel, samples: Iterable[Any], dtype: npt.DTypeLike = np.float32
) -> Blocks:
    """A model as its blocks, with samples of text.

    Parameters
    ----------
    model : SentenceModel, LanguageModel or StoredModel
        The last one of a Llama.
    samples : iterable
        Sentences for a model of sentences, else arrays of tokens, shape (..., tokens): windows of one length side by
        side are one sample, which is faster.
    dtype : dtype
        Of the parameters and the states.

    Raises
    ------
    InputError
        There are no samples, the model does not consist of blocks with states between them, or autograd is not
        installed.
    """
    kind = np.dtype(dtype)
    parameters = {name: np.asarray(array, kind) for name, array in model.parameters.items()}
    architecture: Any = model.encoder if isinstance(model, SentenceModel) else getattr(model, "decoder", None)
    if isinstance(model, StoredModel):
        architecture = model.architecture
    if not isinstance(architecture, Bert | Llama):
        what = f"{type(architecture).__name__} does not have blocks with states between them here"
        raise InputError(what, hint="a BERT or a Llama")
    over = differentiated(architecture)
    read: Any = partial(tokens, vocabulary=model.vocabulary) if isinstance(model, SentenceModel) else np.asarray
    inputs = tuple(np.asarray(over.embedded(parameters, read(sample))) for sample in samples)
    if not inputs:
        raise InputError("there are no samples to walk through the blocks with", hint="at least one")
    return Blocks(over, parameters, inputs)


def differentiated(architecture: Bert | Llama) -> Any:
    """An architecture over arrays that can be differentiated."""
    own = {field.name for field in fields(architecture)}
    return replace(architecture, **{name: part for name, part in differentiable().model().items() if name in own})
