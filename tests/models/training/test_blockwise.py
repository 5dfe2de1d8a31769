"""`lowbit quantize --method omniquant` on a model: block by block, and resumed to the same bytes."""

import numpy as np
import pytest

from lowbit.errors import InputError
from lowbit.files.safetensors import read_header
from lowbit.models import quantization
from lowbit.models.layer_inputs import model_of
from lowbit.models.quantization import quantize_by_method
from lowbit.models.training.blocks import blocks_of
from lowbit.models.training.omniquant import Choices, learn_blocks
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


def test_a_format_of_other_elements_is_refused_before_anything_is_written(model, tmp_path):
    with pytest.raises(InputError, match="clips are learned of integers"):
        quantize_by_method(
            model, tmp_path / "out.safetensors", "nf4.g8", method=METHOD, calibration=model.with_name("seen.txt")
        )
    assert not (tmp_path / "out.safetensors").exists()
    assert read_header(model).entries
