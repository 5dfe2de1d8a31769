"""Choices between two vectors of a table: how they begin, are learned, and are made for good."""

import numpy as np
import pytest

from lowbit.errors import InputError, PolicyError
from lowbit.quantizers import vector_quantization, vq4dit
from lowbit.quantizers.learned.gradients import differentiable
from lowbit.quantizers.learned.optimizers import RMSprop
from lowbit.quantizers.learned.vq4dit import FROZEN, Candidates, doubt, frozen, shares, watched

pytest.importorskip("autograd")
RANDOM = np.random.default_rng(2)
WEIGHTS = RANDOM.normal(size=(8, 32))
ROWS = RANDOM.normal(size=(80, 6)) @ RANDOM.normal(size=(6, 32))


def test_it_begins_as_the_mixture_by_distances():
    nearest = vector_quantization(WEIGHTS, to="table3.vector4", variant="official")
    candidates, start = Candidates.of(nearest)
    vectors, two = WEIGHTS.reshape(-1, 4), start["table"][candidates.places].astype(np.float64)
    first, second = (np.sqrt(((vectors - two[:, place]) ** 2).sum(axis=1)) for place in (0, 1))
    assert (first <= second).all()
    share = second / (first + second)
    mixed = share[:, None] * two[:, 0] + (1 - share)[:, None] * two[:, 1]
    np.testing.assert_allclose(candidates.values(**start).reshape(-1, 4), mixed, atol=1e-5)
    np.testing.assert_array_equal(candidates.chosen(**start).codes, nearest.tensor.codes)


def test_choosing_lowers_the_error_of_outputs():
    result = vq4dit(WEIGHTS, ROWS, to="table3.vector4", steps=150)
    assert result.report["after"] < 0.6 * result.report["nearest"]
    assert result.report["after"] == pytest.approx(result.error(WEIGHTS, ROWS))
    candidates, _ = Candidates.of(vector_quantization(WEIGHTS, to="table3.vector4", variant="official"))
    codes = result.tensor.codes.reshape(-1, 1)
    assert (codes == candidates.places).any(axis=1).all()
    assert (codes == candidates.places).all(axis=0).sum() == 0
    assert vq4dit(WEIGHTS, ROWS, to="table3.vector4", steps=150).report["losses"] == result.report["losses"]


def test_one_logit_moves_as_two_under_half_the_rate():
    optimizer, slopes = RMSprop(alpha=0.9), np.random.default_rng(0).normal(size=40)
    two, states, one = [0.3, 0.0], [optimizer.start(np.zeros(1))] * 2, np.array([0.3])
    state = optimizer.start(one)
    for step, slope in enumerate(slopes, 1):  # by a softmax's first logit; the second has the opposite slope
        for place, sign in enumerate((1, -1)):
            moved, states[place] = optimizer.moved(
                np.array([two[place]]), np.array([sign * slope]), states[place], step, 0.05
            )
            two[place] = float(moved[0])
        one, state = optimizer.moved(one, np.array([slope]), state, step, 0.1)
    assert two[0] - two[1] == pytest.approx(float(one[0]))


def test_choices_are_made_for_good():
    logit = np.log(0.995 / 0.005)
    ratio = np.array([logit, -logit, 0.3, -0.2], np.float32)
    assert frozen({"ratio": ratio, "table": ratio})["ratio"].tolist() == [
        FROZEN,
        -FROZEN,
        np.float32(0.3),
        np.float32(-0.2),
    ]
    many = np.array([logit] * 100 + [-0.1], np.float32)  # 100 of 101 are more than 0.99 of them
    assert frozen({"a.ratio": many})["a.ratio"].tolist() == [FROZEN] * 100 + [-FROZEN]
    _, slopes = differentiable().value_and_gradient(lambda own: (shares(own["x"]) * 3).sum())(
        {"x": np.array([FROZEN, 0])}
    )
    assert slopes["x"].tolist() == [0, 0.75]
    assert shares(np.array([FROZEN, -FROZEN])).tolist() == [1, 0]


def test_the_table_is_learned_once_all_choices_are_made():
    candidates = Candidates(np.array([[0, 1], [2, 1]]), (1, 4))
    table = np.arange(6.0).reshape(3, 2)

    def slopes(ratio):
        own = {"ratio": np.array(ratio), "table": table}
        return differentiable().value_and_gradient(lambda own: (candidates.values(**own) ** 2).sum())(own)[1]

    open_ones, made = slopes([0.4, FROZEN]), slopes([FROZEN, FROZEN])
    assert not open_ones["table"].any()
    assert open_ones["ratio"][0] != 0
    assert made["table"].tolist() == [[0, 2], [0, 0], [8, 10]]
    assert not made["ratio"].any()


def test_doubt_counts_where_it_has_not_fallen():
    start = {"ratio": np.array([0.0, 0.0]), "table": np.zeros((2, 1))}
    watch = watched(start, "official")
    assert doubt({"ratio": start["ratio"]}) == 0.5
    counted, learned = [], watch.start
    for logit in (1.0, 0.5, 0.8, 1.5):
        counted.append(bool(watch.penalty(learned, 0)))
        learned = watch.after({**learned, "ratio": np.array([logit, logit])})
    assert counted == [False, False, True, True]
    assert not watch.penalty(learned, 0)
    learned = watch.after({**learned, "watch": np.array([49.0, 0.1, 1.0])})
    assert learned["watch"].tolist() == [50, pytest.approx(doubt({"ratio": learned["ratio"]})), 0]
    assert watched(start, "paper").penalty(learned, 0) > 0
    assert doubt({"ratio": np.array([FROZEN])}) == 0


def test_bad_input_is_refused():
    with pytest.raises(InputError, match="vq4dit needs activations"):
        vq4dit(WEIGHTS)
    with pytest.raises(InputError, match=r"'int4\.g32' does not say them"):
        vq4dit(WEIGHTS, ROWS, to="int4.g32")
    with pytest.raises(PolicyError, match="variant"):
        vq4dit(WEIGHTS, ROWS, variant="soft")
    with pytest.raises(InputError, match="seed = None"):
        vq4dit(WEIGHTS, ROWS, seed=None)
