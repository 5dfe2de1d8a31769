"""The text that the character model is trained on: the topics of Python's own help, as tokens of single characters."""

from __future__ import annotations

import hashlib
import importlib

import numpy as np

from lowbit.ops.arrays import Array

CHARACTERS = "\n" + "".join(map(chr, range(32, 127)))
"""A token is a place in this text; other characters are left out."""
HELD_OUT = 5
"""Every fifth topic is held out, in the order of their names."""
DIGEST = "71f2ff5d99bdc1f9c48c5c2353ad138201c5ca1c377e0226857ef8fa89b8bcee"
"""SHA-256 of the text of all topics in Python 3.11.7, whose figures are told; other versions have other texts."""


def topics(*, held_out: bool) -> str:
    """The topics of ``help()``, one below the other: the ones that are held out, or the others."""
    texts = _topics()
    return "\n\n".join(text for place, text in enumerate(texts) if (place % HELD_OUT == HELD_OUT - 1) == held_out)


def digest() -> str:
    """SHA-256 of the text of all topics in this version of Python."""
    return hashlib.sha256("\n\n".join(_topics()).encode()).hexdigest()


def tokens(text: str) -> Array:
    """The tokens of a text, shape (characters,)."""
    places = {character: place for place, character in enumerate(CHARACTERS)}
    return np.array([places[character] for character in text if character in places], np.int64)


def _topics() -> list[str]:
    table = importlib.import_module("pydoc_data.topics").topics
    return [table[name] for name in sorted(table)]
