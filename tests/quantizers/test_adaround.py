"""Learned rounding: its kernels beside finite differences, and weights that stay between two values of the grid."""

import numpy as np
import pytest

from lowbit.errors import InputError
from lowbit.ops.cast.cast import decode
from lowbit.quantizers import METHODS
from lowbit.quantizers.learned.gradients import differentiable
from lowbit.quantizers.learned.soft_rounding import END, START, Neighbours, power, share, soft_rounded, undecided

pytest.importorskip("autograd")


@pytest.fixture(scope="module")
def layer():
    """Weights, and rows to learn from and others, correlated."""
    random = np.random.default_rng(5)
    rows = random.normal(size=(400, 24)) @ random.normal(size=(24, 64))
    return random.normal(size=(32, 64)), rows[:300], rows[300:]


def clamped(raw):
    """The rectified sigmoid by its definition."""
    return np.clip((END - START) / (1 + np.exp(-raw)) + START, 0, 1)


@pytest.mark.parametrize("exponent", [2.0, 3.5, 20.0])
def test_slopes_are_those_of_finite_differences(exponent):
    random = np.random.default_rng(1)
    raw = random.normal(size=(5, 40)) * 2
    lower, steps, above = (
        random.normal(size=raw.shape),
        random.uniform(0.1, 2, raw.shape),
        random.normal(size=raw.shape),
    )

    def smooth(raw):
        shares = clamped(raw)
        return ((lower + steps * shares) * above).sum(), (1 - np.abs(2 * shares - 1) ** exponent).mean()

    losses = (
        lambda own: (soft_rounded(lower, steps, own["raw"]) * above).sum(),
        lambda own: undecided(own["raw"], exponent) * 3,
    )
    assert 0 < (np.abs(raw) > np.log(11)).sum() < raw.size  # some are clamped
    for which, (loss, factor) in enumerate(zip(losses, (1, 3), strict=True)):
        value, slopes = differentiable().value_and_gradient(loss)({"raw": raw})
        assert value == pytest.approx(smooth(raw)[which] * factor, rel=1e-12)
        for place in list(np.ndindex(raw.shape))[:60]:
            ends = []
            for sign in (1, -1):
                moved = raw.copy()
                moved[place] += sign * 1e-6
                ends.append(smooth(moved)[which])
            assert slopes["raw"][place] == pytest.approx((ends[0] - ends[1]) / 2e-6 * factor, abs=2e-7)


def test_binary32_stays_binary32():
    raw = np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32) * 3

    def loss(own):
        return soft_rounded(np.zeros_like(raw), np.ones_like(raw), own["raw"]).sum() + undecided(own["raw"], 4.0)

    _, slopes = differentiable().value_and_gradient(loss)({"raw": raw})
    assert slopes["raw"].dtype == share(raw).dtype == np.float32
    np.testing.assert_allclose(share(raw), clamped(raw), atol=1e-6)


def test_the_penalty_waits_and_sharpens():
    powers = [power(step, 100, 20) for step in range(100)]
    assert powers[:20] == [None] * 20
    assert powers[20] == 20
    assert sorted(powers[20:], reverse=True) == powers[20:]
    assert 2 <= powers[-1] < 2.1


@pytest.mark.parametrize(
    "to", ["float4.channel", "float4_e2m1fn.g16", "int3.channel", "nf4.g16.by_sign", "mxfp4", "ggml_q4_0"]
)
def test_weights_stay_between_the_two_neighbours_on_the_grid(layer, to):
    weights, rows, others = layer
    result = METHODS["adaround"].quantize(weights, rows, to=to, steps=150)
    tensor, values = result.tensor, result.dequantize(dtype=np.float64)
    near = Neighbours.of(weights, tensor)
    below, above = near.values(near.lower), near.values(near.upper)
    assert ((values == below) | (values == above)).all()
    assert 0 < (values == above).sum() < values.size
    inside = below < above
    assert (below[inside] <= weights[inside]).all()
    assert (weights[inside] < above[inside]).all()
    if to == "int3.channel":
        scale = np.asarray(tensor.scales["block"], np.float64).reshape(-1, 1)
        np.testing.assert_array_equal(below[inside], (np.floor(weights / scale) * scale)[inside])
    if to == "float4_e2m1fn.g16":
        grid = np.unique(decode(np.arange(16, dtype=np.uint8), "float4_e2m1fn", dtype=np.float64))
        scale = np.repeat(np.asarray(tensor.scales["block"], np.float64), 16, axis=1)
        first = np.searchsorted(grid, weights / scale, side="right") - 1
        np.testing.assert_array_equal(below[inside], (grid[np.maximum(first, 0)] * scale)[inside])
    nearest = METHODS["adaround"].quantize(weights, rows, to=to, steps=0)
    assert result.error(weights, others) < 0.8 * nearest.error(weights, others)
    assert result.report["after"] == pytest.approx(result.error(weights, rows))
    assert result.report["undecided"] < 0.6


def test_the_start_is_the_weights_themselves(layer):
    weights = layer[0]
    near = Neighbours.of(weights, METHODS["round_to_nearest"].quantize(weights, to="float4_e2m1fn.channel").tensor)
    lower, upper = near.values(near.lower), near.values(near.upper)
    soft = lower + (upper - lower) * share(near.start(weights))
    assert np.abs(soft - weights)[upper > lower].max() < 0.011 * (upper - lower).max()


def test_elements_that_cannot_be_listed_are_refused(layer):
    with pytest.raises(InputError, match="elements of bfloat16 have 16 bits"):
        METHODS["adaround"].quantize(layer[0], layer[1], to="bfloat16.channel")
    with pytest.raises(InputError, match="llm_fp4 searches how many bits"):
        METHODS["adaround"].quantize(layer[0], layer[1], to="float9.channel")
