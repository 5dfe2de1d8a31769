"""The inputs of a model's linear layers for the sentences of a file: what methods are calibrated with, and held out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path

from lowbit.errors import InputError
from lowbit.files.reading import unreadable
from lowbit.files.safetensors import Entry
from lowbit.files.selection import LeftOut
from lowbit.models.sentences import SentenceModel
from lowbit.ops.arrays import Array


def read_sentences(file: str | Path) -> tuple[str, ...]:
    """The lines of a text in UTF-8 that are not blank.

    Raises InputError: the file cannot be read, is not UTF-8, or has no such line.
    """
    try:
        lines = Path(file).read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise unreadable(file, error) from error
    except UnicodeDecodeError as error:
        raise InputError(f"{file} is not UTF-8: byte {error.start:,} is {error.object[error.start]:#04x}") from error
    sentences = tuple(line.strip() for line in lines if line.strip())
    if not sentences:
        raise InputError(f"{file} has no sentences", hint="a line a sentence")
    return sentences


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
