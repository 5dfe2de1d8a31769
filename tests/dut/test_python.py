"""Python devices: codes or values in, codes or values out, and words for everything else."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import lowbit
from lowbit.dut import host
from lowbit.dut.prototype import conversion_prototype
from lowbit.dut.python import PythonDevice, parse_function
from lowbit.errors import DeviceError, InputError
from lowbit.format.registry import get_format
from lowbit.vectors.case import rows_case

MODULE = """
import ml_dtypes
import numpy as np

def codes(rows):
    return rows.view(np.float32).astype(ml_dtypes.float8_e4m3fn).view(np.uint8)

def wide_codes(rows):
    return codes(rows).astype(np.int64)

def big_endian_codes(rows):
    return codes(rows).astype(">u2")

def own_dtype(rows):
    return rows.view(np.float32).astype(ml_dtypes.float8_e4m3fn)

def values(rows):
    assert rows.dtype == np.float32
    return rows.astype(ml_dtypes.float8_e4m3fn).astype(np.float32)

def unrounded(rows):
    return rows

def float_results(rows):
    return rows.view(np.float32)

def other_dtype(rows):
    return rows.view(np.float32).astype(ml_dtypes.float8_e5m2)

def one_short(rows):
    return codes(rows)[:-1]

def square(rows):
    return codes(rows).reshape(1, -1)

def raises(rows):
    raise RuntimeError("the table is empty")

def interrupts(rows):
    raise KeyboardInterrupt

def too_large(rows):
    return codes(rows).astype(np.int64) + 200

def beyond_64_bits(rows):
    return np.full(len(rows), 2**64 - 1, np.uint64)

def objects(rows):
    return np.array([None] * len(rows))

constant = 3
"""
ORPHANS = """
import os, sys
import numpy as np
from lowbit.dut.prototype import conversion_prototype
from lowbit.dut.python import PythonDevice
from lowbit.format.registry import get_format
from lowbit.vectors.case import rows_case

