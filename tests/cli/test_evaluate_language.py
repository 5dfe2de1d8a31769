"""``lowbit evaluate`` on a language model: a GGUF file of random weights."""

import re
import shlex

import numpy as np
import pytest

from lowbit.files.safetensors import read_header
from lowbit.models.language.model import LanguageModel
from lowbit.quantizers import METHODS
from tests.models.language.tiny_llama import write_tiny
from tests.models.tiny_bert import folder, tiny_parameters

SEEN = "the other an then a hare, 12 ants and the end of an other hare. " * 3
HELD_OUT = "another end: the ants and then the hare, there and here"


@pytest.fixture
def model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_tiny(tmp_path / "tiny.gguf")
    (tmp_path / "seen.txt").write_text(SEEN)
    (tmp_path / "held.txt").write_text(HELD_OUT)
    return tmp_path / "tiny.gguf"


def words(*more):
    return ("evaluate", "tiny.gguf", "--held-out", "held.txt", *more)


def test_the_table_has_perplexities(lowbit, model):
    result = lowbit(
        *words("--calibrate", "seen.txt", "--methods", "rtn,gptq", "--to", "int4.g32", "--kv-formats", "int8.g16,kivi2")
    )
    assert result.status == 0, result.err
    heads = "method format bits coded perplexity divergence output error seconds"
    assert re.sub(" +", " ", result.lines[0]).strip() == heads
    rows = [line.split() for line in result.lines[1:6]]
    methods = ["float", "round_to_nearest", "gptq", "cache", "cache"]
    assert [row[0] for row in rows] == methods
    assert rows[0][1:6] == ["F32", "32.000", "32.000", f"{float(rows[0][4]):.3f}", "0"]
    assert rows[3][1:3] == ["int8.g16", "9.000"]
    assert rows[4][1:3] == ["kivi2", "32.000"]  # fewer tokens than it leaves as they are
    assert "14 layers with 18,432 weights; 1 held-out window, 1 of the calibration" in result.out


def test_the_numbers_are_those_of_the_model(lowbit, model):
    document = lowbit(*words("--methods", "rtn", "--to", "int4.g32", "--output-format", "json")).json
    first, row = document["rows"]
    plain = LanguageModel.read(model)
    samples = plain.samples(HELD_OUT)
    figures = plain.figures(samples, plain.embed(samples))
    assert (first["perplexity"], first["divergence"]) == (figures["perplexity"], 0)
    assert row["perplexity"] != first["perplexity"]
    assert row["divergence"] > 0
    assert document["sample"] == "window"


@pytest.mark.parametrize(("method", "output"), [("gptq", "q.gguf"), ("awq", "q.safetensors")])
def test_a_gguf_file_is_quantised_by_a_method(lowbit, model, method, output):
    """Of a tensor the method sees what goes into the layer that has another name in the model."""
    to = {"q.gguf": "ggml_q4_0", "q.safetensors": "int4.g32"}[output]
    words = ("quantize", model, "--method", method, "--calibrate", "seen.txt", "--to", to, "-o", output)
    result = lowbit(*words, "--output-format", "json")
    assert result.status == 0, result.err
    reasons = {item["tensor"]: item["reason"] for item in result.json["left_out"]}
    assert reasons["token_embd.weight"] == "no sentence of the calibration goes through it"
    plain = LanguageModel.read(model)
    names = {"blk.1.ffn_down.weight": ["layers.1.mlp.down_proj.weight"]}
    pair = ["layers.0.mlp.gate_proj.weight", "layers.0.mlp.up_proj.weight"]
    names["blk.0.ffn_up.weight"] = pair if method == "awq" else pair[1:]
    for tensor, layers in names.items():
        rows = plain.inputs(plain.samples(SEEN), layers)[layers[-1]]
        whole = METHODS[method].quantize(np.concatenate([plain.parameters[one] for one in layers]), rows, to=to)
        values = whole.dequantize()[-len(plain.parameters[layers[-1]]) :]
        lowbit("dequantize", output, "--to", "float32", "-o", "values")
        assert np.array_equal(read_header("values").tensor(tensor), values)


def test_a_picture_and_a_resumed_run(lowbit, model, tmp_path):
    options = ("--methods", "rtn", "--to", "int4.g32,int8.g32", "-o", "a.svg", "--journal", "j")
    assert lowbit(*words(*options)).status == 0
    assert "tiny.gguf: perplexity; dashed: the float model" in (tmp_path / "a.svg").read_text()
    again = lowbit(*words(*options))
    assert again.status == 0
    assert "perplexity" in again.out


def test_a_cache_that_cannot_be_is_left_out(lowbit, model):
    result = lowbit(*words("--methods", "rtn", "--to", "int4.g32", "--kv-format", "mxfp4,nsnquant2"))
    assert result.status == 0
    assert "left out: cache in mxfp4: " in result.out  # 16 channels are not a whole block


def test_a_sentence_model_keeps_no_cache(lowbit, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bert").mkdir()
    folder(tmp_path / "bert", tiny_parameters(32))
    (tmp_path / "held.txt").write_text("un cafe a!")
    result = lowbit("evaluate", "bert", "--held-out", "held.txt", "--kv-formats", "int8.g16")
    assert result.status == 2
    assert "cache in int8.g16: the model keeps no keys and values" in result.err


def test_the_command_of_the_page(lowbit, model, repository):
    page = (repository / "docs" / "how-to" / "quantise-and-evaluate-a-model.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"^\$ lowbit (.* smollm2 .*)$", page.replace("\\\n", " "), re.MULTILINE)
    (model.parent / "calibration.txt").write_text(SEEN)
    (model.parent / "held_out.txt").write_text(HELD_OUT)
    result = lowbit(*shlex.split(command.replace("smollm2", "tiny.gguf").replace("g64", "g32")))
    assert result.status == 0, result.err
    assert "left out" not in result.out


@pytest.mark.parametrize("word", ["perplexity", "divergence", "cache", "window"])
def test_every_word_of_the_table_is_explained(lowbit, word):
    assert lowbit("explain", word).status == 0


def test_an_unknown_cache_is_refused_before_the_work(lowbit, model):
    result = lowbit(*words("--kv-formats", "kivi3"))
    assert result.status == 2
    assert "kivi3" in result.err
