"""All inputs: which codes there are, and devices that fail in the middle of a sweep."""

import numpy as np
import pytest

from lowbit.check.cast.codes import all_codes, check_exhaustive_bits
from lowbit.check.cast.exhaustive import sweep_device, sweep_shared_object
from lowbit.check.cast.operation import CastOperation
from lowbit.dut.shared_object import SharedObjectDevice
from lowbit.errors import DeviceError, InputError
from lowbit.format.registry import get_format
from lowbit.ops.cast.cast import convert
from lowbit.policy.cast import get_policy


@pytest.mark.parametrize(
    ("name", "low", "high", "count"),
    [
        ("float8_e4m3fn", 0, 255, 256),
        ("float6_e2m3fn", 0, 63, 64),
        ("int4", -8, 7, 16),
        ("uint3", 0, 7, 8),
        ("int5_narrow", -15, 15, 31),
        ("float8_e4m3fnu", 0, 127, 128),
    ],
)
def test_all_codes(name, low, high, count):
    fmt = get_format(name)
    codes = all_codes(fmt)
    assert codes.dtype == np.dtype(fmt.code_dtype)
    assert (codes.min(), codes.max(), len(np.unique(codes))) == (low, high, count)


def test_too_many_codes():
    check_exhaustive_bits(get_format("float32"))
    with pytest.raises(InputError, match=r"2\^64"):
        check_exhaustive_bits(get_format("float64"))


@pytest.mark.slow  # make test has tests/dut/test_hostile.py
@pytest.mark.parametrize(
    ("symbol", "words", "timeout"),
    [("crash_early", "SIGABRT.*0x412345", 60.0), ("hang_early", "did not answer", 2.0)],
)
def test_failure_in_the_middle_of_a_sweep(kernels, symbol, words, timeout):
    operation = CastOperation(get_format("float32"), get_format("float8_e4m3fn"), get_policy("ocp_sat"))
    name = kernels["right"].replace(":cast", f":{symbol}")
    with (
        SharedObjectDevice(name, operation.prototype, timeout=timeout) as device,
        pytest.raises(DeviceError, match=words),
    ):
        sweep_shared_object(device, operation)


class Device:
    name = "one wrong code"

    def __init__(self, source, target, policy):
        self.source, self.target, self.policy = source, target, policy

    def run(self, case):
        codes = case.arrays["codes"]
        results = np.asarray(convert(codes, self.source, self.target, policy=self.policy)).copy()
        results[codes == 0x12345] ^= 1
        return results


def test_sweep_of_any_device_finds_the_one_wrong_row():
    source, target, policy = get_format("tf32"), get_format("float8_e5m2"), get_policy("ocp_sat")
    seen = []
    operation = CastOperation(source, target, policy)
    found = sweep_device(Device(source, target, policy), operation, progress=lambda *state: seen.append(state))
    assert (found.rows, found.differences) == (1 << 19, 1)
    assert found.codes.tolist() == [0x12345]
    assert seen[-1] == (1 << 19, 1)
