"""Checkpoints in several files: as one file, and whole or not at all."""

import json

import numpy as np
import pytest

import lowbit
from lowbit.campaign.checkpoint import dequantize_file, quantize_file
from lowbit.errors import InputError
from lowbit.files.safetensors import Entry, read_header, write_tensors
from lowbit.files.sharded import INDEX, read_checkpoint

GENERATOR = np.random.default_rng(9)
SHARDS = {
    "model-00001-of-00003.safetensors": {
        "a.weight": GENERATOR.normal(size=(16, 64)).astype(np.float32),
        "embed.weight": GENERATOR.normal(size=(4, 32)).astype(np.float32),
    },
    "model-00002-of-00003.safetensors": {"a.norm": np.ones(16, np.float32)},
    "model-00003-of-00003.safetensors": {"b.weight": GENERATOR.normal(size=(32, 128)).astype(np.float32)},
}
TENSORS = {name: array for shard in SHARDS.values() for name, array in shard.items()}


def write_shards(folder, shards, index=True):
    folder.mkdir()
    where = {}
    for name, tensors in shards.items():
        entries = [Entry(label, "F32", array.shape, 0, 0) for label, array in tensors.items()]
        write_tensors(folder / name, entries, tensors.values(), {"format": "pt"})
        where |= dict.fromkeys(tensors, name)
    if index:
        (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": where}))
    (folder / "config.json").write_text('{"model_type": "llama"}')
    return folder


@pytest.fixture
def model(tmp_path):
    return write_shards(tmp_path / "model", SHARDS)


@pytest.mark.parametrize(
    ("name", "container"), [("mxfp4", "compressed_tensors"), ("int4.g32", None), ("nf4.g64", None)]
)
def test_there_and_back(model, tmp_path, name, container):
    quantized, values = tmp_path / "quantized", tmp_path / "values"
    converted = quantize_file(model, quantized, name, container=container)
    assert [tensor.name for tensor in converted.tensors] == ["a.weight", "b.weight"]
    assert sorted(item.name for item in quantized.iterdir()) == sorted([*SHARDS, INDEX, "config.json"])
    assert converted.config == quantized / "config.json"
    index = json.loads((quantized / INDEX).read_text())
    files = {shard: read_header(quantized / shard) for shard in SHARDS}
    assert index["weight_map"] == {label: shard for shard, file in files.items() for label in file.entries}
    total = sum(entry.stop - entry.start for file in files.values() for entry in file.entries.values())
    assert index["metadata"]["total_size"] == total
    assert json.loads(converted.config.read_text())["model_type"] == "llama"
    dequantize_file(quantized, values, dtype="float32")
    assert "quantization_config" not in json.loads((values / "config.json").read_text())
    for shard, tensors in SHARDS.items():
        file = read_header(values / shard)
        assert file.metadata == {"format": "pt"}
        for label, array in tensors.items():
            quantised = array.ndim == 2 and "embed" not in label
            expected = lowbit.dequantize(lowbit.quantize(array, name)) if quantised else array
            assert np.array_equal(file.tensor(label), expected)


def test_the_bits_are_those_of_one_file(model, tmp_path):
    whole = write_shards(tmp_path / "one", {"model.safetensors": TENSORS}, index=False)
    for folder in (model, whole):
        quantize_file(folder, tmp_path / f"{folder.name}_q", "nvfp4")
    shards, alone = (read_checkpoint(tmp_path / f"{folder.name}_q") for folder in (model, whole))
    assert not (tmp_path / "one_q" / INDEX).exists()
    assert set(shards.entries) == set(alone.entries)
    assert all((shards.raw(name) == alone.raw(name)).all() for name in alone.entries)
    config = [json.loads((tmp_path / f"{name}_q" / "config.json").read_text()) for name in ("model", "one")]
    assert config[0] == config[1]


def test_parts_of_a_matrix_may_lie_in_several_files(model, tmp_path):
    quantized = tmp_path / "quantized"
    quantize_file(model, quantized, "mxfp8_e4m3")
    whole = read_checkpoint(quantized)
    other = {
        name: {label: np.array(whole.tensor(label)) for label in sorted(whole.entries)[place::2]}
        for place, name in enumerate(("x.safetensors", "y.safetensors"))
    }
    where = {label: name for name, tensors in other.items() for label in tensors}
    for name, tensors in other.items():
        entries = [Entry(label, whole.entries[label].dtype, array.shape, 0, 0) for label, array in tensors.items()]
        write_tensors(quantized / name, entries, tensors.values())
    (quantized / INDEX).write_text(json.dumps({"weight_map": where}))
    assert where["a.weight"] != where["a.weight_scale"]
    dequantize_file(quantized, tmp_path / "values", dtype="float32")
    back = read_checkpoint(tmp_path / "values")
    expected = lowbit.dequantize(lowbit.quantize(TENSORS["b.weight"], "mxfp8_e4m3"))
    assert np.array_equal(back.tensor("b.weight"), expected)


FIRST = next(iter(SHARDS))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "has no weight_map"),
        ("[]", "has no weight_map"),
        ('{"weight_map": {}}', "is not a table of tensors and names of files"),
        ('{"weight_map": {"a.weight": "../model.safetensors"}}', "names of files beside it"),
        ('{"weight_map": {"a.weight": "none.safetensors"}}', r"none\.safetensors cannot be read"),
        (json.dumps({"weight_map": {"c.weight": FIRST}}), "tensor 'c.weight' is not in"),
    ],
)
def test_an_index_that_is_wrong(model, tmp_path, text, message):
    (model / INDEX).write_text(text)
    with pytest.raises(InputError, match=message):
        quantize_file(model, tmp_path / "out", "mxfp4")
    assert not (tmp_path / "out").exists()


def test_what_is_refused(model, tmp_path):
    (model / INDEX).unlink()
    with pytest.raises(InputError, match=f"3 files .safetensors, and no {INDEX}"):
        read_checkpoint(model)
    more = {"a.weight": np.ones((2, 32), np.float32), "c.norm": np.ones(2, np.float32)}
    twice = {"x.safetensors": more, "y.safetensors": TENSORS}
    with pytest.raises(InputError, match=r"tensor 'a\.weight' is in y\.safetensors and in x\.safetensors"):
        read_checkpoint(write_shards(tmp_path / "twice", twice))


def test_a_folder_is_written_whole_or_not_at_all(model, tmp_path):
    before = sorted(tmp_path.iterdir())
    for output in (model, model / FIRST):
        with pytest.raises(InputError, match=r"which would be lost|go into a new folder"):
            quantize_file(model, output, "mxfp4")
    wrong = {"a.weight": "mxfp4", "b.weight": "int4.g48"}
    with pytest.raises(InputError, match="do not divide"):
        quantize_file(model, tmp_path / "out", wrong)

    def interrupt(done, total, name):
        del total, name
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        quantize_file(model, tmp_path / "out", "mxfp4", progress=interrupt)
    assert sorted(tmp_path.iterdir()) == before
    (tmp_path / "out").mkdir()
    quantize_file(model, tmp_path / "out", "mxfp4")  # an empty folder is one to write into
    with pytest.raises(InputError, match="several files go into a new folder, or an empty one"):
        quantize_file(model, tmp_path / "out", "mxfp4")
