"""Bit layouts: by hand, against other people's definitions, and there and back."""

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lowbit.errors import InputError
from lowbit.ops.pack.pack import GGML_BLOCK, LAYOUTS, pack, unpack

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
    bits = data.draw(st.integers(chosen.low, chosen.high))
    rows = data.draw(st.integers(0, 3))
    count = chosen.group * data.draw(st.integers(0, 5))
    codes = np.array(
        data.draw(st.lists(st.integers(0, (1 << bits) - 1), min_size=rows * count, max_size=rows * count)),
        dtype=np.uint32,
    ).reshape(rows, count)
    packed = pack(codes, bits, layout=layout)
    assert packed.shape[:-1] == (rows,)
    back = unpack(packed, bits, layout=layout, count=count)
    assert back.shape == codes.shape
    assert (back == codes).all()


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
    ],
)
def test_unpack_refuses(packed, fmt, options, message):
    with pytest.raises(InputError, match=message):
        unpack(packed, fmt, **options)


def test_unknown_layout_suggests():
    with pytest.raises(InputError) as caught:
        pack([1, 2], 4, layout="low_nibbles_first")
    assert "did you mean 'low_nibble_first'?" in caught.value.hint
