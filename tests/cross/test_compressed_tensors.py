"""compressed-tensors: it decodes our checkpoints to the bits of our `dequantize`, and we decode its own.

It needs PyTorch, transformers and pydantic beside it, which `make cross` does not install.
"""

import json

import ml_dtypes
import numpy as np
import pytest

import lowbit as package
from lowbit.campaign.checkpoint import dequantize_file, quantize_file
from lowbit.files.parts import CodedTensor
from lowbit.files.safetensors import Entry, read_header, write_tensors
from lowbit.quantizers import METHODS

torch = pytest.importorskip("torch")
quantization = pytest.importorskip("compressed_tensors.quantization")
compressors = pytest.importorskip("compressed_tensors.compressors")
converters = pytest.importorskip("compressed_tensors.entrypoints.convert.converters.ct_dequantizer")
files = pytest.importorskip("safetensors.torch")

FORMATS = [
    *("nvfp4", "mxfp4", "mxfp6_e2m3", "mxfp8_e4m3", "fp8_128x128", "float8_e4m3fn.g32", "float8_e4m3fn.tensor.float32"),
    *("float8_e4m3fn.channel.bfloat16", "int8.channel", "int8.tensor", "int4.g32", "int4.g32.asymmetric"),
    *("int4.channel.asymmetric.bfloat16", "int4.tensor.asymmetric", "uint4.g32.asymmetric.float32"),
    *("int2.g64", "int3.g32", "int5.channel", "int6.g32.asymmetric", "int7.tensor"),
]
DTYPES = {torch.float16: "float16", torch.bfloat16: "bfloat16", torch.float32: "float32"}


def weights(kind):
    """Two matrices, with zeros, subnormal blocks, and powers of two with their neighbours."""
    generator = np.random.default_rng(17)
    first = generator.standard_t(2, size=(160, 192))
    first[3] = 0
    first[4:8] *= 2.0**-14
    first[8:40] = np.exp2(generator.integers(-8, 8, (32, 192))) * (1 + generator.integers(-1, 2, (32, 192)) / 1024)
    return {"a.weight": first.astype(kind), "b.weight": generator.normal(size=(64, 256)).astype(kind)}


