"""Shared exponents: BFP, MSFP and dynamic fixed point against the oracle, and against their definitions in integers."""

import dataclasses
from fractions import Fraction
from itertools import pairwise
from math import floor

import ml_dtypes
import numpy as np
import pytest

from lowbit.errors import FormatError, InputError
from lowbit.exact import from_float
from lowbit.format.block import BlockFormat, ScaleField
from lowbit.format.block_name import block_format
from lowbit.format.registry import get_format, scalar_format
from lowbit.ops.block.dequantize import dequantize
from lowbit.ops.block.quantize import quantize
from lowbit.ops.block.tensor import BlockTensor
from lowbit.oracle.block.decode import element_value
from lowbit.policy.block import BlockPolicy, get_block_policy
from tests.agree.test_block import blocks, require_equal

BFP = {"bfp8_b": 7, "bfp4_b": 3, "bfp2_b": 1}
MSFP = {"msfp16": 7, "msfp12": 3}
DFP = {"dfp16": 16, "dfp8": 8}


@pytest.mark.parametrize("name", [*BFP, *MSFP, *DFP])
def test_the_oracle_agrees(name):
    values = blocks(11, (6, 64))
    require_equal(values, name, get_format(name).default_policy)
    values[1, 5], values[2, 40] = np.nan, -np.inf
    require_equal(values, name, get_format(name).default_policy)


@pytest.mark.parametrize("name", [*BFP, *MSFP, *DFP])
def test_the_oracle_agrees_beside_powers_of_two_and_at_ties(name):
    fmt = get_format(name)
    unit = 2.0 ** float(fmt.element.smallest_exponent - fmt.element.max_exponent - 1)
    tops = np.array([1, 2, 2 - unit, 2 - unit / 2, 2 - 2 * unit, 1.5], np.float32)
    tops = np.concatenate([np.nextafter(tops, np.float32(0)), tops, np.nextafter(tops, np.float32(4))])
    for top in tops:
        ties = ((np.arange(15) - 7) * 2 + 1) * np.float32(unit)
        require_equal(np.array([[top, *ties]], np.float32), name, fmt.default_policy)


def of_rule(rule, **choices):
    """A mean is made of steps in binary32."""
    return BlockPolicy(scale_rule=rule, arithmetic="binary32" if rule == "mean" else "exact", **choices)


@pytest.mark.parametrize("rule", BlockPolicy.choices("scale_rule"))
@pytest.mark.parametrize("element", ["int4_narrow", "int8", "sm2.2", "float4_e2m1fn"])
def test_an_exponent_under_every_scale_rule(element, rule):
    field = ScaleField("block", scalar_format("int6"), (4,), "exponent")
    fmt = BlockFormat(id="mine", element=scalar_format(element), block=(4,), scales=(field,))
    tops = np.array([7, 7.25, 7.5, 7.75, 8, 8.25, 15, 15.5, 2.0**-40, 2.0**60], np.float32)
    require_equal(np.stack([tops, -tops, tops / 2, -tops * 3], 1), fmt, of_rule(rule))


def host_packer(words, width):
    """What tt-metal's host makes of binary32 words: the shared exponent, and codes from aligned significands."""
    shared, codes = max(word >> 23 & 0xFF for word in words), []
    for word in words:
        aligned = (1 << 23 | word & 0x7FFFFF) >> shared - (word >> 23 & 0xFF)
        kept, lost = divmod(aligned if word & 0x7FFFFFFF else 0, 1 << 24 - width)
        tie = 1 << 23 - width
        kept = min(kept + (lost > tie or (lost == tie and kept & 1)), (1 << width) - 1)
        codes.append((word >> 31 if kept else 0) << width | kept)
    return shared, codes


