"""``lowbit scan``: what it says, in words and as JSON."""

import numpy as np

from lowbit.files.gguf import write_gguf
from lowbit.files.safetensors import Entry, write_tensors
from lowbit.models.packages import Package


def test_scan_says_what_there_is(lowbit, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arrays = [np.array([[-0.0, 0, 1, 2]], np.float32), np.zeros(3, np.int64)]
    write_tensors("model", [Entry("\x1b[2Ja.weight", "F32", (1, 4), 0, 0), Entry("b", "I64", (3,), 0, 0)], arrays)
    result = lowbit("scan", "model")
    assert result.status == 0
    assert result.lines[0] == "safetensors: 2 tensors, 7 values in 40 bytes"
    assert "1 tensor with 4 values: F32, 32 bits a weight" in result.lines[1]
    assert "1 of 2 zeros have a sign: 2 bits" in result.out
    assert "capacity of what is not canonical: 2 bits" in result.lines
    assert "Matryoshka" in result.out
    assert "\x1b[2J" not in result.out
    document = lowbit("scan", "model", "--output-format", "json", "--clean", "clean").json
    assert document["schema"] == "lowbit/scan/1"
    assert document["groups"][0]["findings"] == [
        {"kind": "negative_zero", "count": 1, "places": 2, "capacity_bits": 2.0}
    ]
    assert (document["capacity_bits"], document["clean"]) == (2.0, {"output": "clean", "capacity_bits": 0})
    result = lowbit("scan", "model", "--clean", "clean")
    assert "capacity that is left in the copy: 0 bits" in result.lines
    assert "written: clean" in result.err
    assert "capacity of what is not canonical: 0 bits" in lowbit("scan", "clean").lines


def test_scan_refuses(lowbit, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "cannot be read" in lowbit("scan", "nowhere").err
    (tmp_path / "bad.gguf").write_bytes(b"GGUF" + b"\xff" * 40)
    result = lowbit("scan", "bad.gguf")
    assert (result.status, result.out) == (2, "")
    assert "GGUF version" in result.err


def test_scan_takes_the_name_of_a_package(lowbit, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_gguf("weights.gguf", [Entry("a", "F32", (1, 4), 0, 0)], [np.ones((1, 4), np.float32)])
    monkeypatch.setattr(Package, "weights", tmp_path / "weights.gguf")
    result = lowbit("scan", "smollm2", "--clean", "clean.gguf")
    assert result.lines[0] == "GGUF: 1 tensor, 4 values in 16 bytes"
    assert "is the checkpoint itself" in lowbit("scan", "smollm2", "--clean", "weights.gguf").err
