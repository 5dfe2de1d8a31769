"""Methods of `lowbit.quantizers` beside other people's on a CPU, where both compute the same.

compressed-tensors, llm-compressor, bitsandbytes, torchao, auto-round and hqq need PyTorch; each is skipped where it is
missing.
"""

import ml_dtypes
import numpy as np
import pytest

import lowbit
from lowbit.quantizers import awq, compressed_tensors, gptq, hqq, round_to_nearest

torch = pytest.importorskip("torch", reason="PyTorch, which the peers need, is not installed")

DTYPES = {"float32": (np.float32, torch.float32), "bfloat16": (ml_dtypes.bfloat16, torch.bfloat16)}


@pytest.fixture(scope="module")
def layer():
    random = np.random.default_rng(31)
    weights = random.standard_t(5, size=(96, 256)) * np.exp2(random.integers(-6, 3, (96, 1)))
    mixed = random.normal(size=(300, 256)) @ random.normal(size=(256, 256)) / 16
    return weights.astype(ml_dtypes.bfloat16).astype(np.float32), mixed.astype(np.float32)


def scales(tensor, name="block"):
    return np.asarray(lowbit.decode(tensor.scale_codes(name), tensor.format.scales[0].format))


def numbers(tensor):
    return tensor.float().numpy()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("variant", "name"), [("w4a16_int", "W4A16"), ("w8a8_int", "W8A8"), ("w8a8_fp", "FP8_DYNAMIC")]
)
def test_schemes_of_compressed_tensors(layer, variant, name, dtype):
    quantization = pytest.importorskip("compressed_tensors.quantization", reason="compressed-tensors is not installed")
    from compressed_tensors.quantization.lifecycle.forward import quantize
    from compressed_tensors.quantization.utils import calculate_qparams, compute_dynamic_scales_and_zp

    (own, theirs), scheme = DTYPES[dtype], quantization.preset_name_to_scheme(name, ["Linear"])
    codes_of = torch.float8_e4m3fn if scheme.weights.type == "float" else torch.int8

    def same(tensor, codes, scale):
        np.testing.assert_array_equal(scales(tensor), numbers(scale).reshape(scales(tensor).shape))
        np.testing.assert_array_equal(tensor.codes.view(np.uint8), codes.view(torch.uint8).numpy())

    weights = torch.from_numpy(layer[0]).to(theirs)
    blocks = weights.unflatten(-1, (-1, 128)) if name == "W4A16" else weights[:, None]
    scale, zero = calculate_qparams(blocks.amin(-1), blocks.amax(-1), scheme.weights)
    mine = compressed_tensors(layer[0].astype(own), variant=variant, dtype=dtype)
    same(mine.tensor, quantize(weights, scale, zero, scheme.weights, dtype=codes_of), scale)
    if name == "W4A16":
        packed = pytest.importorskip("compressed_tensors.compressors.pack_quantized.helpers")
        words = packed.pack_to_int32(torch.from_numpy(mine.tensor.codes), 4).numpy()
        np.testing.assert_array_equal(lowbit.pack(mine.tensor.codes, "int4", layout="compressed_tensors"), words)
        return
    rows = torch.from_numpy(layer[1]).to(theirs)[None]  # a batch of tokens
    scale, zero = compute_dynamic_scales_and_zp(rows, scheme.input_activations, None)
    tensor = lowbit.quantize(layer[1].astype(own), mine.report["activations"], policy=mine.report["policy"])
    same(tensor, quantize(rows, scale, zero, scheme.input_activations, dtype=codes_of)[0], scale)


