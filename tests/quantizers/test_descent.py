"""Estimators beside the slopes of their smooth parts, and the loop that learns."""

import numpy as np
import pytest

from lowbit.errors import InputError, PolicyError
from lowbit.quantizers import METHODS
from lowbit.quantizers.learned.descent import Settings, descend
from lowbit.quantizers.learned.estimators import ESTIMATORS, fake_quantize, round_through
from lowbit.quantizers.learned.gradients import differentiable
from lowbit.quantizers.learned.optimizers import Adam, RMSprop, rate_of, share
from lowbit.quantizers.learned.reconstruction import reconstruct

pytest.importorskip("autograd")
LOW, HIGH = 0, 15


def surrogate(values, scale, zero, estimator):
    """The estimators as published: the rounding's error is a constant, and so is what is clamped."""
    share = values / scale
    code = np.rint(share) + zero
    asked = code if estimator == "straight_through" else share + zero
    inside, error = (asked >= LOW) & (asked <= HIGH), np.rint(share) - share
    bound = np.clip(code, LOW, HIGH)

    def smooth(values, scale, zero):
        within = (values / scale + error) * scale if estimator != "pact" else values + error * 1.0
        return np.where(inside, within, (bound - zero) * scale)

    return smooth


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("shape", [(3, 1, 1), (3, 4, 1), (1,), ()])
def test_slopes_are_those_of_the_smooth_part(estimator, shape):
    random = np.random.default_rng(1)
    values = random.normal(size=(3, 4, 5)) * 4
    parts = {"values": values, "scale": random.uniform(0.3, 0.6, shape), "zero": np.full(shape, 7.0)}
    above = random.normal(size=values.shape)

    def loss(own):
        result = fake_quantize(own["values"], own["scale"], own["zero"], low=LOW, high=HIGH, estimator=estimator)
        return (result * above).sum()

    value, slopes = differentiable().value_and_gradient(loss)(parts)
    codes = np.clip(np.rint(values / parts["scale"]) + 7, LOW, HIGH)
    assert value == pytest.approx(((codes - 7) * parts["scale"] * above).sum(), rel=1e-12)
    assert 0 < (codes == HIGH).sum() < codes.size
    smooth = surrogate(values, parts["scale"], parts["zero"], estimator)
    for name, array in parts.items():
        for place in list(np.ndindex(array.shape))[:7]:
            moved = {}
            for sign in (-1, 1):
                other = {key: one.copy() for key, one in parts.items()}
                other[name][place] += sign * 1e-6
                moved[sign] = (smooth(*other.values()) * above).sum()
            assert slopes[name][place] == pytest.approx((moved[1] - moved[-1]) / 2e-6, abs=1e-6)


def test_binary32_stays_binary32_and_equals_the_plain_formula():
    values = np.random.default_rng(0).normal(size=(8, 32)).astype(np.float32)
    scale = (np.abs(values).max(axis=1, keepdims=True) / np.float32(7)).astype(np.float32)
    result = fake_quantize(values, scale, low=-8, high=7)
    assert result.dtype == np.float32
    np.testing.assert_array_equal(result, np.clip(np.rint(values / scale), -8, 7) * scale)
    _, slopes = differentiable().value_and_gradient(
        lambda own: fake_quantize(own["x"], own["s"], low=-8, high=7).sum()
    )({"x": values, "s": scale})
    assert {slope.dtype for slope in slopes.values()} == {np.dtype(np.float32)}


def test_bad_scales_and_estimators_are_refused():
    with pytest.raises(InputError, match=r"scales of shape \(1, 4\) do not fit values of shape \(3, 4\)"):
        fake_quantize(np.ones((3, 4)), np.ones((1, 4)), low=0, high=1)
    with pytest.raises(PolicyError, match="estimator"):
        fake_quantize(np.ones(3), 1.0, low=0, high=1, estimator="magic")


def test_rounding_passes_slopes_on():
    value, slope = differentiable().value_and_gradient(lambda own: (round_through(own["x"]) * 3).sum())(
        {"x": np.array([0.5, 1.5])}
    )
    assert value == 6
    np.testing.assert_array_equal(slope["x"], [3, 3])


def test_the_optimisers_are_pytorchs():
    torch = pytest.importorskip("torch")
    random = np.random.default_rng(3)
    start, slopes = random.normal(size=7), random.normal(size=(20, 7))
    for own, other in [
        (Adam(), lambda p: torch.optim.Adam(p, lr=0.1)),
        (Adam(decay=0.2, betas=(0.8, 0.9)), lambda p: torch.optim.AdamW(p, lr=0.1, betas=(0.8, 0.9), weight_decay=0.2)),
        (RMSprop(alpha=0.9), lambda p: torch.optim.RMSprop(p, lr=0.1, alpha=0.9)),
    ]:
        tensor = torch.tensor(start.copy(), requires_grad=True)
        theirs, value, state = other([tensor]), start, own.start(start)
        for step, slope in enumerate(slopes, 1):
            tensor.grad = torch.tensor(slope)
            theirs.step()
            value, state = own.moved(value, slope, state, step, 0.1)
        np.testing.assert_allclose(value, tensor.detach().numpy(), rtol=1e-12)


