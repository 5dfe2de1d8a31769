"""8-bit codes looked up in vector registers: the same answers as the loop over a table, and as arithmetic in lanes."""

import numpy as np
import pytest

from lowbit.errors import InexactError
from lowbit.format.registry import formats, get_format
from lowbit.kernels.cast import simd_decode
from lowbit.kernels.nonlinear.simd_lookup import is_available
from lowbit.ops.arrays import all_codes
from lowbit.ops.cast import conversion, decoding, paths, tables
from lowbit.ops.cast.binary32 import decodes
from lowbit.ops.cast.cast import convert, decode
from lowbit.ops.cast.paths import Cast
from lowbit.ops.cast.tables import answers, gathered, in_registers
from lowbit.policy.cast import CAST_PRESETS
from lowbit.vectors.recipes import p3109_names

pytestmark = pytest.mark.skipif(not is_available(), reason="this processor has no AVX-512 VBMI")

NARROW = [name for name in formats(kind="scalar") if get_format(name).bits <= 8] + list(p3109_names(range(3, 9)))
LANES = 64
KERNELS = {
    1: (simd_decode.decode_bytes, np.uint8),
    2: (simd_decode.decode_words, np.uint16),
    "upper halves": (simd_decode.decode_upper_halves, np.uint32),
    4: (simd_decode.decode_whole_words, np.uint32),
}


def drawn_answers(width, seed=0):
    """A table of 256 entries of which no two are alike in any plane but by chance."""
    drawn = np.random.default_rng(seed)
    if width == "upper halves":
        return drawn.integers(0, 1 << 16, 256, dtype=np.uint32) << np.uint32(16)
    return drawn.integers(0, 1 << (8 * width), 256).astype(f"u{width}")


@pytest.mark.parametrize("name", NARROW)
def test_every_code_of_every_narrow_format(name, monkeypatch):
    """Into binary32 without a table, and by a table in memory; each code in every place of a register."""
    fmt = get_format(name)
    codes = all_codes(fmt)
    codes = np.concatenate([np.roll(codes, shift) for shift in range(LANES)])
    for target in ("float32", "float16", "bfloat16", "float8_e4m3fn"):
        cast = Cast(fmt, get_format(target), CAST_PRESETS["ieee"])
        entries = answers(cast).codes.entries
        registers, memory = in_registers(entries), gathered(entries)
        got, expected = np.empty(codes.size, entries.dtype), np.empty(codes.size, entries.dtype)
        for stream in (False, True):
            registers(codes.view(np.uint8), got, stream)
            memory(codes.view(np.uint8), expected, False)
            assert np.array_equal(got, expected), (target, stream)
        with monkeypatch.context() as elsewhere:
            elsewhere.setattr(tables, "registers_available", lambda: False)
            lanes = decodes(cast)
        if lanes is not None:
            assert target == "float32"
            values = np.empty(codes.size, np.float32)
            lanes(codes, values)
            assert np.array_equal(values.view(np.uint32), got)


def test_which_formats_binary32_words_need_their_lower_halves():
    """Codebooks of longer numbers do; the values of all others are bfloat16 numbers, NaNs included."""
    beyond = set()
    for name in NARROW:
        try:
            codes = all_codes(get_format(name))
            words = decode(codes[codes >= get_format(name).codes[0]], name).view(np.uint32)
        except InexactError:
            continue
        if (words & np.uint32(0xFFFF)).any():
            beyond.add(name)
    assert beyond == {name for name in NARROW if get_format(name).kind == "table" and get_format(name).precision > 8}


@pytest.mark.parametrize("width", KERNELS)
@pytest.mark.parametrize("stream", [False, True])
def test_sizes_and_places(width, stream):
    """Ends of registers and of lines; nothing beside the output is written."""
    table = drawn_answers(width)
    run = in_registers(table)
    drawn = np.random.default_rng(1)
    for size in (*range(3 * LANES), 1000, 4099):
        for offset in (0, 1, 5, 63):
            codes = drawn.integers(0, 256, size + offset).astype(np.uint8)[offset:]
            room = np.full(size + 2 * LANES, 7, table.dtype)
            run(codes, room[offset : offset + size], stream)
            assert np.array_equal(room[offset : offset + size], table[codes]), (size, offset)
            assert (room[:offset] == 7).all()
            assert (room[offset + size :] == 7).all()


def test_entries_of_eight_bytes_and_long_tables_take_the_loop():
    assert in_registers(drawn_answers(2).astype(np.uint64)) is None
    assert in_registers(np.zeros(1 << 16, np.uint16)) is None


@pytest.mark.parametrize("threads", [1, 2])
def test_large_outputs_are_written_past_the_caches(threads, monkeypatch):
    """The same values whether they are or not, in place or in a new array."""
    codes = np.random.default_rng(2).integers(0, 256, 3_000_001).astype(np.uint8)
    ordinary = decode(codes, "float8_e4m3fn")
    monkeypatch.setattr(conversion, "BEYOND_CACHES", 1 << 20)
    room = np.zeros(codes.size + 3, np.float32)
    for start in (0, 1, 3):
        out = room[start : start + codes.size]
        decode(codes, "float8_e4m3fn", out=out, threads=threads)
        assert np.array_equal(out.view(np.uint32), ordinary.view(np.uint32))
    halves = np.empty(codes.size, np.uint16)
    convert(codes, "float8_e4m3fn", "float16", out=halves, threads=threads)
    assert np.array_equal(halves.view(np.float16).astype(np.float32), ordinary, equal_nan=True)


def test_unaligned_outputs():
    codes = np.arange(200, dtype=np.uint8)
    out = np.empty(4 * codes.size + 1, np.uint8)[1:].view(np.float32)
    assert not out.flags.aligned
    assert np.array_equal(decode(codes, "float8_e5m2", out=out), decode(codes, "float8_e5m2"), equal_nan=True)


@pytest.mark.parametrize("name", ["float8_e4m3fn", "float4_e2m1fn", "binary8p3se", "int4", "uint8"])
def test_without_the_instructions(name, monkeypatch):
    """What a processor without them computes."""
    fmt = get_format(name)
    codes = np.resize(all_codes(fmt), 1000)
    expected = decode(codes, fmt)
    monkeypatch.setattr(tables, "registers_available", lambda: False)

    def forget():
        for cached in (decoding.decoding, conversion.conversion, paths.runner, tables.answers):
            cached.cache_clear()

    forget()
    try:
        assert (decodes(Cast(fmt, get_format("float32"), CAST_PRESETS["ieee"])) is not None) == (fmt.kind == "float")
        assert np.array_equal(decode(codes, fmt).view(np.uint32), expected.view(np.uint32))
    finally:
        forget()
