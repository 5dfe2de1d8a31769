"""rANS as Duda's definition has it: states are integers, symbols ranges of slots (arXiv 1311.2540, section 2.3)."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from fractions import Fraction

from lowbit.oracle.entropy.stream import Stream, in_blocks, read, write

LANES = 8
LOWEST = 1 << 20
WORD = 1 << 16
STATE_WORDS = 3


def frequencies(counts: Sequence[int], scale_bits: int) -> list[int]:
    """Frequencies out of ``2**scale_bits``: one for each symbol that occurs, then Sainte-Laguë's seats."""
    result = [int(count > 0) for count in counts]
    queue = [(-Fraction(count, 3), symbol) for symbol, count in enumerate(counts) if count]
    heapq.heapify(queue)
    for _ in range((1 << scale_bits) - sum(result) if queue else 0):
        symbol = queue[0][1]
        result[symbol] += 1
        heapq.heapreplace(queue, (-Fraction(counts[symbol], 2 * result[symbol] + 1), symbol))
    return result


def encode(codes: Sequence[int], dtype: str, scale_bits: int) -> bytes:
    """The stream of codes."""
    lowest = min(codes, default=0)
    symbols = [code - lowest for code in codes]
    counts = [0] * (max(symbols, default=-1) + 1)
    for symbol in symbols:
        counts[symbol] += 1
    table = frequencies(counts, scale_bits)
    blocks = [_encoded(block, table, scale_bits) for block in in_blocks(symbols)]
    return write(Stream("rans", dtype, scale_bits, lowest, len(codes), table, blocks))


def decode(data: bytes) -> list[int]:
    """The codes of a stream."""
    stream = read(data)
    codes = []
    for number, words in enumerate(stream.blocks):
        count = len(in_blocks(range(stream.size))[number])
        codes += [stream.lowest + symbol for symbol in _decoded(words, count, stream.table, stream.parameter)]
    return codes


def _encoded(symbols: Sequence[int], table: Sequence[int], scale_bits: int) -> list[int]:
    states, words = [LOWEST] * LANES, list[int]()
    starts = [sum(table[:symbol]) for symbol in range(len(table))]
    for place, symbol in reversed(list(enumerate(symbols))):
        frequency, state = table[symbol], states[place % LANES]
        if state >= (LOWEST * WORD * frequency) >> scale_bits:
            words.append(state % WORD)
            state //= WORD
        states[place % LANES] = (state // frequency << scale_bits) + starts[symbol] + state % frequency
    heads = [state // WORD**word % WORD for state in states for word in range(STATE_WORDS)]
    return heads + words[::-1]


def _decoded(words: Sequence[int], count: int, table: Sequence[int], scale_bits: int) -> list[int]:
    slots = [(symbol, place) for symbol, frequency in enumerate(table) for place in range(frequency)]
    heads, rest = words[: LANES * STATE_WORDS], list(words[LANES * STATE_WORDS :][::-1])
    states = [
        sum(heads[STATE_WORDS * lane + word] * WORD**word for word in range(STATE_WORDS)) for lane in range(LANES)
    ]
    symbols = []
    for place in range(count):
        state = states[place % LANES]
        symbol, within = slots[state % (1 << scale_bits)]
        state = table[symbol] * (state >> scale_bits) + within
        states[place % LANES] = state if state >= LOWEST else state * WORD + rest.pop()
        symbols.append(symbol)
    if rest or states != [LOWEST] * LANES:
        raise ValueError("the block does not end in the states that encoding begins with")
    return symbols
