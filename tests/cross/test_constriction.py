"""constriction 0.5.0: the lengths of Huffman codes, and how many bits ANS needs under the same frequencies."""

from importlib.metadata import version

import numpy as np
import pytest

from lowbit.entropy import entropy, huffman_lengths, rans_encode
from lowbit.entropy.rans import frequencies

constriction = pytest.importorskip("constriction", reason="constriction is not installed")

if version("constriction") != "0.5.0":
    pytest.skip(f"measured on constriction 0.5.0, not {version('constriction')}", allow_module_level=True)

SPREADS = [0.4, 2, 20]


def drawn(spread, size=1 << 20):
    codes = np.rint(np.random.default_rng(7).laplace(0, spread, size)).clip(-128, 127).astype(np.int8)
    symbols = codes.astype(np.int32) - int(codes.min())
    return codes, symbols, np.bincount(symbols)


@pytest.mark.parametrize("spread", SPREADS)
def test_huffman_codes_are_as_long(spread):
    _, _, counts = drawn(spread)
    occurring = np.flatnonzero(counts)
    tree = constriction.symbol.huffman.EncoderHuffmanTree(counts[occurring].astype(np.float64))

    def length(symbol):
        coder = constriction.symbol.StackCoder()
        coder.encode_symbol(symbol, tree)
        return coder.get_compressed_and_bitrate()[1]

    theirs = np.array([length(symbol) for symbol in range(len(occurring))])
    ours = huffman_lengths(counts)[occurring]
    assert (ours * counts[occurring]).sum() == (theirs * counts[occurring]).sum()
    if len(set(counts[occurring])) == len(occurring):  # else one code of several that are as good
        assert ours.tolist() == theirs.tolist()


@pytest.mark.parametrize("spread", SPREADS)
def test_rans_needs_as_many_bits(spread):
    codes, symbols, counts = drawn(spread)
    occurring, places = np.unique(symbols, return_inverse=True)
    shares = frequencies(counts, 16)[occurring] / (1 << 16)
    coder = constriction.stream.stack.AnsCoder()
    coder.encode_reverse(
        places.astype(np.int32), constriction.stream.model.Categorical(shares.astype(np.float32), perfect=False)
    )
    ours = 8 * (len(rans_encode(codes, scale_bits=16)) - 32 - 4)
    table = 8 * 3 * len(counts)  # at most
    assert -64 <= ours - coder.num_valid_bits() <= 1e-4 * coder.num_valid_bits() + table + 8 * 48
    assert coder.num_valid_bits() >= entropy(codes) * codes.size - 64
