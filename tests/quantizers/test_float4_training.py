"""What FP4 training computes: E2M1 beside the casts, the estimator beside MS-AMP's own test and its smooth part."""

import ml_dtypes
import numpy as np
import pytest

import lowbit
from lowbit.errors import InputError, PolicyError
from lowbit.models.training.dynamic import DynamicTraining, longest_chain, shared_exponent
from lowbit.models.training.fp4 import BFLOAT16, MS_AMP, PAPER, Float4Training
from lowbit.quantizers.learned.activation import kurtosis, learned_range, outlier_ratio
from lowbit.quantizers.learned.float4 import clamped, float4, float4_slope, mean_slope, row_scales
from lowbit.quantizers.learned.gradients import differentiable

pytest.importorskip("autograd")

SLOPES_OF_MS_AMP = """0.2002 0.4375 0.6055 0.2168 1.8359 0.2695 0.3027 0.2695 0.2402 0.5781
0.5781 0.2402 0.2695 0.3027 0.2695 1.8359 0.2168 0.6055 0.4375 0.2002"""
"""Azure/MS-AMP 9746ea8, tests/operators/test_fp4_quantize.py, test_DGE: for 20 numbers from -6 to 6."""

BY_TENSOR = (
    [[0.001, 0.048, 0.0997, 0.1503, 0.2002, 0.2497, 0.2974, 0.30699, 0.4001]],
    [[0.0, 0.0625, 0.125, 0.125, 0.1875, 0.25, 0.25, 0.25, 0.375]],
)
BY_CHANNEL = (
    [[-0.01, 1.623, -2.874, 0.85], [0.48, -2.222, 3.699, -1.343], [-9.67, 24.67, -34.57, 18.88]],
    [[0.0, 1.5, -3.0, 0.75], [0.5, -2.0, 4.0, -1.5], [-8.0, 24.0, -32.0, 16.0]],
)
"""The same file, test_fp4_quant."""


def bfloat16(numbers):
    return np.asarray(numbers, np.float32).astype(ml_dtypes.bfloat16).astype(np.float32)


def gradient(function, **parts):
    return differentiable().value_and_gradient(lambda own: function(**own))(parts)[1]


def numerical(function, array, step=1e-6):
    slopes = np.empty_like(array)
    for place in np.ndindex(array.shape):
        ends = []
        for sign in (-1, 1):
            moved = array.copy()
            moved[place] += sign * step
            ends.append(function(moved))
        slopes[place] = (ends[1] - ends[0]) / (2 * step)
    return slopes


@pytest.mark.parametrize(("numbers", "expected"), [BY_TENSOR, BY_CHANNEL])
def test_quantiser_is_that_of_ms_amp(numbers, expected):
    result = float4(bfloat16(numbers), scale="power_of_two", ties="up")
    np.testing.assert_array_equal(bfloat16(result), expected)
    assert (float4(bfloat16(numbers), scale="ratio") != result).any()


def test_slopes_are_those_of_ms_amp():
    points = bfloat16(np.linspace(-6, 6, 20))
    np.testing.assert_allclose(float4_slope(points), np.array(SLOPES_OF_MS_AMP.split(), float), rtol=4e-3)
    np.testing.assert_array_equal(bfloat16(float4_slope(points)), bfloat16(np.array(SLOPES_OF_MS_AMP.split(), float)))
    beyond = np.array([-7.0, -6.0, 6.0, np.nextafter(6, 7), 7.0])
    np.testing.assert_allclose(float4_slope(beyond), [0.2 * 2**-0.8, 0.2, 0.2, 0, 0])
    np.testing.assert_allclose(float4_slope(beyond, beyond="clamped"), 0.2)


def test_values_are_those_of_the_casts():
    """All bfloat16 numbers up to 8, and those of binary32 beside every middle."""
    grid = np.arange(1 << 16, dtype=np.uint16).view(ml_dtypes.bfloat16).astype(np.float32)
    middles = np.array([0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5], np.float32)
    beside = np.concatenate([np.nextafter(middles, 0), middles, np.nextafter(middles, np.float32(9))])
    numbers = np.concatenate([grid[np.abs(grid) <= 6], beside, -beside, np.float32([6, -6])])[None]
    for ties, rounding in (("even", "nearest_even"), ("up", "nearest_up")):
        policy = lowbit.Policy(rounding=rounding, overflow="saturate")
        codes = lowbit.encode(numbers, "float4_e2m1fn", policy=policy)
        assert row_scales(numbers).tolist() == [1]
        np.testing.assert_array_equal(float4(numbers, ties=ties), lowbit.decode(codes, "float4_e2m1fn"))


def test_scales_of_both_rules():
    rows = np.array([[3.0, -1.5], [-7, 1], [0, 0]])
    np.testing.assert_array_equal(row_scales(rows), [2, 6 / 7, 1])
    np.testing.assert_array_equal(row_scales(rows, "power_of_two"), [2, 0.5, 1])


