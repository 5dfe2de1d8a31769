"""Errors of a layer's outputs on held-out rows, measured by fewer rows with the same Gram matrix."""

import sys

import numpy as np
import pytest

from lowbit.errors import InputError
from lowbit.models.evaluation import Evaluation, Refusal, Subject, combinations, evaluate_all, evaluate_model, known
from lowbit.models.language.model import LanguageModel
from lowbit.models.layer_inputs import Outputs, condensed, layer_inputs, layer_outputs
from lowbit.quantizers import METHODS
from lowbit.quantizers.learned.gradients import differentiable
from tests.models.language.tiny_llama import write_tiny

TEXT = "the other an then a hare, 12 ants and the end of an other hare. " * 4


@pytest.fixture
def model(tmp_path):
    write_tiny(tmp_path / "tiny.gguf")
    return tmp_path / "tiny.gguf"


def test_errors_are_those_of_all_rows(model):
    plain = LanguageModel.read(model)
    samples, names = plain.samples(TEXT), tuple(plain.linears)
    outputs, inputs = layer_outputs(model, samples, names), layer_inputs(model, samples, names)
    assert {len(one.rows) for one in outputs.values()} == {32, 64}, "each layer has as many rows as inputs"
    assert len(next(iter(inputs.values()))) > 2 * 64
    for name in names:
        result = METHODS["round_to_nearest"].quantize(plain.parameters[name], to="int4.g32")
        weights = plain.parameters[name]
        own = outputs[name].error(weights - result.dequantize(dtype=np.float64))
        assert own == pytest.approx(result.error(weights, inputs[name]), rel=1e-9)


def test_rows_of_low_rank_and_few_rows():
    random = np.random.default_rng(3)
    flat = random.normal(size=(200, 3)) @ random.normal(size=(3, 16))
    triangle = condensed(flat)
    assert triangle.shape == (16, 16)
    np.testing.assert_allclose(triangle.T @ triangle, flat.T @ flat, atol=1e-10 * np.abs(flat.T @ flat).max())
    few = flat[:31].astype(np.float32)
    assert condensed(few) is few


def test_outputs_that_are_all_zero():
    rows = np.zeros((4, 2))
    assert Outputs(rows, 0.0).error(np.ones((3, 2))) == 0
    assert Outputs(np.ones((4, 2)), 0.0).error(np.ones((3, 2))) == np.inf


def test_inputs_of_layers_cannot_be_written(model):
    samples = LanguageModel.read(model).samples(TEXT)
    array = layer_inputs(model, samples, ("layers.0.mlp.up_proj.weight",))["layers.0.mlp.up_proj.weight"]
    with pytest.raises(ValueError, match="read-only"):
        array[0, 0] = 1


def test_combinations_of_several_runs_and_what_a_journal_has(model, tmp_path):
    names = combinations(["rtn", "gptq"], ["int4.g32"], ["int8.g16"]) + combinations(["rtn"], ["int3.g32"])
    named = ["round_to_nearest int4.g32", "gptq int4.g32", "cache int8.g16", "round_to_nearest int3.g32"]
    assert names == named
    subject = Subject.of(model, _text(tmp_path / "seen.txt", TEXT), _text(tmp_path / "held.txt", TEXT[7:90]))
    rows, refused = evaluate_all(subject, [*names[:2], "round_to_nearest int4.g64"], journal=tmp_path / "j")
    assert [(row.method, row.to) for row in rows] == [
        ("float", "F32"),
        ("round_to_nearest", "int4.g32"),
        ("gptq", "int4.g32"),
    ]
    assert [(item.method, item.to) for item in refused] == [("round_to_nearest", "int4.g64")]
    assert known(subject, tmp_path / "j") == [*names[:2], "round_to_nearest int4.g64"]
    again, _ = evaluate_model(subject, ["rtn", "gptq"], ["int4.g32"])
    assert [_without_time(row) for row in again] == [_without_time(row) for row in rows]


def test_a_missing_package_stops_the_run_and_is_not_noted(model, tmp_path, monkeypatch):
    texts = _text(tmp_path / "seen.txt", TEXT), _text(tmp_path / "held.txt", TEXT[7:90])
    subject = Subject.of(model, *texts, include="layers.0.mlp.up_proj")
    names = ["round_to_nearest int4.g32", "adaround int4.g32"]
    differentiable.cache_clear()
    monkeypatch.setitem(sys.modules, "autograd", None)
    with pytest.raises(InputError, match=r"autograd is not installed\n.*pip install autograd"):
        evaluate_all(subject, names, journal=tmp_path / "j")
    assert known(subject, tmp_path / "j") == names[:1], "an installation mends the other"


def _without_time(row):
    assert isinstance(row, Evaluation | Refusal)
    return {name: value for name, value in row.record.items() if name != "seconds"}


def _text(path, text):
    path.write_text(text)
    return path
