"""Block formats as data: their names, figures and files, and what is refused."""

from fractions import Fraction

import numpy as np
import pytest

import lowbit
from lowbit.errors import FormatError, InputError, UnknownFormatError
from lowbit.format import registry
from lowbit.format.block import BlockFormat, ScaleField
from lowbit.format.files.catalogue import Catalogue
from lowbit.format.registry import formats, get_format, scalar_format
from lowbit.policy.block import BLOCK_PRESETS

E2M1, E8M0, HALF = (scalar_format(name) for name in ("float4_e2m1fn", "float8_e8m0fnu", "float16"))


@pytest.mark.parametrize(
    ("name", "bits"),
    [
        ("mxfp4", "17/4"),
        ("MXFP8-E4M3", "33/4"),
        ("nvfp4", "9/2"),
        ("fp8_128x128", "4097/512"),
        ("int4.g128", "33/8"),
        ("INT4.G32", "9/2"),
        ("float4_e2m1fn.g128.by_sign", "17/4"),
        ("e2m1.g128.by_sign", "17/4"),
        ("q2.6.g32.float8_e8m0fnu", "33/4"),
        ("binary8p4se.16x16.bfloat16", "129/16"),
        ("int8.channel.float32", "8"),
        ("int8.tensor", "8"),
        ("int4.g128.asymmetric", "133/32"),
        ("uint8.g32.asymmetric.float32", "37/4"),
    ],
)
def test_names_and_bits_per_value(name, bits):
    fmt = get_format(name)
    assert isinstance(fmt, BlockFormat)
    assert fmt.bits_per_value == Fraction(bits)
    assert get_format(fmt.id) == fmt
    assert get_format(fmt) is fmt


def test_a_name_says_what_the_parts_say():
    assert lowbit.block_format("int4", block=128) == get_format("int4.g128")
    assert lowbit.block_format("float4_e2m1fn", block=64, by_sign=True) == get_format("float4_e2m1fn.g64.by_sign")
    mine = lowbit.block_format("float4_e2m1fn", block=16, scale="float8_e4m3fn", tensor="float32", id="mine")
    nvfp4 = get_format("nvfp4")
    assert (mine.element, mine.block, mine.scales) == (nvfp4.element, nvfp4.block, nvfp4.scales)
    assert mine.id == "mine"


@pytest.mark.parametrize(
    ("name", "formula"),
    [
        ("mxfp4", "element * block"),
        ("nvfp4", "element * block * tensor"),
        ("nvfp4_reciprocal", "element * block / tensor"),
        ("uint4.g128.asymmetric", "(element - zero_point) * block"),
        ("float4_e2m1fn.g128.by_sign", "element * (negative if element < 0 else positive)"),
        ("nf4.g64.nested.float32", "element * (block * super + offset)"),
        ("int2.channel.offset.float32", "element * block + offset"),
    ],
)
def test_the_expression(name, formula):
    assert get_format(name).formula == formula


def test_double_quantisation():
    # QLoRA, arXiv 2305.14314, section 3: 0.127 bits for a parameter instead of 0.5.
    fmt = lowbit.get_format("nf4.g64.nested.float32")
    assert round(float(fmt.bits_per_value) - 4, 3) == 0.127
    assert lowbit.get_format("nf4.g64.float32").bits_per_value == Fraction(9, 2)
    assert fmt == lowbit.block_format("nf4", block=64, scale="float32", nested=True)
    assert fmt.default_policy in BLOCK_PRESETS


def test_the_expression_of_every_role():
    fields = {
        "block": ("multiply", ""),
        "shift": ("exponent", ""),
        "zero_point": ("zero_point", ""),
        "super": ("super", "block"),
        "offset": ("offset", ""),
    }
    integers = {"shift": "int8", "zero_point": "int8"}
    scales = tuple(
        ScaleField(name, scalar_format(integers.get(name, "float16")), (8,), role, of)
        for name, (role, of) in fields.items()
    )
    fmt = BlockFormat(id="all", element=scalar_format("int8"), block=(8,), scales=scales)
    assert fmt.formula == "(element - zero_point) * block * super * 2^shift + offset"


@pytest.mark.parametrize("name", formats(kind="block"))
def test_every_file_is_whole(name):
    fmt = get_format(name)
    assert fmt.source.url
    assert fmt.facts
    assert fmt.default_policy in BLOCK_PRESETS


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("int4.g0", UnknownFormatError, "unknown"),
        ("int4.g128.nonsense", FormatError, "nonsense"),
        ("int4.g128.float16.float32", FormatError, "is not a scale format"),
        ("int4.g128.by_sign.asymmetric", UnknownFormatError, "asymmetric"),
        ("nonsense.g128", UnknownFormatError, "'nonsense' is unknown"),
        ("e4m3.g128", UnknownFormatError, "ambiguous"),
        ("mxfp8", UnknownFormatError, "mxfp8_e4m3"),
        ("uint8.g128.by_sign", FormatError, "uint8 has no negative elements"),
        ("mxfp4.g16", FormatError, r"mxfp4 has blocks already\nhelp: .* float4_e2m1fn\.g16\.float8_e8m0fnu"),
        ("int4.g0", UnknownFormatError, "'g0' is not a block of 1 to"),
        ("int4.g9999999999", UnknownFormatError, "'g9999999999' is not a block of 1 to"),
        ("int4.16x0", UnknownFormatError, "'16x0' is not a block of 1 to"),
        ("nf4.16x16.nested", FormatError, "nested scales are one factor for each block along an axis"),
        ("nf4.tensor.nested", FormatError, "nested scales are one factor"),
    ],
)
def test_wrong_names(name, error, message):
    with pytest.raises(error, match=message):
        get_format(name)


