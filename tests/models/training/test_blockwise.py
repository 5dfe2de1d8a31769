"""`lowbit quantize --method omniquant` on a model: block by block, and resumed to the same bytes."""

import numpy as np
import pytest

from lowbit.errors import InputError
from lowbit.files.safetensors import Entry, read_header, write_tensors
from lowbit.files.sharded import read_checkpoint
from lowbit.models import quantization
from lowbit.models.layer_inputs import layer_inputs, model_of
from lowbit.models.quantization import quantize_by_method
from lowbit.models.training.blocks import blocks_of
from lowbit.models.training.omniquant import Choices, learn_blocks
from lowbit.models.training.outcome import bias_of, notes_on_biases, notes_on_learning, with_biases
from lowbit.ops.block.dequantize import dequantize
from tests.models.tiny_bert import folder, tiny_parameters

pytest.importorskip("autograd")
METHOD = "omniquant:steps=6:rate=0.1:seed=5:batch=4"
FORMAT = "int2.g8.asymmetric"


@pytest.fixture
def model(tmp_path):
    folder(tmp_path, tiny_parameters(), np.float32)
    (tmp_path / "seen.txt").write_text("unable cafe!\na cafe\nunable!\n")
    return tmp_path / "model.safetensors"


def quantized(model, output, **options):
    calibration = model.with_name("seen.txt")
    return quantize_by_method(model, output, FORMAT, method=METHOD, calibration=calibration, **options)


def test_blocks_are_learned_from_the_quantised_prefix(model, tmp_path):
    seen = []
    converted, layers = quantized(model, tmp_path / "out.safetensors", progress=lambda *what: seen.append(what))
    own = model_of(model)
    samples = own.samples(model.with_name("seen.txt").read_text(), "seen.txt")
    blocks = blocks_of(own, samples)
    for learned in learn_blocks(blocks, Choices(FORMAT, 6, 5, clip_rate=0.1)):
        for name, tensor in learned.tensors.items():
            np.testing.assert_array_equal(layers[name].coded.tensor.codes, tensor.codes)
    assert [done for done, _, _ in seen] == list(range(1, len(layers) + 1))
    assert {total for _, total, _ in seen} == {len(layers)} == {len(own.linears)}
    assert any("clips alone are learned" in note for note in converted.notes)
    assert any("learned block by block" in note and "seed 5, steps 6, rate 0.1" in note for note in converted.notes)


def test_a_run_that_was_stopped_goes_on_to_the_same_bytes(model, tmp_path, monkeypatch):
    quantized(model, tmp_path / "whole.safetensors")

    def stops(done, total, name):
        if name.startswith("encoder.layer.1") or done > total // 2:
            raise KeyboardInterrupt

    journal = tmp_path / "journal"
    with pytest.raises(KeyboardInterrupt):
        quantized(model, tmp_path / "out.safetensors", journal=journal, progress=stops)
    assert not (tmp_path / "out.safetensors").exists()
    parts = []
    original = quantization.quantise_blocks

    def counted(model, samples, method, formats, take):
        def taken(names, learn):
            return take(names, lambda: parts.append(names) or learn())

        return original(model, samples, method, formats, taken)

    monkeypatch.setattr(quantization, "quantise_blocks", counted)
    quantized(model, tmp_path / "out.safetensors", journal=journal)
    assert len(parts) == 1  # the first block is not learned again
    assert (tmp_path / "out.safetensors").read_bytes() == (tmp_path / "whole.safetensors").read_bytes()


ADAQUANT = "adaquant:bias=learned:steps=3:batch=4"


def layerwise(model, output, method=ADAQUANT, **options):
    return quantize_by_method(
        model, output, "int3.channel", method=method, calibration=model.with_name("seen.txt"), **options
    )


def test_a_layerwise_run_that_was_stopped_goes_on_to_the_same_bytes(model, tmp_path, monkeypatch):
    _, whole = layerwise(model, tmp_path / "whole.safetensors")

    def stops(done, total, name):
        if done == 4:
            raise KeyboardInterrupt

    journal = tmp_path / "journal"
    with pytest.raises(KeyboardInterrupt):
        layerwise(model, tmp_path / "out.safetensors", journal=journal, progress=stops)
    assert not (tmp_path / "out.safetensors").exists()
    again, original = [], quantization.layer_record
    monkeypatch.setattr(
        quantization, "layer_record", lambda name, **options: again.append(name) or original(name, **options)
    )
    layerwise(model, tmp_path / "out.safetensors", journal=journal)
    assert len(again) == len(whole) - 4
    assert (tmp_path / "out.safetensors").read_bytes() == (tmp_path / "whole.safetensors").read_bytes()


