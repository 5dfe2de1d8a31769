"""Every block format, and members of every family of them, through every verb that takes one."""

import numpy as np
import pytest

import lowbit as library
from lowbit.files.safetensors import Entry, read_header, write_tensors
from lowbit.ops.block.quantize import is_made
from lowbit.policy.block import get_block_policy
from tests.thinned import thinned

NAMED = [name for name in library.formats() if library.get_format(name).kind == "block"]
NAMED = [name for name in NAMED if is_made(library.get_format(name))]
MEMBERS = [
    *("int4.g8", "int4.g8.asymmetric", "uint4.g8.asymmetric.float32", "int4.g8.offset", "int8.g8.offset.float32"),
    *("float4_e2m1fn.g8.by_sign", "nf3.g8.by_sign.float32", "nf4.g4.nested", "float4_e2m1fn.g4.nested.float32"),
    *("int8.channel", "int8.tensor", "uint8.tensor.asymmetric.float32", "float8_e4m3fn.channel.by_sign"),
    *("float8_e4m3fn.4x4.float32", "int8.4x4.asymmetric", "int4.4x4.offset", "float4_e2m1fn.4x4.by_sign"),
    *(
        "af4.g8",
        "bnb_dynamic8.g8",
        "power4_0.5.g8",
        "binary8p3se.g8",
        "q2.6.g8.float8_e8m0fnu",
        "float16.g8",
        "int3.g7",
        "pyramid8_2.g8",
    ),
]
VALUES = ("1", "-3", "0.5", "6", "0", "-0.25", "100", "-1e-3")


@pytest.mark.parametrize("name", thinned([*NAMED, *MEMBERS], 3))
def test_values_to_codes_and_back(lowbit, name):
    """``show``, ``encode --explain``, and ``decode`` of what ``encode`` gives, which is worth what that says."""
    assert "value" in lowbit("show", name).out
    assert lowbit("show", name, "--output-format", "json").json["formula"]
    searched = get_block_policy(library.get_format(name).default_policy).of_ggml
    values = VALUES + ("0",) * (library.get_format(name).block[0] - len(VALUES) if searched else 0)
    explained = lowbit("encode", name, *values, "--explain")
    assert explained.status == (2 if searched else 0), explained.err
    assert searched or explained.out.count("\n") > len(values)
    document = lowbit("encode", name, *values, "--output-format", "json").json
    scales = [f"{scale['name']}={scale['code']}" for scale in document["scales"] if scale["block"] == 0]
    options = [word for scale in scales for word in ("--scale", scale)]
    first = document["elements"][0]
    decoded = lowbit("decode", name, first["code"], *options, "--output-format", "json").json
    assert decoded["results"][0]["exact"] == first["result"]["exact"]


@pytest.mark.slow
@pytest.mark.parametrize("name", [*NAMED, *MEMBERS])
def test_kernels_and_vectors(lowbit, tmp_path, name):
    """The library under its own checks, and its vectors, there and back."""
    file = tmp_path / "device.py"
    file.write_text(
        "import lowbit\n"
        "def to(values):\n"
        f"    tensor = lowbit.quantize(values, {name!r})\n"
        "    return {'codes': tensor.codes, **tensor.scales}\n"
        "def back(codes, *scales):\n"
        f"    fmt = lowbit.get_format({name!r})\n"
        "    fields, shape = zip(fmt.scales, scales), fmt.values_shape(codes.shape)\n"
        "    named = {field.name: scale.reshape(field.grid(shape)) for field, scale in fields}\n"
        "    return lowbit.dequantize(lowbit.BlockTensor(fmt, shape, 1, codes, named))\n"
    )
    for verb, option, function in (("quantize", "--to", "to"), ("dequantize", "--from", "back")):
        result = lowbit("check", verb, option, name, "--python", f"{file}:{function}")
        assert result.status == 0, result.out + result.err
        text = lowbit("gen", verb, option, name)
        assert text.status == 0, text.err
        assert text.out.startswith("// lowbit vectors")


@pytest.mark.slow
@pytest.mark.parametrize("name", [*NAMED, *MEMBERS])
def test_files_there_and_back(lowbit, tmp_path, name):
    """A checkpoint, and what it is worth: the same as by ``lowbit.quantize``."""
    values = np.random.default_rng(0).normal(size=(128, 256 if name != "int3.g7" else 252)).astype(np.float32)
    write_tensors(tmp_path / "in.safetensors", [Entry("layer.weight", "F32", values.shape, 0, 0)], [values])
    there = lowbit("quantize", tmp_path / "in.safetensors", "--to", name, "--output", tmp_path / "codes.safetensors")
    assert there.status == 0, there.err
    back = (
        "dequantize",
        tmp_path / "codes.safetensors",
        "--to",
        "float32",
        "--exact",
        "--output",
        tmp_path / "out.safetensors",
    )
    assert lowbit(*back).status == 0
    # compressed-tensors has the reciprocal of NVFP4's scale of the tensor
    worth = library.dequantize(library.quantize(values, {"nvfp4": "nvfp4_reciprocal"}.get(name, name)))
    assert np.array_equal(read_header(tmp_path / "out.safetensors").tensor("layer.weight"), worth)
