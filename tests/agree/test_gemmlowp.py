"""gemmlowp's functions: compiled kernels, the kernels' source on Python integers, and the oracle."""

import math

import numpy as np
import pytest

import lowbit
from lowbit import fixed_point
from lowbit.kernels.fixed_point import gemmlowp as kernels
from lowbit.oracle.fixed_point import gemmlowp as oracle

FORMATS = [(32, i) for i in (0, 1, 2, 3, 4, 5, 6, 12, 28, 29)] + [(16, i) for i in (0, 2, 3, 4, 6, 13)]


def negatives(bits, count, seed):
    """Numbers at most 0 of a width: every binade, the ends, and the neighbourhood of multiples of powers of two."""
    drawn = np.random.default_rng(seed)
    lowest = -(1 << (bits - 1))
    spread = -(drawn.integers(0, 1 << 62, count) >> drawn.integers(63 - bits, 62, count))
    edges = [-(1 << k) + d for k in range(bits) for d in (-1, 0, 1)]
    return np.unique(np.concatenate([spread, edges, [0, lowest]]).clip(lowest, 0))


@pytest.mark.parametrize(("bits", "integer_bits"), FORMATS)
def test_exp(bits, integer_bits):
    values = negatives(bits, 200, integer_bits)
    got = fixed_point.exp_on_negative_values(values, integer_bits=integer_bits, bits=bits)
    assert got.dtype == f"int{bits}"
    assert got.tolist() == [oracle.exp_on_negative_values(a, integer_bits, bits) for a in values.tolist()]


@pytest.mark.parametrize(
    ("operation", "bits", "integer_bits"),
    [
        (operation, bits, places)
        for operation in ("logistic", "tanh")
        for bits, places in FORMATS
        if operation == "logistic" or places < bits - 3  # tanh needs one more bit after the point
    ],
)
def test_logistic_and_tanh(operation, bits, integer_bits):
    below = negatives(bits, 150, integer_bits)
    values = np.unique(np.concatenate([below, -below]).clip(None, (1 << (bits - 1)) - 1))
    got = getattr(lowbit, operation)(values, scheme="gemmlowp", integer_bits=integer_bits, bits=bits)
    twin = getattr(oracle, operation)
    assert got.tolist() == [twin(a, integer_bits, bits) for a in values.tolist()]


@pytest.mark.parametrize("stride", [7, pytest.param(1, marks=pytest.mark.exhaustive)])
def test_sixteen_bits(stride):
    values = np.arange(-32768, 32768, stride)
    for operation in ("logistic", "tanh"):
        twin = getattr(oracle, operation)
        got = getattr(lowbit, operation)(values, scheme="gemmlowp", integer_bits=3, bits=16)
        assert got.tolist() == [twin(a, 3, 16) for a in values.tolist()]


def test_one_over_one_plus_x():
    for bits in (32, 16):
        values = -negatives(bits, 400, bits)
        values = values[values < 1 << (bits - 1)]
        got = fixed_point.one_over_one_plus_x(values, bits=bits)
        assert got.tolist() == [oracle.one_over_one_plus_x(a, bits) for a in values.tolist()]


def test_reciprocal_and_inverse_square_root():
    values = -negatives(32, 3000, 7)
    values = values[values < 1 << 31]
    multipliers, shifts = fixed_point.inverse_square_root(values)
    pairs = list(zip(multipliers.tolist(), shifts.tolist(), strict=True))
    assert pairs == [tuple(oracle.inverse_square_root(n, 1)) for n in values.tolist()]
    positive = values[values > 0]
    answers, exponents = fixed_point.reciprocal(positive, integer_bits=12)
    pairs = list(zip(answers.tolist(), exponents.tolist(), strict=True))
    assert pairs == [tuple(oracle.reciprocal(n, 12)) for n in positive.tolist()]


def test_the_kernels_run_on_python_integers():
    # The compiled functions, uncompiled: the same operators on integers without a width.
    plain = {name: getattr(kernels, name) for name in ("wrap", "saturate", "doubling_high_multiply", "rounding_divide")}
    values = [-(1 << 31), -(1 << 30) - 1, -7, -1, 0, 1, 5, (1 << 30), (1 << 31) - 1]
    for a in values:
        assert plain["wrap"].py_func(3 * a, 32) == oracle.wrap(3 * a, 32)
        assert plain["saturate"].py_func(3 * a, 32) == oracle.saturate(3 * a, 32)
        for exponent in (0, 1, 2, 30, 31):
            assert plain["rounding_divide"].py_func(a, exponent) == oracle.rounding_divide(a, exponent)
        for b in values:
            product = oracle.doubling_high_multiply(a, b, 32)
            assert plain["doubling_high_multiply"].py_func(a, b, 32) == product


