"""Compiled devices: right answers pass through, every kind of misbehaviour is noticed and named."""

import shutil
import subprocess

import numpy as np
import pytest

from lowbit.dut import process
from lowbit.dut.device import CANNOT_LOAD
from lowbit.dut.process import CHUNK_ROWS
from lowbit.dut.prototype import conversion_prototype
from lowbit.dut.shared_object import SharedObjectDevice, parse_shared_object
from lowbit.errors import DeviceError, InputError
from lowbit.format.registry import get_format
from lowbit.vectors.case import rows_case

ONE = 0x3F800000


def device(kernel, symbol, source, target, timeout=20.0):
    return SharedObjectDevice(f"{kernel}:{symbol}", conversion_prototype(source, target), timeout=timeout)


def rows(*codes):
    return rows_case(np.array(codes, np.uint32), 0)


def test_answers_come_back_in_order_over_chunks(kernel, source, target):
    # Two chunks and a tail; the codes of powers of two are 8 apart in float8_e4m3fn.
    exponents = np.arange(2 * CHUNK_ROWS + 5) % 15
    codes = (ONE + ((exponents - 6) << 23)).astype(np.uint32)
    with device(kernel, "cast", source, target) as dut:
        got = dut.run(rows_case(codes, 0))
    assert got.dtype == np.uint8
    assert np.array_equal(got, 8 * exponents + 8)


def test_no_rows_give_no_rows(kernel, source, target):
    with device(kernel, "cast", source, target) as dut:
        assert dut.run(rows()).shape == (0,)


def test_crash_names_the_signal_and_the_one_input(kernel, source, target, monkeypatch):
    monkeypatch.setattr(process, "BISECT_SECONDS", 120.0)  # twenty processes one after the other, on a machine at work
    codes = np.arange(0x3F800000, 0x3F900000, dtype=np.uint32)
    with device(kernel, "crash", source, target) as dut, pytest.raises(DeviceError) as caught:
        dut.run(rows_case(codes, 0))
    assert "SIGABRT" in str(caught.value)
    assert "0x3f880000" in str(caught.value)
    assert caught.value.code == "LB601"


def test_device_can_be_used_again_after_a_crash(kernel, source, target):
    with device(kernel, "crash", source, target) as dut:
        with pytest.raises(DeviceError):
            dut.run(rows(0x3F880000))
        assert dut.run(rows(ONE)).tolist() == [0x38]


def test_hang_is_stopped(kernel, source, target):
    with (
        device(kernel, "hang", source, target, timeout=0.5) as dut,
        pytest.raises(DeviceError, match=r"0\.5 s") as caught,
    ):
        dut.run(rows(ONE))
    assert caught.value.code == "LB602"


@pytest.mark.parametrize(
    ("symbol", "words"),
    [
        ("leaves_tail", "never written"),
        ("passes_end", "after the end"),
        ("wide_results", "after the end"),
        ("changes_input", "overwrote its input"),
        ("leaves", "exit code 3"),
        ("counts_calls", "two answers"),
    ],
)
def test_misbehaviour_is_named(kernel, source, target, symbol, words):
    with device(kernel, symbol, source, target) as dut, pytest.raises(DeviceError, match=words):
        dut.run(rows(*[ONE] * 100))


def test_missing_symbol_is_a_usage_error(kernel, source, target):
    with device(kernel, "casts", source, target) as dut, pytest.raises(InputError, match="casts") as caught:
        dut.open()
    assert not isinstance(caught.value, DeviceError)
    assert caught.value.code == CANNOT_LOAD
    assert str(caught.value).startswith(f"{kernel} has no symbol 'casts'\n")
    assert "nm -D" in caught.value.hint


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        ("float32", "float8_e4m3fn", "void cast(const uint32_t *codes, uint8_t *out, size_t n)"),
        ("float4_e2m1fn", "float32", "void cast(const uint8_t *codes, uint32_t *out, size_t n)"),
        ("bfloat16", "int4", "void cast(const uint16_t *codes, int8_t *out, size_t n)"),
        ("tf32", "q4.12", "void cast(const uint32_t *codes, int16_t *out, size_t n)"),
    ],
)
def test_prototype(source, target, expected):
    assert conversion_prototype(get_format(source), get_format(target)).c("cast") == expected


@pytest.mark.parametrize("symbol", ["crash", "wide_results", "leaves_tail"])
def test_errors_say_what_the_function_has_to_be(kernel, source, target, symbol):
    with device(kernel, symbol, source, target) as dut, pytest.raises(DeviceError) as caught:
        dut.run(rows(*[0x3F880000] * 100))
    assert f"void {symbol}(const uint32_t *codes, uint8_t *out, size_t n)" in caught.value.hint


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("not.so", "cc -O2 -shared -fPIC -o cast.so cast.c makes one"),
        ("cast.c", "compile it first: cc -O2 -shared -fPIC -o cast.so cast.c"),
        ("cast.cpp", "compile it first: c++ -O2 -shared -fPIC -o cast.so cast.cpp"),
        ("cast.cu", "compile it first: nvcc -shared -Xcompiler -fPIC -o cast.so cast.cu"),
        ("cast.o", "compile it first: cc -shared -o cast.so cast.o"),
    ],
)
def test_a_file_that_is_not_a_shared_object_says_how_to_make_one(tmp_path, source, target, name, hint):  # F20
    path = tmp_path / name
    path.write_text("text")
    with device(path, "f", source, target) as dut, pytest.raises(InputError) as caught:
        dut.open()
    assert str(caught.value).count(name) == 2  # in the message and in the hint
    assert hint in caught.value.hint


def test_a_function_of_cpp_is_told_so(tmp_path, source, target):  # F20
    compiler = shutil.which("c++") or shutil.which("g++")
    if compiler is None:
        pytest.skip("no C++ compiler")
    text = "#include <cstdint>\nvoid cast(const uint32_t *in, uint8_t *out, unsigned long n) { *out = *in + n; }"
    (tmp_path / "cast.cpp").write_text(text + "\nnamespace own { void inner(int) {} }")
    path = tmp_path / "cast.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", path, tmp_path / "cast.cpp"], check=True, timeout=60)
    for symbol, mangled in (("cast", "_Z4castPKjPhm"), ("inner", "_ZN3own5innerEi")):
        with device(path, symbol, source, target) as dut, pytest.raises(InputError, match="has no symbol") as caught:
            dut.open()
        assert f'it has {mangled}, which is {symbol} in C++ or CUDA: declare it extern "C"' in caught.value.hint


@pytest.mark.parametrize("text", ["cast.so", ":cast", "cast.so:", "/nowhere/cast.so:cast"])
def test_bad_names(text):
    with pytest.raises(InputError):
        parse_shared_object(text)
