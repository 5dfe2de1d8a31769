"""The generator of random codes gives the published stream, and stays what it is."""

from __future__ import annotations

import numpy as np
import pytest

from lowbit.errors import InputError
from lowbit.format.registry import get_format
from lowbit.vectors.splitmix import random_patterns, splitmix64


def test_the_published_stream():
    # The first outputs for seed 1234567 of Vigna's public-domain splitmix64.c, as Rosetta Code prints them.
    assert splitmix64(1234567, 5).tolist() == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]


def test_it_is_counter_based():
    whole = splitmix64(99, 1000)
    assert np.array_equal(splitmix64(99, 400, start=600), whole[600:])
    assert splitmix64(-1, 3).tolist() == splitmix64((1 << 64) - 1, 3).tolist()


@pytest.mark.parametrize("name", ["float32", "float8_e4m3fnu", "int4", "tf32", "uint64"])
def test_bits_fill_the_whole_width(name):
    fmt = get_format(name)
    patterns = random_patterns(fmt, 4000, 1)
    assert int(np.bitwise_or.reduce(patterns)) == (1 << fmt.bits) - 1
    assert int(np.bitwise_and.reduce(patterns)) == 0


def test_normal_values_have_mean_0_and_variance_1():
    values = random_patterns(get_format("float64"), 20000, 4, "normal").view(np.float64)
    assert abs(values.mean()) < 0.03
    assert abs(values.var() - 1) < 0.04
    assert 3 < np.abs(values).max() < 6
    narrow = random_patterns(get_format("float32"), 20000, 4, "normal").astype(np.uint32).view(np.float32)
    assert np.abs(narrow - values).max() < 1e-6


@pytest.mark.parametrize("name", ["float8_e5m3fnu", "float8_e8m0fnu", "int8", "q4.4", "float8_e4m3fnuz"])
def test_normal_values_of_narrow_formats_are_codes(name):
    fmt = get_format(name)
    patterns = random_patterns(fmt, 2000, 8, "normal")
    assert int(patterns.max()) < 1 << fmt.bits
    assert len(np.unique(patterns)) > 3


def test_wrong_arguments():
    with pytest.raises(InputError, match="distribution 'cauchy' is unknown"):
        random_patterns(get_format("float32"), 4, 1, "cauchy")
    with pytest.raises(InputError, match="negative"):
        random_patterns(get_format("float32"), -1, 1)
