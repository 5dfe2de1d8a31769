"""The inputs of a model's linear layers for the sentences of a file: what methods are calibrated with, and held out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

from lowbit.errors import InputError
from lowbit.files.reading import unreadable
from lowbit.files.safetensors import Entry
from lowbit.files.selection import LeftOut
from lowbit.models.sentences import SentenceModel
from lowbit.ops.arrays import Array
from lowbit.printable import excerpt


@dataclass(frozen=True)
class Text:
    """A file of sentences.

    Attributes
    ----------
    file, sha256 : str
        Its name, and the digest of its bytes.
    sentences : tuple of str
    """

    file: str
    sha256: str
    sentences: tuple[str, ...]


def read_sentences(file: str | Path, weights: str | Path | None = None) -> tuple[str, ...]:
    """The sentences of a file: see :func:`read_text`."""
    return read_text(file, weights).sentences


def read_text(file: str | Path, weights: str | Path | None = None) -> Text:
    """The lines of a text in UTF-8 that are not blank; ``weights``: of the model that they go through.

    Raises InputError: the file cannot be read, is not UTF-8, has no such line, or one that is too long for the model.
    """
    try:
        content = Path(file).read_bytes()
        lines = content.decode("utf-8").splitlines()
    except OSError as error:
        raise unreadable(file, error) from error
    except UnicodeDecodeError as error:
        raise InputError(f"{file} is not UTF-8: byte {error.start:,} is {error.object[error.start]:#04x}") from error
    sentences = {number: line.strip() for number, line in enumerate(lines, 1) if line.strip()}
    if not sentences:
        raise InputError(f"{file} has no sentences", hint="a line a sentence")
    if weights is not None:
        _require_short(file, sentences, model_of(weights))
    return Text(str(file), sha256(content).hexdigest(), tuple(sentences.values()))


def _require_short(file: str | Path, lines: Mapping[int, str], model: SentenceModel) -> None:
    for (number, line), length in zip(lines.items(), model.lengths(lines.values()), strict=True):
        if length > model.longest:
            what = f"{file}, line {number}: {excerpt(line)} has {length} pieces of words"
            raise InputError(f"{what}, and the model has positions for {model.longest}", hint="shorter lines")


def model_of(weights: str | Path) -> SentenceModel:
    """The model that a safetensors file and config.json and vocab.txt beside it make; kept until another is asked for.

    Raises InputError: a file is missing or broken.
    """
    path = Path(weights)
    return _model(str(path), path.stat().st_mtime_ns if path.exists() else 0)


def layer_inputs(weights: str | Path, sentences: tuple[str, ...], names: tuple[str, ...]) -> Mapping[str, Array]:
    """What goes into linear layers, by the name of the weight, shape (rows, inputs): the rows of all sentences.

    Those of two lists of sentences are kept, so that the tasks of a campaign share one forward pass over each.
    """
    path = Path(weights)
    return _inputs(str(path), path.stat().st_mtime_ns, sentences, names)


def seen_layers(weights: str | Path, entries: Iterable[Entry]) -> tuple[list[Entry], tuple[LeftOut, ...]]:
    """Of some tensors of a model those that sentences go through, and the others with that reason.

    Raises InputError: they go through none of them.
    """
    linears, chosen = set(model_of(weights).encoder.linears()), list(entries)
    kept = [entry for entry in chosen if entry.name in linears]
    if not kept:
        raise InputError(f"{weights}: sentences go through none of the {len(chosen)} tensors that are chosen")
    others = (entry for entry in chosen if entry.name not in linears)
    reason = "no sentence of the calibration goes through it"
    return kept, tuple(LeftOut(entry.name, entry.dtype, entry.shape, entry.size, reason) for entry in others)


def float_vectors(weights: str | Path, sentences: tuple[str, ...]) -> Array:
    """The model's vectors of sentences, kept as :func:`layer_inputs` are."""
    path = Path(weights)
    return _vectors(str(path), path.stat().st_mtime_ns, sentences)


@lru_cache(maxsize=1)
def _model(path: str, modified: int) -> SentenceModel:
    del modified
    return SentenceModel.read(Path(path).parent, path)


@lru_cache(maxsize=2)
def _inputs(path: str, modified: int, sentences: tuple[str, ...], names: tuple[str, ...]) -> Mapping[str, Array]:
    return _model(path, modified).inputs(sentences, names)


@lru_cache(maxsize=1)
def _vectors(path: str, modified: int, sentences: tuple[str, ...]) -> Array:
    return _model(path, modified).embed(sentences)