@pytest.mark.parametrize("to", ["int4.g32", "int8.g32", "uint4.g32.asymmetric", "float8_e4m3fn.g32"])
def test_ranges_of_llm_compressor(layer, to):
    quantization = pytest.importorskip("compressed_tensors.quantization", reason="compressed-tensors is not installed")
    observers = pytest.importorskip("llmcompressor.observers.mse_quant", reason="llm-compressor is not installed")
    from compressed_tensors.quantization.lifecycle.forward import quantize
    from compressed_tensors.quantization.utils import calculate_qparams

    element = lowbit.get_format(to.split(".")[0])
    kind, symmetric = ("float" if element.id.startswith("float") else "int"), "asymmetric" not in to
    options = {"num_bits": element.bits, "type": kind, "symmetric": symmetric}
    groups = quantization.QuantizationArgs(**options, strategy="group", group_size=32)
    tokens = groups.model_copy(update={"strategy": "token"})  # as the observer makes them
    low, high = observers._grid_search_mse(
        torch.from_numpy(layer[0]).reshape(1, 96, 8, 32), groups, tokens, 0.2, 5, 100.0, 2.4, 0.0
    )
    scale, zero = calculate_qparams(low, high, groups)
    codes = quantize(torch.from_numpy(layer[0]), scale, zero, groups, dtype=torch.float32).numpy()
    mine = round_to_nearest(layer[0], to=f"{to}.float32", variant="llm_compressor", policy="compressed_tensors").tensor
    np.testing.assert_array_equal(scales(mine), scale.numpy())
    assert (low[..., None] > torch.from_numpy(layer[0]).reshape(96, 8, 32)).any(-1).float().mean() > 0.1
    first = 0 if symmetric else 1 << element.bits - 1  # theirs are signed
    np.testing.assert_array_equal(np.asarray(lowbit.decode(mine.codes, element)) - first, codes)


@pytest.mark.parametrize(("name", "theirs"), [("nf4", "nf4"), ("bnb_fp4", "fp4")])
def test_rounding_and_nibbles_of_bitsandbytes(layer, name, theirs):
    functional = pytest.importorskip("bitsandbytes.functional", reason="bitsandbytes is not installed")
    packed, state = functional.quantize_4bit(torch.from_numpy(layer[0]), blocksize=64, quant_type=theirs)
    mine = round_to_nearest(layer[0], to=f"{name}.g64.float32", policy="bitsandbytes")
    np.testing.assert_array_equal(
        lowbit.pack(mine.tensor.codes, name, layout="high_nibble_first").ravel(), packed.numpy().ravel()
    )
    np.testing.assert_array_equal(scales(mine.tensor).ravel(), state.absmax.numpy().ravel())
    np.testing.assert_array_equal(mine.dequantize(), functional.dequantize_4bit(packed, state).numpy())


@pytest.mark.parametrize(("element", "symmetric"), [("int4", True), ("int8", True), ("uint4", False), ("uint8", False)])
def test_rounding_of_torchao(layer, element, symmetric):
    primitives = pytest.importorskip("torchao.quantization.quant_primitives", reason="torchao is not installed")
    limits = [int(lowbit.get_format(element).codes[end]) for end in (0, -1)]
    mapping = primitives.MappingType.SYMMETRIC if symmetric else primitives.MappingType.ASYMMETRIC
    dtype, weights = torch.int8 if limits[0] else torch.uint8, torch.from_numpy(layer[0])
    scale, zero = primitives.choose_qparams_affine(weights, mapping, (1, 32), dtype, *limits)
    codes = primitives.quantize_affine(weights, (1, 32), scale, zero, dtype, *limits).numpy()
    fmt = f"{element}.g32" + ("" if symmetric else ".asymmetric") + ".float32"
    mine = round_to_nearest(layer[0], to=fmt, policy="torchao").tensor
    np.testing.assert_array_equal(mine.codes, codes)
    np.testing.assert_array_equal(scales(mine), scale.numpy())
    if not symmetric:
        np.testing.assert_array_equal(mine.scales["zero_point"], zero.numpy())


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_zero_points_of_hqq(bits):
    """Means in another order of sums may send a code the other way at a tie, and move its zero point by 1/64."""
    optimize = pytest.importorskip("hqq.core.optimize", reason="hqq is not installed")
    weights = np.random.default_rng(32).normal(size=(96, 256)).astype(np.float32)
    blocks = torch.from_numpy(weights.reshape(-1, 64))
    low, high = blocks.amin(1, keepdim=True), blocks.amax(1, keepdim=True)
    factor = (2**bits - 1) / (high - low)
    options = {"min_max": [0, 2**bits - 1], "axis": 1, "device": "cpu"}
    codes, _, zero = optimize.optimize_weights_proximal(blocks, factor, -low * factor, **options)
    mine = hqq(weights, to=f"uint{bits}.g64.asymmetric", variant="official").tensor
    zeros = mine.scales["zero_point"].astype(np.float32).reshape(-1, 1)
    same = np.isclose(zeros, zero.numpy(), rtol=2**-10)
    assert same.mean() > 0.99
    np.testing.assert_array_equal(mine.scales["block"].ravel(), (1 / factor).half().numpy().ravel())
    near_ties = np.abs((blocks * factor + zero).numpy() % 1 - 0.5) < 1e-3
    assert ((mine.codes.reshape(-1, 64) == codes.numpy()) | near_ties | ~same).all()
    assert near_ties.mean() < 0.01


