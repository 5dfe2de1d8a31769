"""Bit layouts: by hand, against other people's definitions, and there and back."""

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lowbit.errors import InputError
from lowbit.ops.pack.layouts import LAYOUTS
from lowbit.ops.pack.pack import pack, unpack
from lowbit.ops.pack.placement import GGML_BLOCK

STREAM_WIDTHS = list(range(1, 17))


@pytest.mark.parametrize("bits", STREAM_WIDTHS)
def test_stream_is_one_little_endian_integer(bits):
    # The definition of lsb_first, in Python integers: sum of code_i * 2^(i*bits), written little-endian.
    codes = [(i * 40503 + 7) % (1 << bits) for i in range(37)]
    whole = sum(code << (i * bits) for i, code in enumerate(codes))
    expected = whole.to_bytes(-(-37 * bits // 8), "little")
    packed = pack(codes, bits)
    assert packed.dtype == np.uint8
    assert packed.tobytes() == expected
    assert unpack(packed, bits, count=37).tolist() == codes


def test_nibbles_by_hand():
    codes = [0x1, 0x2, 0x3, 0x4]
    assert pack(codes, 4, layout="low_nibble_first").tolist() == [0x21, 0x43]
    assert pack(codes, 4, layout="high_nibble_first").tolist() == [0x12, 0x34]
    assert pack(codes, 4, layout="lsb_first").tolist() == [0x21, 0x43]


def test_fp6_group_is_a_24_bit_word():
    # 0x3f at place 1 of four: bits 11:6 of the word.
    assert pack([0, 0x3F, 0, 0], 6, layout="fp6_dense").tolist() == [0xC0, 0x0F, 0x00]
    assert pack([1, 2, 3, 4], "float6_e3m2fn", layout="fp6_dense").tolist() == [0x81, 0x30, 0x10]
    assert unpack(np.array([0x81, 0x30, 0x10], np.uint8), "float6_e3m2fn", layout="fp6_dense").tolist() == [1, 2, 3, 4]


def test_ggml_split_halves():
    # ggml-quants.c, quantize_row_q4_0_ref: qs[j] = x[j] | x[j + qk/2] << 4.
    codes = np.arange(2 * GGML_BLOCK) % 16
    codes[GGML_BLOCK:] = codes[GGML_BLOCK:][::-1]
    packed = pack(codes, 4, layout="ggml_split")
    blocks = codes.reshape(2, GGML_BLOCK)
    expected = [[block[j] | block[j + 16] << 4 for j in range(16)] for block in blocks.tolist()]
    assert packed.reshape(2, 16).tolist() == expected
    assert unpack(packed, 4, layout="ggml_split").tolist() == codes.tolist()


def test_signed_codes_are_two_complement():
    assert pack([-8, 7, -1, 0], "int4").tolist() == [0x78, 0x0F]
    back = unpack(np.array([0x78, 0x0F], np.uint8), "int4")
    assert back.dtype == np.int8
    assert back.tolist() == [-8, 7, -1, 0]
    assert pack([-1, 0, 1, -2], "int2").tolist() == [0b10_01_00_11]


def test_onnx_int4_and_int2_tensors():
    # onnx.proto: int4 "two 4-bit elements per byte, the first in the 4 LSBs"; helper.make_tensor packs likewise.
    onnx = pytest.importorskip("onnx")
    codes = np.array([1, -2, 7, -8, 3, 0], dtype=np.int8)
    tensor = onnx.numpy_helper.from_array(codes.astype(ml_dtypes.int4), "x")
    assert tensor.raw_data == pack(codes, "int4").tobytes()


@pytest.mark.parametrize("name", ["float6_e2m3fn", "float4_e2m1fn", "int4", "uint2"])
def test_one_per_byte_is_how_ml_dtypes_stores(name):
    dtype = np.dtype(getattr(ml_dtypes, name))
    values = np.array([0, 1, 1, 0], dtype=dtype)
    raw = values.view(np.uint8)
    codes = unpack(raw, name, layout="one_per_byte")
    assert pack(codes, name, layout="one_per_byte").tobytes() == raw.tobytes()
    assert codes.tolist() == raw.tolist()


def test_tf32_in_a_float32_word():
    one = np.array([1.0, -2.5], np.float32).view(np.uint32)
    codes = unpack(one, "tf32", layout="tf32_in_float32")
    assert codes.tolist() == [0x3F800000 >> 13, 0xC0200000 >> 13]
    assert pack(codes, "tf32", layout="tf32_in_float32").tobytes() == one.tobytes()
    with pytest.raises(InputError, match="below TF32's mantissa"):
        unpack(one | np.uint32(1), "tf32", layout="tf32_in_float32")


@given(data=st.data(), layout=st.sampled_from(sorted(LAYOUTS)))
def test_there_and_back(data, layout):
    chosen = LAYOUTS[layout]
    bits = data.draw(st.integers(chosen.low, chosen.high).filter(chosen.takes))
    rows = (chosen.rows or 1) * data.draw(st.integers(0, 3))
    count = chosen.group * data.draw(st.integers(0, 5))
    codes = np.array(
        data.draw(st.lists(st.integers(0, (1 << bits) - 1), min_size=rows * count, max_size=rows * count)),
        dtype=np.uint32,
    ).reshape(rows, count)
    packed = pack(codes, bits, layout=layout)
    if not chosen.rows:
        assert packed.shape[:-1] == (rows,)
    back = unpack(packed, bits, layout=layout, count=count)
    assert back.shape == codes.shape
    assert (back == codes).all()


def words(packed):
    return [f"{word:08x}" for word in packed.view(np.uint32).ravel().tolist()]


def test_compressed_tensors_by_hand():
    # compressed-tensors 0.9.4, pack_to_int32: "[1, 2] -> [129, 130] -> ... -> 33409".
    assert pack([1, 2], "int8", layout="compressed_tensors_0_9").tolist() == [33409]
    # Twelve codes of -4 but the eleventh, which is -3: ten to a word, 0 for -4 and 1 for -3.
    codes = [-4] * 10 + [-3, -4]
    assert words(pack(codes, "int3", layout="compressed_tensors_0_9")) == ["00000000", "00000001"]
    # Dense, the eleventh begins at bit 30: 0b101 = 1 + 4 has bits 30 and 32.
    codes[10] = 1
    assert words(pack(codes, "int3", layout="compressed_tensors")) == ["40000000", "00000001"]
    assert words(pack(np.arange(-8, 0), "int4", layout="compressed_tensors")) == ["76543210"]
    assert words(pack(np.arange(8), 4, layout="compressed_tensors")) == ["76543210"]  # patterns as they are
    for name in ("compressed_tensors", "compressed_tensors_0_9"):
        packed = pack(codes, "int3", layout=name)
        assert packed.dtype == np.int32
        assert unpack(packed, "int3", layout=name, count=12).tolist() == codes


@pytest.mark.parametrize("bits", [1, 2, 3, 5, 6, 7, 8])
def test_both_eras_of_compressed_tensors_as_integers(bits):
    codes = [(i * 40503 + 7) % (1 << bits) for i in range(37)]
    dense = sum(code << (i * bits) for i, code in enumerate(codes))
    length = -(-37 * bits // 32)
    assert pack(codes, bits, layout="compressed_tensors").tobytes() == dense.to_bytes(4 * length, "little")
    factor = 32 // bits
    whole = [sum(code << (i * bits) for i, code in enumerate(codes[at : at + factor])) for at in range(0, 37, factor)]
    assert pack(codes, bits, layout="compressed_tensors_0_9").view(np.uint32).tolist() == whole


@pytest.mark.parametrize("layout", ["gptq", "squeezellm"])
def test_columns_of_gptq_and_squeezellm_by_hand(layout):
    # AutoGPTQ, qlinear_cuda_old.py, pack; SqueezeLLM, quant.py, pack2: intweight[j] << (bits * (j - i)) down a column,
    # of 3 bits code 10 "<< 30" and "(>> 2) & 1", code 21 "<< 31" and "(>> 1) & 0x3".
    codes = np.zeros((2, 32), int)
    codes[0, 10], codes[1, 21] = 7, 7
    packed = pack(codes, 3, layout=layout)
    assert packed.shape == (3, 2)
    assert words(packed.T[0]) == ["c0000000", "00000001", "00000000"]
    assert words(packed.T[1]) == ["00000000", "80000000", "00000003"]
    assert words(pack([[*range(1, 9)] * 4], 4, layout=layout)) == ["87654321"] * 4
    assert unpack(packed, 3, layout=layout).tolist() == codes.tolist()


def test_zero_points_of_gptq_are_less_one():
    packed = pack([[1, 2, 3, 4, 5, 6, 7, 8] * 4, [0] * 32], 4, layout="gptq_zeros")
    assert words(packed[0]) == ["76543210"] * 4
    assert words(packed[1]) == ["ffffffff"] * 4  # zero 0 wraps to 15; + 1 without a mask would read 16
    assert unpack(packed, 4, layout="gptq_zeros")[1].tolist() == [0] * 32
    assert words(pack([0] * 32, 3, layout="gptq_zeros")) == ["ffffffff"] * 3


def test_words_of_awq_by_hand():
    # AutoAWQ, awq/modules/linear/gemm.py: order_map = [0, 2, 4, 6, 1, 3, 5, 7].
    packed = pack([[*range(8), *range(8, 16)]], 4, layout="awq_gemm")
    assert words(packed) == ["75316420", "fdb9eca8"]
    assert unpack(packed, 4, layout="awq_gemm").tolist() == [[*range(16)]]


def test_words_of_tinychat_by_hand():
    # llm-awq, awq/quantize/qmodule.py, pack_intweight, with interleave = 4 and kstride = 64.
    codes = np.stack([np.arange(128) % 16, np.full(128, 1), np.full(128, 2), np.arange(128) // 64])
    packed = pack(codes, 4, layout="tinychat_v2")
    assert packed.shape == (1, 128)
    assert packed.dtype == np.int16
    row = [f"{word:04x}" for word in packed[0].view(np.uint16).tolist()]
    assert row[:16] == [f"{high}{low}{high}{low}" for low, high in zip("01234567", "89abcdef", strict=True)] * 2
    assert row[16:64] == ["1111"] * 16 + ["2222"] * 16 + ["0000"] * 16
    assert row[112:] == ["1111"] * 16
    assert unpack(packed, 4, layout="tinychat_v2").tolist() == codes.tolist()


def test_scales_of_cublas_are_in_tiles():
    # cuBLAS, 1D block scaling factors layout: in a tile, (outer % 32) * 16 + (outer / 32) * 4 + inner.
    codes = np.random.default_rng(4).integers(0, 256, (256, 8))
    packed = pack(codes, 8, layout="scales_128x4")
    assert packed.shape == (2, 2, 512)
    flat = packed.ravel()
    for row, column in ((0, 0), (1, 0), (33, 2), (127, 3), (128, 0), (255, 7)):
        tile = row // 128 * 2 + column // 4
        assert flat[tile * 512 + row % 32 * 16 + row % 128 // 32 * 4 + column % 4] == codes[row, column]
    assert unpack(packed, "float8_e8m0fnu", layout="scales_128x4").tolist() == codes.tolist()


def test_a_tile_word_of_spqr_by_hand():
    # SpQR, common.cuh, TileArray.push: (z << 3) | s, then x[i] << 3 * (i + 2).
    codes = [1, 2, *([3] + [0] * 14 + [5])]
    word = 1 | 2 << 3 | 3 << 6 | 5 << 51
    packed = pack(codes, 3, layout="spqr_tile")
    assert packed.tolist() == [word]
    second_order = np.uint64(0xAB << 54)  # spqr_cuda.cpp: PARTIAL_OFFSET = BITS * (beta2 + 2)
    assert unpack(packed | second_order, 3, layout="spqr_tile").tolist() == codes


def test_only_the_last_axis_is_packed():
    codes = np.arange(24).reshape(2, 3, 4) % 8
    packed = pack(codes, 3)
    assert packed.shape == (2, 3, 2)
    for row, expected in zip(packed.reshape(6, 2), codes.reshape(6, 4), strict=True):
        assert row.tolist() == pack(expected, 3).tolist()


@pytest.mark.parametrize(
    ("codes", "fmt", "layout", "message"),
    [
        ([1, 2, 3], 4, "low_nibble_first", "2 codes at a time; the last axis has 3"),
        ([1] * 16, 4, "ggml_split", "32 codes at a time"),
        ([1] * 3, 6, "fp6_dense", "4 codes at a time"),
        ([1, 16], 4, "lsb_first", "0x10 at index 1 is not a code of 4 bits"),
        ([1, 8], "int4", "lsb_first", "0x8 at index 1 is not a code of int4"),
        ([-8, 0], "int4_narrow", "lsb_first", "-0x8 at index 0"),
        ([0.5], 4, "lsb_first", "integers, not float64"),
        ([1], 5, "low_nibble_first", "takes codes of 4 bits, not 5"),
        ([1], 17, "lsb_first", "takes codes of 1 to 16 bits, not 17"),
        (3, 4, "lsb_first", "no axis"),
        ([1], 4, "low_nibble", "layout 'low_nibble' is unknown"),
        ([1], 4, ["low_nibble_first"], r"layout \['low_nibble_first'\] is unknown"),
        ([1], 4, None, "layout None is unknown"),
        ([[1], [1, 2]], 4, "lsb_first", "differ in length"),
        ([[1] * 31], 4, "gptq", "32 codes at a time"),
        ([1] * 32, 4, "gptq", "takes matrices, not a row of 32"),
        ([[1] * 32], 5, "gptq", "takes codes of 2, 3, 4, 8 bits, not 5"),
        ([[1] * 64] * 3, 4, "tinychat_v2", "4 rows at a time; the axis before the last has 3"),
        ([[1] * 4] * 127, 8, "scales_128x4", "128 rows at a time"),
        ([1] * 17, 3, "spqr_tile", "18 codes at a time"),
    ],
)
def test_pack_refuses(codes, fmt, layout, message):
    with pytest.raises(InputError, match=message):
        pack(codes, fmt, layout=layout)


@pytest.mark.parametrize(
    ("packed", "fmt", "options", "message"),
    [
        (np.array([0xFF], np.uint8), 3, {}, "padding bits after the last 3-bit code are not zero"),
        (np.array([0x07, 0x01], np.uint8), 3, {"count": 1}, "follows the 1 codes"),
        (np.array([0x0F], np.uint8), 3, {"count": 1}, "follows the 1 codes"),
        (np.array([0], np.uint8), 3, {"count": 9}, "count = 9, but 2 codes"),
        (np.array([0], np.uint8), 3, {"count": 1.5}, "count = 1.5 is not an integer"),
        (np.array([0], np.uint8), 3, {"count": "x"}, "count = 'x' is not an integer"),
        (np.array([0], np.uint8), 3, {"count": True}, "count = True is not an integer"),
        (np.array([0], np.uint8), 3, {"count": -1}, "count = -1 is negative"),
        (np.array([0], np.uint8), 4, {"layout": ["lsb_first"]}, "is unknown"),
        (np.array([0], np.int32), 3, {}, "unpacks uint8, not int32"),
        (np.array([0], np.uint8), 6, {"layout": "fp6_dense"}, "3 bytes at a time"),
        (np.array([0x40], np.uint8), 6, {"layout": "one_per_byte"}, "0x40 at index 0"),
        (np.array([0x8], np.uint8), "int4_narrow", {"count": 1}, "-0x8 at index 0"),
        (np.array([1 << 30], np.int32), 3, {"layout": "compressed_tensors_0_9"}, "above the 10 codes of a word"),
        (np.array([1 << 30], np.int32), 3, {"layout": "compressed_tensors"}, "padding bits"),
        (np.array([0, 1], np.int32), 4, {"layout": "compressed_tensors", "count": 8}, "follows the 8 codes"),
        (np.array([0], np.int64), 3, {"layout": "compressed_tensors"}, "unpacks int32, not int64"),
        (np.array([0.0], np.float32), 3, {"layout": "compressed_tensors"}, "unpacks int32, not float32"),
        (np.zeros(4, np.int8), 4, {}, "unpacks uint8, not int8"),
        (np.zeros((4, 2), np.int32), 3, {"layout": "gptq"}, "4 rows of words are not whole groups of 3"),
        (np.zeros(3, np.int32), 3, {"layout": "gptq"}, "takes matrices"),
        (np.zeros((1, 2), np.int32), 3, {"layout": "gptq_zeros"}, "3 words at a time"),
        (np.zeros((1, 65), np.int16), 4, {"layout": "tinychat_v2"}, "whole tiles of 64"),
        (np.zeros((2, 512), np.uint8), 8, {"layout": "scales_128x4"}, "swizzled scales have the shape"),
    ],
)
def test_unpack_refuses(packed, fmt, options, message):
    with pytest.raises(InputError, match=message):
        unpack(packed, fmt, **options)


def test_unknown_layout_suggests():
    with pytest.raises(InputError) as caught:
        pack([1, 2], 4, layout="low_nibbles_first")
    assert "did you mean 'low_nibble_first'?" in caught.value.hint
