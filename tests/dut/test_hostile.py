"""Devices that start processes or use lowbit's descriptors: nothing of theirs runs on, and no false word is said."""

import os

import numpy as np
import pytest

from lowbit.dut.prototype import conversion_prototype
from lowbit.dut.python import PythonDevice
from lowbit.dut.shared_object import SharedObjectDevice
from lowbit.errors import DeviceError
from lowbit.format.registry import get_format
from lowbit.vectors.case import rows_case

TF32, TARGET = get_format("tf32"), get_format("float8_e4m3fn")
PROTOTYPE = conversion_prototype(TF32, TARGET)
ONES = rows_case(np.full(1000, 0x3F800000 >> 13, np.uint32), 0)
CODE_OF_ONE = 0x38


@pytest.fixture
def device(hostile):
    return lambda symbol, timeout=20.0: SharedObjectDevice(hostile(symbol), PROTOTYPE, timeout=timeout)


@pytest.fixture
def started(tmp_path, monkeypatch):
    """The processes that the kernel started, once it has run."""
    file = tmp_path / "processes"
    monkeypatch.setenv("LOWBIT_TEST_PROCESSES", str(file))
    return lambda: [int(line) for line in file.read_text().split()]


def runs(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize(
    ("symbol", "words"),
    [
        ("reads_past_the_end", "depends on what stands around its operands on rows 0 to 0"),
        ("adds_to_the_results", "depends on what the results held before"),
    ],
)
def test_an_answer_depends_on_the_operands_alone(device, symbol, words):
    with device(symbol) as dut, pytest.raises(DeviceError, match=words) as caught:
        dut.run(ONES)
    assert caught.value.code == "LB605"
    assert f"the function has to be void {symbol}(const uint32_t *codes" in caught.value.hint


def test_a_tail_that_rounds_otherwise_is_told_even_if_no_vector_stands_in_it(device):
    # The first rows, which are those of the small calls, and the last ones are exact in either way.
    values = np.full(4840, 1.0, np.float32)
    values[100:4700] = np.linspace(1, 400, 4600)
    rows = rows_case(values.view(np.uint32) >> 13, 0)
    words = r"gives 0x\w+ for row \d+ in a call of 31 elements, and 0x\w+ in one of 4840"
    with device("truncates_in_the_tail") as dut, pytest.raises(DeviceError, match=words) as caught:
        dut.run(rows)
    assert caught.value.code == "LB605"
    assert "the tail of a vector loop" in caught.value.hint
    with device("cast") as dut:
        assert dut.run(rows)[0] == CODE_OF_ONE


def test_results_that_are_narrower_than_they_have_to_be_are_told(hostile):
    wide = conversion_prototype(get_format("tf32"), get_format("bfloat16"))  # the kernel writes float8_e4m3fn
    with (
        SharedObjectDevice(hostile("cast"), wide, timeout=20.0) as dut,
        pytest.raises(DeviceError, match="wrote 1 of the 2 bytes of a result on rows 0 to 0") as caught,
    ):
        dut.run(ONES)
    assert caught.value.code == "LB604"
    assert "uint16_t *out" in caught.value.hint


@pytest.mark.parametrize("symbol", ["forks", "becomes_a_daemon", "starts_a_shell"])
def test_processes_of_a_device_end_with_it(device, started, symbol):
    with device(symbol) as dut:
        assert (dut.run(ONES) == CODE_OF_ONE).all()
        processes = started()
        assert len(processes) == 1
        assert all(map(runs, processes))
    assert not any(map(runs, processes))


@pytest.mark.parametrize(
    ("symbol", "words"),
    [("forks_and_aborts", "SIGABRT"), ("forks_and_exits", "exit code 3"), ("forks_and_hangs", r"within 0\.5 s")],
)
def test_processes_of_a_device_that_fails_end_with_it(device, started, symbol, words):
    with device(symbol, timeout=0.5) as dut, pytest.raises(DeviceError, match=words):
        dut.run(ONES.part(0, 1))
    assert started()
    assert not any(map(runs, started()))


def test_a_fork_that_returns_is_not_heard(device, capfd):
    with device("returns_twice") as dut:
        assert all((dut.run(ONES) == CODE_OF_ONE).all() for _ in range(20))
    assert capfd.readouterr().err == ""


def test_a_fork_cannot_write_to_later_results(device):
    with device("writes_later") as dut:
        assert all((dut.run(ONES) == CODE_OF_ONE).all() for _ in range(20))


def test_a_fork_in_python_is_not_heard(tmp_path, capfd):
    file = tmp_path / "user.py"
    file.write_text("import os\ndef f(rows):\n    os.fork()\n    return rows * 0 + 56\n")
    with PythonDevice(f"{file}:f", PROTOTYPE) as dut:
        assert all((dut.run(ONES) == CODE_OF_ONE).all() for _ in range(5))
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("symbol", "code", "words"),
    [
        ("forges_everywhere", "LB604", "wrote to the socket"),
        ("garbles", "LB604", "wrote to the socket"),
        ("floods", "LB604", "wrote to the socket"),
        ("closes", "LB601", "closed the socket"),
    ],
)
def test_the_socket_is_guarded(device, capfd, symbol, code, words):
    with device(symbol) as dut, pytest.raises(DeviceError, match=words) as caught:
        dut.run(ONES)
    assert caught.value.code == code
    assert capfd.readouterr().err == ""
