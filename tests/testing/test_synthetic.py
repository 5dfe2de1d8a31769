"""activations: what each kind is made of, by another computation, and the same numbers everywhere."""

import itertools
import math
from hashlib import sha256

import numpy as np
import pytest

from lowbit.errors import InputError, PolicyError
from lowbit.testing import activations

DIGESTS = {
    "gaussian": "cddbffe240013a73f632d5b6f067cc0a55eedaf436b88dba7188f8c36f439819",
    "outlier_channels": "22b7e191761c8d0f70f0cd5cac28bd66540940609e8e3f449edcf2ee4ed9e097",
    "biased_keys": "ce06738662982c2e292cd633327ec3a6f416eab3cfa9e3de00674fefa28b1b54",
    "heavy_tails": "62c73bce6f377bc914896e9f2308f9cabad75bda5c06cc0d2244ad29fc2c1fa8",
}
"""Of 64 rows of 48 channels from seed 7: a change of one bit changes every published figure that names its call."""


@pytest.mark.parametrize("kind", sorted(DIGESTS))
def test_numbers_are_the_same_on_every_machine(kind):
    rows = activations(kind, 64, 48, seed=7)
    assert (rows.dtype, rows.shape) == (np.float32, (64, 48))
    assert sha256(rows.astype("<f4").tobytes()).hexdigest() == DIGESTS[kind]


def words(seed, stream):
    """SplitMix64 in Python integers (Steele, Lea, Flood, OOPSLA 2014, figure 14); a stream begins 2^56 words on."""
    mask, state = (1 << 64) - 1, seed + (stream << 56) * 0x9E3779B97F4A7C15
    while True:
        state = (state + 0x9E3779B97F4A7C15) & mask
        word = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 & mask
        word = (word ^ word >> 27) * 0x94D049BB133111EB & mask
        yield word ^ word >> 31


def uniform(seed, stream, count):
    return [(word >> 11) / 2**53 for word in itertools.islice(words(seed, stream), count)]


def polar(seed, stream):
    """The polar method as its authors give it, a number at a time, with the logarithm of the C library."""
    source = words(seed, stream)
    while True:
        x, y = (2 * ((next(source) >> 11) / 2**53) - 1 for _ in range(2))
        square = x * x + y * y
        if 0 < square < 1:
            factor = math.sqrt(-2 * math.log(square) / square)
            yield from (x * factor, y * factor)


def normals(seed, stream, *shape):
    numbers = polar(seed, stream)
    return np.array([next(numbers) for _ in range(math.prod(shape))]).reshape(shape)


def test_kinds_are_what_the_documentation_says():
    normal = normals(3, 0, 20, 64)
    np.testing.assert_allclose(activations("gaussian", 20, 64, seed=3), normal, rtol=1e-7)
    tails = normal / np.sqrt((normals(3, 4, 3, 20, 64) ** 2).sum(axis=0) / 3)
    np.testing.assert_allclose(activations("heavy_tails", 20, 64, seed=3), tails, rtol=1e-7)
    places = sorted(range(64), key=uniform(3, 1, 64).__getitem__)[:2]
    marked = np.isin(np.arange(64), places)
    np.testing.assert_allclose(
        activations("outlier_channels", 20, 64, seed=3), np.where(marked, 32 * normal, normal), rtol=1e-7
    )
    bias = np.where(marked, [-16 if u < 0.5 else 16 for u in uniform(3, 2, 64)], 0)
    keys = (0.5 + np.array(uniform(3, 3, 20)))[:, None] * (normal + bias)
    np.testing.assert_allclose(activations("biased_keys", 20, 64, seed=3), keys, rtol=1e-7, atol=1e-9)


def test_moments_are_those_of_the_distribution():
    many = activations("gaussian", 1000, 500, seed=1).astype(np.float64)
    assert abs(many.mean()) < 5 / math.sqrt(many.size)
    assert many.var() == pytest.approx(1, abs=5 * math.sqrt(2 / many.size))
    assert (many**4).mean() == pytest.approx(3, abs=5 * math.sqrt(96 / many.size))
    share = (np.abs(activations("heavy_tails", 1000, 500)) > 3.182446).mean()  # the 95 % quantile of Student's t, 3
    assert share == pytest.approx(0.05, abs=5 * math.sqrt(0.05 * 0.95 / many.size))


def test_outliers_are_as_many_and_as_large_as_asked():
    plain, rows = activations("gaussian", 4, 96), activations("outlier_channels", 4, 96, outliers=5, strength=-8)
    assert sorted((rows / plain).mean(axis=0).round(3))[:6] == [-8] * 5 + [1]
    np.testing.assert_array_equal(activations("outlier_channels", 4, 8, outliers=0), activations("gaussian", 4, 8))
    assert (activations("outlier_channels", 4, 8) != activations("gaussian", 4, 8)).any(axis=0).sum() == 1


def test_a_broken_request_is_refused():
    with pytest.raises(PolicyError, match="kind = 'gauss' is unknown"):
        activations("gauss", 4, 128)
    for options in ({"rows": 0}, {"channels": 1.5}, {"seed": -1}, {"seed": True}, {"outliers": -1}, {"outliers": 129}):
        with pytest.raises(InputError, match=next(iter(options))):
            activations("outlier_channels", **{"rows": 4, "channels": 128, **options})
    for strength in (math.nan, math.inf, 1e38, "32"):
        with pytest.raises(InputError, match="strength"):
            activations("biased_keys", 4, 128, strength=strength)
    with pytest.raises(InputError, match="has no outlier channels"):
        activations("heavy_tails", 4, 128, outliers=3)


def test_outliers_are_in_the_channels_of_the_seed():
    """So rows to calibrate with and rows held out are parts of one array."""

    def largest(rows):
        return set(np.argsort(np.abs(rows).mean(axis=0))[-2:])

    calibration, held_out = np.split(activations("outlier_channels", 64, 64), 2)
    assert largest(calibration) == largest(held_out)
    assert largest(calibration) != largest(activations("outlier_channels", 32, 64, seed=1))
