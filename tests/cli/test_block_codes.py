"""``lowbit encode`` and ``lowbit decode`` of block formats."""

import json
import re

import pytest

from lowbit.format import registry
from lowbit.format.files.catalogue import Catalogue
from lowbit.policy.block import POWER_RULES, BlockPolicy


def test_encode_shows_scales_and_elements(lowbit):
    result = lowbit("encode", "mxfp4", "1", "-2", "6")
    assert [line.split() for line in result.lines] == [
        ["block", "0", "0x7f", "01111111", "1"],
        ["0", "0x2", "0.01.0", "1"],
        ["1", "0xc", "1.10.0", "-2"],
        ["2", "0x7", "0.11.1", "6"],
    ]


def test_explained_is_the_arithmetic(lowbit):
    result = lowbit("encode", "mxfp4", "2.5", "-13", "--explain")
    assert result.lines == [
        "mxfp4: value = element * block; policy ocp_mx",
        "",
        "block 0: float8_e8m0fnu, one for 32 elements",
        "  maximum   13  value 1",
        "  exponent  3   2^3 <= 13 < 2^4",
        "  element   2   2^2 <= 6 < 2^3, the largest one",
        "  scale     2   2^(3 - 2), floor: " + BlockPolicy.meaning("scale_rule", "floor"),
        "  rule      exact",
        "  code      2   0x80  10000000",
        "",
        "elements: float4_e2m1fn, quotient = value / block",
        "     value  quotient  below  midpoint  above  code  bits    worth  rule",
        "  0  2.5    1.25      1      1.25      1.5    0x2   0.01.0  2      a tie, to the even code",
        "  1  -13    -6.5             -7        -6     0xf   1.11.1  -12    the nearer neighbour",
    ]


MAXIMA = ("7", "6", "4", "3.9999997615814209", "4.00000047683716", "1.75", "1.8125", "1.9375", "1e-35", "448", "3e38")
RULES = [rule for rule in BlockPolicy.choices("scale_rule") if rule not in {"amax_over_half_range", "amax", "mean"}]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("element", ["float4_e2m1fn", "float6_e3m2fn", "float8_e4m3fn", "float8_e5m2", "int8"])
def test_every_line_of_a_scale_is_true_under_every_rule(lowbit, rule, element):
    """A block for each maximum: comparisons hold, and what is computed has the value that is printed."""
    words = ("--policy", "ocp_mx", "--choice", f"scale_rule={rule}", "--explain")
    text = lowbit("encode", f"{element}.g1.float8_e8m0fnu", *MAXIMA, *words).out
    blocks = [part.splitlines()[1:] for part in text.split("\n\n") if part.startswith("block ")]
    assert len(blocks) == len(MAXIMA)
    expected = {"rceil": {"ratio"}, "nearest": {"ratio"}, "even": {"rounded"}, "tosa": {"quotient"}}.get(rule, set())
    for lines in blocks:
        cells = [re.split(r"\s{2,}", line.strip(), maxsplit=2) for line in lines]
        rows = {name: (value, *said) for name, value, *said in cells}
        assert expected | {"maximum", "scale"} | ({"exponent"} if rule in POWER_RULES else set()) <= set(rows)
        for name in {*expected, "exponent", "element", "scale"} & set(rows):
            check_arithmetic(name, *rows[name], computed(rows["maximum"][0]))


@pytest.mark.parametrize(("rule", "scale"), [("amax", "6"), ("mean", "4")])
def test_a_scale_without_arithmetic_is_told_in_words(lowbit, rule, scale):
    words = ("--choice", f"scale_rule={rule}", "--choice", "arithmetic=binary32", "--explain")
    lines = lowbit("encode", "int8.g2.float32", "-6", "2", *words).lines
    (row,) = (line.split() for line in lines if line.startswith("  scale "))
    assert row[1] == scale
    assert rule in row[2:5]


def check_arithmetic(name, value, said, maximum):
    """What a row says, up to its first comma, is true or has the value of the row."""
    if name == "rounded":
        assert computed(value) == pytest.approx(maximum, rel=1 / 4)
        return
    result = computed(said.split(", ")[0], maximum)
    assert result if name in ("exponent", "element") else result == pytest.approx(computed(value), rel=1e-5), said


def computed(text, maximum=0.0):
    """What arithmetic of a page is worth."""
    numbers = text.replace("^", "**").replace("~", "").replace("maximum", repr(maximum))
    assert re.fullmatch(r"[\d.e()<=/* +-]+", numbers), text
    return eval(numbers)


