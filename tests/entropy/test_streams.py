"""Coded streams: lossless, close to the entropy, and never believed where they are damaged."""

import struct
import zlib

import numpy as np
import pytest

import lowbit
from lowbit.entropy import entropy, huffman_decode, huffman_encode, huffman_lengths, rans_decode, rans_encode
from lowbit.entropy.rans import frequencies, saved_bits
from lowbit.errors import InputError

CODERS = {"huffman": (huffman_encode, huffman_decode), "rans": (rans_encode, rans_decode)}
EACH = pytest.mark.parametrize("coder", CODERS)
SIZES = (0, 1, 2, 7, 8, 9, 100, 4097)


def drawn(size, dtype, spread, seed=1):
    """Codes with heavy tails around 0 (or the lowest one)."""
    limits = np.iinfo(dtype)
    values = np.rint(np.random.default_rng(seed).standard_t(2, size) * spread)
    return np.clip(values, limits.min, limits.max).astype(dtype)


@EACH
@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16"])
@pytest.mark.parametrize("spread", [0, 0.3, 20, 2000])
def test_what_is_decoded_is_what_was_coded(coder, dtype, spread):
    encode, decode = CODERS[coder]
    for size in SIZES:
        codes = drawn(size, dtype, spread)
        again = decode(encode(codes), size=size)
        assert again.dtype == codes.dtype
        np.testing.assert_array_equal(again, codes)


@EACH
def test_extreme_codes(coder):
    encode, decode = CODERS[coder]
    every = np.arange(-(1 << 15), 1 << 15).astype(np.int16)
    for codes in (every, every.view(np.uint16), np.array([-128, 127], np.int8), np.full(9, -32768, np.int16)):
        np.testing.assert_array_equal(decode(encode(codes)), codes)


@EACH
def test_arrays_of_any_layout_and_lists(coder):
    encode, decode = CODERS[coder]
    codes = drawn((20, 30), "int8", 9)
    for same in (codes.T.copy().T, codes[::1, :].astype(">i2").astype("i1"), np.asfortranarray(codes)):
        assert encode(same) == encode(codes)
    assert encode(codes[::2, ::3]) == encode(codes[::2, ::3].copy())
    swapped = codes.astype(">i2")
    np.testing.assert_array_equal(decode(encode(swapped)), codes.reshape(-1))
    for listed, dtype in (([0, 255], "uint8"), ([-1, 127], "int8"), ([0, 256], "uint16"), ([-1, 128], "int16")):
        assert decode(encode(listed)).dtype == dtype
        assert decode(encode(listed)).tolist() == listed
    for data in (bytearray(encode(codes)), memoryview(encode(codes)), np.frombuffer(encode(codes), "u1")):
        np.testing.assert_array_equal(decode(data), codes.reshape(-1))


@EACH
def test_codes_of_a_block_tensor(coder):
    encode, decode = CODERS[coder]
    values = np.random.default_rng(2).standard_normal((8, 256)).astype(np.float32)
    for fmt in ("int4.g128", "nf4.g64", "mxfp8_e4m3", "nvfp4"):
        tensor = lowbit.quantize(values, fmt)
        again = decode(encode(tensor.codes)).reshape(tensor.codes.shape)
        np.testing.assert_array_equal(again, tensor.codes)


def test_entropy_of_known_shares():
    assert entropy(np.zeros((3, 4), np.uint8)) == entropy(np.zeros(0, np.int16)) == 0
    assert entropy(np.arange(256).astype(np.uint8)) == 8
    assert entropy(np.repeat(np.arange(-3, 1), [1, 1, 2, 4]).astype(np.int8)) == 1.75


@pytest.mark.parametrize("spread", [0.6, 4, 12])
def test_rans_stays_within_a_thousandth_of_the_entropy(spread):
    codes = np.rint(np.random.default_rng(3).laplace(0, spread, 1 << 21)).astype(np.int8)
    assert 1 <= 8 * len(rans_encode(codes)) / codes.size / entropy(codes) < 1.001


@pytest.mark.parametrize("spread", [0.2, 0.6, 4, 30])
def test_huffman_stays_within_a_bit_of_the_entropy(spread):
    codes = drawn(1 << 16, "int8", spread)
    lengths = huffman_lengths(np.bincount(codes.astype(int) + 128))
    bits = lengths[codes.astype(int) + 128].sum() / codes.size
    assert entropy(codes) <= bits < entropy(codes) + 1
    assert 0 <= 8 * len(huffman_encode(codes)) / codes.size - bits < 0.04  # header and table


def test_lengths_are_limited_and_those_of_a_complete_code():
    counts = [1, 1, 2, 3, 5, 8, 13, 21, 34, 55, 0, 89]  # Fibonacci's: the longest code of all
    for longest in range(4, 12):
        lengths = huffman_lengths(counts, longest=longest)
        assert lengths.max() == min(longest, 10)
        assert sum(2.0 ** -lengths[lengths > 0]) == 1
    assert huffman_lengths([0, 7, 0]).tolist() == [0, 0, 0]
    assert huffman_lengths([]).tolist() == []


