"""Histograms of distances in code steps."""

import numpy as np
import pytest

import lowbit
from lowbit.errors import InputError
from lowbit.metrics import ulp_histogram


def test_distances_are_counted():
    rounded = lowbit.encode(np.linspace(-500, 500, 1001), "float8_e4m3fn")
    chopped = lowbit.encode(
        np.linspace(-500, 500, 1001),
        "float8_e4m3fn",
        policy=lowbit.get_policy("ocp_sat").choose(rounding="toward_zero"),
    )
    counts = ulp_histogram(chopped, rounded, "float8_e4m3fn")
    distances = lowbit.ulp_distance(chopped, rounded, "float8_e4m3fn")
    assert set(counts) == {0, 1}
    assert counts == {distance: int((distances == distance).sum()) for distance in (0, 1)}


def test_nan_is_an_error_unless_it_has_a_distance():
    first, second = np.uint8([0x7F, 0x7F, 0x00]), np.uint8([0x7F, 0x01, 0x00])
    with pytest.raises(InputError, match="NaN"):
        ulp_histogram(first, second, "float8_e4m3fn")
    assert ulp_histogram(first, second, "float8_e4m3fn", nan=1000) == {0: 2, 1000: 1}


def test_nothing_has_an_empty_histogram():
    assert ulp_histogram(np.uint8([]), np.uint8([]), "float8_e4m3fn") == {}
