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


def test_eight_bits_on_the_cpu_go_through_bins():
    """The index of a bin is the rounded (x + 1) / 2 * 65535; its code is nearest to the middle of the bin."""
    drawn = np.random.default_rng(8)
    values = (drawn.uniform(-1, 1, (2000, 256)) * drawn.choice([1, 1e-2, 1e-4], (2000, 256))).astype(np.float32)
    values[:, 0] = 1
    codes = (
        functional.quantize_blockwise(torch.from_numpy(values.ravel()), blocksize=256)[0].numpy().reshape(values.shape)
    )
    places = (values.astype(np.float64) + 1) / 2 * 65535
    clear = np.abs(places - np.floor(places) - 0.5) > 2**-7  # not where binary32 rounds to the other bin
    middles = (np.rint(places) * 2 / 65535 - 1).astype(np.float32)
    expected = lowbit.encode(middles, "bnb_dynamic8", policy="ieee")
    assert (codes == expected)[clear].all()
    assert (codes != lowbit.encode(values, "bnb_dynamic8", policy="ieee")).any()
    assert np.unique(codes).size == 249
