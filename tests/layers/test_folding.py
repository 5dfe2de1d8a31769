"""Batch normalisation folded into weights gives the same outputs, and statistics are met again after quantisation."""

import numpy as np
import pytest

from lowbit.errors import InputError
from lowbit.layers.folding import fold_batch_norm, match_statistics


def test_folded_is_the_layer_and_the_norm():
    rng = np.random.default_rng(1)
    weight, bias, rows = rng.normal(size=(5, 7)), rng.normal(size=5), rng.normal(size=(40, 7))
    mean, variance, gamma, beta = rng.normal(size=5), rng.uniform(0.1, 3, 5), rng.normal(size=5), rng.normal(size=5)
    wanted = (rows @ weight.T + bias - mean) / np.sqrt(variance + 1e-5) * gamma + beta
    folded = fold_batch_norm(weight, bias, mean=mean, variance=variance, gamma=gamma, beta=beta)
    assert np.allclose(rows @ folded[0].T + folded[1], wanted, rtol=1e-12)
    taps = fold_batch_norm(weight.reshape(5, 1, 1, 7), None, mean=mean, variance=variance)[0]
    assert np.allclose(taps.reshape(5, 7), weight / np.sqrt(variance + 1e-5)[:, None])


def test_quantised_outputs_meet_the_statistics_again():
    rng = np.random.default_rng(2)
    weight, rows = rng.normal(size=(6, 16)), rng.normal(size=(500, 16)) + 0.5
    coarse = np.round(weight / 0.7) * 0.7
    coarse[3] = 0  # a channel that 2 bits lose
    wanted = rows @ weight.T + 0.25
    tuned, bias = match_statistics(coarse, None, rows @ coarse.T, wanted)
    outputs = rows @ tuned.T + bias
    assert np.allclose(outputs.mean(axis=0), wanted.mean(axis=0))
    varies = np.arange(6) != 3
    assert np.allclose(outputs.std(axis=0)[varies], wanted.std(axis=0)[varies])
    assert (tuned[3] == 0).all()
    # the direction of each row is the quantised one: only its length changes
    assert np.allclose(tuned[varies] * coarse[varies, :1], coarse[varies] * tuned[varies, :1])


@pytest.mark.parametrize(
    ("call", "what"),
    [
        (lambda: fold_batch_norm([[1.0]], None, mean=[0], variance=[-1]), r"variance\[0\] = -1.0 plus epsilon"),
        (lambda: fold_batch_norm([[1.0]], None, mean=[0], variance=[np.nan]), r"variance\[0\] = nan"),
        (lambda: fold_batch_norm([[1.0]], [0, 0], mean=[0], variance=[1]), r"bias has shape \(2,\), .* 1 outputs"),
        (lambda: match_statistics([[1.0]], None, [[1.0, 2.0]], [[1.0]]), r"outputs have shape \(1, 2\)"),
        (lambda: match_statistics([[1.0]], None, [[1.0]], np.zeros((0, 1))), r"wanted have shape \(0, 1\)"),
    ],
)
def test_bad_statistics_are_named(call, what):
    with pytest.raises(InputError, match=what):
        call()
