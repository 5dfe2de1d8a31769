"""The published formulations refuse what they cannot stand for, in words."""

from fractions import Fraction

import numpy as np
import pytest

from lowbit.allocate import calibtip, hawq_v3, parse_costs
from lowbit.errors import AllocationError

CALIBTIP = {"layers": ["a", "b"], "parameters": [5, 7], "losses": {4: [1.0, 2.0]}, "base_loss": 0.5, "compression": 0.2}
HAWQ = {"layers": ["a", "b"], "traces": [1, 2], "errors": {4: [1, 2], 8: [0, 0]}, "parameters": [8, 16]}


@pytest.mark.parametrize(
    ("changed", "part"),
    [
        ({"power": 99999999}, "power: 99999999 is out of range"),
        ({"power": 1.5}, "power: 1.5 is not a whole number"),
        ({"base_bits": 10**9}, "base_bits: 1000000000 is out of range"),
        ({"base_bits": 4}, "losses at 4 bits are given"),
        ({"losses": {999999999: [1, 2]}}, "bits of losses: 999999999 is out of range"),
        ({"losses": {4: [1]}}, "losses at 4 bits: 1 numbers for 2 layers"),
        ({"losses": {4: [1, "2"]}}, "losses at 4 bits: '2' is not a number"),
        ({"losses": [1, 2]}, "losses: [1, 2] is not a mapping"),
        ({"base_loss": float("nan")}, "base_loss: nan is NaN"),
        ({"parameters": [5, 7.5]}, "parameters: 7.5 is not a whole number"),
        ({"parameters": [5]}, "parameters: 1 numbers for 2 layers"),
        ({"layers": "ab"}, "layers: 'ab' is not a list"),
    ],
)
def test_calibtip_refuses(changed, part):
    with pytest.raises(AllocationError) as caught:
        calibtip(**(CALIBTIP | changed))
    assert part in str(caught.value)


@pytest.mark.parametrize(
    ("changed", "part"),
    [
        ({"traces": [1]}, "traces: 1 numbers for 2 layers"),
        ({"traces": [1, True]}, "traces: True is not a number"),
        ({"errors": {4: [1, 2], 8: [0]}}, "errors at 8 bits: 1 numbers for 2 layers"),
        ({"errors": {"4": [1, 2]}}, "bits of errors: '4' is not a whole number"),
        ({"macs": [1]}, "macs: 1 numbers for 2 layers"),
        ({"latencies": {4: [1, 2]}}, "latencies are for [4] bits"),
        ({"latencies": {4: [1, 2], 8: 3}}, "latencies at 8 bits: 3 is not a list"),
    ],
)
def test_hawq_refuses(changed, part):
    with pytest.raises(AllocationError) as caught:
        hawq_v3(**(HAWQ | changed))
    assert part in str(caught.value)


def test_powers_and_arrays_that_are_right():
    bit_operations = calibtip(**(CALIBTIP | {"power": 2, "parameters": np.array([5, 7])}))
    assert bit_operations.budgets[0].costs.tolist() == [5 * 16, 5 * 64, 7 * 16, 7 * 64]
    assert bit_operations.budgets[0].limit == Fraction(2, 10) * 4 * 12 * 64
    assert hawq_v3(**HAWQ).losses.tolist() == [1.0, 0.0, 4.0, 0.0]


def test_a_file_with_a_power_out_of_range():
    with pytest.raises(AllocationError, match="power: 99999999 is out of range"):
        parse_costs(
            'formulation = "calibtip"\nlayers = ["a"]\nparameters = [5]\ncompression = 0.2\npower = 99999999\n'
            "base_loss = 0.5\n[losses]\n4 = [1.0]\n"
        )
