"""Memory files: the text that ``$readmemh`` and ``$writememh`` exchange (IEEE 1800-2017, 21.4).

Hexadecimal words apart by white space or by ``//`` and ``/* */`` comments, with ``_`` between digits, and ``x``, ``z``
or ``?`` for bits that are not known; ``@`` and hexadecimal digits say at which address the next word goes. Taken too:
``#`` comments, and ``0x`` before the words, where every word has it: before a few it is a 0 and an unknown digit.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from pathlib import Path

from lowbit.errors import InputError
from lowbit.printable import excerpt

COMMENT = re.compile(r"//[^\n]*|#[^\n]*|/\*.*?\*/", re.DOTALL)
ADDRESS = re.compile(r"@([0-9a-f][0-9a-f_]*)", re.IGNORECASE)
WORD = re.compile(r"[0-9a-f][0-9a-f_]*", re.IGNORECASE)
UNKNOWN = re.compile(r"[0-9a-fxz?][0-9a-fxz?_]*", re.IGNORECASE)
WIDEST = 64
"""Bits of a word or of an address; longer ones are mistakes."""

SEVERAL_COLUMNS = re.compile(r"^// (?:input: \[|columns: )", re.MULTILINE)
"""In the headers of ``lowbit gen``: packed words and ``.vec`` rows hold more than one code."""


@dataclass(frozen=True)
class Memory:
    """The words of a file."""

    # Address -> the word there; None where one of its digits is unknown. As in a memory, the last write counts.
    words: dict[int, int | None]
    addressed: bool  # whether the file says where words go; otherwise they follow each other from 0

    @property
    def length(self) -> int:
        """One more than the highest address."""
        return max(self.words, default=-1) + 1

    def first_hole(self) -> int | None:
        """The lowest address below the highest that has no word."""
        first = next(address for address in itertools.count() if address not in self.words)
        return first if first < self.length else None


def read_memory(file: Path) -> Memory:
    """Read a memory file.

    Raises InputError: something in it is neither a word nor an address nor a comment, or is too wide; or it holds
    several columns.
    """
    whole = file.read_text("ascii", errors="replace")
    if SEVERAL_COLUMNS.search(whole):
        raise InputError(f"{file}: holds rows of several columns, not codes", hint="use .vec or .bin, or --layout vec")
    text = COMMENT.sub(lambda comment: " " + "\n" * comment[0].count("\n"), whole)
    prefix = "0x" if all(word[:2].lower() == "0x" != word.lower() for word in text.split() if word[0] != "@") else ""
    words: dict[int, int | None] = {}
    address, addressed = 0, False
    for number, line in enumerate(text.split("\n"), 1):
        for word in line.split():
            try:
                if word[0] == "@":
                    address, addressed = _address(word), True
                    continue
                words[address] = _word(word[len(prefix) :])
            except ValueError as error:
                raise InputError(f"{file}:{number}: {excerpt(word)} {error}", hint=_hint(word)) from None
            address += 1
    return Memory(words, addressed)


def _address(word: str) -> int:
    match = ADDRESS.fullmatch(word)
    if match is None:
        raise ValueError("is not an address: @ and hexadecimal digits, without a space")
    return _number(match[1])


def _word(word: str) -> int | None:
    if WORD.fullmatch(word):
        return _number(word)
    if UNKNOWN.fullmatch(word):
        return None
    raise ValueError("begins a comment without an end" if word.startswith("/*") else "is not a hexadecimal code")


def _number(digits: str) -> int:
    number = int(digits.replace("_", ""), 16)
    if number >> WIDEST:
        raise ValueError(f"has more than {WIDEST} bits")
    return number


def _hint(word: str) -> str:
    return "write a negative code in two's complement: ff for -1 of int8" if word.startswith("-") else ""
