"""ggml's own C library, through ctypes: structs and values both ways, by its scalar code and by its SIMD code."""

import ctypes
from pathlib import Path

import numpy as np
import pytest

import lowbit
from lowbit.ops.block.structs import struct_size
from lowbit.ops.pack.structs import STRUCTS
from tests.edge_rows import edge_rows

libggml = pytest.importorskip("libggml", reason="libggml-python is not installed")
NAMES = [name.removeprefix("ggml_") for name in STRUCTS]


def c_name(name):
    """A type in names of C functions: q4_0, q4_K."""
    return name.removesuffix("_k") + "_K" * name.endswith("_k")


@pytest.fixture(scope="session")
def ggml():
    """The library with the reference functions."""
    return ctypes.CDLL(str(Path(libggml.__file__).parent / "lib64" / "libggml-base.so"))


@pytest.fixture(scope="session")
def ggml_cpu(ggml):
    """The library with SIMD code."""
    return ctypes.CDLL(str(Path(libggml.__file__).parent / "lib64" / "libggml-cpu.so"))


def call(library, function, source, result, count):
    """``function(source, result, count)`` of C, over whole arrays."""
    found = getattr(library, function)
    found.argtypes, found.restype = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64], None
    found(source.ctypes.data, result.ctypes.data, count)
    return result


def codes(values):
    """binary32 codes, of NaNs one."""
    return np.where(np.isnan(values), np.uint32(0x7FC00000), values.view(np.uint32))


EDGES = [0x00, 0x01, 0x03, 0x04, 0x7B, 0x7C, 0x7E, 0x7F, 0x80, 0x81, 0x88, 0xFB, 0xFC, 0xFE, 0xFF]
"""Bytes of zeros of both signs, subnormal, largest and infinite scales, NaNs, lowest and highest codes."""


@pytest.mark.parametrize("octets", [range(256), EDGES], ids=["random", "edges"])
@pytest.mark.parametrize("name", [name for name in NAMES if name != "q8_1"])  # which C does not dequantise
def test_values_of_random_structs(ggml, name, octets):
    fmt, count = lowbit.get_format(f"ggml_{name}"), 5000
    structs = np.random.default_rng(17).choice(np.uint8(octets), (count, struct_size(fmt)))
    values = np.empty((count, fmt.block[0]), np.float32)
    call(ggml, f"dequantize_row_{c_name(name)}", structs, values, values.size)
    tensor = lowbit.BlockTensor.from_bytes(structs.tobytes(), fmt, values.shape, layout="ggml")
    assert (codes(lowbit.dequantize(tensor)) == codes(values)).all()


ENCODERS = {
    "ggml_q4_0": ("q4_0", "q5_0"),
    "ggml_q4_1": ("q4_1", "q5_1"),
    "ggml_q8_0": ("q8_0", "q8_1"),
    "ggml_ternary": ("tq1_0", "tq2_0", "q2_0"),
    "ggml_q1_0": ("q1_0",),
    "ggml_mxfp4": ("mxfp4",),
    "ggml_nvfp4": ("nvfp4",),
}
"""Preset -> types."""


def rows(length, seed):
    """Blocks of every kind.

    Usual, with ties, with zeros of both signs, tiny, with one outlier at either end, of one sign, constant, with a
    scale that overflows binary16, beside powers of two, with the extreme value of either sign.
    """
    drawn = np.random.default_rng(seed)
    x = drawn.normal(size=(15 * 40, length)).astype(np.float32)
    x *= np.exp2(drawn.integers(-24, 25, size=(len(x), 1)), dtype=np.float32)
    kinds = [x[kind::15] for kind in range(15)]
    ties = drawn.integers(-17, 18, size=kinds[1].shape).astype(np.float32)
    kinds[1][:] = ties / 2
    kinds[2][:] = ties / 16
    kinds[2][:, 0] = -8
    kinds[3][:, ::3], kinds[3][:, 1::5] = 0, -0.0
    kinds[4][::2], kinds[4][1::2] = 0, -0.0
    kinds[4][::4, 1::2] = -0.0
    kinds[5][:] = ties * np.float32(2.0**-120)
    kinds[6][:, 0] = -np.abs(kinds[6]).max() * 4
    kinds[7][:, -1] = np.abs(kinds[7]).max() * 4
    kinds[8][:] = np.abs(kinds[8])
    kinds[9][:] = -np.abs(kinds[9])
    kinds[10][:] = kinds[10][:, :1]
    kinds[11][:] = np.clip(kinds[11], -1, 1) * np.float32(2.0**28)
    powers = np.exp2(drawn.integers(-20, 21, size=(len(kinds[12]), 1))).astype(np.float32)
    below = powers.view(np.int32) - drawn.integers(-2, 20, size=powers.shape).astype(np.int32)
    kinds[12][:] = np.clip(kinds[12] / np.abs(kinds[12]).max(), -1, 1) * powers / 2
    kinds[12][:, 3:4] = below.view(np.float32)
    kinds[13][:, 5], kinds[13][:, 9] = -np.abs(kinds[13]).max() * 2, np.abs(kinds[13]).max() * 2
    kinds[14][:] = np.nextafter(ties / 2, np.float32(np.inf) * np.sign(kinds[14]))
    return x