def test_a_learned_bias_is_written_into_the_file(model, tmp_path):
    converted, layers = layerwise(model, tmp_path / "out.safetensors", ADAQUANT.replace("learned", "mean"))
    before, after = read_checkpoint(model), read_checkpoint(tmp_path / "out.safetensors")
    own, seen = model_of(model), model.with_name("seen.txt").read_text()
    inputs = layer_inputs(model, own.samples(seen, "seen.txt"), tuple(layers))
    for name, layer in layers.items():
        place = name.replace("weight", "bias")
        np.testing.assert_array_equal(after.tensor(place), (before.tensor(place) + layer.bias).astype(np.float32))
        rows, weights = inputs[name].astype(np.float64), before.tensor(name).astype(np.float64)
        missing = rows @ (weights - dequantize(layer.coded.tensor, dtype=np.float64)).T
        np.testing.assert_allclose(layer.bias, missing.mean(axis=0), atol=1e-5)
        wanted = ((missing - layer.bias) ** 2).sum() / ((rows @ weights.T) ** 2).sum()
        assert layer.error == pytest.approx(wanted, rel=1e-5)
    others = before.entries.keys() - layers.keys() - {name.replace("weight", "bias") for name in layers}
    assert all(before.raw(name).tobytes() == after.raw(name).tobytes() for name in others)
    assert any("are added to those of 12 layers in the file" in note for note in converted.notes)


def test_a_learned_bias_without_a_place_is_told(model, tmp_path):
    file, less = read_checkpoint(model), tmp_path / "less.safetensors"
    query, key = (f"encoder.layer.0.attention.self.{part}.weight" for part in ("query", "key"))
    assert bias_of(file, query) == query.replace("weight", "bias")
    kept = {name: file.tensor(name) for name in file.entries if not name.endswith("query.bias")}
    write_tensors(less, [Entry(name, "F32", array.shape, 0, 0) for name, array in kept.items()], list(kept.values()))
    file, biases = read_checkpoint(less), {query: np.ones(8), key: np.ones(8)}
    assert bias_of(file, query) is None
    assert list(with_biases(file, biases)) == [key.replace("weight", "bias")]
    there, lost = notes_on_biases("adaquant", file, biases)
    assert "added to those of 1 layer " in there
    assert f"no place for the biases that it learned of 1 layer, {query} for one" in lost
    with pytest.raises(InputError, match="is beyond float32 with what was learned"):
        with_biases(file, {key: np.full(8, 1e39)})


@pytest.mark.parametrize(("options", "words"), [({"jobs": 2}, "jobs = 2"), ({"scheduler": "tcp://a:1"}, "scheduler")])
def test_jobs_are_refused_where_blocks_follow_one_another(model, tmp_path, options, words):
    with pytest.raises(InputError, match=rf"learns blocks one after the other, .*{words}.* cannot share them"):
        quantized(model, tmp_path / "out.safetensors", journal=tmp_path / "journal", **options)
    assert not (tmp_path / "out.safetensors").exists()
    assert not (tmp_path / "journal").exists()


def test_what_learning_made_worse_is_told():
    assert notes_on_learning("a", {"x": (0.1, 0.05, "learned"), "y": None}) == ()
    errors = {"x": (0.1, 0.1, "start"), "y": (0.1, 0.15, "learned"), "z": (1, 0.5, "learned")}
    still, worse = notes_on_learning("a", errors)
    assert "1 of 3 tensors stay as they began" in still
    assert "1 of 3 tensors, by their blocks, stay" in notes_on_learning("a", errors, ", by their blocks,")[0]
    assert "the errors of 1 of 3 tensors larger, 1.5 times at most" in worse


def test_a_format_of_other_elements_is_refused_before_anything_is_written(model, tmp_path):
    with pytest.raises(InputError, match="clips are learned of integers"):
        quantize_by_method(
            model, tmp_path / "out.safetensors", "nf4.g8", method=METHOD, calibration=model.with_name("seen.txt")
        )
    assert not (tmp_path / "out.safetensors").exists()
    assert read_header(model).entries
