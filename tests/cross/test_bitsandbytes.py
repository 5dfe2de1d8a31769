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
    expected = lowbit.encode(values, name, policy="bitsandbytes")
    zeros = [
        code for code in range(16) if lowbit.decode(code, name) == 0
    ]  # formats/bnb_fp4.toml: which one, is its own
    assert ((codes == expected) | np.isin(codes, zeros) & np.isin(expected, zeros)).all()
    back = functional.dequantize_4bit(packed, state).numpy().ravel()
    assert (back == lowbit.decode(codes, name)).all()