@pytest.mark.parametrize(
    ("function", "limit"),
    [("exp", 2.4e-7), ("logistic", 8e-8), ("tanh", 1.5e-7)],
)
def test_largest_errors(function, limit):
    # gemmlowp's 32-bit functions are this close to the real ones: exp in Q5, the others in Q4.
    places = 5 if function == "exp" else 4
    raw = np.linspace(-(1 << 31), 0 if function == "exp" else (1 << 31) - 1, 100_001).astype(np.int64)
    real = raw / 2.0 ** (31 - places)
    if function == "exp":
        got, exact = fixed_point.exp_on_negative_values(raw, integer_bits=places), np.exp(real)
    elif function == "logistic":
        got, exact = lowbit.logistic(raw, scheme="gemmlowp", integer_bits=4), 1 / (1 + np.exp(-real))
    else:
        got, exact = lowbit.tanh(raw, scheme="gemmlowp", integer_bits=4), np.tanh(real)
    error = np.abs(got / 2.0**31 - exact).max()
    assert limit / 4 < error < limit


def test_inverse_square_root_error():
    numbers = np.unique(np.exp(np.random.default_rng(1).uniform(0, 21, 50_000)).astype(np.int64))[1:]
    multipliers, shifts = fixed_point.inverse_square_root(numbers)
    relative = np.abs(multipliers / 2.0 ** (31 + shifts) * np.sqrt(numbers) - 1)
    assert 1e-7 < relative.max() < 1.3e-6


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: fixed_point.exp_on_negative_values([0, 1], integer_bits=5),
            r"from -2,147,483,648 to 0, not 1 at index 1",
        ),
        (
            lambda: fixed_point.exp_on_negative_values([0], integer_bits=30),
            "integer_bits = 30 is not a whole number",
        ),
        (
            lambda: fixed_point.exp_on_negative_values([-40000], integer_bits=3, bits=16),
            "not -40,000 at index 0",
        ),
        (lambda: fixed_point.exp_on_negative_values([0], integer_bits=3, bits=8), "unknown bits: 8"),
        (lambda: fixed_point.exp_on_negative_values([0], integer_bits=3, bits=16.0), "unknown bits: 16.0"),
        (lambda: fixed_point.exp_on_negative_values([0], integer_bits=3, bits=[32]), "unknown bits"),
        (lambda: fixed_point.exp_on_negative_values([0.5], integer_bits=3), "are not integers"),
        (lambda: fixed_point.one_over_one_plus_x([-1]), "from 0 to 2,147,483,647, not -1"),
        (lambda: fixed_point.reciprocal([0], integer_bits=12), "from 1 to 2,147,483,647, not 0"),
        (lambda: fixed_point.inverse_square_root(-1), "not -1"),
        (lambda: lowbit.logistic([0], scheme="gemmlowp"), "integer_bits is missing"),
        (lambda: lowbit.logistic([0], scheme="gemmlowp", integer_bits=4, scale=1.0), "integer_bits, not a scale"),
        (lambda: lowbit.tanh([0], scheme="gemmlowp", integer_bits=29), "is not a whole number from 0 to 28"),
        (lambda: lowbit.tanh([1 << 20], scheme="gemmlowp", integer_bits=3, bits=16), "0x100000 at index"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(lowbit.InputError, match=message):
        call()


def test_shapes_and_scalars():
    assert fixed_point.inverse_square_root(4) == (1073741828, 0)
    assert isinstance(fixed_point.exp_on_negative_values(0, integer_bits=5), np.int32)
    assert fixed_point.exp_on_negative_values(np.zeros((2, 3), np.int8), integer_bits=5).shape == (2, 3)
    assert fixed_point.exp_on_negative_values(np.zeros(0, np.int32), integer_bits=5).shape == (0,)
    assert math.isclose(fixed_point.one_over_one_plus_x(0) / 2**31, 1.0)
