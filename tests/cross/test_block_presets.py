"""MX and NVFP4 as products make them on a CPU, beside the presets of their names.

torchao, NVIDIA ModelOpt and compressed-tensors come from PyPI; microxcaling has no package: a checkout on PYTHONPATH.
Each is skipped where it is not installed.
"""

import numpy as np
import pytest

import lowbit

torch = pytest.importorskip("torch", reason="PyTorch, which the peers need, is not installed")

UNUSUAL = "the preset says that these blocks are not claimed"
NORMAL = 2.0**-126


@pytest.fixture(scope="module", autouse=True)
def eager():
    """compressed-tensors compiles its cast to FP4; the code is the same."""
    import torch._dynamo

    torch._dynamo.config.disable = True
    yield
    torch._dynamo.config.disable = False


def mx_values():
    """Blocks whose amax is a number of seven bits or its neighbour, at some exponents; the others tie after scaling."""
    drawn = np.random.default_rng(12)
    tops = (np.arange(128, 256) / 128).astype(np.float32)
    tops = np.concatenate([np.nextafter(tops, np.float32(0)), tops, np.nextafter(tops, np.float32(4)), tops])
    powers = np.repeat(np.float32(2.0) ** np.array([0, -3, 5, -90], np.float32), 128)
    values = (drawn.integers(-64, 65, (512, 32)) / 64).astype(np.float32)
    beside = np.nextafter(values, drawn.choice(np.float32([-2, 2]), values.shape))
    values = np.where(drawn.integers(0, 3, values.shape) == 0, beside, values)
    values[:, 7] = tops * np.where(drawn.integers(0, 2, 512), 1, -1)
    values *= powers[:, None]
    values[40], values[41, :16] = 0, -0.0
    return values.reshape(256, 64)


def nvfp4_values(preset, fmt="nvfp4"):
    """Blocks of all sizes, whose elements but the largest tie after scaling under a preset, or stand beside a tie."""
    drawn = np.random.default_rng(13)
    values = (drawn.standard_t(2, (512, 16)) * 2.0 ** drawn.integers(-7, 5, (512, 1))).astype(np.float32)
    tensor = lowbit.quantize(values, fmt, policy=preset)
    whole = np.float64(tensor.scales["tensor"])
    scales = np.asarray(lowbit.decode(tensor.scale_codes("block"), "float8_e4m3fn")).astype(np.float64)
    scales = scales / whole if "reciprocal" in fmt else scales * whole
    ties = drawn.choice([0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5], values.shape) * drawn.choice([-1, 1], values.shape)
    tied = (ties * scales).astype(np.float32)
    ends = drawn.choice(np.float32([-1e9, 1e9]), values.shape) * np.abs(tied)
    tied = np.where(drawn.integers(0, 3, values.shape) == 0, tied, np.nextafter(tied, ends))
    top = np.abs(values) == np.abs(values).max(axis=1, keepdims=True)
    return np.where(top, values, tied).reshape(64, 128)


def nibbles(packed):
    return lowbit.unpack(packed.numpy().reshape(-1), 4, layout="low_nibble_first")


def check(values, preset, fmt, codes, scales, claimed=True):
    """Codes and scales of a peer beside ours; ``claimed`` has one flag an element."""
    mine = lowbit.quantize(values, fmt, policy=preset)
    claimed = np.broadcast_to(claimed, values.shape)
    assert claimed.mean() > 0.5
    for name, theirs in scales.items():
        ours = mine.scale_codes(name) if theirs.dtype == np.uint8 else mine.scales[name]
        per = values.size // max(1, theirs.size)
        flags = claimed.reshape(-1)[::per]
        where = np.flatnonzero((np.asarray(ours).reshape(-1) != theirs.reshape(-1)) & flags)
        assert not where.size, (name, [(ours.reshape(-1)[at], theirs.reshape(-1)[at]) for at in where[:5]])
    where = np.argwhere((mine.codes != codes.reshape(values.shape)) & claimed)
    shown = [
        (values[tuple(at)], int(mine.codes[tuple(at)]), int(codes.reshape(values.shape)[tuple(at)])) for at in where
    ]
    assert not len(where), f"{len(where)} differ: {shown[:5]}"


def amax(values):
    """Of each block, with an axis of its elements."""
    return np.abs(values.reshape(-1, 32)).max(axis=1, keepdims=True)


