"""Sweeps of C functions that change what they are given, write where they must not, or speak for the checker."""

import mmap

import numpy as np
import pytest

from lowbit.check.cast.codes import all_codes, codes_between
from lowbit.check.cast.exhaustive import check_every_input, sweep_device, sweep_shared_object
from lowbit.check.cast.operation import CastOperation
from lowbit.check.cast.sweep import BLOCK, Comparer, InsideCaller, joined
from lowbit.dut.shared_object import SharedObjectDevice
from lowbit.dut.worker import shared_object_runner
from lowbit.errors import DeviceError
from lowbit.format.registry import get_format
from lowbit.ops.cast.cast import convert
from lowbit.policy.cast import get_policy
from tests.thinned import thinned

TF32, TARGET = get_format("tf32"), get_format("float8_e4m3fn")
POLICY = get_policy("ocp_sat", TARGET)
OPERATION = CastOperation(TF32, TARGET, POLICY)
ALL = 1 << TF32.bits
ROOM = 1 << 23


def sweep(name):
    with SharedObjectDevice(name, OPERATION.prototype, timeout=30.0) as device:
        return sweep_shared_object(device, OPERATION)


def test_right_function_that_prints(hostile, capfd):
    found = sweep(hostile("prints"))
    assert (found.rows, found.differences, len(found.codes)) == (ALL, 0, 0)
    streams = capfd.readouterr()
    assert streams.out == ""
    assert "hello" in streams.err


@pytest.mark.parametrize(
    ("symbol", "code", "words"),
    thinned(
        [
            ("clears_input", "LB604", "overwrote its input"),
            ("forges", "LB601", "ended the process with exit code 0"),
            ("forges_everywhere", "LB604", "wrote to the socket"),
            ("exits_in_the_middle", "LB601", r"exit code 0 .*input 0x12345 \(row 74565\) alone does it"),
            ("closes", "LB601", "closed the socket"),
        ],
        2,
    ),
)
def test_failure_of_the_process(hostile, symbol, code, words):
    with pytest.raises(DeviceError, match=words) as caught:
        sweep(hostile(symbol))
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("symbol", "words"),
    [
        ("clears_input", "overwrote its input codes on rows 0 to 262143"),
        ("changes_input_with_many", "overwrote its input"),
        ("skips_rows", "wrote 261882 of 262144 results on rows 0 to 262143: row 999 was never written"),
        ("writes_nothing", "wrote 0 of 262144 results .*: row 0 was never written"),
        ("passes_end_with_many", "wrote after the end of its 262144 results"),
        ("passes_start_with_many", "wrote before the start"),
    ],
)
def test_misbehaviour_with_many_rows_only(hostile, symbol, words):
    # In this process, as the worker does it in its own.
    memory = mmap.mmap(-1, ROOM)
    path, name = hostile(symbol).rsplit(":", 1)
    load = {"path": path, "symbol": name, "types": OPERATION.prototype.c_types()}
    caller = InsideCaller(memory, shared_object_runner(memory, load))
    comparer = Comparer(OPERATION, np.empty(0, np.uint32))
    with (
        SharedObjectDevice(hostile(symbol), OPERATION.prototype, caller=caller) as device,
        pytest.raises(DeviceError, match=words) as caught,
    ):
        joined(comparer.sweep(device, 0, ALL))
    assert caught.value.code == "LB604"


def test_function_caught_by_the_boundary_set_only(hostile):
    with SharedObjectDevice(hostile("wrong_with_few"), OPERATION.prototype) as device:
        result = check_every_input(device, OPERATION)
    assert (result.verdict, result.differences, result.vectors) == ("MISMATCH", 1, ALL)
    assert result.groups[0].examples[0].got == 0x39


class Device:
    """Right but for some codes."""

    name = "nearly right"

    def __init__(self, source, wrong):
        self.source, self.wrong = source, wrong

    def run(self, case):
        codes = case.arrays["codes"]
        results = np.asarray(convert(codes, self.source, TARGET, policy=POLICY)).copy()
        results[np.isin(codes, self.wrong)] ^= 1
        return results


@pytest.mark.parametrize("failed", [[], [0x12345], [0x12345, 0x54321], [BLOCK - 1, BLOCK]])
def test_inputs_that_failed_before_count_once(failed):
    found = sweep_device(Device(TF32, [0x12345]), OPERATION, failed=np.array(failed, np.uint32))
    assert found.codes.tolist() == sorted({0x12345, *failed})
    assert found.differences == len(found.codes)


@pytest.mark.parametrize("name", ["float8_e5m2", "int5_narrow", "uint3", "int16", "q4.12"])
def test_codes_between(name):
    fmt = get_format(name)
    whole = 1 << fmt.bits
    parts = [codes_between(fmt, start, start + whole // 4) for start in range(0, whole, whole // 4)]
    assert np.array_equal(np.concatenate(parts), all_codes(fmt))


def test_sweep_of_a_signed_source():
    source = get_format("q5.16")
    seen = []
    device, operation = Device(source, [-(1 << 20), -1, 7]), CastOperation(source, TARGET, POLICY)
    found = sweep_device(device, operation, progress=lambda *state: seen.append(state))
    assert found.codes.tolist() == [7, -(1 << 20), -1]
    assert seen[-1] == (1 << 21, 3)
