"""The inputs of a model's linear layers for the text of a file: what methods are calibrated with, and held out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, wraps
from hashlib import sha256
from math import inf
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self, TypeVar, cast

import numpy as np

from lowbit.errors import InputError
from lowbit.files.gguf import is_gguf, read_gguf
from lowbit.files.reading import unreadable
from lowbit.files.safetensors import Entry, read_header
from lowbit.files.selection import LeftOut
from lowbit.models.language.model import LanguageModel, hugging_face_name
from lowbit.models.sentences import SentenceModel, sentences_of
from lowbit.ops.arrays import Array

Function = TypeVar("Function", bound=Callable[..., Any])


def kept(count: int) -> Callable[[Function], Function]:
    """Keep the last results of a function of a file and more, as long as the file is not written again."""

    def decorated(function: Function) -> Function:
        @lru_cache(maxsize=count)
        def result(path: str, modified: int, *arguments: Any) -> Any:
            del modified
            return function(path, *arguments)

        @wraps(function)
        def of_file(file: str | Path, *arguments: Any) -> Any:
            path = Path(file)
            return result(str(path), path.stat().st_mtime_ns if path.exists() else 0, *arguments)

        return cast("Function", of_file)

    return decorated


class EvaluatedModel(Protocol):
    """A model that methods are tried on: one of sentences, or one of language.

    Attributes
    ----------
    SAMPLE : str
        What a text is cut into, in a word.
    DTYPE : type
        Of the arithmetic of its forward pass.
    parameters : mapping of str to ndarray
    linears : list of str
        The names of the weights of the linear layers, in the order of the pass.
    """

    SAMPLE: ClassVar[str]
    DTYPE: ClassVar[type]

    @property
    def parameters(self) -> Mapping[str, Array]: ...
    @property
    def linears(self) -> list[str]: ...
    def samples(self, text: str, file: str) -> tuple[Any, ...]:
        """What a text is cut into."""

    def lengths(self, samples: Iterable[Any]) -> list[int]:
        """How many rows of inputs each sample has."""

    def inputs(self, samples: Iterable[Any], names: Sequence[str] | None = None) -> Mapping[str, Array]:
        """What goes into linear layers, by the name of the weight, shape (rows, inputs)."""

    def readers(self) -> Mapping[str, tuple[str, ...]]:
        """For the weight of each linear layer those of all that read the same array."""

    def with_weights(self, weights: Mapping[str, Array]) -> Self:
        """The same model with some parameters replaced."""

    def embed(self, samples: Iterable[Any]) -> Array:
        """What the model makes of samples, to be compared."""

    def figures(self, samples: Sequence[Any], reference: Array) -> dict[str, float]:
        """How good it is on samples, beside the results of a reference."""


@dataclass(frozen=True)
class Text:
    """A file of text.

    Attributes
    ----------
    file, sha256 : str
        Its name, and the digest of its bytes.
    samples : tuple
        What the model cuts it into: sentences, or windows of tokens.
    """

    file: str
    sha256: str
    samples: tuple[Any, ...]


@dataclass(frozen=True, eq=False)
class Outputs:
    """What a layer's outputs on a text are, as far as errors of its weights go.

    Attributes
    ----------
    rows : ndarray
        With the same Gram matrix as the layer's inputs, of which there are as many or more: ``|X E^T| = |R E^T|`` where
        ``X = Q R``.
    squares : float
        The sum of the squares of the float model's outputs.
    """

    rows: Array
    squares: float

    def error(self, errors: Array) -> float:
        """The squared error of the outputs over their squares, from the errors of the weights."""
        left = _squares(self.rows, errors)
        return left / self.squares if self.squares else inf if left else 0.0


def _squares(rows: Array, weights: Array) -> float:
    outputs = rows.astype(np.float64) @ weights.astype(np.float64).T
    return float(np.vdot(outputs, outputs))


def condensed(rows: Array) -> Array:
    """Rows with the same Gram matrix, no more than inputs where that spares more than it costs."""
    if len(rows) < 2 * rows.shape[1]:
        return rows
    return np.asarray(np.linalg.qr(rows.astype(np.float64), mode="r"))


def read_sentences(file: str | Path, weights: str | Path | None = None) -> tuple[Any, ...]:
    """The samples of a file: see :func:`read_text`."""
    return read_text(file, weights).samples


def read_text(file: str | Path, weights: str | Path | None = None) -> Text:
    """A text in UTF-8, cut up for the model of ``weights``; into lines where none is named.

    Raises InputError: the file cannot be read, is not UTF-8, or has nothing for the model.
    """
    try:
        content = Path(file).read_bytes()
        text = content.decode("utf-8")
    except OSError as error:
        raise unreadable(file, error) from error
    except UnicodeDecodeError as error:
        raise InputError(f"{file} is not UTF-8: byte {error.start:,} is {error.object[error.start]:#04x}") from error
    name = str(file)
    samples = tuple(sentences_of(text, name).values()) if weights is None else model_of(weights).samples(text, name)
    return Text(name, sha256(content).hexdigest(), samples)


@kept(1)
def model_of(weights: str | Path) -> EvaluatedModel:
    """The model that a safetensors file and config.json and vocab.txt beside it make, or a GGUF file; the last is kept.

    Raises InputError: a file is missing or broken.
    """
    path = Path(weights)
    return LanguageModel.read(path) if is_gguf(path) else SentenceModel.read(path.parent, path)


@kept(2)
def layer_inputs(weights: str | Path, samples: tuple[Any, ...], names: tuple[str, ...]) -> Mapping[str, Array]:
    """What goes into linear layers, by the name of the weight, shape (rows, inputs): the rows of all samples.

    Those of two texts are kept, so that the tasks of a campaign share one forward pass over each.
    """
    result = model_of(weights).inputs(samples, names)
    for array in result.values():
        array.flags.writeable = False  # so that their Gram matrices are kept
    return result


@kept(1)
def layer_outputs(weights: str | Path, samples: tuple[Any, ...], names: tuple[str, ...]) -> Mapping[str, Outputs]:
    """What errors of linear layers are measured by, by the name of the weight; those of one text are kept."""
    model = model_of(weights)
    inputs = model.inputs(samples, names)
    rows = {id(array): condensed(array) for array in {id(one): one for one in inputs.values()}.values()}
    result = {}
    for name, array in inputs.items():
        own = rows[id(array)]
        result[name] = Outputs(own, _squares(own, model.parameters[name]))
    return result


def seen_layers(weights: str | Path, entries: Iterable[Entry]) -> tuple[list[Entry], tuple[LeftOut, ...]]:
    """Of some tensors of a model those that sentences go through, and the others with that reason.

    Raises InputError: they go through none of them.
    """
    linears, chosen = set(model_of(weights).linears), list(entries)
    inside = names_in_model(weights, (entry.name for entry in chosen))
    kept = [entry for entry in chosen if inside[entry.name] in linears]
    if not kept:
        raise InputError(f"{weights}: sentences go through none of the {len(chosen)} tensors that are chosen")
    others = (entry for entry in chosen if inside[entry.name] not in linears)
    reason = "no sentence of the calibration goes through it"
    return kept, tuple(LeftOut(entry.name, entry.dtype, entry.shape, entry.size, reason) for entry in others)


@kept(1)
def float_vectors(weights: str | Path, samples: tuple[Any, ...]) -> Array:
    """What the model makes of samples, kept as :func:`layer_inputs` are."""
    return model_of(weights).embed(samples)


@kept(1)
def float_figures(weights: str | Path, samples: tuple[Any, ...]) -> Mapping[str, float]:
    """How good the model is on samples, kept as well."""
    return model_of(weights).figures(samples, float_vectors(weights, samples))


def names_in_model(weights: str | Path, names: Iterable[str]) -> dict[str, str]:
    """The names that tensors of a file have in the model, which in GGUF files are others."""
    other = is_gguf(Path(weights))
    return {name: hugging_face_name(name) if other else name for name in names}


def stored_parameters(weights: str | Path) -> dict[str, Entry]:
    """How a file has each parameter, by the name that it has in the model.

    Raises InputError: it is not a safetensors or GGUF file.
    """
    path = Path(weights)
    if not is_gguf(path):
        return read_header(path).entries
    return {hugging_face_name(name): entry for name, entry in read_gguf(path).entries.items()}