def test_two_scales_are_explained(lowbit):
    text = lowbit("encode", "nvfp4", "1", "-2", "6", "--explain").out
    assert text.index("tensor: float32, one for the whole tensor") < text.index("block 0: float8_e4m3fn, one for 16")
    assert "maximum / (6 * 448)" in text
    assert "(maximum / 6) / tensor" in text
    assert "quotient = value / (block * tensor)" in text


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("float4_e2m1fn.g4.by_sign", "1", "-3"), "negative if value < 0 else positive"),
        (("int4.g4.asymmetric", "1", "-3"), "(highest - lowest) / 15"),
        (("int4.g4.asymmetric", "3", "3", "--choice", "value_range=minmax"), "a range of width 0: 1"),
        (("uint4.g4.asymmetric", "1", "--policy", "hqq"), "0 - lowest * (15 / (highest - lowest)), each step in bin"),
        (("uint4.g4.asymmetric", "1", "--policy", "hqq"), "* (15 / (highest - lowest)) + zero_point, each step in"),
        (("uint8.tensor.asymmetric", "1", "--policy", "torch"), "0 - round(lowest / block), each step in binary32"),
        (("uint8.tensor.asymmetric", "1", "--policy", "torch"), "value * (1 / block) + zero_point, each step in bin"),
        (("uint8.tensor.asymmetric", "1", "--policy", "torch"), "the last two in one (a fused multiply-add)"),
        (("int4.g4.offset", "1", "-3"), "quotient = (value - offset) / block"),
        (("mxfp4", "0", "-0"), "a block of zeros"),
        (("mxfp4", "nan", "1"), "NaN"),
        (("mxfp4", "inf", "1"), "nan"),
        (("nvfp4_reciprocal", "1"), "(6 * 448) / maximum"),
        (("nvfp4", "0", "0"), "code      0  0x00  0.0000.000"),
        (("dfp16", "1", "2"), "2^1 <= 2 < 2^2"),
        (("mxfp8_e4m3", "470", "--policy", "tosa_mx"), "tosa: floor, and one more"),
        (
            ("nvfp4", "1", "--policy", "transformer_engine_nvfp4"),
            "maximum * ((1 / tensor) * (1 / 6)), each step in binary32",
        ),
        (
            ("nvfp4", "1", "--policy", "transformer_engine_nvfp4"),
            "quotient = value * (1 / (block * tensor)), the recip",
        ),
        (("nvfp4_reciprocal", "1"), "quotient = value / (block / tensor), each step in binary32"),
        (
            ("float4_e2m1fn.g4", "1", "--choice", "arithmetic=bfloat16"),
            "quotient = value / block, each step in bfloat16",
        ),
        (("nvfp4", *["3"] * 16, "--policy", "four_over_six"), "that or 3/2 of it"),
        (("mxfp4", "6.5", "--choice", "scale_rule=ceil"), "policy"),
        (("nvfp4_16x16", "1", "2"), "16 x 16 elements"),
        (("float4_e2m1fn.g4", "1e-9"), "instead: the smallest positive value"),
    ],
)
def test_every_role_is_explained(lowbit, words, what):
    result = lowbit("encode", *words, "--from", "float32", "--explain")
    assert result.status == 0, result.err
    assert what in result.out


def test_json_has_every_step(lowbit):
    document = json.loads(lowbit("encode", "nvfp4", "1", "-2", "6", "--output-format", "json").out)
    assert document["schema"] == "lowbit/encode-block/1"
    assert [scale["name"] for scale in document["scales"]] == ["tensor", "block"]
    assert [element["code"] for element in document["elements"]] == ["0x2", "0xc", "0x7"]
    assert document["elements"][2]["result"]["decimal"] == pytest.approx(6, rel=1e-6)


