"""Affine integers as PyTorch, torchao and compressed-tensors make them on a CPU, beside the presets of their names."""

import numpy as np
import pytest

import lowbit

torch = pytest.importorskip("torch", reason="PyTorch, which the peers need, is not installed")
pytestmark = pytest.mark.filterwarnings("ignore:torch.quantize_per:UserWarning")


def values_to_try(preset, fmt, length):
    """Blocks of all sizes and places; their elements but the ends lie at ties after scaling, or beside them."""
    drawn = np.random.default_rng(21)
    values = (drawn.standard_normal((400, length)) + drawn.choice([-3, -1, 0, 1, 3], (400, 1))).astype(np.float32)
    values *= np.float32(2.0) ** drawn.integers(-12, 8, (400, 1)).astype(np.float32)
    tensor = lowbit.quantize(values, fmt, policy=preset)
    steps = np.rint(values / tensor.scales["block"]) + drawn.choice([-0.5, 0.5], values.shape)
    tied = (steps * tensor.scales["block"]).astype(np.float32)
    ends = drawn.choice(np.float32([-1e9, 1e9]), values.shape)
    tied = np.where(drawn.integers(0, 3, values.shape) == 0, tied, np.nextafter(tied, ends))
    low, high = values.min(axis=1, keepdims=True), values.max(axis=1, keepdims=True)
    inside = (tied > low) & (tied < high) & (values > low) & (values < high)
    return np.where(inside, tied, values)


def same(mine, codes, scales, zeros=None):
    assert (mine.scales["block"].ravel() == scales.ravel()).all()
    if zeros is not None:
        assert (mine.scales["zero_point"].ravel() == zeros.ravel()).all()
    where = np.argwhere(mine.codes != codes)
    assert not len(where), [(tuple(at), int(mine.codes[tuple(at)]), int(codes[tuple(at)])) for at in where[:5]]


@pytest.mark.parametrize(("dtype", "zero_point"), [("quint8", 128), ("quint8", 3), ("qint8", -7)])
@pytest.mark.parametrize("scale", [0.1, 0.25, 1 / 3, 1.7e-3, 3.0])
def test_torch_quantize_per_tensor(dtype, zero_point, scale):
    drawn = np.random.default_rng(3)
    ties = ((np.arange(-1200, 1200) / 2 - zero_point) * scale).astype(np.float32)
    beside = [np.nextafter(ties, np.float32(end)) for end in (np.inf, -np.inf)]
    values = np.concatenate([ties, *beside, (drawn.normal(size=4096) * 100 * scale).astype(np.float32)])
    theirs = torch.quantize_per_tensor(
        torch.from_numpy(values), float(np.float32(scale)), zero_point, getattr(torch, dtype)
    )
    to = "uint8" if dtype == "quint8" else "int8"
    mine = lowbit.quantize_linear(values, np.float32(scale), zero_point, to=to, policy="torch")
    where = np.flatnonzero(mine != theirs.int_repr().numpy())
    assert not where.size, [(values[at], int(mine[at]), int(theirs.int_repr()[at])) for at in where[:5]]


@pytest.mark.parametrize("to", ["uint8", "int8"])
def test_torch_observer(to):
    observers = pytest.importorskip("torch.ao.quantization.observer")
    fmt = f"{to}.channel.asymmetric.float32"
    values = values_to_try("torch_per_channel", fmt, 64)
    dtype = torch.quint8 if to == "uint8" else torch.qint8
    observer = observers.PerChannelMinMaxObserver(ch_axis=0, dtype=dtype, qscheme=torch.per_channel_affine)
    observer(torch.from_numpy(values))
    scales, zeros = observer.calculate_qparams()
    codes = torch.quantize_per_channel(torch.from_numpy(values), scales, zeros, 0, dtype).int_repr().numpy()
    clear = scales.numpy() > 2.0**-23  # a smaller one is that instead
    assert clear.mean() > 0.9
    mine = lowbit.quantize(values[clear], fmt, policy="torch_per_channel")
    same(mine, codes[clear], scales.numpy()[clear], zeros.numpy()[clear])


@pytest.mark.parametrize(("element", "symmetric"), [("int4", True), ("int8", True), ("uint4", False), ("int8", False)])
def test_torchao(element, symmetric):
    module = pytest.importorskip("torchao.quantization.quant_primitives", reason="torchao is not installed")
    fmt = f"{element}.g32" + ("" if symmetric else ".asymmetric") + ".float32"
    values = values_to_try("torchao", fmt, 32)
    codes = lowbit.get_format(element).codes
    limits = (codes[0], codes[-1])
    mapping = module.MappingType.SYMMETRIC if symmetric else module.MappingType.ASYMMETRIC
    tensor, block = torch.from_numpy(values), (1, 32)
    dtype = torch.int8 if codes[0] else torch.uint8
    scales, zeros = module.choose_qparams_affine(tensor, mapping, block, dtype, *limits)
    theirs = module.quantize_affine(tensor, block, scales, zeros, dtype, *limits).numpy()
    same(lowbit.quantize(values, fmt, policy="torchao"), theirs, scales.numpy(), None if symmetric else zeros.numpy())


@pytest.mark.parametrize(("bits", "symmetric"), [(4, True), (8, True), (4, False), (8, False)])
def test_compressed_tensors(bits, symmetric):
    helpers = pytest.importorskip(
        "compressed_tensors.quantization.utils.helpers", reason="compressed-tensors is not installed"
    )
    from compressed_tensors.quantization import QuantizationArgs
    from compressed_tensors.quantization.lifecycle.forward import quantize

    fmt = f"int{bits}.g32" + ("" if symmetric else ".asymmetric") + ".float32"
    values = values_to_try("compressed_tensors", fmt, 32)
    arguments = QuantizationArgs(num_bits=bits, type="int", symmetric=symmetric, strategy="group", group_size=32)
    tensor = torch.from_numpy(values)
    scales, zeros = helpers.compute_dynamic_scales_and_zp(tensor, arguments, None)
    theirs = quantize(tensor, scales, zeros, arguments, dtype=torch.int8).numpy()
    mine = lowbit.quantize(values, fmt, policy="compressed_tensors")
    same(mine, theirs, scales.numpy(), None if symmetric else zeros.numpy())
