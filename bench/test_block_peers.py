"""quantize against the CPU code of products, under the presets of their names: 4096 x 4096 values, one thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lowbit
from bench.measure import Table

torch = pytest.importorskip("torch", reason="the peers need PyTorch")

SHAPE = (4096, 4096)
SIZE = SHAPE[0] * SHAPE[1]
BITSANDBYTES_WANTED = 5.0
TORCHAO_WANTED = 3.0


@pytest.fixture(scope="module")
def values() -> Any:
    torch.set_num_threads(1)
    return torch.from_numpy(np.random.default_rng(1).standard_normal(SHAPE).astype(np.float32))


Run = Callable[[], Any]


def compare(table: Table, ours: Run, what: str, peer: str, theirs: Run, wanted: float) -> None:
    row = table.compare(what, ours, peer, theirs, wanted, SIZE)
    assert row.met


def nibbles(packed: Any, layout: str) -> Any:
    return lowbit.unpack(packed.view(torch.uint8).numpy().reshape(-1), 4, layout=layout).reshape(SHAPE)


def test_nf4(table: Table, values: Any) -> None:
    functional = pytest.importorskip("bitsandbytes.functional", reason="bitsandbytes is not installed")

    def ours() -> lowbit.BlockTensor:
        return lowbit.quantize(values.numpy(), "nf4.g64.float32", policy="bitsandbytes")

    def theirs() -> Any:
        return functional.quantize_4bit(values, blocksize=64, quant_type="nf4")

    assert (ours().codes == nibbles(theirs()[0], "high_nibble_first")).all()
    compare(table, ours, "float32 -> nf4.g64.float32, bitsandbytes", "bitsandbytes", theirs, BITSANDBYTES_WANTED)


@pytest.mark.parametrize("name", ["mxfp4", "mxfp8_e4m3"])
def test_mx(table: Table, values: Any, name: str) -> None:
    module = pytest.importorskip("torchao.prototype.mx_formats.mx_tensor", reason="torchao is not installed")
    element = torch.float4_e2m1fn_x2 if name == "mxfp4" else torch.float8_e4m3fn

    def ours() -> lowbit.BlockTensor:
        return lowbit.quantize(values.numpy(), name, policy="torchao_floor")

    def theirs() -> Any:
        return module.to_mx(values, element, 32)

    codes = theirs()[1]
    codes = nibbles(codes, "low_nibble_first") if name == "mxfp4" else codes.view(torch.uint8).numpy()
    assert (ours().codes == codes).all()
    compare(table, ours, f"float32 -> {name}, torchao_floor", "torchao, eager", theirs, TORCHAO_WANTED)


def test_nvfp4(table: Table, values: Any) -> None:
    module = pytest.importorskip("torchao.prototype.mx_formats.nvfp4_tensor", reason="torchao is not installed")

    def ours() -> lowbit.BlockTensor:
        return lowbit.quantize(values.numpy(), "nvfp4", policy="torchao_nvfp4")

    def theirs() -> Any:
        return module.nvfp4_quantize(values, 16, module.per_tensor_amax_to_scale(values.abs().max()))

    assert (ours().codes == nibbles(theirs()[1], "low_nibble_first")).all()
    compare(table, ours, "float32 -> nvfp4, torchao_nvfp4", "torchao, eager", theirs, TORCHAO_WANTED)