def test_decode_needs_every_scale(lowbit):
    result = lowbit("decode", "nvfp4", "1", "0xf", "--scale", "block=0x38", "--scale", "tensor=0x3f000000")
    assert [line.split()[-1] for line in result.lines[3:]] == ["0.25", "-3"]
    document = json.loads(lowbit("decode", "mxfp4", "7", "--scale", "block=128", "--output-format", "json").out)
    assert document["scales"] == {"block": "0x80"}
    assert document["results"][0]["decimal"] == 12


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("decode", "nvfp4", "1"), "--scale block=CODE --scale tensor=CODE"),
        (("decode", "mxfp4", "1", "--scale", "tensor=1"), "is not a scale of mxfp4"),
        (("decode", "mxfp4", "1", "--scale", "block"), "is not a scale of mxfp4"),
        (("decode", "mxfp4", "16", "--scale", "block=1"), "is not a code of float4_e2m1fn"),
        (("decode", "mxfp4", "1", "--scale", "block=256"), "is not a code of float8_e8m0fnu"),
        (("decode", "int8", "1", "--scale", "block=1"), "--scale is for block formats"),
        (("encode", "mxfp4", "1", "--rounding", "toward_zero"), "--choice element="),
        (("encode", "mxfp4", "1", "--choice", "scale_rule"), "is not AXIS=VALUE"),
        (("encode", "mxfp4", "1", "--choice", "scale_rule=up"), "scale_rule"),
        (("encode", "mxfp4", "1", "--policy", "ocp_sat"), "block policy"),
        (("encode", "mxfp4", "x"), "is not a value"),
        (("encode", "nf4.g32.offset", "1", "-3"), "scales of the roles multiply, offset"),
        (
            ("encode", "float8_e4m3fn.g32.asymmetric", "1", "--policy", "spqr"),
            "scales of the roles multiply, zero_point",
        ),
        (("encode", "int4.g32.asymmetric", "nan", "1", "--explain"), "a block has NaN or infinity, and no range"),
        (("encode", "mxfp4", "nan", "1", "--choice", "nan=error"), "the block policy says nan = 'error'"),
        (("encode", "int4.g32", "1e20", "--explain"), "rounds beyond the largest value of float16"),
        (("encode", "nvfp4", "1", "--policy", "four_over_six"), "four_over_six compares whole blocks of 16"),
    ],
)
def test_wrong_usage_says_how_to_mend_it(lowbit, words, what):
    result = lowbit(*words)
    assert result.status == 2
    assert what in result.err


EIGHTS = """
id = "eights"
kind = "block"
element = "float4_e2m1fn"
block = [8]
[[scales]]
name = "block"
format = "float8_e5m2"
[defaults]
policy = "nearest"
"""


def test_a_file_of_a_users_own_is_enough(lowbit, tmp_path, monkeypatch):
    (tmp_path / "eights.toml").write_text(EIGHTS)
    monkeypatch.setenv("LOWBIT_FORMATS", str(tmp_path))
    monkeypatch.setattr(registry, "_loaded", Catalogue())
    assert "one for 8 elements" in lowbit("show", "eights").out
    assert "maximum / 6, the largest element" in lowbit("encode", "eights", "3", "-1", "--explain").out
    assert lowbit("decode", "eights", "7", "--scale", "block=0x40").lines[-1].split()[-1] == "12"
    for words in (("quantize", "--to"), ("dequantize", "--from")):
        text = lowbit("gen", *words, "eights").out
        assert text.startswith("// lowbit vectors, version 1")
        assert "block:2" in text


def test_scales_that_are_quantised_themselves_are_explained_level_by_level(lowbit):
    text = lowbit("encode", "nf4.g2.nested.float32", "1", "0", "-3", "0", "5", "0", "--explain").out
    parts = [part.splitlines() for part in text.split("\n\n")]
    heads = [part[0].split(",")[0] for part in parts]
    assert [head.split(": ")[0] for head in heads[1:]] == [
        *["block 0 first", "block 1 first", "block 2 first"],
        *["offset", "super 0", "block", "elements"],
    ]
    offset, above, blocks, elements = parts[4:]
    assert offset[1].split() == ["mean", "3", "of", "every", "block", "first,", "rounded", "to", "binary32"]
    assert above[1].split() == ["maximum", "2", "value", "0,", "2"]
    assert "value = block first - offset, quotient = value * (1 / super)" in blocks[0]
    assert blocks[0].endswith("policy bitsandbytes_8bit")
    assert [line.split()[:2] for line in blocks[2:]] == [["0", "-2"], ["1", "0"], ["2", "2"]]
    assert len(elements) == 2 + 6
    plain = lowbit("encode", "nf4.g2.nested.float32", "1", "0", "-3", "0", "5", "0")
    assert [line.split()[0] for line in plain.lines[:5]] == ["offset", "super", "block", "block", "block"]


def test_searches_of_ggml_give_codes_and_no_trace(lowbit):
    values = [str(number) for number in range(-16, 16)]
    result = lowbit("encode", "ggml_iq4_nl", *values)
    assert len(result.lines) == 1 + len(values)
    document = json.loads(lowbit("encode", "ggml_iq4_nl", *values, "--output-format", "json").out)
    assert [set(part) for part in (document["scales"][0], document["elements"][0])] == [
        {"name", "block", "code", "value"},
        {"value", "rule", "code", "result"},
    ]
    assert [line.split()[1] for line in result.lines[1:]] == [part["code"] for part in document["elements"]]
    refused = lowbit("encode", "ggml_iq4_nl", *values, "--explain")
    assert refused.status == 2
    assert "are not told" in refused.err
