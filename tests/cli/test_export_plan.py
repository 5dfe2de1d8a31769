"""``--runtime`` of plans, and ``lowbit export`` of plans for runtimes."""

import json
from pathlib import Path

import numpy as np
import pytest

from lowbit.files.safetensors import Entry, write_tensors

NAMES = [f"model.layers.0.self_attn.{name}_proj.weight" for name in "qkvo"]


@pytest.fixture
def model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(1)
    arrays = [scale * random.standard_t(3, size=(8, 128)).astype(np.float32) for scale in (1, 2, 0.1, 5, 1)]
    entries = [Entry(name, "F32", (8, 128), 0, 0) for name in [*NAMES, "lm_head.weight"]]
    write_tensors("model", entries, arrays)
    return "model"


def test_a_plan_for_vllm(lowbit, model):
    words = ["--formats", "int3,int4,int8,nf4.g64", "--runtime", "vllm", "--budget", "avg_bits=6", "--no-more"]
    result = lowbit("allocate", "--model", model, *words, "-o", "plan.json")
    assert result.status == 0
    assert "left out, as vllm does not serve them: int3, nf4.g64" in result.err
    layers = json.loads(Path("plan.json").read_text(encoding="utf-8"))["layers"]
    choices = {layer["layer"]: layer["choice"] for layer in layers}
    assert len({choices[name] for name in NAMES[:3]}) == 1
    assert set(choices.values()) == {"int4", "int8"}
    document = json.loads(lowbit("export", "compressed_tensors", "plan.json").out)["quantization_config"]
    assert document["ignore"] == ["lm_head"]
    bits = {
        name: group["weights"]["num_bits"] for group in document["config_groups"].values() for name in group["targets"]
    }
    assert bits == {name.removesuffix(".weight"): int(choice[3:]) for name, choice in choices.items()}
    result = lowbit("quantize", model, "--plan", "plan.json", "-o", "q")
    assert result.status == 0


def test_what_export_of_plans_refuses(lowbit, model):
    plan = {"layers": [{"layer": NAMES[0], "choice": "int4.g128"}], "model": {"left_out": [1]}}
    Path("plan.json").write_text(json.dumps(plan), encoding="utf-8")
    for words, message in (
        (["tensor_types"], "takes a plan"),
        (["tensor_types", "nowhere"], "cannot be read"),
        (["compressed_tensors", "plan.json"], "left_out"),
        (["compressed_tensors", model], "not a plan"),
    ):
        result = lowbit("export", *words)
        assert (result.status, result.out) == (2, "")
        assert message in result.err
    assert "vllm serves none of int3" in lowbit("sensitivity", model, "--runtime", "vllm", "--formats", "int3").err
