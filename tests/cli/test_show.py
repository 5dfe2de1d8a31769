"""``lowbit show``."""

import re

import pytest

from lowbit.cli.exit_codes import ExitCode
from lowbit.format.registry import formats, get_format


def test_diagram_and_facts(lowbit):
    result = lowbit("show", "float8_e4m3fn")
    assert result.lines[3:8] == [
        "     7       6:3        2:0",
        "  ┌──────┬──────────┬──────────┐",
        "  │  s   │   eeee   │   mmm    │",
        "  └──────┴──────────┴──────────┘",
        "    sign   exponent   mantissa",
    ]
    for fact in (
        "448  (0x7e)",
        "2^-6 = 0.015625  (0x08)",
        "2^-9 = 0.001953125  (0x01)",
        "0x00, -0 0x80",
        "0x7f and 0xff",
    ):
        assert fact in result.out
    assert "default policy" in result.out
    assert "OFP8" in result.out


def test_an_unknown_format_is_answered_with_the_command_that_lists_them(lowbit):
    result = lowbit("show", "nosuch")
    assert result.status == ExitCode.USAGE
    (command,) = re.findall("`(lowbit list [^`]*)`", result.err)
    assert "float8_e4m3fn" in lowbit(*command.split()[1:]).out


@pytest.mark.parametrize(
    "name", [*formats(kind="float"), "int4", "uint1", "int8_narrow", "q4.4", "uq0.8", "binary8p1uf"]
)
def test_every_format_has_a_page(lowbit, name):
    page = lowbit("show", name)
    assert page.status == 0, page.err
    assert page.lines[0].startswith(name)
    document = lowbit("show", name, "--output-format", "json").json
    assert document["id"] == name
    assert sum(field["high"] - field["low"] + 1 for field in document["fields"]) == document["bits"]


@pytest.mark.parametrize("name", formats(kind="block"))
def test_every_block_format_is_a_document(lowbit, name):
    document = lowbit("show", name, "--output-format", "json").json
    fields = get_format(name).scales
    assert (document["id"], [scale["format"] for scale in document["scales"]]) == (name, [f.format.id for f in fields])


def test_values_of_a_small_format(lowbit):
    lines = lowbit("show", "float4_e2m1fn", "--values").lines
    table = [line.split() for line in lines[lines.index("code  bits    class      exact  decimal") + 1 :]]
    assert len(table) == 16
    assert table[1] == ["0x1", "0.00.1", "subnormal", "0.5", "0.5"] or table[1][3] == "2^-1"
    assert [row[4] for row in table[:8]] == ["0", "0.5", "1", "1.5", "2", "3", "4", "6"]
    assert table[8] == ["0x8", "1.00.0", "zero", "-0", "-0"]


def test_values_of_a_wide_format_need_a_range(lowbit):
    refused = lowbit("show", "bfloat16", "--values")
    assert refused.status == 2
    assert "--range" in refused.err
    codes = lowbit("show", "bfloat16", "--range", "0x3f80:0x3f82", "--output-format", "json").json["codes"]
    assert [(entry["code"], entry["decimal"]) for entry in codes] == [
        ("0x3f80", 1),
        ("0x3f81", 1.0078125),
        ("0x3f82", 1.015625),
    ]


def test_values_of_signed_integers_go_by_bit_pattern(lowbit):
    codes = lowbit("show", "int3", "--values", "--output-format", "json").json["codes"]
    assert [entry["decimal"] for entry in codes] == [0, 1, 2, 3, -4, -3, -2, -1]
    narrow = lowbit("show", "int3_narrow", "--values", "--output-format", "json").json["codes"]
    assert [entry["decimal"] for entry in narrow] == [0, 1, 2, 3, -3, -2, -1]


@pytest.mark.parametrize("span", ["0x5:0x3", "0x100:0x101", "x"])
def test_bad_ranges(lowbit, span):
    assert lowbit("show", "float8_e5m2", "--range", span).status == 2


def test_classes(lowbit):
    codes = lowbit("show", "float8_e5m2", "--values", "--output-format", "json").json["codes"]
    counts = {}
    for entry in codes:
        counts[entry["class"]] = counts.get(entry["class"], 0) + 1
    assert counts == {"zero": 2, "subnormal": 6, "normal": 240, "infinity": 2, "nan": 6}


@pytest.mark.parametrize(
    ("name", "part"), [("./nothere.toml", "neither a name nor a file"), ("formats/nf4.toml", "path of a")]
)
def test_a_path_is_not_a_name(lowbit, repository, monkeypatch, name, part):
    monkeypatch.chdir(repository)
    result = lowbit("show", name)
    assert result.status == 2
    assert f"error[LB201]: format '{name}' is unknown: it is " in result.err
    assert part in result.err
    assert "$LOWBIT_FORMATS=" in result.err


def test_the_smallest_value_of_a_codebook_is_the_smallest_positive_one(lowbit):
    assert "smallest positive   10681087/8388608*2^-4" in lowbit("show", "nf4").out


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("mxfp4", "32 elements and their own scales in 136 bits, 17 bytes"),
        ("nvfp4", "16 elements and their own scales in 72 bits, 9 bytes"),
        ("int4.g128.asymmetric", "128 elements and their own scales in 532 bits"),
    ],
)
def test_a_block_has_a_size(lowbit, name, size):
    lines = lowbit("show", name).lines
    assert [line.split(maxsplit=1)[1] for line in lines if line.startswith("block ")] == [size]


@pytest.mark.parametrize("name", ["int8.channel", "dfp8"])
def test_a_block_of_no_length_has_none(lowbit, name):
    assert not any(line.startswith("block ") for line in lowbit("show", name).lines)


def test_a_block_is_drawn_in_bits(lowbit):
    drawn = lowbit("show", "mxfp4").out
    assert "│ eeeeeeee │ seem │ seem │  ...  │ seem │" in drawn or "| eeeeeeee | seem | seem |  ...  | seem |" in drawn


@pytest.mark.parametrize("family", ["p3109", "fixed"])
def test_a_family_is_not_a_format(lowbit, family):  # F32
    result = lowbit("show", family)
    assert result.status == 2
    assert f"`lowbit list formats --family {family}` lists its members" in result.err
