"""Canonical Huffman codes as strings of bits (Larmore and Hirschberg 1990; Schwartz and Kallick 1964)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from lowbit.oracle.entropy.stream import Stream, in_blocks, read, write


def lengths_of(counts: Sequence[int], longest: int) -> list[int]:
    """The lengths of the best code: coins of each symbol in each denomination, of which the cheapest are bought.

    A coin of a symbol costs its count; two coins of one denomination make one of the next. The cheapest coins that are
    worth n - 1 in all buy the code: a bit for each coin of a symbol. Of equally dear ones those of single symbols go
    first, the lowest symbol before others.
    """
    coins = [(count, 0, symbol, [symbol]) for symbol, count in enumerate(counts) if count]
    if len(coins) < 2:
        return [0] * len(counts)
    row = sorted(coins)
    for _ in range(longest - 1):
        pairs = zip(row[0::2], row[1::2], strict=False)
        packages = [(one[0] + two[0], 1, number, one[3] + two[3]) for number, (one, two) in enumerate(pairs)]
        row = sorted(coins + packages)
    bought = Counter(symbol for coin in row[: 2 * len(coins) - 2] for symbol in coin[3])
    return [bought[symbol] for symbol in range(len(counts))]


def codes_of(lengths: Sequence[int]) -> dict[int, str]:
    """The bits of each symbol: the code before plus 1, with zeros behind it where it is longer."""
    codes, value, before = dict[int, str](), -1, 0
    for length, symbol in sorted((length, symbol) for symbol, length in enumerate(lengths) if length):
        value = (value + 1) << (length - before)
        before = length
        codes[symbol] = f"{value:0{length}b}"
    return codes


def encode(codes: Sequence[int], dtype: str, longest: int) -> bytes:
    """The stream of codes."""
    lowest = min(codes, default=0)
    counts = Counter(code - lowest for code in codes)
    lengths = lengths_of([counts[symbol] for symbol in range(max(counts, default=-1) + 1)], longest)
    bits = codes_of(lengths)
    blocks = []
    for block in in_blocks([code - lowest for code in codes]):
        text = "".join(bits.get(symbol, "") for symbol in block)
        text += "0" * (-len(text) % 16)
        blocks.append([int(text[place : place + 16], 2) for place in range(0, len(text), 16)])
    return write(Stream("huffman", dtype, max(lengths, default=0), lowest, len(codes), lengths, blocks))


def decode(data: bytes) -> list[int]:
    """The codes of a stream."""
    stream = read(data)
    symbols = {bits: symbol for symbol, bits in codes_of(stream.table).items()}
    codes = []
    for number, words in enumerate(stream.blocks):
        count = len(in_blocks(range(stream.size))[number])
        text, place = "".join(f"{word:016b}" for word in words), 0
        for _ in range(count):
            end = place
            while symbols and text[place:end] not in symbols:
                end += 1
            codes.append(stream.lowest + symbols.get(text[place:end], 0))
            place = end
        if len(text) - place >= 16 or "1" in text[place:]:
            raise ValueError("the block does not end where its codes do")
    return codes