def is_defined(values, name):
    """Whether C defines what becomes of each block: no NaN and nothing that is too large is converted to an integer."""
    if name in ("q1_0", "nvfp4"):
        return np.ones(len(values), bool)
    sizes = np.abs(values)
    if name == "mxfp4":
        amax = np.fmax.reduce(sizes, axis=1, initial=0)
        return (amax == 0) | (amax >= 2.0**-125) & (amax < np.inf)
    with np.errstate(all="ignore"):
        if name in ("q4_1", "q5_1"):
            width = values.max(axis=1) - values.min(axis=1)
            scale = width / np.float32(15 if name == "q4_1" else 31)
        else:
            scale = sizes.max(axis=1) / np.float32({"q4_0": 8, "q5_0": 16, "q8_0": 127, "q8_1": 127}.get(name, 1))
        return np.isfinite(scale) & ((scale == 0) | np.isfinite(1 / scale))


def structs_of(library, function, values, fmt):
    """What a C function writes."""
    result = np.zeros((values.size // fmt.block[0], struct_size(fmt)), np.uint8)
    return call(library, function, values, result, values.size)


def require_structs(structs, values, fmt, policy):
    """The structs of a policy, byte for byte."""
    tensor = lowbit.quantize(values, fmt, policy=policy)
    ours = np.frombuffer(tensor.to_bytes(layout="ggml"), np.uint8).reshape(structs.shape)
    wrong = np.flatnonzero((ours != structs).any(1))
    assert not len(wrong), (fmt.id, len(wrong), wrong[:5], values.reshape(len(structs), -1)[wrong[0]])


@pytest.mark.parametrize(("policy", "name"), [(policy, name) for policy, names in ENCODERS.items() for name in names])
def test_structs_of_the_scalar_code(ggml, policy, name):
    fmt = lowbit.get_format(f"ggml_{name}")
    assert fmt.default_policy == policy
    values = rows(fmt.block[0], 5)
    require_structs(structs_of(ggml, f"quantize_row_{name}_ref", values, fmt), values, fmt, policy)


@pytest.mark.parametrize("name", [name for names in ENCODERS.values() for name in names])
def test_structs_of_edges(ggml, name):
    fmt = lowbit.get_format(f"ggml_{name}")
    values = edge_rows(fmt.block[0], 7)
    values = values[is_defined(values, name)]
    require_structs(structs_of(ggml, f"quantize_row_{name}_ref", values, fmt), values, fmt, None)


@pytest.mark.parametrize("name", ["q4_1", "q5_1"])
def test_a_range_beyond_binary32(ggml, name):
    """C converts a NaN to an integer, which it does not define; an infinite d and the minimum are stored."""
    fmt = lowbit.get_format(f"ggml_{name}")
    values = edge_rows(fmt.block[0], 8)
    with np.errstate(over="ignore"):
        width = values.max(axis=1) - values.min(axis=1)
    values = values[np.isfinite(values).all(axis=1) & np.isinf(width)]
    assert len(values) > 50
    require_structs(structs_of(ggml, f"quantize_row_{name}_ref", values, fmt), values, fmt, None)


@pytest.mark.parametrize("name", ["q8_0", "q8_1"])
def test_structs_of_the_simd_code(ggml_cpu, name):
    fmt = lowbit.get_format(f"ggml_{name}")
    values = rows(fmt.block[0], 6)
    structs = structs_of(ggml_cpu, f"quantize_row_{name}", values, fmt)
    require_structs(structs, values, fmt, "ggml_q8_0_simd")
    scalar = lowbit.quantize(values, fmt, policy="ggml_q8_0").to_bytes(layout="ggml")
    assert scalar != structs.tobytes()  # the axes change codes