def test_the_mean_slope():
    """0.593 between any two values, by a sum over many places; 1 when it is mended, and where there is no limit."""
    assert mean_slope() == pytest.approx(0.5935, abs=1e-4)
    assert mean_slope(limit=1e300) == pytest.approx(1)
    points = (np.arange(100_000) + 0.5) / 100_000
    for low, width in ((0, 0.5), (-2, 0.5), (2, 1), (-4, 1), (4, 2), (-6, 2)):
        assert float4_slope(low + width * points).mean() == pytest.approx(mean_slope(), rel=1e-3)
    rows = np.linspace(-6, 6, 60_001)[None, :-1]
    mended = gradient(lambda x: float4(x, estimator="differentiable", gain="one").sum(), x=rows)["x"]
    assert mended.mean() == pytest.approx(1, rel=2e-3)


def test_slopes_are_those_of_the_smooth_staircase():
    """low + width / 2 * (1 + sign(t) |t|^(1/5)), t = 2 (x - low) / width - 1, wherever the slope is below 3."""
    scale = 6 / 5.9
    numbers = np.append(np.random.default_rng(0).uniform(-5.5, 5.5, 300), 5.9)[None]
    values = np.array([-6, -4, -3, -2, -1.5, -1, -0.5, 0, 0.5, 1, 1.5, 2, 3, 4, 6])

    def smooth(x):
        place = np.searchsorted(values, x * scale, side="right") - 1
        place = np.minimum(place, len(values) - 2)
        low, width = values[place], np.diff(values)[place]
        share = 2 * (x * scale - low) / width - 1
        return (low + width / 2 * (1 + np.sign(share) * np.abs(share) ** 0.2)) / scale

    own = gradient(lambda x: float4(x, estimator="differentiable").sum(), x=numbers)["x"]
    expected = (smooth(numbers + 1e-7) - smooth(numbers - 1e-7)) / 2e-7
    below = expected < 2.99
    below[0, -1] = False  # the last value's slope is that of one side
    assert below.sum() > 250
    np.testing.assert_allclose(own[below], expected[below], rtol=1e-4)
    assert (own[~below] <= 3).all()


def test_outliers_are_cut_and_compensated():
    random = np.random.default_rng(0)
    inputs, weights = random.normal(size=(32, 200)), random.normal(size=(8, 200)) / 14
    inputs[:, 7] *= 30
    cut = clamped(inputs, 0.99, over="row")
    ordered = np.sort(inputs, axis=1)
    np.testing.assert_array_equal(cut, np.clip(inputs, ordered[:, 2, None], ordered[:, 198, None]))
    np.testing.assert_array_equal(clamped(inputs[:, :96], 0.99, over="row"), inputs[:, :96])  # the last place
    slopes = {
        passes: gradient(lambda x, p=passes: clamped(x, 0.99, passes=p).sum(), x=inputs)["x"] for passes in (0, 1)
    }
    np.testing.assert_array_equal(slopes[0], clamped(inputs, 0.99) == inputs)
    assert (slopes[1] == 1).all()
    plain = np.delete(inputs, 7, 1) @ np.delete(weights, 7, 1).T
    errors = {}
    for words, own in (("none", {}), ("cut", {"share": 0.97}), ("paper", {"share": 0.97, "compensation": "weights"})):
        whole = Float4Training(**own, over="row").product("", inputs, weights)
        errors[words] = np.abs(whole - inputs @ weights.T).mean() / np.abs(plain).mean()
    assert errors["paper"] < 0.5 * errors["none"] < errors["cut"]  # a cut alone is worse than none


@pytest.mark.parametrize("rule", [PAPER, MS_AMP, Float4Training(share=0.9, compensation="rounded_weights")])
def test_products_keep_shapes_and_have_slopes(rule):
    random = np.random.default_rng(1)
    inputs = random.normal(size=(2, 5, 64)).astype(np.float32)
    weights = random.normal(size=(3, 64)).astype(np.float32)
    slopes = gradient(lambda x, w: (rule.product("", x, w) ** 2).sum(), x=inputs, w=weights)
    assert rule.product("", inputs, weights).shape == (2, 5, 3)
    assert {name: slope.shape for name, slope in slopes.items()} == {"x": inputs.shape, "w": weights.shape}
    assert all(slope.dtype == np.float32 and slope.any() for slope in slopes.values())


def test_bad_choices_of_float4_are_refused():
    with pytest.raises(PolicyError, match="ties"):
        Float4Training(ties="odd")
    with pytest.raises(PolicyError, match="estimator"):
        float4(np.ones((2, 2)), estimator="magic")
    with pytest.raises(InputError, match=r"share = 0.4"):
        Float4Training(share=0.4)
    with pytest.raises(InputError, match=r"share of 2"):
        clamped(np.ones((2, 2)), 2)


def test_bfloat16_products():
    random = np.random.default_rng(1)
    inputs, weights = (random.normal(size=(4, 6)).astype(np.float32) for _ in range(2))
    np.testing.assert_array_equal(BFLOAT16("", inputs, weights), bfloat16(inputs) @ bfloat16(weights).T)


