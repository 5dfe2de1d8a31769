"""ggml's own C library, through ctypes: structs both ways."""

import ctypes
from pathlib import Path

import numpy as np
import pytest

import lowbit
from lowbit.ops.block.structs import struct_size
from lowbit.ops.pack.structs import STRUCTS

libggml = pytest.importorskip("libggml", reason="libggml-python is not installed")
NAMES = [name.removeprefix("ggml_") for name in STRUCTS]


def c_name(name):
    """A type in names of C functions: q4_0, q4_K."""
    return name.removesuffix("_k") + "_K" * name.endswith("_k")


@pytest.fixture(scope="session")
def ggml():
    """The library with the reference functions."""
    return ctypes.CDLL(str(Path(libggml.__file__).parent / "lib64" / "libggml-base.so"))


def call(library, function, source, result, count):
    """``function(source, result, count)`` of C, over whole arrays."""
    found = getattr(library, function)
    found.argtypes, found.restype = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64], None
    found(source.ctypes.data, result.ctypes.data, count)
    return result


def codes(values):
    """binary32 codes, of NaNs one."""
    return np.where(np.isnan(values), np.uint32(0x7FC00000), values.view(np.uint32))


@pytest.mark.parametrize("name", [name for name in NAMES if name != "q8_1"])  # which C does not dequantise
def test_values_of_random_structs(ggml, name):
    fmt, count = lowbit.get_format(f"ggml_{name}"), 5000
    structs = np.random.default_rng(17).integers(0, 256, (count, struct_size(fmt)), dtype=np.uint8)
    values = np.empty((count, fmt.block[0]), np.float32)
    call(ggml, f"dequantize_row_{c_name(name)}", structs, values, values.size)
    tensor = lowbit.BlockTensor.from_bytes(structs.tobytes(), fmt, values.shape, layout="ggml")
    assert (codes(lowbit.dequantize(tensor)) == codes(values)).all()
