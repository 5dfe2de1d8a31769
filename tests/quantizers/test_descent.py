"""Estimators beside the slopes of their smooth parts, and the loop that learns."""

import re

import numpy as np
import pytest

from lowbit.errors import InputError, PolicyError
from lowbit.models.training import omniquant
from lowbit.models.training.mobilequant import MobileQuant
from lowbit.models.training.mrem import Plan
from lowbit.models.training.tuning import tune_low_rank, tune_scales
from lowbit.quantizers import METHODS
from lowbit.quantizers.learned.descent import Settings, descend, kept
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
        ({"seed": None}, "seed = None is not a whole number from 0 on"),
        ({"seed": -1}, "seed = -1 is not a whole number from 0 on"),
        ({"steps": -1}, "steps = -1 is not a whole number from 0 to 1000000"),
        ({"steps": 1.5}, "steps = 1.5 is not a whole number"),
        ({"steps": True}, "steps = True is not a whole number"),
        ({"rates": {"x": -1.0}}, "the rate 'x' = -1.0 is not a number from 0 on"),
        ({"rates": {"": np.nan}}, "the rate '' = nan is not a number from 0 on"),
        ({"rates": {"x": np.inf}}, "the rate 'x' = inf is not a number from 0 on"),
        ({"rates": {"x": "0.1"}}, "the rate 'x' = '0.1' is not a number from 0 on"),
        ({"rates": 0.1}, "rates = 0.1 is not a mapping from ends of names to rates"),
        ({"rates": {0: 0.1}}, "rates = {0: 0.1} is not a mapping from ends of names to rates"),
        ({"longest": 0}, "longest = 0 is not a number above 0"),
        ({"longest": -1.0}, "longest = -1.0 is not a number above 0"),
        ({"longest": np.nan}, "longest = nan is not a number above 0"),
        ({"warm_up": -1}, "warm_up = -1 is not a whole number from 0 on"),
        ({"optimizer": "adam"}, "optimizer = 'adam' does not move parameters"),
        ({"subject": 3}, "subject = 3 is not a text"),
    ],
)
def test_wrong_settings_are_refused(wrong, words):
    with pytest.raises(InputError, match=re.escape(words)) as refusal:
        Settings(**({"steps": 9, "seed": 0, "rates": {"x": 1.0}} | wrong))
    assert refusal.value.hint


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Adam(betas=(0.9, 1)), "beta = 1 is not a number from 0 to below 1"),
        (lambda: Adam(epsilon=0), "epsilon = 0 is not a number above 0"),
        (lambda: Adam(decay=np.inf), "decay = inf is not a number from 0 on"),
        (lambda: RMSprop(alpha=-0.1), "alpha = -0.1 is not a number from 0 to below 1"),
        (lambda: RMSprop(epsilon=np.nan), "epsilon = nan is not a number above 0"),
        (lambda: descend(curve, BEGIN, Settings(1, 0, {"x": 1.0, "y": 1.0})), "the rate 'y' is of no parameter"),
        (lambda: descend(curve, BEGIN, Settings(1, 0, {"x": 1.0}), until=-1), "until = -1 is not a whole number"),
        (lambda: reconstruct(None, {}, [0], [0], Settings(0, 0, {}), batch=0), "batch = 0 is not a whole number"),
        (lambda: omniquant.Choices("int4.channel", 1, 0, clip_rate=np.nan), "clip_rate = nan is not a number"),
        (lambda: omniquant.Choices("int4.channel", 1, 0, batch=-1), "batch = -1 is not a whole number from 1 on"),
        (lambda: omniquant.Choices("int4.channel", 1, 0, activations=1), "activations = 1 is not a whole number"),
        (lambda: MobileQuant(1, 0, weights=1), "weights = 1 is not a whole number from 2 to 16"),
        (lambda: MobileQuant(1, 0, zero_rate=-1), "zero_rate = -1 is not a number from 0 on"),
        (lambda: Plan(1, 0, batch=0), "batch = 0 is not a whole number from 1 on"),
        (lambda: Plan(1, 0, rates=None), "rates = None is not a mapping"),
        (lambda: tune_scales(None, {}, steps=1, seed=0, rate=-1), "rate = -1 is not a number from 0 on"),
        (lambda: tune_low_rank(None, "int4", steps=1, seed=0, rank=0), "rank = 0 is not a whole number from 1 on"),
    ],
)
def test_settings_of_optimisers_blocks_and_trainings_are_refused(make, words):
    with pytest.raises(InputError, match=re.escape(words)) as refusal:
        make()
    assert refusal.value.hint


