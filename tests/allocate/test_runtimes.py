"""Runtimes: what they fuse is tied, what they cannot serve is left out, and what they read of a plan is written."""

from dataclasses import replace

import pytest

from lowbit.allocate.runtimes import RUNTIMES, fused_layers, plan_config, served_formats, tensor_types
from lowbit.cli.model_options import RUNTIME_NAMES
from lowbit.errors import AllocationError, InputError
from lowbit.files.quantization_config import config
from lowbit.format.registry import block_format_of

DECODER = [f"model.layers.{layer}.self_attn.{name}_proj.weight" for layer in (0, 1) for name in "qkvo"]
DECODER += [f"model.layers.0.mlp.{name}_proj.weight" for name in ("gate", "up", "down")]
EXPERTS = [
    f"model.layers.3.block_sparse_moe.experts.{expert}.w{part}.weight" for expert in (0, 11) for part in (1, 2, 3)
]
GGML = {name: replace(block_format_of("int4.g32"), id=name) for name in ("ggml_q4_k", "ggml_q8_0")}


def test_the_command_line_has_every_runtime():
    assert tuple(RUNTIMES) == RUNTIME_NAMES


def test_vllm_fuses_projections_and_experts():
    assert fused_layers([*DECODER, *EXPERTS], "vllm") == [
        tuple(DECODER[:3]),
        tuple(DECODER[4:7]),
        tuple(DECODER[8:10]),
        tuple(EXPERTS),
    ]
    encoder = [f"encoder.layer.0.attention.self.{name}.weight" for name in ("query", "key", "value")]
    assert fused_layers([*encoder, "encoder.layer.1.attention.self.query.weight"], "vllm") == [tuple(encoder)]
    assert fused_layers(["model.layers.0.mlp.down_proj.weight"], "vllm") == []


def test_llama_cpp_stacks_the_experts_of_a_projection():
    expected = [tuple(EXPERTS[part::3]) for part in range(3)]
    assert fused_layers([*DECODER, *EXPERTS], "llama.cpp") == expected


@pytest.mark.parametrize(
    ("name", "served"),
    [
        ("int4.g128", True),
        ("int8.channel", True),
        ("int4", True),
        ("int4.g32.asymmetric", True),
        ("nvfp4", True),
        ("mxfp4", True),
        ("float8_e4m3fn.channel", True),
        ("float8_e4m3fn.128x128.bfloat16", True),
        ("int3.g128", False),
        ("int4.tensor", False),
        ("nf4.g64", False),
        ("mxint8", False),
        ("mxfp6_e2m3", False),
    ],
)
def test_what_vllm_serves(name, served):
    if served:
        assert served_formats([name, "nf4.g64"], "vllm", 128, "float16") == ((name,), ("nf4.g64",))
    else:
        with pytest.raises(AllocationError, match=f"vllm serves none of {name}"):
            served_formats([name], "vllm", 128, "float16")


def test_llama_cpp_serves_its_own_formats():
    serves = RUNTIMES["llama.cpp"].serves
    assert all(map(serves, GGML.values()))
    assert not serves(block_format_of("int4.g32"))
    assert served_formats(["ggml_q8_1", "ggml_q8_0", "ggml_q8_k"], "llama.cpp", 128, "float16") == (
        ("ggml_q8_0",),
        ("ggml_q8_1", "ggml_q8_k"),
    )


def test_tensor_types():
    q4, q8 = GGML.values()
    plan = {
        "model.embed_tokens.weight": q8,
        **dict.fromkeys(DECODER[:4], q4),
        "model.layers.0.mlp.gate_proj.weight": q8,
        **dict.fromkeys(EXPERTS[0::3], q4),
        **dict.fromkeys(EXPERTS[1::3], q8),
        "model.layers.7.mlp.experts.2.up_proj.weight": q4,
        "blk.2.ffn_down.weight": q4,
    }
    assert tensor_types(plan).splitlines() == [
        r"^token_embd\.weight$=q8_0",
        r"^blk\.0\.attn_q\.weight$=q4_k",
        r"^blk\.0\.attn_k\.weight$=q4_k",
        r"^blk\.0\.attn_v\.weight$=q4_k",
        r"^blk\.0\.attn_output\.weight$=q4_k",
        r"^blk\.0\.ffn_gate\.weight$=q8_0",
        r"^blk\.3\.ffn_gate_exps\.weight$=q4_k",
        r"^blk\.3\.ffn_down_exps\.weight$=q8_0",
        r"^blk\.7\.ffn_up_exps\.weight$=q4_k",
        r"^blk\.2\.ffn_down\.weight$=q4_k",
    ]
    with pytest.raises(InputError, match="one tensor in llama"):
        tensor_types({EXPERTS[0]: q4, EXPERTS[3]: q8})
    with pytest.raises(InputError, match="no name in llama"):
        tensor_types({"encoder.layer.0.attention.self.query.weight": q4})
    with pytest.raises(InputError, match=r"llama\.cpp has the formats ggml_\* alone"):
        tensor_types({DECODER[0]: block_format_of("int4.g32")})
    with pytest.raises(InputError, match="ggml_q8_1 and ggml_q8_k, which are for activations"):
        tensor_types({DECODER[0]: block_format_of("ggml_q8_k")})


def test_the_config_of_a_plan_is_that_of_the_checkpoint():
    formats = {name: block_format_of(fmt) for name, fmt in zip(DECODER, ["int4.g128", "nvfp4"] * 4, strict=False)}
    document = plan_config(formats, ["lm_head.weight"])
    assert document["ignore"] == ["lm_head"]
    assert [(group["format"], len(group["targets"])) for group in document["config_groups"].values()] == [
        ("pack-quantized", 4),
        ("nvfp4-pack-quantized", 4),
    ]
    assert document.keys() == config([], []).keys()
    for name, fmt in (("a.weight", "nf4.g32"), ("bias", "int4.g128")):
        with pytest.raises(InputError, match="compressed-tensors"):
            plan_config({name: block_format_of(fmt)}, [])