@pytest.fixture
def model(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    tensors = weights(np.float16) | {"lm_head.weight": np.ones((2, 32), np.float16), "a.bias": np.ones(3, np.float16)}
    entries = [Entry(name, "F16", array.shape, 0, 0) for name, array in tensors.items()]
    write_tensors(tmp_path / "in" / "model.safetensors", entries, tensors.values(), {"format": "pt"})
    return tmp_path / "in" / "model.safetensors"


def bits(array):
    """Of an array of theirs or ours."""
    own = array.contiguous().view(torch.uint8).numpy() if isinstance(array, torch.Tensor) else array
    return np.ascontiguousarray(own).view(np.uint8)


def decompressed(path):
    """The values that compressed-tensors gives for each module that the config names."""
    tensors = files.load_file(path)
    text = (path.parent / "config.json").read_text()
    config = quantization.QuantizationConfig.model_validate(json.loads(text)["quantization_config"])
    for group in config.config_groups.values():
        compressor = compressors.BaseCompressor.get_value_from_registry(group.format)
        for module in group.targets:
            state = {name: tensors[f"{module}.{name}"] for name in compressor.compression_param_names(group)}
            yield f"{module}.weight", compressor.decompress(state, group)["weight"]


@pytest.mark.parametrize("name", FORMATS)
def test_it_decodes_our_checkpoints_to_our_bits(model, tmp_path, name):
    path = tmp_path / "out" / "model.safetensors"
    quantize_file(model, path, name)
    modules = dict(decompressed(path))
    assert list(modules) == ["a.weight", "b.weight"]
    for label, theirs in modules.items():
        dequantize_file(path, tmp_path / "values", dtype=DTYPES[theirs.dtype])
        assert np.array_equal(bits(read_header(tmp_path / "values").tensor(label)), bits(theirs))


@pytest.mark.parametrize("name", ["int8.channel", "int8.tensor", "int8.g32", "int8.channel.asymmetric.bfloat16"])
def test_it_decodes_integers_of_a_byte_each_to_our_bits(model, tmp_path, name):
    path = tmp_path / "out" / "model.safetensors"
    quantize_file(model, path, name, integers="bytes")
    for label, theirs in decompressed(path):
        dequantize_file(path, tmp_path / "values", dtype=DTYPES[theirs.dtype])
        assert np.array_equal(bits(read_header(tmp_path / "values").tensor(label)), bits(theirs))


@pytest.mark.parametrize("name", ["int4.g32", "int3.channel.asymmetric", "float8_e4m3fn.g32", "mxfp4"])
def test_it_decodes_the_codes_of_a_quantiser_to_its_values(model, tmp_path, name):
    """Those of GPTQ, which are not the nearest ones."""
    matrices = {label: np.float32(read_header(model).tensor(label)) for label in ("a.weight", "b.weight")}
    rows = {label: np.random.default_rng(3).normal(size=(400, array.shape[1])) for label, array in matrices.items()}
    results = {label: METHODS["gptq"].quantize(array, rows[label], to=name) for label, array in matrices.items()}
    coded = {label: CodedTensor(result.tensor) for label, result in results.items()}
    path = tmp_path / "out" / "model.safetensors"
    quantize_file(model, path, dict.fromkeys(coded, name), coded=coded)
    modules = dict(decompressed(path))
    assert list(modules) == list(coded)
    for label, theirs in modules.items():
        values = results[label].dequantize(dtype=np.float64)
        assert np.array_equal(theirs.double().numpy(), torch.from_numpy(values).to(theirs.dtype).double().numpy())
        assert not np.array_equal(results[label].tensor.codes, package.quantize(matrices[label], name).codes)


def test_nvfp4_is_rounded_in_three_steps_there(tmp_path):
    """`--exact` gives 1 + 2^-7: tests/campaign/test_checkpoint.py."""
    scheme = quantization.preset_name_to_scheme("NVFP4A16", ["Linear"])
    state = {
        "weight_packed": torch.full((1, 8), 0x22, dtype=torch.uint8),
        "weight_scale": torch.ones(1, 1).to(torch.float8_e4m3fn),
        "weight_global_scale": torch.tensor([256 / 257]),
    }
    compressor = compressors.BaseCompressor.get_value_from_registry("nvfp4-pack-quantized")
    assert set(compressor.decompress(state, scheme)["weight"].flatten().tolist()) == {1}


@pytest.mark.parametrize("name", FORMATS)
def test_its_converter_finds_every_tensor(model, tmp_path, name):
    path = tmp_path / "out" / "model.safetensors"
    quantize_file(model, path, name)
    tensors = converters.CompressedTensorsDequantizer(path.parent).validate(files.load_file(path))
    assert sorted(tensors) == ["a.bias", "a.weight", "b.weight", "lm_head.weight"]


def its_own(scheme):
    """Tensors that compressed-tensors makes itself, with parameters of its own functions, and their values."""
    arguments = scheme.weights
    result, values = {}, {}
    for label, array in weights(ml_dtypes.bfloat16).items():
        weight = torch.from_numpy(array.view(np.int16)).view(torch.bfloat16).float()
        state = parameters(weight, arguments)
        compressor = compressors.BaseCompressor.get_value_from_registry(scheme.format)
        compressed = compressor.compress({"weight": weight, **state}, scheme)
        result |= {f"{label.removesuffix('weight')}{name}": tensor.contiguous() for name, tensor in compressed.items()}
        values[label] = compressor.decompress(compressed, scheme)["weight"]
    return result, values


def parameters(weight, arguments):
    """Scales and zero points, by the library."""
    from compressed_tensors.quantization.utils import calculate_qparams, generate_gparam

    strategy = arguments.strategy
    if strategy == "tensor":
        low, high = weight.min().reshape(1), weight.max().reshape(1)
    elif strategy == "channel":
        low, high = weight.amin(1, keepdim=True), weight.amax(1, keepdim=True)
    elif strategy == "block":
        rows, columns = arguments.block_structure
        blocks = weight.reshape(weight.shape[0] // rows, rows, weight.shape[1] // columns, columns)
        low, high = blocks.amin((1, 3)), blocks.amax((1, 3))
    else:
        groups = weight.unflatten(-1, (-1, arguments.group_size))
        low, high = groups.amin(-1), groups.amax(-1)
    above = {}
    if strategy == "tensor_group":
        above = {"weight_global_scale": generate_gparam(weight.min().reshape(1), weight.max().reshape(1))}
    scale, zero = calculate_qparams(low, high, arguments, global_scale=above.get("weight_global_scale"))
    return {"weight_scale": scale, **above, **({} if arguments.symmetric else {"weight_zero_point": zero})}


SCHEMES = {
    "NVFP4A16": "nvfp4-pack-quantized",
    "MXFP4A16": "mxfp4-pack-quantized",
    "MXFP6A16": "mxfp6-pack-quantized",
    "MXFP8A16": "mxfp8-quantized",
    "FP8": "float-quantized",
    "FP8_DYNAMIC": "float-quantized",
    "FP8_BLOCK": "naive-quantized",
    "W8A8": "int-quantized",
    "W8A16": "pack-quantized",
    "W4A16": "pack-quantized",
    "W4A16_ASYM": "pack-quantized",
    "W3A16": "pack-quantized",
}


@pytest.mark.parametrize(("name", "kind"), SCHEMES.items())
def test_we_decode_its_checkpoints_to_its_bits(tmp_path, name, kind):
    scheme = quantization.preset_name_to_scheme(name, ["Linear"])
    scheme.format = kind
    if scheme.weights.group_size == 128:
        scheme.weights.group_size = 64
    if scheme.weights.block_structure:
        scheme.weights.block_structure = [32, 64]
    tensors, values = its_own(scheme)
    files.save_file(tensors, tmp_path / "model.safetensors")
    config = quantization.QuantizationConfig(config_groups={"group_0": scheme}, format=kind, ignore=["lm_head"])
    document = {"quantization_config": config.model_dump(mode="json")}
    (tmp_path / "config.json").write_text(json.dumps(document))
    for label, theirs in values.items():
        dequantize_file(tmp_path / "model.safetensors", tmp_path / "values", dtype=DTYPES[theirs.dtype])
        assert np.array_equal(bits(read_header(tmp_path / "values").tensor(label)), bits(theirs))