@pytest.mark.parametrize("method", ["adaquant", "omniquant", "adaround", "vq4dit", "lr_qat", "intlora", "nupes"])
@pytest.mark.parametrize(
    ("option", "value"),
    [("steps", -1), ("steps", 10**7), ("steps", 2.0), ("batch", 0), ("seed", -1), ("rate", -1.0), ("rate", np.nan)],
)
def test_settings_of_every_method_are_refused(method, option, value):
    options = {"steps": 1} | {option: value}
    if option in METHODS[method].options:
        with pytest.raises(InputError, match=f"{option} = {value} is not a "):
            METHODS[method].quantize(np.eye(4, 32), np.eye(8, 32), **options)


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("omniquant", {"to": "int4.channel.asymmetric", "rate": 1e4}),
        ("lr_qat", {"rate": 1e6}),
        ("lr_qat", {"rate": 1e6, "variant": "integer"}),
        ("intlora", {"rate": 1e4}),
        ("intlora", {"rate": 1e4, "variant": "shift"}),
        ("nupes", {"rate": 1e6}),
    ],
)
def test_what_learning_made_far_worse_is_not_returned(method, options):
    random = np.random.default_rng(0)
    weights, rows = random.normal(size=(8, 32)), random.normal(size=(64, 32))
    result = METHODS[method].quantize(weights, rows, steps=20, **options)
    assert result.report["kept"] == "start"
    assert result.report["after"] == result.report["before"] < 0.2
    assert result.error(weights, rows) == pytest.approx(result.report["before"], rel=1e-4)


@pytest.mark.parametrize("method", ["adaquant", "omniquant", "adaround", "lr_qat", "nupes"])
def test_outputs_that_binary32_cannot_measure_are_refused(method):
    weights = np.random.default_rng(0).normal(size=(4, 32)) * 1e-22
    options = {"to": "int4.channel.float32" if method != "omniquant" else "int4.channel.asymmetric.float32", "steps": 2}
    with pytest.raises(InputError, match=r"mean square .*, too small to learn from in binary32") as refusal:
        METHODS[method].quantize(weights, np.eye(40, 32), **options)
    assert "ordinary size" in refusal.value.hint


@pytest.mark.parametrize(("method", "to"), [("vector_quantization", "table3.vector4"), ("intlora", None)])
def test_weights_that_would_all_be_0_are_refused_whatever_is_stored(method, to):
    weights = np.random.default_rng(0).normal(size=(4, 32)) * 1e-310
    with pytest.raises(InputError, match="all weights would be 0 in what the method stores"):
        METHODS[method].quantize(weights, **({"to": to} if to else {}))


def test_errors_that_are_not_finite_are_refused():
    with pytest.raises(InputError, match="the error is not finite") as refusal:
        kept(1.0, 2.0, lambda _: np.nan)
    assert "finite numbers" in refusal.value.hint
    with pytest.raises(InputError, match="the loss of step 0 is nan") as refusal:
        descend(lambda own, *_: own["x"].sum() * np.nan, BEGIN, Settings(9, 0, {"x": 1.0}))
    assert "nothing is learned yet" in refusal.value.hint


def test_the_rule_is_twice_the_error_and_tells_both():
    assert kept(1.0, 2.0, lambda one: one) == (2.0, (1.0, 2.0, "learned"))
    assert kept(1.0, 2.1, lambda one: one) == (1.0, (1.0, 1.0, "start"))
    assert kept(0.0, 1e-9, lambda one: one) == (0.0, (0.0, 0.0, "start"))
    assert kept(1.0, np.nan, lambda one: one)[1] == (1.0, 1.0, "start")
    assert kept(np.float32(1), np.float32(1e30), lambda one: one * one)[1].kept == "start"


def test_a_training_whose_losses_rise_far_is_refused():
    begin = {"x": np.full(3, 2.0)}

    def loss(own, *_):
        return (own["x"] ** 2).sum()

    with pytest.raises(InputError, match=r"the loss is \d{5,} in the last steps and was 12 in the first") as refusal:
        descend(loss, begin, Settings(9, 0, {"x": 1e3}))
    assert "lower rate" in refusal.value.hint
    assert descend(loss, begin, Settings(9, 0, {"x": 1e3}), judged=True).losses[-1] > 1e5
    assert len(descend(loss, begin, Settings(9, 0, {"x": 1e3}), until=8).losses) == 8


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
