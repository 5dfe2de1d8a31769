"""bitsandbytes: its tables, and its quantisation to NF4 where PyTorch is there too."""

import numpy as np
import pytest

import lowbit

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


def test_quantize_4bit():
    values = np.random.default_rng(1).uniform(-1, 1, 64 * 500).astype(np.float32)
    table = lowbit.decode(range(16), "nf4")
    values[:15] = (table[1:] + table[:-1]) / np.float32(2)
    values[::64] = 1  # the largest of each block, so that nothing is scaled
    packed, state = functional.quantize_4bit(torch.from_numpy(values), blocksize=64, quant_type="nf4")
    assert (state.absmax.numpy() == 1).all()
    codes = lowbit.unpack(packed.numpy().ravel(), 4, layout="high_nibble_first")
    assert (codes == lowbit.encode(values, "nf4", policy="bitsandbytes")).all()
