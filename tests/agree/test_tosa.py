"""TOSA's elementwise arithmetic: kernels and oracle."""

import numpy as np
import pytest

import lowbit
from lowbit.errors import InputError
from lowbit.ops.fixed_point.tosa import arithmetic_right_shift, integer_divide, multiply_shifted, pooling_divisor
from lowbit.oracle.fixed_point import tosa

EDGES = [-(1 << 31), -(1 << 31) + 1, -(1 << 30), -7, -2, -1, 0, 1, 2, 5, 1 << 30, (1 << 31) - 1]


def numbers(count, seed):
    drawn = np.random.default_rng(seed)
    spread = drawn.integers(-(1 << 31), 1 << 31, count) >> drawn.integers(0, 31, count)
    return np.concatenate([spread, EDGES])


@pytest.mark.parametrize("round_half_up", [False, True])
@pytest.mark.parametrize("bits", [8, 16, 32])
def test_arithmetic_right_shift(bits, round_half_up):
    values = (numbers(400, bits) >> (32 - bits)).astype(f"int{bits}")
    for shift in range(bits):
        got = arithmetic_right_shift(values, shift, round_half_up=round_half_up)
        assert got.dtype == values.dtype
        assert got.tolist() == [tosa.arithmetic_right_shift(v, shift, round_half_up) for v in values.tolist()]


def test_multiply():
    a, b = numbers(500, 1), numbers(500, 2)[::-1]
    for shift in (0, 1, 2, 31, 32, 61, 62):
        expected = [tosa.multiply(x, y, shift) for x, y in zip(a.tolist(), b.tolist(), strict=True)]
        fits = np.array([-(1 << 31) <= value < 1 << 31 for value in expected])
        got = multiply_shifted(a[fits], b[fits], shift=shift)
        assert got.tolist() == [value for value, inside in zip(expected, fits, strict=True) if inside]


def test_integer_divide():
    a, b = numbers(500, 3), numbers(500, 4)[::-1]
    defined = (b != 0) & ~((a == -(1 << 31)) & (b == -1))
    a, b = a[defined], b[defined]
    expected = [tosa.integer_divide(x, y) for x, y in zip(a.tolist(), b.tolist(), strict=True)]
    assert integer_divide(a, b).tolist() == expected


def test_pooling_divisor():
    for count in [*range(1, 300), 1 << 20, (1 << 31) - 1, 1 << 31]:
        assert pooling_divisor(count) == tosa.reciprocal_scale(count)
    sums = np.arange(-20_000, 20_000)
    for count in (1, 2, 3, 9, 49, 64):
        multiplier, shift = pooling_divisor(count)
        means = lowbit.requantize(sums, scheme="tosa_single", multiplier=multiplier, shift=shift, result="int32")
        # The reciprocal is a little too large, so that a tie goes away from zero on both sides.
        magnitudes = (2 * np.abs(sums) + count) // (2 * count)
        assert np.array_equal(means, np.sign(sums) * magnitudes)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: arithmetic_right_shift(np.int8(1), 8), "shift = 8 is not from 0 to 7"),
        (lambda: arithmetic_right_shift(np.int64(1), 8), "TOSA has int8, int16 and int32"),
        (lambda: multiply_shifted(1 << 30, 8, shift=1), r"1,073,741,824 \* 8 >> 1 does not fit int32"),
        (lambda: multiply_shifted(1, 1, shift=63), "shift = 63 is not a whole number from 0 to 62"),
        (lambda: multiply_shifted(1 << 31, 1), "a holds 2,147,483,648, which does not fit int32"),
        (lambda: integer_divide([1, 2], [1, 0]), "a divisor is 0"),
        (lambda: integer_divide([1, 2], [1, 2, 3]), "do not broadcast"),
        (lambda: multiply_shifted([1, 2], [1, 2, 3]), "do not broadcast"),
        (lambda: arithmetic_right_shift([1, 2], [1, 2, 3]), "do not broadcast"),
        (lambda: integer_divide(-(1 << 31), -1), "does not fit int32"),
        (lambda: pooling_divisor(0), "count = 0 is not a whole number from 1"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(InputError, match=message):
        call()
