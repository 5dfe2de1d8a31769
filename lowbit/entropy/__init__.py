"""Entropy coding of codes: what they are worth in bits, and streams that come close, by Huffman's codes or by rANS.

Streams say all that is needed to decode them but the shape of the codes, and carry a checksum; the page
``docs/explanation/entropy-coded-weights.md`` has their every byte.
"""

from lowbit.entropy.huffman import huffman_decode, huffman_encode, huffman_lengths
from lowbit.entropy.rans import rans_decode, rans_encode
from lowbit.entropy.symbols import entropy

__all__ = ["entropy", "huffman_decode", "huffman_encode", "huffman_lengths", "rans_decode", "rans_encode"]