def test_frequencies_add_up():
    for counts in ([1, 1, 1], [5, 0, 10**9], [10**12, *[1] * 4095], [3] * 4000):
        given = frequencies(np.array(counts), 12)
        assert given.sum() == 1 << 12
        assert ((given > 0) == (np.array(counts) > 0)).all()


@EACH
def test_threads_change_nothing(coder, monkeypatch):
    for module in (coder, "stream"):
        monkeypatch.setattr(f"lowbit.entropy.{module}.BLOCK", 1000)
    encode, decode = CODERS[coder]
    codes = drawn(4321, "int8", 3)
    stream = encode(codes)
    assert encode(codes, threads=3) == stream
    for threads in (1, 3):
        np.testing.assert_array_equal(decode(stream, threads=threads), codes)


@EACH
def test_damage_is_detected(coder):
    encode, decode = CODERS[coder]
    stream = encode(drawn(300, "int8", 3))
    for place in range(len(stream)):
        broken = bytearray(stream)
        broken[place] ^= 1 << (place % 8)
        with pytest.raises(InputError):
            decode(bytes(broken))
        with pytest.raises(InputError):
            decode(stream[:place])
    with pytest.raises(InputError, match="checksum"):
        decode(stream + b"\0")


@EACH
def test_what_is_refused(coder):
    encode, decode = CODERS[coder]
    stream, other = encode([1, 2, 3]), next(name for name in CODERS if name != coder)
    with pytest.raises(InputError, match="has 3 codes, not 4"):
        decode(stream, size=4)
    with pytest.raises(InputError, match=f"not one of {other}.*\nhelp: {coder}_decode"):
        CODERS[other][1](stream)
    with pytest.raises(InputError, match="is bytes, not str"):
        decode("lbEC")
    with pytest.raises(InputError, match="float64"):
        encode([0.5])
    with pytest.raises(InputError, match="int64"):
        encode([0, 1 << 16])
    with pytest.raises(InputError, match="threads"):
        encode([1], threads=0)
    with pytest.raises(InputError, match="longest = 25"):
        huffman_encode([1], longest=25)
    with pytest.raises(InputError, match="no codes of at most 1 bits"):
        huffman_encode([1, 2, 3], longest=1)
    with pytest.raises(InputError, match="scale_bits = 11"):
        rans_encode([1], scale_bits=11)
    with pytest.raises(InputError, match="5,000 different codes"):
        rans_encode(np.arange(5000, dtype=np.uint16), scale_bits=12)
    with pytest.raises(InputError, match="counts"):
        huffman_lengths([-1, 2])


def mended(stream):
    """A stream with the checksum that it should have."""
    head, body = bytes(stream[:28]), bytes(stream[32:])
    return head + struct.pack("<I", zlib.crc32(head + body)) + body


HEADER = struct.Struct("<4sBBBBiIQI")


@EACH
@pytest.mark.parametrize(
    ("field", "value"),
    [(1, 2), (2, 3), (3, 4), (4, 17), (4, 11), (5, 127), (6, 0), (6, 1 << 31), (7, 0), (7, 1 << 63), (7, 301), (8, 9)],
)
def test_headers_that_lie(coder, field, value):
    encode, decode = CODERS[coder]
    stream = encode(drawn(300, "int8", 3))
    fields = list(HEADER.unpack_from(stream))
    assert fields[field] != value
    fields[field] = value
    with pytest.raises(InputError):
        decode(mended(HEADER.pack(*fields) + bytes(4) + stream[32:]))


def mutations(streams, count, seed):
    """Streams with a few bytes changed, cut out or put in, and checksums that hold."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        stream = bytearray(streams[rng.integers(len(streams))])
        for _ in range(rng.integers(1, 4)):
            place = int(rng.integers(4, len(stream)))
            kind = rng.integers(4)
            if kind < 2:
                stream[place] = rng.integers(256)
            elif kind == 2:
                del stream[place : place + int(rng.integers(1, 9))]
            else:
                stream[place:place] = rng.bytes(int(rng.integers(1, 9)))
        yield mended(stream.ljust(32, b"\0"))


def refused(count):
    """How many of as many mutated streams are refused; none may do anything else but decode to codes."""
    samples = [
        drawn(size, dtype, spread) for size, dtype, spread in ((0, "int8", 1), (9, "uint8", 0), (60, "int16", 9))
    ]
    streams = [encode(codes) for encode, _ in CODERS.values() for codes in (*samples, drawn(400, "int8", 2))]
    times = 0
    for number, stream in enumerate(mutations(streams, count, 5)):
        for _, decode in CODERS.values():
            try:
                assert decode(stream, size=None if number % 4 else 400).ndim == 1
            except InputError:
                times += 1
    return times


def test_mutated_streams():
    assert 600 < refused(400) < 800


@pytest.mark.slow
def test_a_hundred_thousand_mutated_streams():
    assert 150_000 < refused(100_000) < 200_000


def test_what_coding_saves():
    codes = drawn(5000, "int8", 3)
    assert saved_bits(codes, 8) == 8 * codes.size - 8 * len(rans_encode(codes)) > 0
    assert saved_bits(codes[:5], 8) == saved_bits(codes.astype(np.uint32), 32) == 0
