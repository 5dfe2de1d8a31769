"""Checkpoints whose codes are coded: the values of the packed ones, in fewer bytes, and refused where damaged."""

import json
import shutil

import numpy as np
import pytest

from lowbit.allocate.sensitivity import measure
from lowbit.campaign.checkpoint import dequantize_file, quantize_file
from lowbit.campaign.scan import clean_file, scan_file
from lowbit.cli import main
from lowbit.errors import InputError
from lowbit.files import coded
from lowbit.files.safetensors import Entry, read_header, write_tensors

FORMATS = ("int8.tensor", "int6.tensor", "int4.channel", "int3.g128", "nf4.g64", "float8_e4m3fn.channel", "mxfp4")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    generator = np.random.default_rng(8)
    tensors = {
        "a.weight": generator.standard_t(3, (64, 512)).astype(np.float32),
        "norm.weight": np.ones(512, np.float32),
        "b.weight": generator.standard_t(3, (40, 256)).astype(np.float32),
        "small.weight": generator.standard_normal((1, 128)).astype(np.float32),
    }
    path = tmp_path_factory.mktemp("coded") / "model.safetensors"
    entries = [Entry(name, "F32", array.shape, 0, 0) for name, array in tensors.items()]
    write_tensors(path, entries, tensors.values())
    return path


def values(path):
    file = read_header(path)
    return {name: np.array(file.tensor(name)) for name in file.entries}


def assert_same(one, other):
    one, other = values(one), values(other)
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name])


@pytest.mark.parametrize("fmt", FORMATS)
def test_coded_checkpoints_have_the_values_of_packed_ones(model, fmt, tmp_path):
    packed, dense = tmp_path / "packed.safetensors", tmp_path / "dense.safetensors"
    quantize_file(model, packed, fmt, container="lowbit")
    dequantize_file(packed, dense, dtype="float32")
    for coder in coded.CODERS:
        short, again = tmp_path / f"{coder}.safetensors", tmp_path / "again.safetensors"
        converted = quantize_file(model, short, fmt, entropy=coder, threads=2)
        assert converted.container == "lowbit"
        assert f"codes by {coder}: " in converted.notes[0]
        dequantize_file(short, again, dtype="float32", threads=2)
        assert_same(again, dense)
        assert short.stat().st_size < packed.stat().st_size


def test_the_bits_of_a_layer_are_those_that_are_measured(model, tmp_path):
    path = tmp_path / "coded.safetensors"
    for fmt in FORMATS:
        quantize_file(model, path, fmt, entropy="rans")
        file, weights = read_header(path), values(model)
        for name in ("a.weight", "small.weight"):
            parts = [entry for part, entry in file.entries.items() if part.startswith(name)]
            assert 8 * sum(entry.stop - entry.start for entry in parts) == measure(weights[name], fmt).entropy_bits
    assert "a.weight.codes" in file.coders
    assert "small.weight.codes" not in file.coders


def test_what_was_written_is_said_where_coding_saves_nothing(model, tmp_path):
    notes = quantize_file(model, tmp_path / "q", {"small.weight": "int8.tensor"}, entropy="huffman").notes
    assert notes[-1] == "huffman makes no tensor smaller: codes are packed, in lowbit's own container"


def test_a_folder_of_files(model, tmp_path):
    source, coded_folder, dense = tmp_path / "source", tmp_path / "coded", tmp_path / "dense"
    source.mkdir()
    tensors = values(model)
    for number, names in enumerate((("a.weight", "norm.weight"), ("b.weight", "small.weight"))):
        entries = [Entry(name, "F32", tensors[name].shape, 0, 0) for name in names]
        write_tensors(source / f"{number}.safetensors", entries, [tensors[name] for name in names])
    where = {name: f"{int(name[0] in 'bs')}.safetensors" for name in tensors}
    (source / "model.safetensors.index.json").write_text(json.dumps({"weight_map": where}), "utf-8")
    quantize_file(source, coded_folder, "int8.tensor", entropy="rans")
    assert read_header(coded_folder / "0.safetensors").coders == {"a.weight.codes": "rans"}
    dequantize_file(coded_folder, dense, dtype="float32")
    quantize_file(model, tmp_path / "packed.safetensors", "int8.tensor", container="lowbit")
    dequantize_file(tmp_path / "packed.safetensors", tmp_path / "one.safetensors", dtype="float32")
    together = values(dense / "0.safetensors") | values(dense / "1.safetensors")
    for name, array in values(tmp_path / "one.safetensors").items():
        np.testing.assert_array_equal(together[name], array)