def beside_powers(values, largest):
    """Blocks whose amax over the largest element is barely off a power of two: a binary32 logarithm is that power."""
    fraction, _ = np.frexp(amax(values).astype(np.float64) / largest)
    near = (fraction > 0.5) & (fraction < 0.5 * (1 + 2.0**-16)) | (fraction > 1 - 2.0**-17)
    return np.broadcast_to(near, (len(near), 32)).reshape(values.shape)


MODES = ("floor", "ceil", "even", "rceil")


@pytest.mark.parametrize("name", ["mxfp4", "mxfp6_e2m3", "mxfp6_e3m2", "mxfp8_e4m3", "mxfp8_e5m2"])
@pytest.mark.parametrize("mode", MODES)
def test_torchao_mx(mode, name):
    module = pytest.importorskip("torchao.prototype.mx_formats.mx_tensor", reason="torchao is not installed")
    from torchao.prototype.mx_formats.config import ScaleCalculationMode

    elements = {
        "mxfp4": torch.float4_e2m1fn_x2,
        "mxfp6_e2m3": module.DTYPE_FP6_E2M3,
        "mxfp6_e3m2": module.DTYPE_FP6_E3M2,
        "mxfp8_e4m3": torch.float8_e4m3fn,
        "mxfp8_e5m2": torch.float8_e5m2,
    }
    values = mx_values()
    scales, codes = module.to_mx(torch.from_numpy(values), elements[name], 32, ScaleCalculationMode(mode))
    codes, scales = codes.view(torch.uint8), scales.view(torch.uint8).numpy()
    codes = nibbles(codes) if name == "mxfp4" else codes.numpy()
    largest = float(lowbit.get_format(name).element.max.fraction())
    claimed = ~beside_powers(values, largest) if mode == "rceil" else True
    check(values, f"torchao_{mode}", name, codes, {"block": scales}, claimed)


def test_torchao_mx_specials():
    """A NaN gives the scale NaN in every mode, an infinity 2^127 under rceil."""
    module = pytest.importorskip("torchao.prototype.mx_formats.mx_tensor", reason="torchao is not installed")
    from torchao.prototype.mx_formats.config import ScaleCalculationMode

    values = np.ones((2, 32), np.float32)
    values[0, 3], values[1, 5] = np.nan, -np.inf
    for mode in MODES:
        scales, _ = module.to_mx(torch.from_numpy(values), torch.float8_e4m3fn, 32, ScaleCalculationMode(mode))
        mine = lowbit.quantize(values, "mxfp8_e4m3", policy=f"torchao_{mode}").scale_codes("block")
        theirs = scales.view(torch.uint8).numpy()
        assert theirs[0] == mine[0] == 255
        assert theirs[1] == mine[1] == 254 if mode == "rceil" else theirs[1] == 127 + 128 - 8, UNUSUAL


def test_torchao_nvfp4():
    module = pytest.importorskip("torchao.prototype.mx_formats.nvfp4_tensor", reason="torchao is not installed")
    values = nvfp4_values("torchao_nvfp4")
    tensor = torch.from_numpy(values)
    whole = module.per_tensor_amax_to_scale(tensor.abs().max())
    scales, codes = module.nvfp4_quantize(tensor, 16, whole)
    parts = {"block": scales.view(torch.uint8).numpy(), "tensor": whole.numpy().reshape(1)}
    check(values, "torchao_nvfp4", "nvfp4", nibbles(codes), parts)


def test_modelopt_mx():
    module = pytest.importorskip(
        "modelopt.torch.quantization.qtensor.mxfp4_tensor", reason="NVIDIA ModelOpt is not installed"
    )
    values = mx_values()
    tensor, scales = module.MXFP4QTensor.quantize(torch.from_numpy(values.copy()), 32)
    codes = nibbles(tensor._quantized_data).reshape(values.shape)
    assert (codes[values == 0] == 8).all(), "zeros are coded -0"
    claimed = ~beside_powers(values, 6)
    check(
        values,
        "modelopt_mx",
        "mxfp4",
        np.where(values == 0, np.signbit(values) * 8, codes),
        {"block": scales.numpy()},
        claimed,
    )


def test_modelopt_nvfp4():
    module = pytest.importorskip(
        "modelopt.torch.quantization.qtensor.nvfp4_tensor", reason="NVIDIA ModelOpt is not installed"
    )
    values = nvfp4_values("modelopt_nvfp4")
    values[3, :32] = 0
    values[5, :16] *= np.float32(2.0**-40)
    tensor, scales, whole = module.NVFP4QTensor.quantize(torch.from_numpy(values.copy()), 16)
    parts = {"block": scales.view(torch.uint8).numpy(), "tensor": whole.numpy().reshape(1)}
    check(values, "modelopt_nvfp4", "nvfp4", nibbles(tensor._quantized_data), parts)


