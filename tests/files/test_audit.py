"""The format audit: every planted defect is counted, the capacity is that of all files with the same values."""

import itertools
import math
from pathlib import Path

import numpy as np
import pytest

import lowbit
from lowbit.files.audit import (
    KINDS,
    audit_block,
    audit_numbers,
    canonical_block,
    canonical_numbers,
    lineage_bits,
    usual_scale,
)
from lowbit.format.block_name import block_format
from lowbit.format.registry import block_format_of, scalar_format
from lowbit.ops.block.tensor import BlockTensor

GENERATOR = np.random.default_rng(8)
SMALL = ["float4_e2m1fn", "float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e8m0fnu", "float6_e2m3fn", "nf4"]
WIDE = ["float16", "bfloat16", "float32", "float64"]


def meanings(fmt, codes):
    """What each code is worth, exactly; zeros and NaNs are alike."""
    parts = (array.tolist() for array in lowbit.decode_exact(codes, fmt))
    return [kind or (significand, exponent) for kind, significand, exponent in zip(*parts, strict=True)]


def test_the_page_lists_every_kind():
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "scan-a-checkpoint.md").read_text(encoding="utf-8")
    assert [kind for kind in KINDS if f"| `{kind}` |" not in page] == []


@pytest.mark.parametrize("name", SMALL)
def test_small_formats_are_audited_by_their_exact_values(name):
    fmt = scalar_format(name)
    codes = np.array(list(fmt.codes), fmt.code_dtype)
    worth = meanings(fmt, codes)
    alike = {
        code: [other for other, same in zip(fmt.codes, worth, strict=True) if same == worth[code]] for code in fmt.codes
    }
    tally = audit_numbers(np.repeat(codes, 3), fmt)
    expected = 3 * sum(math.log2(len(others)) for others in alike.values())
    assert tally.capacity == pytest.approx(expected)
    clean = canonical_numbers(codes, fmt)
    for code, other in zip(codes, clean, strict=True):
        assert int(other) in alike[int(code)]
    assert [len({int(code) for code in clean if int(code) in others}) for others in alike.values()] == [1] * len(alike)
    assert audit_numbers(clean, fmt).found == {}


@pytest.mark.parametrize("name", WIDE)
def test_wide_formats(name):
    fmt = scalar_format(name)
    sign, nan = 1 << (fmt.bits - 1), fmt.canonical_nan
    infinity = fmt.nan_ranges[0][0] - 1
    words = [0, sign, sign, 1, infinity, infinity | sign, nan, nan + 1, nan | sign, infinity + 1]
    codes = np.array(words, f"u{fmt.bits // 8}")
    found = audit_numbers(codes, fmt).found
    assert found["negative_zero"] == (2, 3, 3.0)
    assert found["nan_payload"][:2] == (3, 4)
    assert found["nan_payload"][2] == pytest.approx(4 * math.log2(fmt.nan_count))
    clean = canonical_numbers(codes, fmt)
    assert clean.tolist() == [0, 0, 0, 1, infinity, infinity | sign, nan, nan, nan, nan]
    assert audit_numbers(clean, fmt).found == {}
    assert audit_numbers(codes[:0], fmt).counts == {}


def test_integers_have_one_code_a_value():
    for name in ("int4", "uint8", "int16"):
        fmt = scalar_format(name)
        codes = np.array([fmt.codes[0], 0, fmt.codes[-1]], fmt.code_dtype)
        assert audit_numbers(codes, fmt).found == {}
        assert np.array_equal(canonical_numbers(codes, fmt), codes)


FORMATS = [
    "int4.g8.float16",
    "int4.g8.asymmetric",
    "mxfp4",
    "nvfp4",
    "nf4.g8",
    "mxfp8_e4m3",
    "int8.channel",
    "fp8_128x128",
]


def tensor_of(fmt, shape=(4, 64)):
    values = GENERATOR.normal(size=shape).astype(np.float32)
    values[1] = 0
    return lowbit.quantize(values, fmt, policy=None)


