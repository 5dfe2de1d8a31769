"""Byte pair encoding as GPT-2 and SmolLM2 do it: in a word of bytes the pair that was learned first is joined first.

Sennrich et al., "Neural machine translation of rare words with subword units" (arXiv 1508.07909), section 3.2; over
bytes, Radford et al., "Language models are unsupervised multitask learners" (2019), section 2.2.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from lowbit.errors import InputError
from lowbit.printable import excerpt

Pair = tuple[str, str]

_WORDS = re.compile(r"'(?:s|t|re|ve|m|ll|d)| ?[A-Za-z]+| ?[0-9]+| ?[^\sA-Za-z0-9]+|\s+(?!\S)|\s+", re.ASCII)
"""GPT-2's expression, over text in which every other character stands for its kind: see :func:`_kinds`.

There it is ``'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+``.
"""
_NOT_SPACES = "\x1c\x1d\x1e\x1f"
"""Spaces to Python, and not to Unicode's White_Space."""


@dataclass(frozen=True, eq=False)
class BytePairs:
    """A vocabulary of pieces, and the pairs that are joined.

    Attributes
    ----------
    pieces : sequence of str
        In GPT-2's letters for bytes; a token is a place.
    merges : sequence of (str, str)
        Pairs of pieces, the one that is joined first before the others.
    single_digits : bool
        Whether a digit is always a word of its own, as in SmolLM2.

    Raises
    ------
    InputError
        What a pair makes is not among the pieces.
    """

    pieces: Sequence[str]
    merges: Sequence[Pair]
    single_digits: bool = False

    def __post_init__(self) -> None:
        for pair in self.merges:
            if "".join(pair) not in self._tokens:
                raise InputError(f"the vocabulary does not have {excerpt(''.join(pair))}, which {pair} make")

    @cached_property
    def _tokens(self) -> Mapping[str, int]:
        return {piece: token for token, piece in enumerate(self.pieces)}

    @cached_property
    def _ranks(self) -> Mapping[Pair, int]:
        return {pair: rank for rank, pair in enumerate(self.merges)}

    @cached_property
    def _known(self) -> dict[str, tuple[int, ...]]:
        """The tokens of words that were seen."""
        return {}

    def tokens(self, text: str) -> list[int]:
        """The tokens of a text; special ones, ``<|im_start|>`` say, are text as any other.

        Raises InputError: the vocabulary lacks one of its bytes.
        """
        return [token for word in words(text, single_digits=self.single_digits) for token in self._of_word(word)]

    def text(self, tokens: Sequence[int]) -> str:
        """What tokens stand for; bytes that are not UTF-8 become U+FFFD."""
        letters = "".join(self.pieces[token] for token in tokens)
        return bytes(BYTES[letter] for letter in letters).decode("utf-8", errors="replace")

    def _of_word(self, word: str) -> tuple[int, ...]:
        if word not in self._known:
            parts = self._joined([LETTERS[byte] for byte in word.encode("utf-8", errors="replace")])
            lacking = next((part for part in parts if part not in self._tokens), None)
            if lacking is not None:
                what = f"{excerpt(word)} has the byte {BYTES[lacking]:#04x}, which the vocabulary does not have"
                raise InputError(what, hint="a text without it")
            self._known[word] = tuple(self._tokens[part] for part in parts)
        return self._known[word]

    def _joined(self, parts: list[str]) -> list[str]:
        """Neighbours joined while one of the pairs is among the merges, everywhere that the first of them stands."""
        never = len(self._ranks)
        while len(parts) > 1:
            pairs = list(pairwise(parts))
            best = min(pairs, key=lambda pair: self._ranks.get(pair, never))
            if best not in self._ranks:
                break
            joined: list[str] = []
            place = 0
            while place < len(parts):
                here = place + 1 < len(parts) and pairs[place] == best
                joined.append("".join(best) if here else parts[place])
                place += 2 if here else 1
            parts = joined
        return parts


def words(text: str, *, single_digits: bool) -> Iterator[str]:
    """The words of a text, with the space before them; within none of them a pair reaches over the end."""
    kinds = _kinds(text)
    for start, end in _stretches(kinds, single_digits=single_digits):
        for match in _WORDS.finditer(kinds, start, end):
            yield text[match.start() : match.end()]


def _stretches(kinds: str, *, single_digits: bool) -> Iterator[tuple[int, int]]:
    """Where digits that stand alone cut the text; whoever looks ahead in a stretch does not see the next one."""
    if not single_digits:
        yield 0, len(kinds)
        return
    start = 0
    for match in re.finditer("[0-9]", kinds):
        if start < match.start():
            yield start, match.start()
        yield match.span()
        start = match.end()
    if start < len(kinds):
        yield start, len(kinds)


def _kinds(text: str) -> str:
    """A text whose characters beyond ASCII are the letter a, the digit 0, a new line or ``!``, whatever they are."""
    return text if text.isascii() and not set(_NOT_SPACES) & set(text) else "".join(map(_kind, text))


def _kind(character: str) -> str:
    if character in _NOT_SPACES:
        return "!"
    if character.isascii():
        return character
    category = unicodedata.category(character)[0]
    return {"L": "a", "N": "0"}.get(category, "\n" if character.isspace() else "!")


def _letters() -> dict[int, str]:
    """A letter for each byte: itself where it is printed, else one from U+0100 on (GPT-2, encoder.py)."""
    printed = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printed]
    return {byte: chr(byte) for byte in printed} | {byte: chr(256 + place) for place, byte in enumerate(others)}


LETTERS = _letters()
"""Byte -> the letter that pieces have for it."""
BYTES = {letter: byte for byte, letter in LETTERS.items()}
