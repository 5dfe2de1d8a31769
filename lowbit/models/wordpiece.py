"""WordPiece: words into the longest pieces that a vocabulary has (Schuster and Nakajima, ICASSP 2012), as BERT does."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping

START, STOP, UNKNOWN = "[CLS]", "[SEP]", "[UNK]"
MARK = "##"
"""Before a piece that does not begin a word."""


def tokens(text: str, vocabulary: Mapping[str, int]) -> list[int]:
    """The numbers of the pieces of a text, lower case and without accents, between start and stop."""
    plain = "".join(
        letter for letter in unicodedata.normalize("NFD", text.lower()) if not unicodedata.combining(letter)
    )
    pieces = [START]
    for word in re.findall(r"\w+|[^\w\s]", plain):
        pieces += _pieces(word, vocabulary)
    return [vocabulary[piece] for piece in (*pieces, STOP)]


def _pieces(word: str, vocabulary: Mapping[str, int]) -> list[str]:
    """The pieces of a word; unknown as a whole where one of them is."""
    start, pieces = 0, []
    while start < len(word):
        mark = MARK if start else ""
        stop = next((end for end in range(len(word), start, -1) if mark + word[start:end] in vocabulary), start)
        if stop == start:
            return [UNKNOWN]
        pieces.append(mark + word[start:stop])
        start = stop
    return pieces
