"""A table of vectors of a user's own, in one TOML file, on the command line."""

import numpy as np
import pytest

import lowbit as package
from lowbit.files.safetensors import Entry, read_header, write_tensors

FILE = """\
id = "own_pairs"
kind = "vector"
bits = 3
summary = "eight pairs"
values = [[0, 0], [1, 0.5], [-1, 2], [0.25, -0.75], [-1.5, -1.5], [2, 1], [0, -2], [1.5, 2]]

[defaults]
policy = "ocp_sat"
"""


@pytest.fixture(autouse=True)
def own_pairs(tmp_path, monkeypatch):
    (tmp_path / "own_pairs.toml").write_text(FILE)
    monkeypatch.setenv("LOWBIT_FORMATS", str(tmp_path))


def test_show(lowbit):
    result = lowbit("show", "own_pairs", "--values")
    assert result.lines[:7] == [
        "own_pairs  eight pairs",
        "",
        "value               a vector of 2 numbers by code, for as many neighbouring values of a block format",
        "numbers             -2 to 2",
        "vectors             8 in 2^3 codes, held in uint8",
        "bits per value      3/2 = 1.5",
        "default policy      ocp_sat, for NaN and infinity; a vector is the nearest one",
    ]
    assert [line.split(maxsplit=2) for line in result.lines[-2:]] == [
        ["0x6", "110", "[0, -2]"],
        ["0x7", "111", "[1.5, 2]"],
    ]
    document = lowbit("show", "own_pairs", "--range", "2:3", "--output-format", "json").json
    assert (document["bits"], document["dimension"], document["vectors"]) == (3, 2, 8)
    assert [[part["exact"] for part in row["values"]] for row in document["codes"]] == [["-1", "2"], ["0.25", "-0.75"]]


def test_show_blocks(lowbit):
    lines = lowbit("show", "own_pairs.g8").lines
    assert lines[3].count("ccc") == 4
    assert "element             own_pairs, 3 bits for 2 values each, -2 to 2" in lines
    assert "bits per value      7/2 = 3.5" in lines
    document = lowbit("show", "own_pairs.g8", "--output-format", "json").json
    scale = {"name": "block", "format": "float16", "block": [8], "role": "multiply", "of": ""}
    assert (document["element"], document["bits_per_value"], document["scales"]) == ("own_pairs", "7/2", [scale])


def test_lists(lowbit):
    lines = lowbit("list", "formats", "--kind", "vector").lines
    assert ["own_pairs", "3", "3", "for", "2"] in [line.split()[:5] for line in lines]
    records = lowbit("list", "formats", "--output-format", "json").json["formats"]
    assert {record["id"] for record in records if record["kind"] == "vector"} == {"own_pairs", "pyramid8_2"}


def test_encode_and_decode(lowbit):
    lines = lowbit("encode", "own_pairs.g8", "1", "2", "-3", "0.5").lines
    assert [line.split() for line in lines] == [
        ["block", "0", "0x3e00", "0.01111.1000000000", "1.5"],
        ["0", "0x1", "001", "1.5"],
        ["1", "0.75"],
        ["2", "0x4", "100", "-2.25"],
        ["3", "-2.25"],
    ]
    lines = lowbit("decode", "own_pairs.g8", "--scale", "block=0x3e00", "1", "4").lines
    assert [line.split("  ")[-1].strip() for line in lines] == [
        "= element * block",
        "1.5",
        "[1.5, 0.75]",
        "[-2.25, -2.25]",
    ]
    result = lowbit("encode", "own_pairs.g8", "1", "2", "3")
    assert result.status == 2
    assert "codes of 2 values, which do not divide an axis of 3" in result.err


def test_explained(lowbit):
    words = ("encode", "own_pairs.g8", "1", "2", "-3", "0.5", "--policy", "ocp_mx")
    table = lowbit(*words, "--explain").lines[-4:]
    assert [line.split(maxsplit=5) for line in table] == [
        ["0", "1", "1", "0x7", "111", "1.5    the nearest of 8, squared distance 0.25; next 0x5, squared distance 2"],
        ["1", "2", "2", "2"],
        [
            "2",
            "-3",
            "-3",
            "0x2",
            "010",
            "-1     the nearest of 8, squared distance 6.25; next 0x4, squared distance 6.25",
        ],
        ["3", "0.5", "0.5", "2"],
    ]
    elements = lowbit(*words, "--output-format", "json").json["elements"]
    assert [(step["code"], step["result"]["decimal"]) for step in elements] == [
        ("0x7", 1.5),
        ("0x7", 2.0),
        ("0x2", -1.0),
        ("0x2", 2.0),
    ]


@pytest.mark.parametrize("words", [("encode", "own_pairs", "1"), ("decode", "own_pairs", "1")])
def test_verbs_of_single_numbers_say_so(lowbit, words):
    result = lowbit(*words)
    assert result.status == 2
    assert "own_pairs is not a scalar format" in result.err
    assert "own_pairs.g128" in result.err


def test_scales_of_scales(lowbit):
    words = ("encode", "own_pairs.g2.nested.float32", "1", "2", "-3", "0.5")
    lines = lowbit(*words).lines
    assert [line.split()[0] for line in lines] == ["offset", "super", "block", "block", "0", "1", "2", "3"]
    values = np.float32([[1, 2, -3, 0.5]])
    tensor = package.quantize(values, words[1])
    worth = [float(line.split()[-1].lstrip("~")) for line in lines[-4:]]
    assert np.allclose(package.dequantize(tensor)[0], worth, rtol=1e-7)
    assert "the nearest of 8" in lowbit(*words, "--explain").out


def test_a_checkpoint(lowbit, tmp_path):
    weights = np.random.default_rng(1).normal(size=(6, 32)).astype(np.float32)
    given, coded, back = (tmp_path / f"{name}.safetensors" for name in ("given", "coded", "back"))
    write_tensors(given, [Entry("layer.weight", "F32", weights.shape, 0, weights.nbytes)], [weights])
    for words in (
        ("quantize", given, "--to", "own_pairs.g8", "--output", coded),
        ("dequantize", coded, "--to", "float32", "--output", back),
    ):
        result = lowbit(*words)
        assert result.status == 0, result.err
    assert read_header(coded).entries["layer.weight.codes"].shape == (6, 6)  # sixteen codes of three bits a row
    values = read_header(back).tensor("layer.weight")
    assert np.array_equal(values.astype(np.float32), package.dequantize(package.quantize(weights, "own_pairs.g8")))