@pytest.mark.parametrize("name", FORMATS)
def test_the_canonical_form_has_the_same_values_and_no_finding(name):
    tensor = tensor_of(name, (128, 256) if name == "fp8_128x128" else (4, 64))
    codes = GENERATOR.permuted(np.array(tensor.codes), axis=-1)
    scales = {field.name: np.array(tensor.scale_codes(field.name)) for field in tensor.format.scales}
    spoilt = BlockTensor.trusted(tensor.format, 1, codes, scales)
    for case in (tensor, spoilt):
        clean = canonical_block(case)
        assert np.array_equal(lowbit.dequantize(clean), lowbit.dequantize(case), equal_nan=True)
        assert audit_block(clean).found == {}
        assert np.array_equal(canonical_block(clean).codes, clean.codes)
        assert clean.scales.keys() == case.scales.keys()


def test_codes_under_a_scale_of_zero_and_scales_of_zeros():
    fmt = block_format("int4", block=8, scale="float16")
    codes = np.zeros((2, 16), np.int8)
    codes[0, :8], codes[1, 8:] = 3, 1
    scales = np.array([[0x0000, 0x4000], [0x4000, 0x4000]], np.uint16)
    tensor = BlockTensor.trusted(fmt, 1, codes, {"block": scales})
    found = audit_block(tensor).found
    usual = int(usual_scale(fmt).view(np.uint16))
    assert usual != 0x4000
    assert found["code_under_zero_scale"] == (8, 8, 32.0)
    assert found["scale_of_zeros"][:2] == (2, 2)
    clean = canonical_block(tensor)
    assert not clean.codes[0].any()
    assert clean.codes[1, 8:].tolist() == [1] * 8
    zero_blocks = clean.scale_codes("block").view(np.uint16)[[0, 0, 1], [0, 1, 0]]
    assert zero_blocks.tolist() == [usual] * 3


def test_zero_points_under_a_scale_of_zero():
    fmt = block_format("int4", block=8, scale="float16", asymmetric=True)
    codes = np.arange(16, dtype=np.int8).reshape(1, 16) % 8
    tensor = BlockTensor.trusted(
        fmt, 1, codes, {"block": np.zeros((1, 2), np.uint16), "zero_point": np.array([[2, -1]], np.int8)}
    )
    assert audit_block(tensor).found["code_under_zero_scale"][:2] == (15, 16)
    assert canonical_block(tensor).codes.tolist() == [[2] * 8 + [-1] * 8]


def test_the_capacity_is_that_of_all_files_with_the_same_values():
    """Brute force over all codes of a block of two elements: the audit counts those that give the same values."""
    fmt = block_format("float4_e2m1fn", block=2, scale="float16")
    for scale in (0x0000, 0x3C00):
        scales = {"block": np.array([[scale]], np.uint16)}
        worth = {
            pair: tuple(lowbit.dequantize(BlockTensor.trusted(fmt, 1, np.array([pair], np.uint8), scales))[0].tolist())
            for pair in itertools.product(range(16), repeat=2)
        }
        for pair in [(8, 3), (8, 8), (3, 9), (8, 0)]:
            alike = sum(values == worth[pair] for values in worth.values())
            found = audit_block(BlockTensor.trusted(fmt, 1, np.array([pair], np.uint8), scales)).found
            kind = "negative_zero" if scale else "code_under_zero_scale"
            assert found.get(kind, (0, 0, 0.0))[2] == (math.log2(alike) if alike > 1 else 0)


def test_lineages():
    values = GENERATOR.normal(size=1000).astype(np.float32)
    for name, bits in (("bfloat16", 16), ("float16", 13)):
        narrow = lowbit.decode(lowbit.encode(values, name), name).astype(np.float32)
        assert lineage_bits(narrow.view(np.uint32), name) == (0, bits)
        words = narrow.view(np.uint32).copy()
        words[::10] |= 1
        assert lineage_bits(words, name) == (100, bits)
    small = np.array([2.0**-24, 3 * 2.0**-24, 2.0**-25, 65504, 65520, np.inf], np.float32)
    assert lineage_bits(small.view(np.uint32), "float16")[0] == 2


def test_blocks_of_vectors_and_of_scales_by_sign_are_audited_as_far_as_it_goes():
    for name in ("pyramid8_2.g32", "af4.g32"):
        fmt = block_format_of(name)
        tensor = lowbit.quantize(GENERATOR.normal(size=(2, 128)).astype(np.float32), fmt)
        clean = canonical_block(tensor)
        assert np.array_equal(lowbit.dequantize(clean), lowbit.dequantize(tensor))
        assert audit_block(clean).found == {}
