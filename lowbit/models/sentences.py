"""A model of sentences: text in, vectors of length 1 out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import index
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from lowbit.errors import InputError
from lowbit.files.safetensors import read_header
from lowbit.models.bert import Bert, plain_linear
from lowbit.models.functions import replaced
from lowbit.models.wordpiece import START, STOP, UNKNOWN, tokens
from lowbit.ops.arrays import Array
from lowbit.printable import excerpt

TABLES = tuple(f"embeddings.{kind}_embeddings.weight" for kind in ("word", "position", "token_type"))
WORDS, POSITIONS = TABLES[:2]
EPSILON = "layer_norm_eps"
WEIGHTS = "model.safetensors"
BESIDE = ("config.json", "vocab.txt")


@dataclass(frozen=True, eq=False)
class SentenceModel:
    """An encoder, its parameters in binary64, and the vocabulary.

    Attributes
    ----------
    encoder : Bert
    parameters : mapping of str to ndarray
    vocabulary : mapping of str to int
    """

    encoder: Bert
    parameters: Mapping[str, Array]
    vocabulary: Mapping[str, int]

    @classmethod
    def read(cls, directory: str | Path, weights: str | Path | None = None) -> SentenceModel:
        """A model from a folder with config.json, vocab.txt and model.safetensors, or other weights.

        Raises InputError: a file is missing or broken.
        """
        folder = Path(directory)
        try:
            config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
            words = (folder / "vocab.txt").read_text(encoding="utf-8").splitlines()
            shape = _encoder(config)
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            hint = _hint(Path(weights or folder / WEIGHTS))
            raise InputError(f"{folder} does not hold a BERT model: {_reason(error)}", hint=hint) from error
        file = read_header(weights or folder / WEIGHTS)
        names = [name for name, entry in file.entries.items() if entry.floating]
        parameters = {name: np.asarray(file.tensor(name), np.float64) for name in names}
        model = cls(shape, parameters, {word: number for number, word in enumerate(words)})
        model._require_parts(file.path)
        return model

    SAMPLE: ClassVar[str] = "sentence"
    DTYPE: ClassVar[type] = np.float64

    @property
    def linears(self) -> list[str]:
        """The names of the weights of all linear layers, in the order of the pass."""
        return self.encoder.linears()

    def samples(self, text: str, file: str) -> tuple[str, ...]:
        """The lines of a text that are not blank; ``file``: where it is from.

        Raises InputError: there are none, or one is too long.
        """
        lines = sentences_of(text, file)
        for (number, line), length in zip(lines.items(), self.lengths(lines.values()), strict=True):
            if length > self.longest:
                what = f"{file}, line {number}: {excerpt(line)} has {length} pieces of words"
                raise InputError(f"{what}, and the model has positions for {self.longest}", hint="shorter lines")
        return tuple(lines.values())

    def figures(self, texts: Sequence[str], reference: Array) -> dict[str, float]:
        """The cosines of the vectors of texts and those of a reference: the mean, and the lowest."""
        vectors = self.embed(texts)
        equal = np.array_equal(vectors, reference)
        cosines = np.ones(len(vectors)) if equal else (vectors * reference).sum(axis=1)
        return {"similarity": float(cosines.mean()), "lowest_similarity": float(cosines.min())}

    def _require_parts(self, path: Path) -> None:
        """Refuse a model that lacks a layer of its config or a word that every text has."""
        shapes = {name: array.shape for name, array in self.parameters.items()}
        encoder = replace(self.encoder, layers=min(self.encoder.layers, len(shapes)))  # one more than there can be
        wrong = next((name for name in (*TABLES, *encoder.linears()) if len(shapes.get(name, ())) != 2), None)
        if wrong is not None:
            what = f"{path} does not have {wrong!r}, a matrix of the model that config.json describes"
            raise InputError(what, hint=_hint(path))
        width = shapes[WORDS][1]
        needed: dict[str, tuple[int, ...]] = {name: (shapes[name][0], width) for name in TABLES}
        needed |= encoder.shapes(width, shapes["encoder.layer.0.intermediate.dense.weight"][0])
        for name, wanted in needed.items():
            if shapes.get(name) != wanted:
                what = f"has {name!r} of shape {shapes[name]}" if name in shapes else f"does not have {name!r}"
                raise InputError(f"{path} {what}: config.json and the words ask for {wanted}")
        if width % encoder.heads:
            raise InputError(f"{path}: {encoder.heads} heads do not divide the width of {width}", hint="config.json")
        if max(self.vocabulary.values(), default=0) >= shapes[WORDS][0]:
            raise InputError(f"{path}: {len(self.vocabulary)} words in vocab.txt, and {shapes[WORDS][0]} in the table")
        lacking = next((word for word in (START, STOP, UNKNOWN) if word not in self.vocabulary), None)
        if lacking is not None:
            raise InputError(f"{path.parent / 'vocab.txt'} does not have {lacking}")

    def embed(self, texts: Iterable[str]) -> Array:
        """The vector of each text, shape (texts, width): the mean of the hidden states, of length 1."""
        means = [self._hidden(text).mean(axis=0) for text in _listed(texts)]
        vectors = [mean / np.linalg.norm(mean) for mean in means]
        return np.stack(vectors) if vectors else np.empty((0, self.parameters[WORDS].shape[1]))

    def inputs(self, texts: Iterable[str], names: Sequence[str] | None = None) -> dict[str, Array]:
        """What goes into linear layers, by the name of the weight: the rows of all texts, one below the other."""
        linears = self.encoder.linears()
        wanted = set(linears if names is None else names)
        for name in sorted(wanted - set(linears), key=str):
            raise InputError(f"{excerpt(str(name))} is not the weight of a linear layer", hint=f"{linears[0]}, say")
        seen: dict[str, list[Array]] = {}

        def linear(name: str, values: Any, weight: Any, bias: Any) -> Any:
            if name in wanted:
                seen.setdefault(name, []).append(values)
            return plain_linear(name, values, weight, bias)

        for text in _listed(texts):
            self._hidden(text, linear)
        return {name: np.concatenate(rows) for name, rows in seen.items()}

    @property
    def longest(self) -> int:
        """How many pieces of words a text may have, start and end included."""
        return len(self.parameters[POSITIONS])

    def readers(self) -> dict[str, tuple[str, ...]]:
        """For the weight of each linear layer those of all that read the same array, in the order of the pass."""
        arrays: list[Any] = []
        names: list[list[str]] = []

        def linear(name: str, values: Any, weight: Any, bias: Any) -> Any:
            place = next((place for place, array in enumerate(arrays) if array is values), len(arrays))
            if place == len(arrays):
                arrays.append(values)
                names.append([])
            names[place].append(name)
            return plain_linear(name, values, weight, bias)

        self._hidden("", linear)
        return {name: tuple(group) for group in names for name in group}

    def lengths(self, texts: Iterable[str]) -> list[int]:
        """How many rows of inputs each text has: its pieces of words, start and end included."""
        return [len(tokens(text, self.vocabulary)) for text in _listed(texts)]

    def with_weights(self, weights: Mapping[str, Array]) -> SentenceModel:
        """The same model with some parameters replaced.

        Raises InputError: the model lacks one, or it has another shape.
        """
        return replace(self, parameters=replaced(self.parameters, weights, self.DTYPE))

    def _hidden(self, text: str, linear: Any = None) -> Array:
        numbers = tokens(text, self.vocabulary)
        if len(numbers) > self.longest:
            raise InputError(
                f"a text of {len(numbers)} pieces begins {excerpt(text)}: the model has positions for {self.longest}",
                hint="shorter texts",
            )
        hidden: Array = self.encoder.hidden(self.parameters, numbers, linear)
        return hidden


def _reason(error: Exception) -> str:
    """Why config.json and vocab.txt are not those of a BERT, without the words of Python."""
    match error:
        case FileNotFoundError():
            return f"it does not have {Path(error.filename).name}"
        case OSError():
            return f"{Path(error.filename).name} cannot be read: {error.strerror}"
        case KeyError():
            return f"config.json does not have {error}"
        case TypeError():
            return "config.json is not a table with whole numbers of layers and heads"
        case json.JSONDecodeError() | RecursionError():
            return "config.json is not JSON"
        case UnicodeDecodeError():
            return "config.json or vocab.txt is not UTF-8"
    return f"config.json has {error}"


def _hint(weights: Path) -> str:
    from lowbit.campaign.chosen import is_quantized

    try:
        if is_quantized(read_header(weights)):
            return "it is quantised: `lowbit dequantize` it first, and put config.json and vocab.txt beside the values"
    except InputError:  # which is told once these files are there
        pass
    return "a folder with config.json, vocab.txt and model.safetensors"


def _encoder(config: Mapping[str, Any]) -> Bert:
    layers, heads = index(config["num_hidden_layers"]), index(config["num_attention_heads"])
    epsilon = config[EPSILON]
    if layers < 1 or heads < 1 or not (isinstance(epsilon, int | float) and 0 <= epsilon < 1):
        raise ValueError(f"{layers} layers, {heads} heads, {EPSILON} {epsilon!r}")
    return Bert(layers, heads, epsilon)


def _listed(texts: Iterable[str]) -> Iterable[str]:
    """Texts; InputError for a single one, whose letters would be taken for texts."""
    if isinstance(texts, str) or not isinstance(texts, Iterable):
        raise InputError(f"texts are a list, not {excerpt(str(texts))}", hint="[text]")
    listed = list(texts)
    for place, text in enumerate(listed):
        if not isinstance(text, str):
            raise InputError(f"texts[{place}] is a {type(text).__name__}, not text", hint="[text]")
    return listed


def sentences_of(text: str, file: str) -> dict[int, str]:
    """The lines of a text that are not blank, by their numbers.

    Raises InputError: there are none.
    """
    lines = {number: line.strip() for number, line in enumerate(text.splitlines(), 1) if line.strip()}
    if not lines:
        raise InputError(f"{file} has no sentences", hint="a line a sentence")
    return lines
