"""`lowbit gen` and `lowbit golden` on the command line: what they print, what they write, how they end."""

from __future__ import annotations

import json

import numpy as np
import pytest

from lowbit.cli import main
from lowbit.dut.code_files import read_codes
from lowbit.errors import InputError
from lowbit.format.registry import get_format
from lowbit.vectors.cast.boundary import boundary
from lowbit.vectors.flags.cast import FLAGS
from lowbit.vectors.manifest import golden_directory, read_manifest
from lowbit.vectors.vec import parse_vectors, read_vectors


def test_gen_writes_what_golden_holds(tmp_path, capsys):
    path = tmp_path / "made.vec"
    assert main(["gen", "encode", "--to", "float8_e4m3fn", "--expected", "-o", str(path)]) == 0
    assert path.read_bytes() == (golden_directory() / "encode/float32/float8_e4m3fn.ocp_sat.vec").read_bytes()
    streams = capsys.readouterr()
    assert streams.out == ""
    assert str(path) in streams.err


def test_gen_to_standard_output_reads_back(capsys):
    words = [
        "gen",
        "convert",
        "--from",
        "float8_e5m2",
        "--to",
        "int4",
        "--rounding",
        "toward_zero",
        "--overflow",
        "wrap",
    ]
    assert main([*words, "--choice", "infinity=nan", "--expected"]) == 0
    file = parse_vectors(capsys.readouterr().out.encode())
    assert file.header["policy"] == "integer+rounding=toward_zero+overflow=wrap+infinity=nan"
    row = file.rows[file.column("input") == 0x4C]  # 16 wraps to 0
    assert row[0, 1] == 0
    assert len(file.rows) == 256


def test_gen_random_is_reproducible(capsys):
    texts = []
    for seed in ("7", "7", "8"):
        assert main(["gen", "encode", "--to", "bfloat16", "--set", "random", "--n", "50", "--seed", seed]) == 0
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1] != texts[2]
    assert len(parse_vectors(texts[0].encode()).rows) == 50


def test_gen_layouts(tmp_path, capsys):
    path = tmp_path / "codes.npy"
    common = ["gen", "decode", "--from", "float4_e2m1fn", "--expected"]
    assert main([*common, "--layout", "npy", "-o", str(path)]) == 0
    assert np.load(path)["expected"].copy().view(np.float32).tolist()[:8] == [0, 0.5, 1, 1.5, 2, 3, 4, 6]
    assert main([*common, "--layout", "csv"]) == 0
    assert "0x7,0x40c00000,Exact" in capsys.readouterr().out.splitlines()
    assert main([*common, "--layout", "hex"]) == 0
    out = capsys.readouterr().out
    assert "// input: [43:40]" in out.splitlines()
    assert "740c0000000" in out.splitlines()


@pytest.mark.parametrize(("layout", "name"), [("vec", "codes.vec"), ("npy", "codes.npy")])
@pytest.mark.parametrize(("source", "target"), [("float32", "float8_e4m3fn"), ("int4", "float4_e2m1fn")])
def test_generated_inputs_can_be_checked(tmp_path, layout, name, source, target):
    path = tmp_path / name
    assert main(["gen", "convert", "--from", source, "--to", target, "--layout", layout, "-o", str(path)]) == 0
    codes = read_codes(path, get_format(source))
    assert np.array_equal(codes, boundary(get_format(source), get_format(target)).codes)
    assert codes.dtype == get_format(source).code_dtype


def test_layouts_of_several_columns_say_what_to_generate_instead(tmp_path):
    common = ["gen", "encode", "--to", "float8_e4m3fn", "--layout"]
    packed, table = tmp_path / "codes.hex", tmp_path / "codes.npy"
    assert main([*common, "hex", "-o", str(packed)]) == 0
    with pytest.raises(InputError, match=r"use \.vec or \.bin, or --layout vec"):
        read_codes(packed, get_format("float32"))
    assert main([*common, "npy", "--expected", "-o", str(table)]) == 0
    with pytest.raises(InputError, match="input, expected, flag"):
        read_codes(table, get_format("float32"))


def test_reach_0_takes_the_points_alone(capsys):
    sizes = []
    for reach in ("0", "1", "3"):
        assert main(["gen", "encode", "--to", "float8_e4m3fn", "--reach", reach]) == 0
        file = parse_vectors(capsys.readouterr().out.encode())
        sizes.append(len(file.rows))
    assert sizes == sorted(set(sizes))
    assert main(["gen", "convert", "--from", "float32", "--to", "int4", "--reach", "0"]) == 0
    file = parse_vectors(capsys.readouterr().out.encode())
    names = {FLAGS[number].name for number in file.flags.tolist()}
    assert {"TieEven", "TieOdd", "Exact"} <= names
    assert "NearTie" not in names


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["gen", "encode"], "--to"),
        (["gen", "convert", "--to", "int4"], "--from"),
        (["gen", "guess"], "guess"),
        (["gen", "encode", "--to", "e4m3"], "e4m3"),
        (["gen", "encode", "--to", "int4", "--set", "exhaustive"], "2^32"),
        (["gen", "encode", "--to", "int4", "--seed", "4"], "--seed"),
        (["gen", "encode", "--to", "int4", "--layout", "npy"], "--output FILE"),
        (["gen", "encode", "--to", "int4", "--rounding", "sideways", "--expected"], "sideways"),
        (["gen", "encode", "--to", "int4", "-o", "/dev/null/x/y.vec"], "cannot be written"),
        (["gen", "encode", "--to", "int4", "-o", "/dev/null/x/y.vec"], "LB101"),
        (["gen", "encode", "--to", "int4", "--reach", "-1"], "--reach -1 is not a number of ulps"),
        (["gen", "encode", "--to", "int4", "--set", "random", "--n", "0"], "at least one row"),
        (["golden", "list", "nothing.at.all"], "nothing.at.all"),
        (["golden", "list", "--to", "nothing"], "no set fits"),
        (["golden", "--directory", "/dev/null/none", "list"], "cannot be read"),
        (["golden"], "ACTION"),
    ],
)
def test_wrong_usage_ends_with_2_and_says_what(words, what, capsys):
    assert main(words) == 2
    assert what in capsys.readouterr().err


def test_gen_makes_no_directories(tmp_path, capsys):
    assert main(["gen", "encode", "--to", "int4", "-o", str(tmp_path / "new" / "x.vec")]) == 2
    assert "its directory must exist" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_golden_list(capsys):
    assert main(["golden", "list", "--to", "float8_e4m3fn", "--output-format", "json"]) == 0
    records = json.loads(capsys.readouterr().out)["sets"]
    manifest = read_manifest()
    assert {record["id"] for record in records} == {
        name for name, entry in manifest.items() if entry.recipe.target == "float8_e4m3fn"
    }
    assert len(read_vectors(records[0]["file"]).rows) == records[0]["rows"]
    assert main(["golden", "list"]) == 0
    assert f"{len(manifest)} sets" in capsys.readouterr().out


def test_golden_verify_ends_with_1_on_a_difference(tmp_path, capsys):
    manifest = (golden_directory() / "manifest.toml").read_text()
    (tmp_path / "manifest.toml").write_text(manifest[: manifest.index("[[set]]", manifest.index("[[set]]") + 7)])
    assert main(["golden", "--directory", str(tmp_path), "verify"]) == 1
    assert "1 sets verified, 1 differences" in capsys.readouterr().out
    assert main(["golden", "verify", "--op", "convert", "--to", "int8", "--regenerate"]) == 0
    assert "equal byte for byte" in capsys.readouterr().out
