"""``lowbit quantize`` into GGUF files, and ``dequantize`` of them."""

import numpy as np
import pytest

import lowbit as package
from lowbit.files.gguf import read_gguf, write_gguf
from lowbit.files.safetensors import Entry, read_header, write_tensors
from tests.files.importance_files import write_importance

WEIGHTS = np.random.default_rng(2).normal(size=(4, 64)).astype(np.float32)


@pytest.fixture
def model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arrays = {"a.weight": WEIGHTS, "b.weight": WEIGHTS[:, :40], "norm": WEIGHTS[0]}
    write_tensors("model", [Entry(name, "F32", array.shape, 0, 0) for name, array in arrays.items()], arrays.values())
    return "model"


def test_there_and_back(lowbit, model):
    result = lowbit("quantize", model, "--to", "ggml_q8_0", "--output", "out.gguf")
    assert result.status == 0
    assert result.lines == [
        "1 tensor with 256 values: ggml_q8_0, GGUF",
        "2 tensors with 224 numbers left as they are",
        "  a row of 40 values is not a multiple of the 32 of a block of Q8_0: b.weight",
        "  it has fewer than two axes: norm",
        "1 tensor with rows that are not whole blocks left as it is; llama.cpp takes it",
        "names are those of the source and there is no model's metadata: convert the model to GGUF first",
    ]
    assert [entry.dtype for entry in read_gguf("out.gguf").entries.values()] == ["Q8_0", "F32", "F32"]
    result = lowbit("dequantize", "out.gguf", "--to", "float32", "-o", "values")
    assert result.lines[0] == "1 tensor with 256 values: ggml_q8_0, GGUF; now float32"
    expected = package.dequantize(package.quantize(WEIGHTS, "ggml_q8_0"))
    assert np.array_equal(read_header("values").tensor("a.weight"), expected)
    document = lowbit("dequantize", "out.gguf", "-o", "values.gguf", "--output-format", "json").json
    assert (document["container"], document["dtype"]) == ("gguf", "bfloat16")
    assert read_gguf("values.gguf").entries["a.weight"].dtype == "BF16"


def test_types_of_activations_are_told(lowbit, model):
    result = lowbit("quantize", model, "--to", "ggml_q8_1", "--output", "out.gguf")
    assert "ggml_q8_1: types of activations, in which llama.cpp runs no weights" in result.lines


def test_what_is_refused(lowbit, model):
    for words, message in (
        (["--to", "mxfp4"], "GGUF has no type for 'mxfp4'"),
        (["--to", "ggml_q8_0", "--method", "gptq"], "--method gptq needs activations"),
        (["--to", "ggml_q8_0", "--entropy", "rans"], "gguf has no place for coded codes"),
        (["--to", "ggml_q8_0", "--jobs", "2"], "--jobs is for --method"),
    ):
        result = lowbit("quantize", model, *words, "--container", "gguf", "-o", "out")
        assert (result.status, result.out) == (2, "")
        assert message in result.err


def test_an_importance_matrix(lowbit, model):
    write_importance("imatrix", {"a.weight": ([3], WEIGHTS[:1] ** 2)})
    words = ("quantize", model, "--to", "ggml_iq4_nl", "--importance", "imatrix")
    result = lowbit(*words, "-o", "out.gguf")
    assert result.status == 0, result.err
    assert "1 tensor weighed by imatrix" in result.lines
    expected = package.quantize(WEIGHTS, "ggml_iq4_nl", importance=WEIGHTS[0] ** 2 / np.float32(3))
    assert read_gguf("out.gguf").raw("a.weight").tobytes() == expected.to_bytes(layout="ggml")
    for more, message in (
        (["-o", "imatrix"], "the importance matrix"),
        (["-o", "q", "--method", "rtn"], "--importance is for ggml's own searches, not for --method"),
    ):
        result = lowbit(*words, *more)
        assert (result.status, result.out) == (2, "")
        assert message in result.err


def test_a_plan_for_llama_cpp(lowbit, model):
    words = ["--formats", "ggml_q8_0,ggml_q4_0,int4", "--runtime", "llama.cpp", "--include", "a", "--no-more"]
    result = lowbit("allocate", "--model", model, *words, "--budget", "avg_bits=5", "-o", "plan.json")
    assert result.status == 0, result.err
    assert "left out, as llama.cpp does not serve them: int4" in result.err
    assert lowbit("quantize", model, "--plan", "plan.json", "-o", "out.gguf").status == 0
    assert read_gguf("out.gguf").entries["a.weight"].dtype == "Q4_0"
    assert "no name in llama.cpp" in lowbit("export", "tensor_types", "plan.json").err


def test_a_gguf_file_in_floats_is_measured(lowbit, tmp_path, monkeypatch):
    """Its names are llama.cpp's, so its plan goes to llama-quantize, and to ``lowbit quantize``."""
    monkeypatch.chdir(tmp_path)
    names = ["blk.0.attn_q.weight", "blk.0.ffn_up.weight"]
    arrays = [np.random.default_rng(seed).normal(size=(4, 64)).astype(np.float16) for seed in (1, 2)]
    write_gguf("model.gguf", [Entry(name, "F16", (4, 64), 0, 0) for name in names], arrays)
    words = ["allocate", "--model", "model.gguf", "--formats", "ggml_q4_0,ggml_q8_0", "--runtime", "llama.cpp"]
    words += ["--budget", "avg_bits=6.5", "--no-more"]
    result = lowbit(*words, "-o", "plan.json", "--apply", "values.gguf")
    assert result.status == 0, result.err
    assert "left as they are" not in result.out
    assert sorted(line.split("=")[1] for line in lowbit("export", "tensor_types", "plan.json").lines) == [
        "q4_0",
        "q8_0",
    ]
    assert lowbit("quantize", "model.gguf", "--plan", "plan.json", "-o", "out.gguf").status == 0
    assert {read_gguf("out.gguf").entries[name].dtype for name in names} == {"Q4_0", "Q8_0"}
    assert lowbit("dequantize", "out.gguf", "--to", "float16", "-o", "back.gguf").status == 0
    for name in names:
        assert read_gguf("values.gguf").raw(name).tobytes() == read_gguf("back.gguf").raw(name).tobytes()
    assert "the name is that of a safetensors file" in lowbit(*words, "--apply", "values.safetensors").err
    assert "quantised already" in lowbit(*words[:2], "out.gguf", *words[3:]).err
    assert "has llama.cpp's names" in lowbit(*words[:5], "--runtime", "vllm", "--budget", "avg_bits=6.5").err