@pytest.mark.parametrize("bits", [4, 8])
def test_rounding_of_auto_round(layer, bits):
    integers = pytest.importorskip("auto_round.data_type.int", reason="auto-round is not installed")
    values, scale, zero = integers.quant_tensor_asym(torch.from_numpy(layer[0]), bits=bits, group_size=32)
    mine = round_to_nearest(layer[0], to=f"uint{bits}.g32.asymmetric", policy="gptq")
    np.testing.assert_array_equal(mine.tensor.scales["block"].ravel(), scale.numpy().ravel())
    np.testing.assert_array_equal(mine.tensor.scales["zero_point"].ravel(), zero.numpy().ravel())
    np.testing.assert_array_equal(mine.dequantize(), values.numpy())


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_symmetric_rounding_of_auto_round(layer, bits):
    """As AutoGPTQ has it: twice amax over all codes, with the zero point in the middle of them.

    Its own `int_sym` is another scheme: the number of the largest magnitude over -2^(bits - 1). Scales have signs.
    """
    integers = pytest.importorskip("auto_round.data_type.int", reason="auto-round is not installed")
    values, scale, zero = integers.quant_tensor_sym_gptq(torch.from_numpy(layer[0]), bits=bits, group_size=32)
    mine = round_to_nearest(layer[0], to=f"int{bits}.g32", policy="compressed_tensors")
    np.testing.assert_array_equal(mine.tensor.scales["block"].ravel(), scale.numpy().ravel())
    np.testing.assert_array_equal(mine.dequantize(), values.numpy())
    assert (zero == 2 ** (bits - 1)).all()
    signed = integers.quant_tensor_sym(torch.from_numpy(layer[0]), bits=bits, group_size=32)[1]
    assert 0.4 < (signed < 0).float().mean() < 0.6


def linear_of(tensor):
    """A layer of PyTorch with the values of a tensor, and its scales and zero points, (outputs, groups)."""
    layer = torch.nn.Linear(tensor.shape[1], tensor.shape[0], bias=False)
    layer.weight.data = torch.from_numpy(lowbit.dequantize(tensor))
    return layer, *(torch.from_numpy(tensor.scales[name].astype(np.float32)) for name in ("block", "zero_point"))


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_gptq_is_packed_as_auto_round_packs_it(layer, bits):
    """It stores a zero point of 0 as that of 1: `AutoGPTQ` wraps it, as `gptq_zeros` does."""
    linears = pytest.importorskip("auto_round_extension.torch.qlinear_torch_zp", reason="auto-round is not installed")
    tensor = gptq(*layer, to=f"uint{bits}.g128.asymmetric").tensor
    linear, scale, zero = linear_of(tensor)
    packed = linears.QuantLinear(bits, 128, 256, 96, bias=False)
    packed.pack(linear, scale, zero)
    np.testing.assert_array_equal(lowbit.pack(tensor.codes, bits, layout="gptq"), packed.qweight.numpy())
    zeros = np.maximum(tensor.scales["zero_point"], 1)
    np.testing.assert_array_equal(lowbit.pack(zeros.T, bits, layout="gptq_zeros"), packed.qzeros.numpy())


def test_awq_is_packed_as_auto_round_packs_it(layer):
    utilities = pytest.importorskip("auto_round.export.export_to_awq.utils", reason="auto-round is not installed")
    tensor = awq(*layer, to="uint4.g128.asymmetric").tensor
    linear, scale, zero = linear_of(tensor)
    packed = utilities.WQLinear_GEMM.from_linear(linear, 4, 128, scales=scale.T.contiguous(), zeros=zero.T.contiguous())
    np.testing.assert_array_equal(lowbit.pack(tensor.codes.T, 4, layout="awq_gemm"), packed.qweight.numpy())
    zeros = tensor.scales["zero_point"].T
    np.testing.assert_array_equal(lowbit.pack(zeros, 4, layout="awq_gemm"), packed.qzeros.numpy())