prototype = conversion_prototype(get_format("float32"), get_format("float8_e4m3fn"))
device = PythonDevice(sys.argv[1], prototype, timeout=300)
device.run(rows_case(np.zeros(1, np.uint32), 0))
"""
PATHS = {"PYTHONPATH": str(Path(lowbit.__file__).parents[1])}
ROWS = rows_case(np.array([0x3F800000, 0x3F880000, 0xC0200000, 0x7FC00000], np.uint32), 0)
EXPECTED = [0x38, 0x38, 0xC2, 0x7F]


@pytest.fixture
def run(tmp_path, source, target):
    file = tmp_path / "user.py"
    file.write_text(MODULE)

    def run(function, **options):
        prototype = conversion_prototype(source, target)
        with PythonDevice(f"{file}:{function}", prototype, timeout=30, **options) as dut:
            return dut.run(ROWS)

    return run


@pytest.mark.parametrize("function", ["codes", "wide_codes", "big_endian_codes", "own_dtype"])
def test_codes(run, function):
    got = run(function)
    assert got.dtype == np.uint8
    assert got.tolist() == EXPECTED


def test_values(run):
    assert run("values", values=True).tolist() == EXPECTED


@pytest.mark.parametrize(
    ("function", "options", "words"),
    [
        ("unrounded", {"values": True}, "not a value of float8_e4m3fn"),
        ("values", {}, "AssertionError"),
        ("other_dtype", {}, "float8_e5m2 where float8_e4m3fn"),
        ("one_short", {}, "returned an array of shape"),
        ("square", {}, "shape"),
        ("raises", {}, "the table is empty"),
        ("interrupts", {}, "raised an exception.*\n.*\n.*user.py.*\n.*\nKeyboardInterrupt"),
        ("beyond_64_bits", {}, "18446744073709551615.*cannot hold"),
        ("objects", {}, "Python objects"),
    ],
)
def test_misbehaviour_is_named(run, function, options, words, capfd):
    with pytest.raises(DeviceError, match=words):
        run(function, **options)
    assert capfd.readouterr().err == ""


def test_numbers_that_are_no_codes_are_kept_to_be_compared(run):
    assert run("too_large").tolist() == [code + 200 for code in EXPECTED]


def test_floats_where_codes_are_due_name_the_option(run):
    with pytest.raises(DeviceError, match="--values"):
        run("float_results")


def test_traceback_shows_the_users_lines_only(run):
    with pytest.raises(DeviceError) as caught:
        run("raises")
    assert "user.py" in str(caught.value)
    assert "worker.py" not in str(caught.value)


@pytest.mark.parametrize("function", ["missing", "constant"])
def test_missing_function_is_a_usage_error(run, function):
    with pytest.raises(InputError, match=function):
        run(function)


def test_missing_module(source, target):
    with (
        PythonDevice("no_such_module_here:f", conversion_prototype(source, target)) as dut,
        pytest.raises(InputError, match="no_such_module"),
    ):
        dut.open()


def test_module_of_the_current_directory(tmp_path, monkeypatch, source, target):
    (tmp_path / "beside.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    with PythonDevice("beside:codes", conversion_prototype(source, target)) as dut:
        assert dut.run(ROWS).tolist() == EXPECTED


def test_values_of_a_narrow_source(tmp_path):
    (tmp_path / "narrow.py").write_text("def same(rows):\n    assert rows.dtype == 'float32'\n    return rows\n")
    fmt = get_format("float8_e5m2")
    finite = np.array([code for code in range(256) if code & 0x7F <= 0x7C], np.uint8)
    prototype = conversion_prototype(fmt, get_format("float16"))
    with PythonDevice(f"{tmp_path / 'narrow.py'}:same", prototype, values=True) as dut:
        got = dut.run(rows_case(finite, 0))
    assert np.array_equal(got, finite.astype(np.uint16) << 8)


@pytest.mark.parametrize("text", ["module", ":f", "module:", "/nowhere/file.py:f"])
def test_bad_names(text):
    with pytest.raises(InputError):
        parse_function(text)


def test_loading_is_timed(tmp_path, source, target, monkeypatch):
    monkeypatch.setattr(host, "LEAST_START_SECONDS", 0.5)
    file = tmp_path / "slow.py"
    file.write_text("import time\ntime.sleep(600)\n")
    start = time.monotonic()
    with (
        PythonDevice(f"{file}:codes", conversion_prototype(source, target), timeout=0.5) as device,
        pytest.raises(DeviceError, match=r"did not answer within 0\.5 s while it was loaded"),
    ):
        device.open()
    assert time.monotonic() - start < 30


@pytest.mark.parametrize("hang", ["import time; time.sleep(600)", "while True: pass"])
@pytest.mark.parametrize("place", ["import", "call"])
def test_the_worker_ends_with_its_parent(tmp_path, hang, place):
    note = tmp_path / "worker"
    file = tmp_path / "hangs.py"
    hanging = f"import os, pathlib\n    pathlib.Path({str(note)!r}).write_text(str(os.getpid()))\n    {hang}"
    call = "codes([])" if place == "import" else ""
    file.write_text(f"def codes(rows):\n    {hanging}\n{call}\n")
    parent = subprocess.Popen([sys.executable, "-c", ORPHANS, f"{file}:codes"], env=os.environ | PATHS)
    try:
        assert wait_for(lambda: note.is_file() and note.read_text())
        worker = int(note.read_text())
        os.kill(worker, 0)  # raises unless the process runs
    finally:
        parent.kill()
        parent.wait()
    assert wait_for(lambda: not alive(worker))


def wait_for(condition, seconds=60):
    """Whether it becomes true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def alive(process):
    """Whether a process that is not our child runs; one that waits to be reaped does not."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    if not Path("/proc").is_dir():
        return True
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:  # it has ended since
        return False
