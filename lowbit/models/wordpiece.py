"""WordPiece: words into the longest pieces that a vocabulary has (Schuster and Nakajima, ICASSP 2012), as BERT does."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping

LONGEST = 100
"""Letters of a word; a longer one is unknown."""
_CHINESE = re.compile(
    "[\u4e00-\u9fff\u3400-\u4dbf\uf900-\ufaff\U00020000-\U0002a6df\U0002a700-\U0002ceaf\U0002f800-\U0002fa1f]"
)

START, STOP, UNKNOWN = "[CLS]", "[SEP]", "[UNK]"
MARK = "##"
"""Before a piece that does not begin a word."""


def tokens(text: str, vocabulary: Mapping[str, int]) -> list[int]:
    """The numbers of the pieces of a text, lower case and without accents, between start and stop."""
    plain = "".join(
        letter for letter in unicodedata.normalize("NFD", text.lower()) if not unicodedata.combining(letter)
    )
    pieces = [START]
    for word in _words(plain):
        pieces += _pieces(word, vocabulary)
    return [vocabulary[piece] for piece in (*pieces, STOP)]


def _words(text: str) -> list[str]:
    """Words, with each mark of punctuation and each Chinese character a word of its own."""
    return "".join(f" {letter} " if _stands_alone(letter) else letter for letter in text).split()


def _stands_alone(letter: str) -> bool:
    symbol = letter.isascii() and letter.isprintable() and not letter.isalnum() and letter != " "
    return symbol or unicodedata.category(letter).startswith("P") or bool(_CHINESE.match(letter))


def _pieces(word: str, vocabulary: Mapping[str, int]) -> list[str]:
    """The pieces of a word; unknown as a whole where one of them is."""
    start, pieces = 0, []
    if len(word) > LONGEST:
        return [UNKNOWN]
    while start < len(word):
        mark = MARK if start else ""
        stop = next((end for end in range(len(word), start, -1) if mark + word[start:end] in vocabulary), start)
        if stop == start:
            return [UNKNOWN]
        pieces.append(mark + word[start:stop])
        start = stop
    return pieces
