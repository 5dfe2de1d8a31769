"""decoupleQ: scales are the best for their integers, and no round is worse than the one before."""

from itertools import product

import numpy as np
import pytest

from lowbit.errors import InputError
from lowbit.quantizers import decoupleq, gptq
from tests.thinned import thinned


@pytest.fixture(scope="module")
def layer():
    random = np.random.default_rng(21)
    mixed = random.normal(size=(400, 128)) @ random.normal(size=(128, 128)) / 10
    return random.normal(size=(24, 128)) + 0.1, mixed


@pytest.mark.parametrize(
    ("fmt", "variant"),
    thinned(product(("int2.channel", "int2.g32", "int3.channel"), ("paper", "activation_order")), 2),
)
def test_no_round_is_worse(layer, fmt, variant):
    weights, activations = layer
    result = decoupleq(weights, activations, to=fmt, variant=variant)
    losses = result.report["losses"]
    assert len(losses) == 5
    assert (np.diff(losses) <= 0).all()
    assert losses[-1] < losses[0]
    half = 1 << int(fmt[3]) - 1
    assert -half <= result.tensor.codes.min() <= result.tensor.codes.max() < half


def test_two_bits_are_far_better_than_error_feedback_alone(layer):
    weights, activations = layer
    ours = decoupleq(weights, activations, to="int2.channel").error(weights, activations)
    assert ours < 0.6 * gptq(weights, activations, to="int2.channel.asymmetric").error(weights, activations)


def test_scales_are_the_best_for_their_integers(layer):
    weights, activations = layer
    for fmt, blocks in (("int2.channel", 1), ("int2.g64", 2)):
        result = decoupleq(weights, activations, to=fmt)
        length = 128 // blocks
        gram = activations.T @ activations
        gram += 0.01 * np.diag(gram).mean() * np.eye(128)

        def loss(scale, offset, codes=result.tensor.codes, gram=gram, length=length):
            values = codes * np.repeat(scale, length, axis=1) + np.repeat(offset, length, axis=1)
            return np.einsum("ij,ij->i", (weights - values) @ gram, weights - values)

        scale, offset = (result.tensor.scales[name].astype(np.float64) for name in ("block", "offset"))
        best = loss(scale, offset)
        for change in (1e-3, -1e-3):
            for block in range(blocks):
                step = np.zeros((24, blocks))
                step[:, block] = change
                # the last step of a row may have been its integers, to which the scales are not fitted again
                assert np.median(loss(scale + step * scale, offset) - best) > 0
                assert np.median(loss(scale, offset + step * scale) - best) > 0


def test_a_negative_factor_is_held():
    random = np.random.default_rng(3)
    rows = random.normal(size=(64, 8))
    weights = np.array([[1.0, 1, 1, 1, 1, 1, 1, -3]])
    result = decoupleq(weights, rows, to="int2.channel", iterations=6)
    assert result.error(weights, rows) < 1e-9


def test_bad_requests_are_refused(layer):
    weights, activations = layer
    with pytest.raises(InputError, match="integers of 2 to 8 bits"):
        decoupleq(weights, activations, to="float4_e2m1fn.channel")
    with pytest.raises(InputError, match="singular"):
        decoupleq(weights, activations[:10], to="int2.channel", damping=0.0)
