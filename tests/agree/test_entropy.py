"""The oracle of entropy coding writes the very streams, and reads them."""

from itertools import product

import numpy as np
import pytest

from lowbit.entropy import huffman_decode, huffman_encode, huffman_lengths, rans_decode, rans_encode
from lowbit.entropy.rans import frequencies
from lowbit.entropy.stream import BLOCK
from lowbit.oracle.entropy import huffman, rans, stream

RNG = np.random.default_rng(11)


def drawn():
    """A dtype and codes of it, few different ones or many."""
    dtype = RNG.choice(["uint8", "int8", "uint16", "int16"])
    limits = np.iinfo(dtype)
    values = np.rint(RNG.standard_t(1.5, RNG.integers(0, 200)) * RNG.choice([0, 0.3, 2, 30]))
    return str(dtype), np.clip(values, limits.min, limits.max).astype(dtype)


def test_rans_streams():
    for _ in range(8):
        (dtype, codes), scale_bits = drawn(), int(RNG.integers(12, 15))
        data = rans.encode(codes.tolist(), dtype, scale_bits)
        assert rans_encode(codes, scale_bits=scale_bits) == data
        assert rans.decode(data) == rans_decode(data).tolist() == codes.tolist()


def test_huffman_streams():
    for _ in range(60):
        dtype, codes = drawn()
        longest = int(RNG.integers(max(1, (len(set(codes.tolist())) - 1).bit_length()), 25))
        data = huffman.encode(codes.tolist(), dtype, longest)
        assert huffman_encode(codes, longest=longest) == data
        assert huffman.decode(data) == huffman_decode(data).tolist() == codes.tolist()


def test_frequencies_with_ties():
    for counts in ([1] * 4000, [1, 2, 3] * 1000, [7, 7, 0, 7, 10**6], [0, 0, 5]):
        assert frequencies(np.array(counts), 12).tolist() == rans.frequencies(counts, 12)


def test_lengths_are_the_best_there_are():
    # Of all lengths that Kraft's inequality allows; a few counts, ties among them.
    for counts in product((1, 2, 5), repeat=4):
        for longest in (2, 3, 4):
            lengths = huffman_lengths(counts, longest=longest)
            assert lengths.tolist() == huffman.lengths_of(counts, longest)
            costs = [
                sum(count * length for count, length in zip(counts, tried, strict=True))
                for tried in product(range(1, longest + 1), repeat=4)
                if sum(2**-length for length in tried) <= 1
            ]
            assert (lengths * counts).sum() == min(costs)


def test_the_oracle_has_the_same_blocks():
    assert stream.BLOCK == BLOCK
    assert [len(block) for block in stream.in_blocks(range(2 * BLOCK + 5))] == [BLOCK, BLOCK, 5]


@pytest.mark.parametrize("coder", [huffman, rans])
def test_streams_of_several_blocks(coder, monkeypatch):
    name = coder.__name__.rpartition(".")[2]
    for module in (f"entropy.{name}", "entropy.stream", "oracle.entropy.stream"):
        monkeypatch.setattr(f"lowbit.{module}.BLOCK", 100)
    codes = np.rint(RNG.standard_normal(345) * 2).astype(np.int8)
    encode, last = {"huffman": (huffman_encode, 24), "rans": (rans_encode, 12)}[name]
    assert encode(codes) == coder.encode(codes.tolist(), "int8", last)
    assert coder.decode(encode(codes)) == codes.tolist()