@pytest.mark.parametrize("bits", range(16, 8, -1))
def test_chains_of_training_cannot_overflow(bits):
    """For operands of the largest magnitude the proof's chain is exact, and training takes no longer one."""
    limit = (1 << (bits - 1)) - 1
    chain = longest_chain(bits)
    assert chain * limit**2 < 1 << 31 <= (chain + 1) * limit**2
    assert lowbit.largest_safe_k("int32", (-limit, limit), (-limit, limit)).k == chain
    with pytest.raises(InputError, match=rf"chain = {chain + 1} may overflow"):
        DynamicTraining(bits, chain + 1)
    worst = np.full((1, 2 * chain + 1), 1.999999, np.float32)
    codes, exponent = shared_exponent(worst, bits)
    assert (codes == limit).all()
    result = DynamicTraining(bits).matmul(worst, worst.T)
    assert result[0, 0] == pytest.approx(worst.size * float(limit) ** 2 * 4.0**exponent, rel=1e-6)


def test_products_of_dynamic_fixed_point_forwards_and_backwards():
    random = np.random.default_rng(2)
    inputs = random.normal(size=(2, 5, 33)).astype(np.float32)
    weights = random.normal(size=(7, 33)).astype(np.float32)
    above = random.normal(size=(2, 5, 7)).astype(np.float32)
    for bits, error in ((16, 1e-3), (12, 1e-2)):
        own = DynamicTraining(bits)
        slopes = gradient(lambda x, w, own=own: (own.product("", x, w) * above).sum(), x=inputs, w=weights)
        rows = above.reshape(10, 7)
        pairs = [
            (own.product("", inputs, weights), inputs @ weights.T),
            (slopes["x"], above @ weights),
            (slopes["w"], rows.T @ inputs.reshape(10, 33)),
        ]
        for got, exact in pairs:
            assert got.dtype == np.float32
            assert got.shape == exact.shape
            assert np.abs(got - exact).max() < error * np.abs(exact).max()
    with pytest.raises(InputError, match="bits = 17"):
        DynamicTraining(17)


def test_learned_ranges_have_the_slopes_of_their_smooth_part():
    random = np.random.default_rng(0)
    values, ends, above = random.normal(size=(7, 9)) * 2, np.array([-2.1, 3.3]), random.normal(size=(7, 9))
    scale = 15 / (ends[1] - ends[0])
    zero = np.rint(scale * ends[0])
    share = scale * values - zero
    error, codes = np.rint(share) - share, np.clip(np.rint(scale * np.clip(values, *ends) - zero), 0, 15)

    def smooth(values, ends):  # rounding errors stay, and so does the zero point's
        inside = values + error * (ends[1] - ends[0]) / 15
        return (np.where(values >= ends[1], ends[1], np.where(values <= ends[0], ends[0], inside)) * above).sum()

    np.testing.assert_allclose(learned_range(values, ends), (codes + zero) / scale, rtol=1e-12)
    assert 0 in learned_range(np.zeros(1), ends)
    own = gradient(lambda x, e: (learned_range(x, e) * above).sum(), x=values, e=ends)
    np.testing.assert_allclose(own["x"], numerical(lambda x: smooth(x, ends), values), atol=1e-6)
    np.testing.assert_allclose(own["e"], numerical(lambda e: smooth(values, e), ends), atol=1e-6)
    whole = np.array([values.min(), values.max()])
    np.testing.assert_array_equal(learned_range(values), learned_range(values, whole))
    assert (gradient(lambda x: learned_range(x).sum(), x=values)["x"] == 1).all()
    assert not learned_range(np.zeros((2, 2))).any()
    with pytest.raises(InputError, match=r"range from 1\.0 to 1\.0"):
        learned_range(values, [1.0, 1.0])


def test_kurtosis_and_its_slopes():
    random = np.random.default_rng(0)
    values, above = random.normal(size=(3, 11)) ** 3, random.normal(size=3)
    centred = values - values.mean(axis=1, keepdims=True)
    expected = (centred**4).mean(axis=1) / (centred**2).mean(axis=1) ** 2
    np.testing.assert_allclose(kurtosis(values), expected, rtol=1e-12)
    own = gradient(lambda x: (kurtosis(x) * above).sum(), x=values)["x"]
    np.testing.assert_allclose(
        own, numerical(lambda x: float((kurtosis(x) * above).sum()), values), rtol=1e-5, atol=1e-8
    )
    assert kurtosis(np.array([[-1.0, 1.0], [2.0, 2.0]])).tolist() == [1, 0]
    assert not gradient(lambda x: kurtosis(x).sum(), x=np.ones((2, 4)))["x"].any()
    alone = np.eye(1, 1000)
    assert kurtosis(alone)[0] == pytest.approx(1000, rel=3e-3)
    assert outlier_ratio(np.array([[1.0, -2.0, 3.0], [0.5, 1.0, -30.0]])) == 15
