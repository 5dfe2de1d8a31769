"""Errors against fractions, and what has no error, no power or no direction."""

import doctest
import math
from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest

import lowbit.metrics.error
import lowbit.metrics.ulps
from lowbit.errors import InputError
from lowbit.metrics import (
    cosine_similarity,
    largest_error,
    relative_squared_error,
    signal_to_quantization_noise,
    squared_error,
)

GENERATOR = np.random.default_rng(0)
VALUES = GENERATOR.standard_normal((7, 33)).astype(np.float32)
QUANTIZED = VALUES.astype(ml_dtypes.bfloat16)
EVERY = (squared_error, relative_squared_error, signal_to_quantization_noise, largest_error, cosine_similarity)


def fractions(array):
    return [Fraction(float(value)) for value in array.ravel()]


def test_sums_are_those_of_fractions():
    one, other = fractions(VALUES), fractions(QUANTIZED)
    error = sum((a - b) ** 2 for a, b in zip(one, other, strict=True))
    power, other_power = (sum(value**2 for value in values) for values in (one, other))
    product = sum(a * b for a, b in zip(one, other, strict=True))
    assert squared_error(VALUES, QUANTIZED) == pytest.approx(float(error), rel=1e-13)
    assert relative_squared_error(VALUES, QUANTIZED) == pytest.approx(float(error / power), rel=1e-13)
    decibels = 10 * math.log10(power / error)
    assert signal_to_quantization_noise(VALUES, QUANTIZED) == pytest.approx(decibels, rel=1e-13)
    assert largest_error(VALUES, QUANTIZED) == float(max(abs(a - b) for a, b in zip(one, other, strict=True)))
    assert cosine_similarity(VALUES, QUANTIZED) == pytest.approx(
        float(product) / math.sqrt(power * other_power), rel=1e-13
    )


@pytest.mark.parametrize("exponent", [-1060, -600, 0, 600, 1000])
def test_the_size_of_the_values_does_not_matter(exponent):
    values = np.ldexp(np.array([4.0, -2.0, 1.0, 3.0]), exponent)
    quantized = np.ldexp(np.array([4.0, -2.0, 1.0, 2.0]), exponent)
    assert relative_squared_error(values, quantized) == 1 / 30
    assert cosine_similarity(values, quantized) == pytest.approx(27 / math.sqrt(30 * 25), rel=1e-15)


def test_nothing_lost_and_nothing_there():
    assert relative_squared_error(VALUES, VALUES) == 0
    assert signal_to_quantization_noise(VALUES, VALUES) == math.inf
    assert cosine_similarity(VALUES, -VALUES) == -1
    assert relative_squared_error([0.0], [0.0]) == 0
    assert relative_squared_error([0.0], [1.0]) == math.inf
    assert signal_to_quantization_noise([0.0], [1.0]) == -math.inf
    assert squared_error([], []) == largest_error([], []) == 0


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("metric", EVERY)
def test_a_nan_shows(metric):
    assert math.isnan(metric([1.0, math.nan], [1.0, 2.0]))
    assert math.isnan(metric([1.0, math.inf], [1.0, math.inf]))


@pytest.mark.parametrize("metric", EVERY)
@pytest.mark.parametrize(
    ("one", "other", "what"), [([1.0, 2.0], [1.0], "shape"), (["a"], [1.0], "not numbers"), ([1.0], [[1.0]], "shape")]
)
def test_what_cannot_be_compared_says_so(metric, one, other, what):
    with pytest.raises(InputError, match=what):
        metric(one, other)


@pytest.mark.parametrize("pair", [([0.0, 0.0], [1.0, 2.0]), ([1.0], [0.0])])
def test_zero_has_no_direction(pair):
    with pytest.raises(InputError, match="no direction"):
        cosine_similarity(*pair)


@pytest.mark.parametrize("module", [lowbit.metrics.error, lowbit.metrics.ulps])
def test_examples(module):
    result = doctest.testmod(module)
    assert result.attempted
    assert not result.failed


def test_small_errors_are_not_lost():
    assert relative_squared_error([0.0, 0.0], [0.0, 1e-170]) == float("inf")
    assert signal_to_quantization_noise([0.0, 0.0], [0.0, 1e-170]) == -float("inf")
    assert signal_to_quantization_noise([1.0, 0.0], [1.0, 1e-165]) == pytest.approx(3300)
    assert relative_squared_error([1.0, 0.0], [1.0, 1e-150]) == pytest.approx(1e-300)
    assert relative_squared_error([5e-324], [1.0]) == float("inf")
