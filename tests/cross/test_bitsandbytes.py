"""bitsandbytes: its tables, and its quantisation to NF4 where PyTorch is there too."""

import numpy as np
import pytest

import lowbit
from lowbit.format.registry import get_format
from lowbit.vectors.cast.boundary import boundary

torch = pytest.importorskip("torch")
functional = pytest.importorskip("bitsandbytes.functional")


@pytest.mark.parametrize(("name", "theirs"), [("nf4", "nf4"), ("bnb_fp4", "fp4")])
def test_four_bit_tables(name, theirs):
    table = functional.get_4bit_type(theirs, device="cpu").numpy()
    assert (table == lowbit.decode(range(16), name)).all()


def test_af4_is_listed_from_the_top():
    assert functional.get_4bit_type("af4", device="cpu").tolist() == lowbit.decode(range(16), "af4").tolist()[::-1]


@pytest.mark.parametrize(("name", "signed"), [("bnb_dynamic8", True), ("bnb_dynamic8u", False)])
def test_dynamic_maps(name, signed):
    table = functional.create_dynamic_map(signed=signed).numpy()
    assert np.max(np.abs(table.view(np.int32) - lowbit.decode(range(256), name).view(np.int32))) <= 1
    assert (table == lowbit.decode(range(256), name)).all(), "PyTorch's linspace did not fuse here"


