"""Encoding against the conversions of the machine: C's binary64 to binary32 and binary16, NumPy's float16."""

import math
import random
import struct
from fractions import Fraction

import numpy as np
import pytest

from lowbit.exact import FINITE, finite, from_float
from lowbit.format.registry import formats, get_format
from lowbit.format.scalar import FloatFormat
from lowbit.oracle import decode, project
from lowbit.oracle.cast.neighbours import compute, search
from lowbit.policy.cast import CAST_PRESETS, Policy


def interesting_doubles(fmt, count):
    """Random bit patterns, and points on, beside and between the values of a format."""
    drawn = random.Random(20260726)
    for _ in range(count):
        yield struct.unpack("<d", struct.pack("<Q", drawn.getrandbits(64)))[0]
    for _ in range(count):
        code = drawn.randrange(fmt.max_code + 1)
        middle = (fmt.magnitude(code).fraction() + fmt.magnitude(code + 1).fraction()) / 2
        for value in (float(middle), np.nextafter(float(middle), np.inf), np.nextafter(float(middle), -np.inf)):
            yield float(value)
            yield -float(value)


@pytest.mark.filterwarnings("ignore:overflow encountered", "ignore:invalid value")
@pytest.mark.parametrize("name", ["float16", "float32"])
def test_binary64_to_narrower(name):
    fmt = get_format(name)
    values = [value for value in interesting_doubles(fmt, 4000) if not math.isnan(value)]
    codes = np.array(values).astype(name).view(f"u{fmt.bits // 8}").tolist()
    for value, code in zip(values, codes, strict=True):
        assert project(from_float(value), fmt, CAST_PRESETS["ieee"]).code == code, value.hex()


def test_struct_half():
    fmt = get_format("float16")
    for value in interesting_doubles(fmt, 1000):
        if abs(value) < 65520:
            code = struct.unpack("<H", struct.pack("<e", value))[0]
            assert project(from_float(value), fmt, Policy()).code == code


def test_integers_round_as_python_rounds():
    fmt, policy = get_format("int16"), Policy(overflow="saturate")
    drawn = random.Random(1)
    for _ in range(2000):
        value = drawn.uniform(-40000, 40000) if drawn.random() < 0.5 else drawn.randrange(-80000, 80000) / 2
        expected = max(-32768, min(32767, round(value)))
        result = project(from_float(value), fmt, policy)
        assert result.code == expected
        assert (result.flags == 16) == (abs(round(value) + 0.5) > 32768)


@pytest.mark.parametrize(
    "name",
    [
        name
        for name in formats(kind="scalar")
        if isinstance(get_format(name), FloatFormat) and get_format(name).bits <= 16
    ],
)
def test_the_two_ways_to_the_lower_neighbour_agree(name):
    """A list of all values, and arithmetic on the exponent."""
    fmt = get_format(name)
    drawn = random.Random(7)
    low, high = fmt.smallest_exponent - 4, fmt.max.exponent + fmt.mantissa_bits + 3
    for _ in range(2000):
        value = finite(drawn.getrandbits(drawn.randrange(1, 64)) + 1, 0)
        value = finite(value.significand, drawn.randrange(low, high) - value.significand.bit_length() + 1)
        found, computed = search(value, fmt), compute(value, fmt)
        if found > fmt.max_code:
            assert computed > fmt.max_code
        elif found < -1:
            assert computed < -1
        else:
            assert found == computed


def test_wide_formats_find_their_neighbours():
    fmt = get_format("float64")
    drawn = random.Random(3)
    for _ in range(1000):
        code = drawn.randrange(fmt.max_code)
        low, high = decode(code, fmt).fraction(), decode(code + 1, fmt).fraction()
        for place, expected in ((Fraction(1, 4), code), (Fraction(3, 4), code + 1), (Fraction(1, 2), code + code % 2)):
            value = low + (high - low) * place
            exact = finite(value.numerator, 1 - value.denominator.bit_length())
            assert exact.kind == FINITE
            assert project(exact, fmt, Policy()).code == expected
