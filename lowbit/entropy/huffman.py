"""Codes by a canonical Huffman code: whole bits a symbol, of which the lengths alone are stored."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lowbit.entropy.stream import BLOCK, HINT, Data, read, stream_of, with_blocks
from lowbit.entropy.symbols import symbols_of, within
from lowbit.errors import InputError
from lowbit.kernels.entropy import huffman as kernels
from lowbit.ops.arrays import checked_threads, integer_array
from lowbit.ops.chunks import in_chunks
from lowbit.ops.types import Array, Codes

Lengths = npt.NDArray[np.int64]

MOST_COUNT = 1 << 50
"""Packages of 24 such counts stay below 2^63."""


def huffman_lengths(counts: Codes, *, longest: int = kernels.LONGEST) -> Lengths:
    """How many bits each symbol has in the best prefix code whose codes have at most ``longest`` bits.

    Parameters
    ----------
    counts : array_like of int
        How often each symbol occurs; 0 for one that needs no code.
    longest : int
        Up to 24.

    Returns
    -------
    ndarray of int64
        0 for what does not occur, and where one symbol is alone.

    Raises
    ------
    InputError
        A count is negative, or there are more symbols than ``2**longest``.

    Notes
    -----
    Source: L. L. Larmore and D. S. Hirschberg, "A Fast Algorithm for Optimal Length-Limited Huffman Codes", 1990
    (package-merge).

    Examples
    --------
    >>> from lowbit.entropy import huffman_lengths
    >>> huffman_lengths([8, 4, 2, 1, 0]).tolist(), huffman_lengths([8, 4, 2, 1, 0], longest=2).tolist()
    ([1, 2, 3, 3, 0], [2, 2, 2, 2, 0])
    """
    weights = integer_array(counts, "counts").reshape(-1)
    if weights.dtype.kind not in "iu" or (weights.size and not 0 <= weights.min() <= weights.max() < MOST_COUNT):
        raise InputError("counts are not whole numbers from 0 to 2^50", hint="numpy.bincount(symbols) makes them")
    within("longest", longest, 1, kernels.LONGEST)
    lengths = np.zeros(weights.size, np.int64)
    occurring = np.flatnonzero(weights)
    if len(occurring) > 1 << longest:
        what = f"{len(occurring):,} symbols have no codes of at most {longest} bits"
        raise InputError(what, hint=f"longest = {(len(occurring) - 1).bit_length()} or more")
    if len(occurring) > 1:
        order = occurring[np.argsort(weights[occurring], kind="stable")]
        lengths[order] = _package_merge(weights[order].astype(np.int64), int(longest))
    return lengths


def _package_merge(weights: Lengths, longest: int) -> Lengths:
    """The lengths for ascending weights.

    A row holds the weights and the packages, each of two neighbours of the row before. Of the last row the ``2 n - 2``
    least are taken, and of each row before what their packages are made of: a symbol has a bit for each time.
    """
    rows = []
    merged, ours = weights, np.ones(len(weights), bool)
    for _ in range(longest):
        rows.append(ours)
        pairs = merged[: len(merged) // 2 * 2].reshape(-1, 2).sum(axis=1)
        both = np.concatenate([weights, pairs])
        order = np.argsort(both, kind="stable")  # of equal ones the symbol first
        merged, ours = both[order], order < len(weights)
    lengths = np.zeros(len(weights), np.int64)
    taken = 2 * len(weights) - 2
    for ours in reversed(rows):
        symbols = int(np.count_nonzero(ours[:taken]))
        lengths[:symbols] += 1
        taken = 2 * (taken - symbols)
    return lengths


def huffman_encode(codes: Codes, *, longest: int = kernels.LONGEST, threads: int = 1) -> bytes:
    """Code integers by a canonical Huffman code of their own.

    Parameters
    ----------
    codes : array_like of int
        Of 8 or 16 bits, any shape.
    longest : int
        The most bits that a code may have, up to 24.
    threads : int
        Blocks of 4,194,304 codes are coded at a time; the stream is the same for any number.

    Returns
    -------
    bytes
        The stream, which says all that :func:`huffman_decode` needs but the shape of the codes.

    Raises
    ------
    InputError
        They are not integers of 8 or 16 bits, or there are more different ones than ``2**longest``.

    Notes
    -----
    Source: D. A. Huffman, "A Method for the Construction of Minimum-Redundancy Codes", 1952; E. S. Schwartz and B.
    Kallick, "Generating a Canonical Prefix Encoding", 1964.

    Examples
    --------
    >>> import numpy
    >>> from lowbit.entropy import huffman_decode, huffman_encode
    >>> codes = numpy.array([0, 0, 0, 1, 0, 0, 0, -1] * 1000, numpy.int8)
    >>> stream = huffman_encode(codes)
    >>> len(stream), bool((huffman_decode(stream) == codes).all())
    (1289, True)
    """
    checked_threads(threads)
    symbols = symbols_of(codes)
    size, lengths = symbols.array.size, huffman_lengths(symbols.counts, longest=longest)
    entries = lengths | _canonical(lengths)[0] << kernels.LENGTH_BITS
    blocks = [b""] * -(-size // BLOCK)

    def run(start: int, stop: int) -> None:
        bits = (stop - start) * int(lengths.max())
        words = np.empty(bits // kernels.WORD_BITS + 3, np.uint16)
        count = kernels.encode(symbols.array[start:stop], entries, words)
        blocks[start // BLOCK] = words[:count].astype("<u2").tobytes()

    in_chunks(run, size, threads, BLOCK)
    parameter = int(lengths.max(initial=0))
    return with_blocks(stream_of("huffman", symbols, parameter, lengths), blocks)


def _canonical(lengths: Lengths) -> tuple[Lengths, Lengths, Lengths]:
    """The codes of symbols, the first code of each length at the upper end of 24 bits, and the symbols in their order.

    Codes ascend with their lengths, those of one length with their symbols; each is the one before plus 1, followed by
    as many zeros as it is longer.
    """
    occurring = np.flatnonzero(lengths)
    order = occurring[np.argsort(lengths[occurring], kind="stable")]
    steps = 1 << (kernels.LONGEST - lengths[order])
    starts = np.cumsum(steps) - steps
    codes = np.zeros(len(lengths), np.int64)
    codes[order] = starts >> (kernels.LONGEST - lengths[order])
    ends = np.append(starts, steps.sum())
    firsts = ends[np.searchsorted(lengths[order], np.arange(kernels.LONGEST + 2))]
    return codes, firsts, order


def huffman_decode(data: Data, *, size: int | None = None, threads: int = 1) -> Array:
    """The codes of a stream of :func:`huffman_encode`: see :func:`rans_decode`.

    Parameters
    ----------
    data, size, threads
        As for :func:`rans_decode`.

    Returns
    -------
    ndarray, shape (codes,)

    Raises
    ------
    InputError
        As for :func:`rans_decode`.

    Examples
    --------
    >>> from lowbit.entropy import huffman_decode, huffman_encode
    >>> huffman_decode(huffman_encode([-1, 5, -1]), size=3)
    array([-1,  5, -1], dtype=int8)
    """
    checked_threads(threads)
    stream = read(data, "huffman", size)
    lengths, alone = stream.table, len(stream.table) == 1
    if lengths.max(initial=0) != stream.parameter or stream.parameter > kernels.LONGEST or (alone and lengths[0]):
        raise InputError("the lengths of the codes of the coded stream contradict its header", hint=HINT)
    _, firsts, order = _canonical(lengths)
    if stream.count and not alone and firsts[-1] != 1 << kernels.LONGEST:
        raise InputError("the codes of the coded stream are not a prefix code", hint=HINT)
    places = np.searchsorted(lengths[order], np.arange(kernels.LONGEST + 2))
    table = _table(lengths, order)
    symbols = np.zeros(stream.count, f"u{stream.dtype.itemsize}")

    def run(start: int, stop: int) -> None:
        block = stream.blocks[start // BLOCK]
        size = len(block) // 2
        words = np.zeros(size + 4, np.uint16)
        words[:size] = np.frombuffer(block, "<u2")
        some = symbols[start:stop]
        used = 0 if alone else kernels.decode(words, size, table, firsts, places, order, some)
        if -(-used // kernels.WORD_BITS) != size or (size and words[size - 1] & (1 << (-used % kernels.WORD_BITS)) - 1):
            raise InputError("a block of the coded stream does not end where its codes do", hint=HINT)

    in_chunks(run, stream.count, threads, BLOCK)
    return stream.codes(symbols)


def _table(lengths: Lengths, order: Lengths) -> Lengths:
    """For each value of the next 12 bits the length of the code that they begin with, and its symbol."""
    short = order[lengths[order] <= kernels.INDEX_BITS]
    entries = np.repeat(lengths[short] | short << kernels.LENGTH_BITS, 1 << (kernels.INDEX_BITS - lengths[short]))
    table = np.zeros(1 << kernels.INDEX_BITS, np.int64)
    table[: len(entries)] = entries[: len(table)]
    return table
