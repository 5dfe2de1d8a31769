"""Structs that are packed, unpacked and dequantised in vector registers, against the same by whole columns of bytes."""

import copy
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lowbit
from lowbit.kernels.pack import simd_structs
from lowbit.ops.block import struct_values, structs
from lowbit.ops.pack import struct_runs
from lowbit.ops.pack.structs import STRUCTS

NAMES = list(STRUCTS)
in_registers = pytest.mark.skipif(not struct_runs.available(), reason="the processor has no AVX2")


def read(data, fmt, shape, axis=-1):
    return lowbit.BlockTensor.from_bytes(data, fmt, shape, axis=axis, layout="ggml")


def by_columns(monkeypatch):
    for module in (structs, struct_values):
        monkeypatch.setattr(module, "available", lambda: False)


def require_same(octets, fmt, axis=-1, threads=1):
    """Codes, scales, bytes and values of structs by both paths."""
    count, length = len(octets), fmt.block[0]
    shape = (count, length) if axis == -1 else (length, count)
    data = octets.tobytes()
    values = lowbit.dequantize(read(data, fmt, shape, axis), threads=threads)
    tensor = read(data, fmt, shape, axis)
    packed = tensor.to_bytes(layout="ggml")
    with pytest.MonkeyPatch.context() as patch:
        by_columns(patch)
        other = read(data, fmt, shape, axis)
        assert (other.codes == tensor.codes).all()
        assert other.codes.dtype == tensor.codes.dtype
        for name in other.scales:
            assert (other.scale_codes(name) == tensor.scale_codes(name)).all()
        assert other.to_bytes(layout="ggml") == packed
        expected = lowbit.dequantize(other)
    assert (values.view(np.uint32) == expected.view(np.uint32)).all()
    if fmt.id != "ggml_tq1_0":  # whose bytes have several spellings
        assert packed == data


@in_registers
@pytest.mark.parametrize("name", NAMES)
def test_every_value_of_every_byte(name):
    fmt = lowbit.get_format(name)
    places = np.arange(structs.struct_size(fmt))
    require_same((np.arange(256)[:, None] + 37 * places).astype(np.uint8), fmt)


@in_registers
@given(st.sampled_from(NAMES), st.integers(1, 70), st.integers(0, 2**32), st.sampled_from([0, -1]))
def test_random_structs(name, count, seed, axis):
    fmt = lowbit.get_format(name)
    octets = np.random.default_rng(seed).integers(0, 256, (count, structs.struct_size(fmt)), dtype=np.uint8)
    require_same(octets, fmt, axis)


@in_registers
@pytest.mark.parametrize("name", ["ggml_q4_1", "ggml_q6_k"])
def test_by_several_threads(name):
    fmt = lowbit.get_format(name)
    count = 3 * struct_values.CHUNK // fmt.block[0] + 5
    octets = np.random.default_rng(4).integers(0, 256, (count, structs.struct_size(fmt)), dtype=np.uint8)
    require_same(octets, fmt, threads=3)


@pytest.mark.parametrize("name", NAMES)
def test_tables_stay_inside_a_struct(name):
    struct = STRUCTS[name]
    size = structs.struct_bytes(struct)
    fields = ["codes", *(field.name for field in lowbit.get_format(name).scales)]
    for field in fields:
        runs, numbers = struct_runs.runs_of(struct, field), struct_runs.numbers_of(struct, field)
        if runs is not None:
            table = runs.table.view(struct_runs.ROW)
            assert (table["starts"] >= 0).all()
            assert (table["starts"] <= size - struct_runs.LANES).all()
            assert ((table["index"] < struct_runs.LANES) | (table["index"] == struct_runs.NO_BYTE)).all()
        if numbers is not None and field != "codes":
            assert (numbers[0] <= size - max(numbers[1] // 8, 2)).all()
    assert struct_runs.runs_of(struct) is not None
    rows = struct_runs.pieces_of(struct).rows
    assert (rows[:, 3] + np.where(rows[:, 2] > 0, struct_runs.LANES, struct_runs.PAIR) <= size).all()


def test_tables_are_those_of_the_kernels():
    offsets = [struct_runs.ROW.fields[name][1] for name in ("amounts", "masks", "index", "starts")]
    ours = [*offsets, struct_runs.ROW.itemsize]
    assert ours == [getattr(simd_structs, name) for name in ("AMOUNTS", "MASKS", "INDEX", "STARTS", "ROW")]
    for name in ("LANES", "DIGITS", "BITS", "JOINED", "TERNARY"):
        assert getattr(struct_runs, name) == getattr(simd_structs, name)


def test_all_values_come_straight_out_of_structs():
    assert all(struct_values.plan(lowbit.get_format(name)) for name in NAMES)


def test_codes_come_out_of_structs_when_they_are_asked_for():
    tensor = lowbit.quantize(np.arange(64, dtype=np.float32), "ggml_q4_0")
    data = tensor.to_bytes(layout="ggml")
    other = read(data, "ggml_q4_0", (64,))
    assert (lowbit.dequantize(other) == lowbit.dequantize(tensor)).all()
    assert (repr(other), other.bits_per_value) == (repr(tensor), tensor.bits_per_value)
    assert other.held_structs == data
    with pytest.raises(AttributeError, match="no attribute 'code'"):
        other.code  # noqa: B018 - the misspelling is what is tested
    assert (other.codes == tensor.codes).all()
    assert other.held_structs is None
    other.codes[:] = 0  # what is written into them counts from now on
    assert not lowbit.dequantize(other).any()


def test_structs_are_copied():
    tensor = lowbit.quantize(np.arange(64, dtype=np.float32), "ggml_q4_0")
    data = bytearray(tensor.to_bytes(layout="ggml"))
    for again in (copy.copy, copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))):
        assert (again(read(bytes(data), "ggml_q4_0", (64,))).codes == tensor.codes).all()
    other = read(data, "ggml_q4_0", (64,))
    data[:] = bytes(len(data))
    assert (other.codes == tensor.codes).all()


@pytest.mark.slow
@in_registers
def test_without_avx_512():
    call = "for name in tests.NAMES: tests.test_every_value_of_every_byte(name)"
    code = f"from tests.agree import test_structs_in_registers as tests\n{call}"
    chosen = {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": "+avx2,+avx,+fma,+f16c,+bmi,+bmi2,+ssse3,+sse4.2"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | chosen, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