def bfloat16_rows():
    """Every significand of bfloat16 below a shared exponent of up to 9 binades more, both signs; and their words."""
    magnitudes = np.arange(0x3F80 - 9 * 128, 0x4000).astype(np.uint16)
    codes = np.concatenate([magnitudes, magnitudes | 0x8000])
    codes = codes[: len(codes) // 15 * 15].reshape(-1, 15)
    codes = np.concatenate([np.full((len(codes), 1), 0x3FFF, np.uint16), codes], axis=1)
    codes[::3, 1], codes[1::3, 2] = 0, 0x8000
    return codes.view(ml_dtypes.bfloat16).astype(np.float32), codes


@pytest.mark.parametrize("name", BFP)
def test_the_host_packer_on_bfloat16_values(name):
    values, _ = bfloat16_rows()
    tensor = quantize(values, name)
    scales = tensor.scales["block"][:, 0].tolist()
    for row, *stored in zip(values.view(np.uint32).tolist(), scales, tensor.codes.tolist(), strict=True):
        assert tuple(stored) == host_packer(row, BFP[name])


def device_packer(words, width):
    """What the ISA documentation says of bfloat16 words: 7 bits to nearest, ties away, of which the first are kept."""
    shared, codes = max(word >> 7 & 0xFF for word in words), []
    for word in words:
        aligned = Fraction(1 << 7 | word & 0x7F if word & 0x7FFF else 0, 2 << shared - (word >> 7 & 0xFF))
        kept = min(floor(aligned + Fraction(1, 2)), 127) >> 7 - width
        codes.append((word >> 15 if kept else 0) << width | kept)
    return shared, codes


@pytest.mark.parametrize("name", BFP)
def test_the_device_packer_on_bfloat16_values(name):
    values, words = bfloat16_rows()
    tensor = quantize(values, name, policy="tenstorrent_device")
    scales = tensor.scales["block"][:, 0].tolist()
    for row, *stored in zip(words.tolist(), scales, tensor.codes.tolist(), strict=True):
        assert tuple(stored) == device_packer(row, BFP[name])
    require_equal(values[::40], name, "tenstorrent_device")


def test_host_and_device_differ_as_the_issue_says():
    # tt-metal issue 57410: 3.875 in a block whose largest is 8 becomes 4 on the host and 2 on the device.
    values = np.zeros(16, np.float32)
    values[:2] = 8, 3.875
    for policy, expected in (("tenstorrent_host", 4), ("tenstorrent_device", 2)):
        assert dequantize(quantize(values, "bfp4_b", policy=policy))[1] == expected


def test_the_host_packer_drops_what_it_shifts_out():
    # 2^-24 above a tie of BFP8 whose neighbour below is even: the claim says that this is not modelled.
    values = np.zeros(16, np.float32)
    values[:2] = 1, np.float32(2.0**-7 + 2.0**-24)
    assert host_packer(values.view(np.uint32).tolist(), 7)[1][1] == 0
    assert quantize(values, "bfp8_b").codes[1] == 1


# The largest is 8 = 2^3, so that a unit is 2^3 / 64, 2^3 / 4 or 2^3: 3.875 is 31, 1.9375 or 0.484 of them. Stored are
# 127 + 3, or -3 for 8 = 64 * 2^-3. A sign without a magnitude is kept by MSFP only.
HAND = [
    ("bfp8_b", 130, [31, 64, 0x83, 0], [3.875, 8, -0.375, 0]),
    ("bfp4_b", 130, [2, 4, 0, 0], [4, 8, 0, 0]),
    ("bfp2_b", 130, [0, 1, 0, 0], [0, 8, 0, 0]),
    ("msfp16", 130, [31, 64, 0x83, 0x80], [3.875, 8, -0.375, 0]),
    ("msfp12", 130, [2, 4, 8, 8], [4, 8, 0, 0]),
    ("dfp16", -11, [7936, 16384, -819, 0], [3.875, 8, -819 / 2048, 0]),
    ("dfp8", -3, [31, 64, -3, 0], [3.875, 8, -0.375, 0]),
]


@pytest.mark.parametrize(("name", "scale", "codes", "worth"), HAND)
def test_derived_by_hand(name, scale, codes, worth):
    tensor = quantize([3.875, 8, -0.4, -0.0] * 4, name)
    assert [int(stored) for stored in np.ravel(*tensor.scales.values())] == [scale]
    assert tensor.codes.tolist() == codes * 4
    assert dequantize(tensor).tolist() == worth * 4


@pytest.mark.parametrize(("name", "width"), DFP.items())
def test_dynamic_fixed_point_by_leading_zeros(name, width):
    # Integers as the tensor: its largest loses no bit, or as many as it has too many, and never reaches 2^(width - 1).
    for largest in (1, 2, 127, 128, 255, 32767, 32768, 65535, 2**24 - 1):
        tensor = quantize(np.array([largest, -largest, 0], np.float32), name)
        shift = largest.bit_length() - (width - 1)
        limit = (1 << width - 1) - 1
        rounded = min(round(largest / 2**shift), limit)
        assert int(tensor.scales["tensor"]) == shift
        assert tensor.codes.tolist() == [rounded, -rounded, 0]
    for special in (np.nan, np.inf):
        with pytest.raises(InputError, match="the block policy says"):
            quantize([1, special], name)


def test_chains_of_symmetric_products_fit_int32():
    # 2, 8, 32, 128 and 512 products of 16 to 12 bits: without the lowest code they fit, with it they do not.
    chains = [2, 8, 32, 128, 512]
    for width, chain in zip(range(16, 11, -1), chains, strict=True):
        largest = scalar_format(f"int{width}_narrow").max.fraction()
        assert chain * largest**2 < 1 << 31 == chain * scalar_format(f"int{width}").min.fraction() ** 2
    assert all(4 * low == high for low, high in pairwise(chains))


@pytest.mark.parametrize("name", ["bfp8_b", "bfp2_b", "msfp12", "dfp8"])
def test_every_code_is_worth_its_value(name):
    fmt = get_format(name)
    field, element = fmt.scales[0], fmt.element
    codes = np.resize(
        [code for code in map(element.from_pattern, range(1 << element.bits)) if code in element.codes], 256
    )
    for scale in (0, 1, 127, 128, 200, 254) if field.role == "multiply" else (-128, -1, 0, 5, 127):
        array = np.full((16,) if field.block else (), scale, np.uint8 if field.role == "multiply" else np.int8)
        values = dequantize(BlockTensor(fmt, codes.shape, 0, codes, {field.name: array}), dtype=np.float64)
        for code, value in zip(codes.tolist(), values.tolist(), strict=True):
            assert from_float(value).reduced() == element_value(code, {field.name: scale}, fmt).reduced()


@pytest.mark.parametrize("arithmetic", BlockPolicy.choices("arithmetic"))
@pytest.mark.parametrize("policy", ["hifloat4", "hifloat4_bfloat16", "ocp_mx"])
def test_exponents_below_a_scale(policy, arithmetic):
    # Maxima beside the places where an exponent becomes one, of blocks of every kind, NaN and infinity in some.
    chosen = get_block_policy(policy).choose(arithmetic=arithmetic)
    values = blocks(5, (6, 128))
    require_equal(values, "hifloat4", chosen)
    values[0, 3], values[1, 40], values[2, 90] = np.nan, np.inf, -np.inf
    require_equal(values, "hifloat4", chosen)
    edges = np.float32([7, 4, 3.9999998, 2, 1.9999999, 1, 0.1249999, 0]) * np.float32([[1], [-1], [1.3], [0.3]])
    require_equal(np.repeat(edges, 8, axis=1)[:, np.random.default_rng(1).permutation(64)], "hifloat4", chosen)


def test_exponents_below_other_scales():
    """The algebra, not the format: exponents of two bits, below a power of two, and below two scales."""
    for scale, tensor in (("float8_e8m0fnu", None), ("float16", None), ("float8_e4m3fn", "float32")):
        parts = [ScaleField("block", get_format(scale), (16,))]
        parts += [] if tensor is None else [ScaleField("tensor", get_format(tensor), ())]
        parts += [ScaleField("eights", get_format("uint2"), (8,), "exponent")]
        parts += [ScaleField("twos", get_format("int3"), (2,), "exponent")]
        plain = block_format("float4_e2m1fn", block=16)
        fmt = dataclasses.replace(plain, id="below", scales=tuple(parts), element=get_format("float4_e2m1fn"))
        for rule in BlockPolicy.choices("scale_rule"):
            require_equal(blocks(6, (4, 32)), fmt, of_rule(rule, scale="ocp_sat", tensor="ocp_sat"))
    with pytest.raises(FormatError, match="smaller and smaller"):
        dataclasses.replace(fmt, scales=(parts[0], *parts[1:][::-1]))


def test_hifloat4_is_the_published_conversion():
    """quant_cy_npu's quant_hifx, step by step in NumPy, for bfloat16 values."""
    drawn = np.random.default_rng(2)
    values = drawn.normal(size=(64, 64)) * 2.0 ** drawn.integers(-8, 9, (64, 16)).repeat(4, axis=1)
    values = values.astype(ml_dtypes.bfloat16).astype(np.float32)

    def narrow(array):
        return array.astype(ml_dtypes.bfloat16).astype(np.float32)

    groups = np.abs(values).reshape(64, 8, 2, 4)
    fours = groups.max(axis=3, keepdims=True)
    eights = fours.max(axis=2, keepdims=True)
    scale = np.clip(narrow(eights.max(axis=1, keepdims=True) * narrow(np.float32(1 / 7))), 2.0**-48, 49152)
    power = np.exp2(2 - np.floor(np.log2(scale)))
    scale = np.rint(scale * power) / power
    factor = narrow(1 / scale)
    first = np.where(eights * factor >= 4, 2, 1)
    second = np.where(fours * factor / first >= 2, 2, 1)
    worth = np.minimum(np.floor(groups / first / second * factor * 4 + 0.5) / 4, 1.75) * first * second * scale
    found = dequantize(quantize(values, "hifloat4", policy="hifloat4_bfloat16"))
    assert (found == np.copysign(worth.reshape(64, 64), values)).all()
