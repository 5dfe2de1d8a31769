"""Codes by range asymmetric numeral systems (rANS): where there are many, within a thousandth of their entropy."""

from __future__ import annotations

import heapq

import numpy as np
import numpy.typing as npt

from lowbit.entropy.stream import BLOCK, HINT, Data, read, stream_of, with_blocks
from lowbit.entropy.symbols import MOST_CODED, symbols_of, within
from lowbit.errors import InputError
from lowbit.kernels.entropy import rans as kernels
from lowbit.ops.arrays import checked_threads
from lowbit.ops.chunks import in_chunks
from lowbit.ops.types import Array, Codes

FEWEST_BITS, MOST_BITS = 12, 16
"""Frequencies are out of 2^12 to 2^16."""

SHIFTS = 16 * np.arange(kernels.STATE_WORDS)
"""Of the words of a state."""
HEADS = kernels.LANES * kernels.STATE_WORDS

_KEY_BITS = 40
"""Quotients of counts by odd numbers below 2^18 differ by more than 2^-36 where they differ at all."""


def rans_encode(codes: Codes, *, scale_bits: int | None = None, threads: int = 1) -> bytes:
    """Code integers by rANS.

    Parameters
    ----------
    codes : array_like of int
        Of 8 or 16 bits, any shape.
    scale_bits : int, optional
        Frequencies are out of ``2**scale_bits``, 12 to 16; by default the more, the more codes there are. More bits
        suit rare codes and make the table longer.
    threads : int
        Blocks of 4,194,304 codes are coded at a time; the stream is the same for any number.

    Returns
    -------
    bytes
        The stream, which says all that :func:`rans_decode` needs but the shape of the codes.

    Raises
    ------
    InputError
        They are not integers of 8 or 16 bits, or there are more different ones than ``2**scale_bits``.

    Notes
    -----
    Source: J. Duda, "Asymmetric numeral systems", arXiv 1311.2540, section 2.3; F. Giesen, "Interleaved entropy
    coders", arXiv 1402.3392.

    Examples
    --------
    >>> import numpy
    >>> from lowbit.entropy import rans_decode, rans_encode
    >>> codes = numpy.array([0, 0, 0, 1, 0, 0, 0, -1] * 1000, numpy.int8)
    >>> stream = rans_encode(codes)
    >>> len(stream), bool((rans_decode(stream) == codes).all())
    (1138, True)
    """
    checked_threads(threads)
    symbols = symbols_of(codes)
    size, bits = symbols.array.size, _scale_bits(symbols.counts, scale_bits)
    stream = stream_of("rans", symbols, bits, frequencies(symbols.counts, bits))
    table = stream.table
    entries = table | (np.cumsum(table) - table) << kernels.FREQUENCY_BITS
    reciprocals = (1 << (kernels.RECIPROCAL_BITS + bits)) // np.maximum(table, 1)
    blocks = [b""] * -(-size // BLOCK)

    def run(start: int, stop: int) -> None:
        words = np.empty(stop - start + 1, np.uint16)
        states = np.full(kernels.LANES, kernels.LOWEST_STATE, np.int64)
        first = kernels.encode(symbols.array[start:stop], entries, reciprocals, bits, states, words)
        heads = states[:, None] >> SHIFTS  # the low word first
        blocks[start // BLOCK] = heads.astype("<u2").tobytes() + words[first:].astype("<u2").tobytes()

    in_chunks(run, size, threads, BLOCK)
    return with_blocks(stream, blocks)


def saved_bits(codes: Array, bits: int) -> int:
    """How many bits a stream of codes is shorter than with so many bits a code; 0 where it is not, or cannot be."""
    return 0 if bits > MOST_CODED else max(0, bits * codes.size - 8 * len(rans_encode(codes)))


def _scale_bits(counts: npt.NDArray[np.int64], wanted: int | None) -> int:
    different = int(np.count_nonzero(counts))
    if wanted is None:
        own = min(max(int(counts.sum()).bit_length() - 4, FEWEST_BITS), MOST_BITS)
        return own if different <= 1 << own else MOST_BITS
    within("scale_bits", wanted, FEWEST_BITS, MOST_BITS)
    if different > 1 << wanted:
        raise InputError(
            f"{different:,} different codes have no frequencies out of {1 << wanted:,}", hint="scale_bits=16"
        )
    return int(wanted)


def frequencies(counts: npt.NDArray[np.int64], scale_bits: int) -> npt.NDArray[np.int64]:
    """Frequencies of which the sum is ``2**scale_bits``, at least 1 for what occurs (Sainte-Laguë's apportionment).

    After the first of each, one more goes to the symbol of the largest ``count / (2 * frequency + 1)``, of equal ones
    to the lowest symbol, until all are given.
    """
    total, seats = int(counts.sum()), 1 << scale_bits
    if not total:
        return counts
    # All whose quotient is at least total / (2 * seats) are given at once; what is over or lacks is mended one by one.
    whole = [(2 * seats * count + total) // (2 * total) for count in counts.tolist()]
    result = np.array([max(1, seat) if count else 0 for seat, count in zip(whole, counts.tolist(), strict=True)])
    missing = seats - int(result.sum())
    sign = 1 if missing > 0 else -1

    def entry(symbol: int) -> tuple[int, int]:
        quotient = (int(counts[symbol]) << _KEY_BITS) // (2 * int(result[symbol]) + sign)
        return -sign * quotient, sign * symbol

    heap = [entry(symbol) for symbol in np.flatnonzero(result > (sign < 0)).tolist()] if missing else []
    heapq.heapify(heap)
    for _ in range(abs(missing)):
        symbol = sign * heap[0][1]
        result[symbol] += sign
        if result[symbol] > 1 or sign > 0:
            heapq.heapreplace(heap, entry(symbol))
        else:
            heapq.heappop(heap)
    return result


def rans_decode(data: Data, *, size: int | None = None, threads: int = 1) -> Array:
    """The codes of a stream of :func:`rans_encode`.

    Parameters
    ----------
    data : bytes-like
    size : int, optional
        How many codes there must be: a stream of few bytes may stand for very many equal ones.
    threads : int

    Returns
    -------
    ndarray, shape (codes,)
        Of the dtype that was coded.

    Raises
    ------
    InputError
        The stream is damaged, of another coder, or does not have ``size`` codes.

    Examples
    --------
    >>> from lowbit.entropy import rans_decode, rans_encode
    >>> rans_decode(rans_encode([-1, 5, -1]), size=3)
    array([-1,  5, -1], dtype=int8)
    """
    checked_threads(threads)
    stream = read(data, "rans", size)
    bits = stream.parameter
    if stream.count and (not FEWEST_BITS <= bits <= MOST_BITS or stream.table.sum() != 1 << bits):
        raise InputError(f"the frequencies of the coded stream do not add up to 2^{bits}", hint=HINT)
    table = _slots(stream.table)
    symbols = np.empty(stream.count, f"u{stream.dtype.itemsize}")

    def run(start: int, stop: int) -> None:
        _decode(stream.blocks[start // BLOCK], table, bits, symbols[start:stop])

    in_chunks(run, stream.count, threads, BLOCK)
    return stream.codes(symbols)


def _slots(table: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """What decoding needs of each slot: symbol, frequency, and the place of the slot among those of the symbol."""
    symbols = np.repeat(np.arange(table.size), table)
    places = np.arange(symbols.size) - np.repeat(np.cumsum(table) - table, table)
    return symbols | (table[symbols] | places << kernels.FREQUENCY_BITS) << kernels.SYMBOL_BITS


def _decode(block: memoryview, table: npt.NDArray[np.int64], bits: int, symbols: Array) -> None:
    stored = np.frombuffer(block, "<u2")
    size = len(stored) - HEADS
    states = (np.resize(stored[:HEADS], (kernels.LANES, kernels.STATE_WORDS)).astype(np.int64) << SHIFTS).sum(axis=1)
    if size < 0 or (states < kernels.LOWEST_STATE).any() or (states >> kernels.STATE_BITS).any():
        raise InputError("a block of the coded stream does not begin with eight states", hint=HINT)
    words = np.zeros(size + kernels.LANES, np.uint16)
    words[:size] = stored[HEADS:]
    read_words = kernels.decode(words, size, table, bits, states, symbols)
    if read_words != size or (states != kernels.LOWEST_STATE).any():
        raise InputError("a block of the coded stream does not end in the states that encoding begins with", hint=HINT)
