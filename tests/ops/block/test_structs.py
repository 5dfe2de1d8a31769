"""The structs of ggml's blocks: byte by byte from what each byte means, written down a second time here."""

import struct
from fractions import Fraction

import numpy as np
import pytest

import lowbit
from lowbit.errors import InputError
from lowbit.ops.block.products import binary32_sums
from lowbit.ops.block.structs import struct_size
from lowbit.ops.memory import reused_empty
from lowbit.ops.pack.structs import STRUCTS

IQ4 = (-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113)
E2M1 = (0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12)


def half(data, place):
    return Fraction(float(np.frombuffer(data[place : place + 2], "<f2")[0]))


def nibble(data, place, upper):
    return data[place] >> 4 if upper else data[place] & 15


def bit(data, place, index):
    return data[place + index // 8] >> index % 8 & 1


def six_bits(data, j):
    """Scale and minimum j of Q4_K and Q5_K, from 12 bytes."""
    if j < 4:
        return data[j] & 63, data[j + 4] & 63
    return data[j + 4] & 15 | data[j - 4] >> 6 << 4, data[j + 4] >> 4 | data[j] >> 6 << 4


def trit(data, i):
    start, first, count = next(row for row in ((48, 240, 4), (32, 160, 16), (0, 0, 32)) if i >= row[1])
    digit, place = divmod(i - first, count)
    return (data[start + place] * 3**digit % 256 * 3 >> 8) - 1


def q3_scale(data, j):
    low = data[j] & 15 if j < 8 else data[j - 8] >> 4
    return (low | (data[8 + j % 4] >> 2 * (j // 4) & 3) << 4) - 32


def signed(byte):
    return byte - 256 if byte > 127 else byte


def k4(s, i, high):
    scale, minimum = six_bits(s[4:16], i // 32)
    code = nibble(s, (48 if high else 16) + i // 64 * 32 + i % 32, i // 32 % 2)
    code += 16 * (s[16 + i % 32] >> i // 32 & 1) if high else 0
    return half(s, 0) * scale * code - half(s, 2) * minimum


def q6(s, i):
    low = nibble(s, i // 128 * 64 + i % 64, i // 64 % 2)
    return low | (s[128 + i // 128 * 32 + i % 32] >> 2 * (i // 32 % 4) & 3) << 4


def two_bits(s, place, i):
    return s[place + i // 128 * 32 + i % 32] >> 2 * (i // 32 % 4) & 3


def iq4_scale(s, j):
    return (nibble(s, 4 + j // 2, j % 2) | (s[2 + j // 4] >> 2 * (j % 4) & 3) << 4) - 32


def ue4m3(code):
    if code in (0, 0x7F):
        return Fraction(0)
    exponent, mantissa = code >> 3 & 15, code & 7
    return (Fraction(8 + mantissa, 8) * Fraction(2) ** (exponent - 7) if exponent else Fraction(mantissa, 512)) / 2


VALUES = {
    "q1_0": lambda s, i: half(s, 0) * (2 * bit(s, 2, i) - 1),
    "q2_0": lambda s, i: half(s, 0) * ((s[2 + i // 4] >> 2 * (i % 4) & 3) - 1),
    "q4_0": lambda s, i: half(s, 0) * (nibble(s, 2 + i % 16, i // 16) - 8),
    "q4_1": lambda s, i: half(s, 0) * nibble(s, 4 + i % 16, i // 16) + half(s, 2),
    "q5_0": lambda s, i: half(s, 0) * (nibble(s, 6 + i % 16, i // 16) + 16 * bit(s, 2, i) - 16),
    "q5_1": lambda s, i: half(s, 0) * (nibble(s, 8 + i % 16, i // 16) + 16 * bit(s, 4, i)) + half(s, 2),
    "q8_0": lambda s, i: half(s, 0) * signed(s[2 + i]),
    "q8_1": lambda s, i: half(s, 0) * signed(s[4 + i]),
    "mxfp4": lambda s, i: Fraction(2) ** (s[0] - 128) * E2M1[nibble(s, 1 + i % 16, i // 16)],
    "nvfp4": lambda s, i: ue4m3(s[i // 16]) * E2M1[nibble(s, 4 + i // 16 * 8 + i % 8, i // 8 % 2)],
    "tq1_0": lambda s, i: half(s, 52) * trit(s, i),
    "tq2_0": lambda s, i: half(s, 64) * (two_bits(s, 0, i) - 1),
    "q2_k": lambda s, i: half(s, 80) * (s[i // 16] & 15) * two_bits(s, 16, i) - half(s, 82) * (s[i // 16] >> 4),
    "q3_k": lambda s, i: (
        half(s, 108) * q3_scale(s[96:108], i // 16) * (two_bits(s, 32, i) + 4 * (s[i % 32] >> i // 32 & 1) - 4)
    ),
    "q4_k": lambda s, i: k4(s, i, high=False),
    "q5_k": lambda s, i: k4(s, i, high=True),
    "q6_k": lambda s, i: half(s, 208) * signed(s[192 + i // 16]) * (q6(s, i) - 32),
    "q8_k": lambda s, i: Fraction(struct.unpack("<f", s[:4])[0]) * signed(s[4 + i]),
    "iq4_nl": lambda s, i: half(s, 0) * IQ4[nibble(s, 2 + i % 16, i // 16)],
    "iq4_xs": lambda s, i: half(s, 0) * iq4_scale(s, i // 32) * IQ4[nibble(s, 8 + i // 32 * 16 + i % 16, i // 16 % 2)],
}
"""What value i of a struct is worth, as the functions dequantize_row of ggml-quants.c say."""


def random_structs(name, count, seed=0):
    fmt = lowbit.get_format(f"ggml_{name}")
    return fmt, np.random.default_rng(seed).integers(0, 256, (count, struct_size(fmt)), dtype=np.uint8)


def test_every_struct_is_known():
    assert {name.removeprefix("ggml_") for name in STRUCTS} == set(VALUES)


@pytest.mark.parametrize("name", VALUES)
def test_values_of_random_structs(name):
    fmt, structs = random_structs(name, 6)
    tensor = lowbit.BlockTensor.from_bytes(structs.tobytes(), fmt, (2, 3 * fmt.block[0]), layout="ggml")
    values = lowbit.dequantize(tensor).reshape(len(structs), -1)
    finite = 0
    for data, row in zip(structs, values, strict=True):
        if not np.isfinite(row).all():
            continue
        finite += 1
        exact = [VALUES[name](bytes(data), i) if i % 5 == 0 else None for i in range(fmt.block[0])]
        expected = [np.float32(float(value)) for value in exact if value is not None]  # at most 53 bits
        assert row[::5].tolist() == expected
    assert finite


@pytest.mark.parametrize("name", VALUES)
def test_there_and_back(name):
    fmt, structs = random_structs(name, 24, seed=1)
    shape = (2, 3, 4 * fmt.block[0])
    tensor = lowbit.BlockTensor.from_bytes(structs.tobytes(), fmt, shape, layout="ggml")
    assert tensor.codes.shape == shape
    reused_empty((structs.nbytes,), np.uint8)[...] = 0xFF  # where structs are written: all of their bits are
    data = tensor.to_bytes(layout="ggml")
    if name == "tq1_0":  # 256 bytes are 243 numbers of five digits
        again = lowbit.BlockTensor.from_bytes(data, fmt, shape, layout="ggml")
        assert (again.codes == tensor.codes).all()
        assert again.to_bytes(layout="ggml") == data
    else:
        assert data == structs.tobytes()
    turned = lowbit.BlockTensor.from_bytes(data, fmt, (2, shape[2], 3), axis=1, layout="ggml")
    assert (np.moveaxis(turned.codes, 1, -1) == tensor.codes).all()
    assert turned.to_bytes(layout="ggml") == data


def test_what_structs_are_not():
    with pytest.raises(InputError, match="mxfp4 has no struct in layout 'ggml'"):
        lowbit.quantize(np.ones(32), "mxfp4").to_bytes(layout="ggml")
    with pytest.raises(InputError, match="19 bytes are not the 18 of ggml_q4_0"):
        lowbit.BlockTensor.from_bytes(bytes(19), "ggml_q4_0", (32,), layout="ggml")
    with pytest.raises(InputError, match="structs of 32 values do not fill an axis of 40"):
        lowbit.BlockTensor.from_bytes(bytes(36), "ggml_q4_0", (40,), layout="ggml")


def test_sums_beside_the_elements():
    values = np.random.default_rng(2).normal(size=(3, 512)).astype(np.float32)
    tensor = lowbit.quantize(values, "ggml_q8_1", policy="nearest")
    exact = tensor.codes.reshape(3, 16, 32).sum(-1) * tensor.scales["block"].astype(np.float64)
    assert (tensor.scales["sum"] == exact.astype(np.float16)).all()
    tensor = lowbit.quantize(values, "ggml_q8_k", policy="nearest")
    assert (tensor.scales["sums"] == tensor.codes.reshape(3, 32, 16).sum(-1)).all()


@pytest.mark.parametrize("name", ["q4_1", "q5_1", "q2_k", "q3_k", "q4_k", "q5_k", "q6_k", "iq4_xs"])
def test_sums_in_one_pass_are_the_exact_values_rounded_once(name):
    fmt, structs = random_structs(name, 400, seed=3)
    tensor = lowbit.BlockTensor.from_bytes(structs.tobytes(), fmt, (100, 4 * fmt.block[0]), layout="ggml")
    with np.errstate(all="ignore"):
        values = binary32_sums(tensor, 1)
    assert values is not None
    wide = lowbit.dequantize(tensor, dtype=np.float64)  # another path, whose sums are of binary64
    with np.errstate(all="ignore"):
        rounded = np.where(np.isnan(wide), np.nan, wide).astype(np.float32)
    assert values.view(np.uint32).tolist() == rounded.view(np.uint32).tolist()
    assert (lowbit.dequantize(tensor, threads=3).view(np.uint32) == values.view(np.uint32)).all()
    turned = lowbit.BlockTensor.from_bytes(structs.tobytes(), fmt, (4 * fmt.block[0], 100), axis=0, layout="ggml")
    assert (lowbit.dequantize(turned).view(np.uint32) == values.T.view(np.uint32)).all()