@pytest.mark.parametrize(("name", "theirs"), [("nf4", "nf4"), ("bnb_fp4", "fp4")])
def test_quantize_4bit(name, theirs):
    directed = boundary(get_format("float32"), get_format(name)).codes.astype(np.uint32).view(np.float32)
    drawn = np.random.default_rng(1).uniform(-1, 1, 20_000).astype(np.float32)
    values = np.concatenate([directed[np.abs(directed) <= 1], drawn])
    values = np.resize(values, (-(-values.size // 63), 63))
    values = np.pad(
        values, ((0, 0), (1, 0)), constant_values=1
    ).ravel()  # so that the largest of a block scales nothing
    packed, state = functional.quantize_4bit(torch.from_numpy(values), blocksize=64, quant_type=theirs)
    assert (state.absmax.numpy() == 1).all()
    codes = lowbit.unpack(packed.numpy().ravel(), 4, layout="high_nibble_first")
    assert (codes == lowbit.encode(values, name, policy="bitsandbytes")).all()
    back = functional.dequantize_4bit(packed, state).numpy().ravel()
    assert (back == lowbit.decode(codes, name)).all()


@pytest.mark.parametrize("size", [1, 2.0**-100, 2.0**100, 2.0**-125])
@pytest.mark.parametrize(
    ("name", "theirs", "length"), [("nf4", "nf4", 64), ("bnb_fp4", "fp4", 64), ("nf4", "nf4", 128)]
)
def test_blocks_of_four_bits(name, theirs, length, size):
    drawn = np.random.default_rng(7)
    values = (drawn.standard_t(3, (400, length)) * size).astype(np.float32)
    middles = np.sort(lowbit.decode(range(16), name).astype(np.float64))
    middles = (middles[1:] + middles[:-1]) / 2
    amax = np.abs(values).max(axis=1, keepdims=True)
    tied = (drawn.choice(middles, values.shape) * amax).astype(np.float32)
    tied = np.nextafter(tied, np.sign(drawn.integers(-1, 2, values.shape)).astype(np.float32) * amax + tied)
    values = np.where((np.abs(values) < amax) & (drawn.integers(0, 2, values.shape) == 0), tied, values)
    values[5], values[6, ::2], values[7, ::2] = 0, -0.0, 0
    packed, state = functional.quantize_4bit(torch.from_numpy(values), blocksize=length, quant_type=theirs)
    mine = lowbit.quantize(values, f"{name}.g{length}.float32", policy="bitsandbytes")
    assert (mine.scales["block"].ravel() == state.absmax.numpy().ravel()).all()
    codes = lowbit.unpack(packed.numpy().ravel(), 4, layout="high_nibble_first").reshape(values.shape)
    where = np.argwhere(mine.codes != codes)
    assert not len(where), [(values[tuple(at)], int(mine.codes[tuple(at)]), int(codes[tuple(at)])) for at in where[:5]]
    back = functional.dequantize_4bit(packed, state).numpy().reshape(values.shape)
    assert (back == lowbit.dequantize(mine)).all()


@pytest.mark.parametrize(("name", "signed"), [("bnb_dynamic8", True), ("bnb_dynamic8u", False)])
@pytest.mark.parametrize("length", [64, 256, 4096])
def test_blocks_of_eight_bits(length, name, signed):
    drawn = np.random.default_rng(8)
    shape = (400_000 // length, length)
    values = (drawn.uniform(-1, 1, shape) * drawn.choice([1, 1e-2, 1e-4], shape)).astype(np.float32)
    ends = ((np.arange(-32767, 32767) * 2) / 65535).astype(np.float32)  # of bins, and both numbers beside
    directed = np.concatenate([ends, *(np.nextafter(ends, np.float32(to)) for to in (-2, 2))])
    rows = np.resize(directed, (-(-directed.size // (length - 1)), length - 1))
    rows = np.pad(rows, ((0, 0), (1, 0)), constant_values=1)  # so that the largest of a block scales nothing
    values = np.concatenate([values * np.float32(0.37), rows, np.zeros((1, length), np.float32)])
    table = torch.from_numpy(lowbit.decode(range(256), name))
    codes, state = functional.quantize_blockwise(torch.from_numpy(values.ravel()), code=table, blocksize=length)
    mine = lowbit.quantize(values, f"{name}.g{length}.float32", policy="bitsandbytes_8bit")
    assert (mine.scales["block"].ravel() == state.absmax.numpy()).all()
    assert (mine.codes.ravel() == codes.numpy()).all()
    assert np.unique(mine.codes).size == (249 if signed else 246)
    back = functional.dequantize_blockwise(codes, state).numpy().reshape(values.shape)
    assert (back == lowbit.dequantize(mine)).all()


def test_a_short_last_block_of_eight_bits():
    values = np.random.default_rng(9).standard_normal(1000).astype(np.float32)
    codes, state = functional.quantize_blockwise(torch.from_numpy(values), blocksize=256)
    mine = lowbit.quantize(values, "bnb_dynamic8.g256.float32", policy="bitsandbytes_8bit")
    assert (mine.scales["block"] == state.absmax.numpy()).all()
    assert (mine.codes == codes.numpy()).all()


def nested(values, name, theirs, length):
    """Ours and theirs, with the offsets of both."""
    packed, state = functional.quantize_4bit(
        torch.from_numpy(values), blocksize=length, quant_type=theirs, compress_statistics=True
    )
    mine = lowbit.quantize(values, f"{name}.g{length}.nested.float32")
    codes = lowbit.unpack(packed.numpy().ravel(), 4, layout="high_nibble_first")
    assert (mine.codes == codes).all()
    return mine, packed, state


@pytest.mark.parametrize(
    ("name", "theirs", "length"), [("nf4", "nf4", 64), ("bnb_fp4", "fp4", 64), ("nf4", "nf4", 256)]
)
@pytest.mark.parametrize("count", [1024, 900, 1])
def test_nested_scales(name, theirs, length, count):
    # Scales of 12 bits, which have one sum in whatever order they are added.
    drawn = np.random.default_rng(10)
    values = drawn.uniform(-1, 1, (count, length)).astype(np.float32)
    values[:, 0] = drawn.choice([-1, 1], count)
    values *= np.float32(drawn.integers(1, 4096, (count, 1)) / 4096)
    mine, packed, state = nested(values.ravel(), name, theirs, length)
    assert mine.scales["offset"] == np.float32(state.offset)
    assert (mine.scales["super"] == state.state2.absmax.numpy()).all()
    assert (mine.scales["block"] == state.absmax.numpy().ravel()).all()
    # what they are worth there is rounded at each step
    scales = lowbit.decode(mine.scales["block"], "bnb_dynamic8") * np.repeat(mine.scales["super"], 256)[:count]
    stepped = np.repeat(scales + mine.scales["offset"], length) * lowbit.decode(mine.codes, name)
    back = functional.dequantize_4bit(packed, state).numpy().ravel()
    assert (back == stepped).all()
    np.testing.assert_allclose(lowbit.dequantize(mine), back, rtol=2**-21, atol=2**-24)


def test_nested_scales_of_any_size():
    """Only the mean may differ: by the order of its sum."""
    values = np.random.default_rng(11).standard_normal(64 * 3000).astype(np.float32)
    mine, _, state = nested(values, "nf4", "nf4", 64)
    offset = np.float32(state.offset)
    assert abs(mine.scales["offset"] - offset) <= 4 * np.spacing(offset)
    absmax = np.abs(values).reshape(-1, 64).max(axis=1)
    inner = lowbit.quantize(absmax - offset, "bnb_dynamic8.g256.float32", policy="bitsandbytes_8bit")
    assert (inner.scales["block"] == state.state2.absmax.numpy()).all()
    assert (inner.codes == state.absmax.numpy().ravel()).all()