@pytest.mark.parametrize(
    ("scales", "message"),
    [
        ((), "at least one scale"),
        ((("a", E8M0, (32,)), ("a", E8M0, ())), "have one name"),
        ((("a", E8M0, (32,), "scale"),), "role 'scale' is unknown"),
        ((("a", E8M0, (32,), "super", "b"),), "of = 'b'"),
        ((("a", E8M0, (32,), "multiply", "a"),), "of = 'a'"),
        ((("a", E8M0, (32,), "exponent"),), "is not an integer format"),
        ((("a", E8M0, (-1,)),), "is not a tuple of lengths"),
        ((("a", E8M0, [32]),), "is not a tuple of lengths"),
        ((("positive", HALF, (32,), "by_sign"),), "not 'positive' and 'negative'"),
        ((("a", HALF, (32,), "offset"), ("b", HALF, (32,), "offset")), "two scales have the role 'offset'"),
        ((("a", HALF, (32,)), ("b", HALF, (), "offset", "c")), "of = 'c'"),
        (
            (("a", HALF, (32,)), ("b", HALF, (), "super", "a"), ("c", HALF, (), "super", "a")),
            "two scales have the role 'super'",
        ),
    ],
)
def test_contradictions(scales, message):
    with pytest.raises(FormatError, match=message):
        BlockFormat(id="mine", element=E2M1, block=(32,), scales=tuple(ScaleField(*scale) for scale in scales))


@pytest.mark.parametrize("block", [0, -1, 1.5, True, np.array([2, 2]), np.int64(4), 10**30, ("channel", 4)])
def test_wrong_block_shapes(block):
    with pytest.raises(FormatError, match="is not a block shape"):
        lowbit.block_format("int4", block=block)


FILE = """
id = "mine_block"
kind = "block"
element = "float4_e2m1fn"
block = [8]
[[scales]]
name = "block"
format = "bfloat16"
[defaults]
policy = "nearest"
[facts]
bits_per_value = "6"
"""


@pytest.fixture
def own_formats(monkeypatch):
    """What a test loads is forgotten afterwards."""
    monkeypatch.setattr(registry, "_loaded", Catalogue())


def test_a_file_of_ones_own_runs_through(tmp_path, own_formats):
    path = tmp_path / "mine_block.toml"
    path.write_text(FILE, encoding="utf-8")
    fmt = lowbit.load_format(path)
    assert get_format("mine_block") is fmt
    tensor = lowbit.quantize([0.3, -6.0, 1.2, 0.0] * 4, "mine_block")
    assert lowbit.dequantize(tensor)[:4].tolist() == [0.5, -6, 1, 0]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('element = "float4_e2m1fn"', 'element = "nothing"', "element: format 'nothing' is unknown"),
        ('element = "float4_e2m1fn"', 'element = "mxfp4"', r"toml: element: mxfp4 has blocks already"),
        ('"6"', '"5"', "facts.bits_per_value = '5', but the fields of 'mine_block' give 6"),
        ("bits_per_value", "max", "facts.max is not a figure of a block format"),
        ('"nearest"', '"ieee"', "'ieee' is not a preset"),
        ('name = "block"', 'title = "block"', r"scales\[0\].title: unknown field"),
        ("block = [8]", "block = 8", "block: 8 is not a list"),
        ("block = [8]", "block = [8]\nbits = 4", "bits: unknown field"),
    ],
)
def test_a_damaged_file_says_where(tmp_path, own_formats, old, new, message):
    path = tmp_path / "mine_block.toml"
    path.write_text(FILE.replace(old, new, 1), encoding="utf-8")
    with pytest.raises((FormatError, InputError), match=message):
        lowbit.load_format(path)


def test_where_a_scalar_format_is_needed_a_block_format_says_so():
    with pytest.raises(InputError, match="mxfp4 is not a scalar format"):
        lowbit.encode([1.0], "mxfp4")
    with pytest.raises(InputError, match="int4 is not a block format"):
        lowbit.quantize([1.0], "int4")


@pytest.mark.parametrize("option", ["by_sign", "offset"])
@pytest.mark.parametrize("value", ["float16", 1, None, np.array([1, 2])])
def test_what_is_true_or_false_is_nothing_else(option, value):
    with pytest.raises(FormatError, match=f"{option} = .* is not True or False"):
        lowbit.block_format("int4", block=32, **{option: value})