def test_rates_by_name_and_schedules():
    rates = {"": 1.0, ".bias": 2.0, "last.bias": 3.0}
    assert [rate_of(name, rates) for name in ("weight", "first.bias", "last.bias")] == [1.0, 2.0, 3.0]
    assert rate_of("weight", {".bias": 2.0}) == 0
    assert [share("linear", step, 4) for step in range(4)] == [1.0, 0.75, 0.5, 0.25]
    assert share("cosine", 5, 10) == pytest.approx(0.5)
    assert [share("constant", step, 9, warm_up=4) for step in (0, 3, 4)] == [0.25, 1.0, 1.0]


def curve(own, step, random):
    return ((own["x"] - random.normal(size=3)) ** 2).sum() + (own["still"] ** 2).sum()


BEGIN = {"x": np.full(3, 9.0), "still": np.ones(2)}


def test_an_interrupted_run_goes_on_to_the_same_bits(tmp_path):
    settings = Settings(40, 7, {"x": 0.1}, schedule="cosine")
    whole = descend(curve, BEGIN, settings)
    assert whole.losses[-1] < whole.losses[0]
    np.testing.assert_array_equal(whole.parameters["still"], BEGIN["still"])

    def stops(own, step, random):
        if step == 23:
            raise KeyboardInterrupt
        return curve(own, step, random)

    with pytest.raises(KeyboardInterrupt):
        descend(stops, BEGIN, settings, file=tmp_path / "run.npz", every=10)
    seen = []
    again = descend(
        curve, BEGIN, settings, file=tmp_path / "run.npz", progress=lambda done, steps, value: seen.append(done)
    )
    assert seen[0] == 21
    assert again.losses == whole.losses
    np.testing.assert_array_equal(again.parameters["x"], whole.parameters["x"])
    with pytest.raises(InputError, match="of other settings or other parameters"):
        descend(curve, BEGIN, Settings(40, 8, {"x": 0.1}, schedule="cosine"), file=tmp_path / "run.npz")
    (tmp_path / "run.npz").write_bytes(b"PK what")
    with pytest.raises(InputError, match="does not hold what was learned"):
        descend(curve, BEGIN, settings, file=tmp_path / "run.npz")


def test_diverging_says_the_step_and_the_value():
    with pytest.raises(InputError, match=r"learning diverges: the loss of step 3 is nan"):
        descend(lambda own, step, _: own["x"].sum() * (np.nan if step == 3 else 1), BEGIN, Settings(9, 0, {"x": 1.0}))
    begin = {"x": np.ones(3, np.float32)}
    with pytest.raises(InputError, match=r"learning diverges: x after step 0 is -inf \(loss 3\)"):
        descend(lambda own, *_: (own["x"] ** 2).sum(), begin, Settings(9, 0, {"x": 1e39}))
    # a square that overflows would leave the parameters where they are, with finite losses, to the last step
    with pytest.raises(InputError, match=r"learning diverges: square of x after step 1 is inf \(loss 3e\+36\)"):
        descend(lambda own, *_: (own["x"] ** 4).sum(), begin, Settings(9, 0, {"x": 1e9}))
    weights, rows = np.eye(4, 32, dtype=np.float32), np.eye(8, 32, dtype=np.float32)
    with pytest.raises(
        InputError, match=r"learning diverges: step 1 goes beyond its arithmetic \(overflow.*loss 5.96046e-08 before"
    ):
        METHODS["lr_qat"].quantize(weights, rows, steps=3, rate=1e300)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"seed": None}, "the seed is None"),
        ({"steps": -1}, "steps = -1 cannot be taken"),
        ({"steps": 1.5}, "steps = 1.5 cannot be taken"),
        ({"rates": {"x": -1.0}}, "the rate 'x' is -1.0"),
        ({"rates": {"": np.nan}}, "the rate '' is nan"),
    ],
)
def test_wrong_settings_are_refused(wrong, words):
    with pytest.raises(InputError, match=words):
        Settings(**({"steps": 9, "seed": 0, "rates": {"x": 1.0}} | wrong))


def test_no_steps_between_writings_are_refused(tmp_path):
    with pytest.raises(InputError, match="every = 0 is not a whole number from 1 on"):
        descend(curve, BEGIN, Settings(2, 0, {"x": 1.0}), file=tmp_path / "run.npz", every=0)


def test_a_layers_weights_are_reconstructed():
    random = np.random.default_rng(0)
    weights = random.normal(size=(6, 16))
    inputs = [random.normal(size=(20, 16)) @ random.normal(size=(16, 16)) for _ in range(4)]
    scale = np.abs(weights).max(axis=1, keepdims=True) / 3

    def forward(own, values):
        return values @ fake_quantize(own["weight"], own["scale"], low=-4, high=3).T

    settings = Settings(300, 0, {"weight": 1e-3, "scale": 3e-3}, schedule="cosine")
    targets = [one @ weights.T for one in inputs]
    result = reconstruct(forward, {"weight": weights, "scale": scale}, inputs, targets, settings, batch=4)
    assert result.after < 0.8 * result.before
    with pytest.raises(InputError, match="4 samples of inputs and 3 of outputs"):
        reconstruct(forward, {"weight": weights, "scale": scale}, inputs, targets[:3], settings)
