"""``lowbit prove`` and what ``lowbit explain`` says about accumulators."""

import json

import numpy as np
import pytest

from lowbit.cli import ExitCode, main
from lowbit.policy.accumulator import ACCUMULATORS, Accumulator


def test_every_preset_has_a_line(capsys):
    assert main(["prove"]) == ExitCode.EQUAL
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == list(ACCUMULATORS)


@pytest.mark.parametrize(
    ("words", "status", "text"),
    [
        (["int32", "-a", "uint8"], ExitCode.EQUAL, "every K up to 65,793"),
        (["int32", "-a", "uint8", "-k", "65793"], ExitCode.EQUAL, "cannot overflow"),
        (["int32", "-a", "uint8", "-k", "65794"], ExitCode.MISMATCH, "can overflow"),
        (["x86_vpmaddubsw", "-b=-64:64"], ExitCode.EQUAL, "131,586"),
        (["fpga_20", "-a", "0"], ExitCode.EQUAL, "every K"),
        (["int8", "-a", "1", "-b", "1", "--bias=-1:100"], ExitCode.EQUAL, "bias 100"),
    ],
)
def test_answers(capsys, words, status, text):
    assert main(["prove", *words]) == status
    assert text in capsys.readouterr().out


def test_json(capsys):
    assert main(["prove", "arm_smlal", "--output-format", "json"]) == ExitCode.EQUAL
    (answer,) = json.loads(capsys.readouterr().out)["answers"]
    assert answer["largest_safe_k"] == 1
    assert answer["witness"] == {"k": 2, "a": -128, "b": -128, "bias": 0}


def test_weights(capsys, tmp_path):
    path = tmp_path / "weights.npy"
    np.save(path, np.array([[127, 3], [127, -5], [127, 7]], np.int8))
    words = ["prove", "int16", "-a", "uint8", "--weights", str(path)]
    assert main(words) == ExitCode.MISMATCH
    text = capsys.readouterr().out
    assert "1 of 2 columns cannot overflow for activations of uint8" in text
    assert "column 0 can: accumulator 0 to 97,155" in text
    assert main([*words, "--output-format", "json"]) == ExitCode.MISMATCH
    assert json.loads(capsys.readouterr().out)["safe"] == [False, True]
    assert main(["prove", "int32", "--weights", str(path)]) == ExitCode.EQUAL


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["vpdpbusds"], "did you mean 'x86_vpdpbusds'"),
        (["int32", "-a", "1:2:3"], "3 numbers"),
        (["int32", "-a", "x:2"], "not LOW:HIGH"),
        (["int32", "-a", "5:2"], "lowest code"),
        (["int32", "--weights", "missing.npy"], "missing.npy"),
        (["int8", "--bias", "1000"], "does not fit"),
        (["int32", "-k", "-5"], "--k -5 is negative"),
        (["int32", "--weights", "missing.npy", "-k", "5"], "--k means nothing where --weights"),
        (["int32", "--weights", "missing.npy", "-b", "int4"], "--b means nothing where --weights"),
    ],
)
def test_bad_usage(capsys, words, text):
    assert main(["prove", *words]) == ExitCode.USAGE
    assert text in capsys.readouterr().err


def test_files_that_hold_no_matrix(capsys, tmp_path):
    (tmp_path / "empty.npy").write_bytes(b"")
    (tmp_path / "cut.npy").write_bytes(b"\x93NUMPY\x01\x00")
    np.savez(tmp_path / "many.npz", a=np.ones((2, 2), np.int8))
    for name, words in (
        ("empty.npy", "empty.npy is not a .npy file, but an empty file"),
        ("cut.npy", "cut.npy is not a .npy file, or a damaged one"),
        ("many.npz", "many.npz is not a .npy file, but a .npz file"),
    ):
        assert main(["prove", "int32", "--weights", str(tmp_path / name)]) == ExitCode.USAGE, name
        assert words in capsys.readouterr().err


def test_numbers_beyond_64_bits(capsys, tmp_path):
    path = tmp_path / "weights.npy"
    np.save(path, np.array([[127, 3], [127, -5]], np.int8))
    words = ["prove", "int64", "--weights", str(path)]
    assert main(words) == ExitCode.EQUAL
    assert main([*words, "--bias", str((1 << 63) - 1)]) == ExitCode.MISMATCH
    assert main([*words, "--a-zero-point", "9" * 20]) == ExitCode.MISMATCH
    capsys.readouterr()
    assert main([*words, f"-a=-{'9' * 20}:5"]) == ExitCode.USAGE
    assert "beyond 64 bits" in capsys.readouterr().err


def test_explain(capsys):
    for topic in (*ACCUMULATORS, *Accumulator.AXES, "accumulators", "accumulator-axes"):
        assert main(["explain", topic]) == ExitCode.EQUAL, topic
    text = capsys.readouterr().out
    assert "combine_overflow  saturate" in text
