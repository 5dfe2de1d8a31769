"""quantize into ggml's K-quants and IQ4 against ggml's own C library, one thread: the same bytes, more values."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lowbit
from bench.measure import Table
from lowbit.ops.block.ggml_searches import SEARCHES
from lowbit.ops.block.structs import struct_size

libggml = pytest.importorskip("libggml", reason="libggml-python is not installed")

SHAPE = (256, 4096)
WANTED = 2.0
NAMES = [name for name in SEARCHES if name != "ggml_q8_k"]


@pytest.fixture(scope="module")
def values() -> Any:
    return np.random.default_rng(1).standard_normal(SHAPE).astype(np.float32)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_quantize(table: Table, values: Any, name: str, weighted: bool) -> None:
    weights = np.random.default_rng(2).exponential(size=SHAPE[1]).astype(np.float32) if weighted else None
    library = ctypes.CDLL(str(Path(libggml.__file__).parent / "lib64" / "libggml-base.so"))
    fmt = lowbit.get_format(name)
    structs = np.zeros(values.size // fmt.block[0] * struct_size(fmt), np.uint8)
    pointers = ctypes.c_void_p(values.ctypes.data), ctypes.c_void_p(structs.ctypes.data)
    sizes = ctypes.c_int64(SHAPE[0]), ctypes.c_int64(SHAPE[1])
    of_columns = ctypes.c_void_p(None if weights is None else weights.ctypes.data)
    function = getattr(library, f"quantize_{name.removeprefix('ggml_').replace('_k', '_K')}")

    def ours() -> lowbit.BlockTensor:
        return lowbit.quantize(values, name, importance=weights)

    def theirs() -> None:
        function(*pointers, *sizes, of_columns)

    theirs()
    assert ours().to_bytes(layout="ggml") == structs.tobytes()
    what = f"float32 -> {name}{', with importance' * weighted}"
    assert table.compare(what, ours, "ggml C", theirs, WANTED, values.size).met