def test_scan_reads_them_and_clean_codes_them_again(model, tmp_path):
    path, clean, dense = (tmp_path / f"{name}.safetensors" for name in ("coded", "clean", "dense"))
    quantize_file(model, path, "int4.channel", entropy="rans")
    group = next(group for group in scan_file(path).groups if "a.weight" in group.names)
    assert "int4, a stream of rans, a code in each I8; lowbit's own" in group.packing
    entries = read_header(path).entries.values()
    assert group.stored == sum(one.stop - one.start for one in entries if not one.name.startswith(("norm", "small")))
    clean_file(path, clean)
    assert read_header(clean).coders == read_header(path).coders
    dequantize_file(path, dense, dtype="float32")
    dequantize_file(clean, tmp_path / "again.safetensors", dtype="float32")
    assert_same(dense, tmp_path / "again.safetensors")


def test_damage_is_refused(model, tmp_path):
    path, broken = tmp_path / "coded.safetensors", tmp_path / "broken.safetensors"
    quantize_file(model, path, "int8.tensor", entropy="rans")
    dequantize_file(path, tmp_path / "dense.safetensors")  # what is kept of it is not that of another file
    entry = read_header(path).entries["a.weight.codes"]
    data = bytearray(path.read_bytes())
    data[(entry.start + entry.stop) // 2] ^= 4
    broken.write_bytes(data)
    with pytest.raises(InputError, match=r"a\.weight.*checksum"):
        dequantize_file(broken, tmp_path / "never.safetensors")
    assert not (tmp_path / "never.safetensors").exists()
    path.unlink()
    shutil.move(broken, path)
    with pytest.raises(InputError, match="checksum"):
        dequantize_file(path, tmp_path / "never.safetensors")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (r"\"shape\": [64, 512], \"coder\"", r"\"shape\": [64, 511], \"coder\"", "a.weight.codes"),
        (r"\"dtype\": \"I8\"", r"\"dtype\": \"U8\"", "a.weight.codes"),
        (r"\"dtype\": \"I8\"", r"\"dtype\": \"F4\"", "what is coded"),
        (r"\"coder\": \"rans\"", r"\"coder\": \"rams\"", "what is coded"),
        (r"lowbit/entropy/1", "lowbit/entropy/2", "another version"),
        ('"dtype":"U8","shape":[', '"dtype":"I8","shape":[', "not a list of bytes"),
    ],
)
def test_records_that_lie(model, tmp_path, old, new, message):
    path = tmp_path / "coded.safetensors"
    quantize_file(model, path, "int8.tensor", entropy="rans")
    text = path.read_bytes()
    assert old.encode() in text
    path.write_bytes(text.replace(old.encode(), new.encode()))
    with pytest.raises(InputError, match=message):
        dequantize_file(path, tmp_path / "never.safetensors")


def test_the_command_line(model, tmp_path, capsys):
    path, options = tmp_path / "coded.safetensors", ["--to", "int8.tensor", "--entropy", "rans"]
    assert main(["quantize", str(model), *options, "--output", str(path)]) == 0
    assert "loads sooner" in " ".join(capsys.readouterr().out.split())
    assert read_header(path).coders
    method = tmp_path / "method.safetensors"
    assert main(["quantize", str(model), *options, "--method", "round_to_nearest", "--output", str(method)]) == 0
    assert read_header(method).coders
    assert main(["dequantize", str(path), "--to", "float32", "--output", str(tmp_path / "dense.safetensors")]) == 0
    capsys.readouterr()
    assert main(["quantize", str(model), *options, "--output", str(tmp_path / "other.gguf")]) == 2
    assert "gguf has no place for coded codes" in capsys.readouterr().err
    there = ["--container", "compressed_tensors"]
    assert main(["quantize", str(model), *options, *there, "--output", str(tmp_path / "other.safetensors")]) == 2
    assert "compressed_tensors has no place for coded codes" in capsys.readouterr().err