def compressed_tensors(**arguments):
    helpers = pytest.importorskip(
        "compressed_tensors.quantization.utils.helpers", reason="compressed-tensors is not installed"
    )
    from compressed_tensors.quantization import QuantizationArgs
    from compressed_tensors.quantization.lifecycle.forward import quantize

    return helpers, quantize, QuantizationArgs(type="float", symmetric=True, **arguments)


@pytest.mark.parametrize(("bits", "name"), [(4, "mxfp4"), (6, "mxfp6_e2m3")])
def test_compressed_tensors_mx(bits, name):
    layout = {"strategy": "group", "group_size": 32, "scale_dtype": torch.uint8, "zp_dtype": torch.uint8}
    helpers, quantize, arguments = compressed_tensors(num_bits=bits, **layout)
    values = mx_values()
    tensor = torch.from_numpy(values)
    scales, zeros = helpers.compute_dynamic_scales_and_zp(tensor, arguments, None)
    element = lowbit.get_format(name).element
    worth = quantize(tensor, scales, zeros, arguments).numpy()
    codes = np.where(worth == 0, lowbit.encode(values * 0, element), lowbit.encode(worth, element))
    exponents = lowbit.encode(scales.numpy(), "float8_e8m0fnu")
    claimed = np.broadcast_to(amax(values) > 0, (512, 32)).reshape(values.shape)
    mine = lowbit.quantize(values, name, policy="compressed_tensors_mx")
    zero = lowbit.decode(mine.codes, element) == 0
    codes = np.where(zero & (worth == 0), mine.codes, codes)  # it adds the zero point 0, so that -0 becomes 0
    check(values, "compressed_tensors_mx", name, codes, {"block": exponents}, claimed)


def test_compressed_tensors_nvfp4():
    layout = {"strategy": "tensor_group", "group_size": 16}
    helpers, quantize, arguments = compressed_tensors(
        num_bits=4, **layout, scale_dtype=torch.float8_e4m3fn, zp_dtype=torch.float8_e4m3fn
    )
    values = nvfp4_values("compressed_tensors_nvfp4", "nvfp4_reciprocal")
    values[3, :32] = 0
    values[5, :16] *= np.float32(2.0**-40)
    tensor = torch.from_numpy(values)
    whole = helpers.generate_gparam(tensor.min(), tensor.max())
    scales, zeros = helpers.compute_dynamic_scales_and_zp(tensor, arguments, None, global_scale=whole)
    worth = quantize(tensor, scales, zeros, arguments, global_scale=whole).numpy()
    mine = lowbit.quantize(values, "nvfp4_reciprocal", policy="compressed_tensors_nvfp4")
    codes = np.where((mine.codes & 7 == 0) & (worth == 0), mine.codes, lowbit.encode(worth, "float4_e2m1fn"))
    parts = {"block": scales.to(torch.float8_e4m3fn).view(torch.uint8).numpy(), "tensor": whole.numpy()}
    check(values, "compressed_tensors_nvfp4", "nvfp4_reciprocal", codes, parts)


@pytest.mark.parametrize("name", ["mxfp4", "mxfp6_e2m3", "mxfp6_e3m2", "mxfp8_e4m3", "mxfp8_e5m2"])
def test_microxcaling(name):
    module = pytest.importorskip("mx.mx_ops", reason="microxcaling is not on PYTHONPATH")
    values = mx_values()
    element = {"mxfp4": "fp4_e2m1", "mxfp8_e4m3": "fp8_e4m3", "mxfp8_e5m2": "fp8_e5m2"}.get(name, name[2:])
    theirs = module._quantize_mx(torch.from_numpy(values), 8, element, axes=[-1], block_size=32).numpy()
    mine = lowbit.dequantize(lowbit.quantize(values, name, policy="microxcaling"))
    element = lowbit.get_format(name).element
    tie = np.nextafter(np.float32(2.0 ** (element.smallest_exponent - 1)), np.float32(0))  # 0.5 added in binary32 is 1
    scaled = np.abs(values.reshape(-1, 32)) / np.float32(2.0) ** (
        np.frexp(amax(values))[1] - 1 - int(element.max_exponent)
    )
    claimed = ~beside_powers(values, 1) & (scaled.reshape(values.shape) != tie)
    where = np.argwhere((mine != theirs) & claimed)
    shown = [(values[tuple(at)], mine[tuple(at)], theirs[tuple(at)]) for at in where[:5]]
    assert not len(where), f"{len(where)} differ: {shown}"
