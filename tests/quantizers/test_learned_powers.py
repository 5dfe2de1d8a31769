"""NUPES learned: the slope by the exponent, what is learned on beside what is stored, squares at the exponent 1/2."""

from fractions import Fraction

import numpy as np
import pytest

import lowbit
from lowbit.errors import InputError
from lowbit.quantizers import METHODS
from lowbit.quantizers.learned.gradients import differentiable
from lowbit.quantizers.learned.power_grid import PowerGrid, on_power_grid

pytest.importorskip("autograd")
STEPS = 7


@pytest.fixture(scope="module")
def layer():
    """Weights, and rows to learn from and others, correlated."""
    random = np.random.default_rng(5)
    rows = random.normal(size=(400, 24)) @ random.normal(size=(24, 64))
    return random.normal(size=(32, 64)) ** 3, rows[:300], rows[300:]


@pytest.mark.parametrize("power", [0.5, 0.69, 1.3])
def test_slopes_are_those_of_the_smooth_part(power):
    random = np.random.default_rng(1)
    numbers, above = random.uniform(-1, 1, (3, 40)), random.normal(size=(3, 40))
    numbers[0, :2] = 1, -1

    def smooth(exponent):
        """The rounding's error is a constant, and a code of 0 stays."""
        place = np.abs(numbers) ** power
        code = np.rint(place * STEPS) / STEPS
        moved = np.where(code > 0, np.abs(numbers) ** exponent + code - place, 0)
        return (np.sign(numbers) * moved ** (1 / exponent) * above).sum()

    value, slopes = differentiable().value_and_gradient(
        lambda own: (on_power_grid(own["numbers"], own["power"], STEPS) * above).sum()
    )({"numbers": numbers, "power": np.array([power])})
    assert value == pytest.approx(smooth(power), rel=1e-12)
    assert slopes["power"][0] == pytest.approx((smooth(power + 1e-6) - smooth(power - 1e-6)) / 2e-6, rel=1e-6)
    np.testing.assert_array_equal(slopes["numbers"], above)


def test_what_is_learned_on_is_what_the_format_has():
    largest, codes = np.float32([[[2.0]]]), np.arange(-7, 8)
    values = lowbit.decode(
        (codes & 15).astype(np.uint8), lowbit.quantizers.nupes([[1.0]], exponent=0.7).tensor.format.element
    )
    grid = PowerGrid(largest, (1, 1, 15), STEPS)
    weights = (2 * np.sign(codes) * (np.abs(codes) / 7) ** (1 / 0.7)).astype(np.float32)[None]
    result = grid.values({"weight": weights, "power": np.float32([0.7])})
    np.testing.assert_allclose(result[0], 2 * values, rtol=1e-6)


def test_what_is_learned_is_no_worse_than_what_was_searched(layer):
    weights, rows, others = layer
    for to in ("int4.channel", "int3.g32", "int4.tensor"):
        searched, learned = (METHODS["nupes"].quantize(weights, rows, to=to, steps=steps) for steps in (0, 80))
        assert learned.error(weights, rows) <= searched.error(weights, rows)
        assert learned.error(weights, others) < 0.95 * searched.error(weights, others), to
        assert learned.report["after"] == pytest.approx(learned.error(weights, rows))
        assert learned.report["before"] == pytest.approx(searched.error(weights, rows))
        assert learned.report["exponent"] != searched.report["exponent"]
        assert len(learned.report["losses"]) == 80
        assert learned.report["seed"] == 0
    with pytest.raises(InputError, match="needs activations"):
        METHODS["nupes"].quantize(weights, steps=1)


def test_squares_of_integers_are_exact(layer):
    weights, rows, _ = layer
    learned = METHODS["nupes"].quantize(weights, rows, exponent=0.5, steps=40)
    assert learned.report["exponent"] == 0.5
    tensors = METHODS["nupes"].quantize(rows[:6], exponent=0.5).tensor, learned.tensor
    squares, fractions = [], []
    for tensor in tensors:
        signed = tensor.codes.astype(np.int64) - 16 * (tensor.codes > 7)
        squares.append((signed * np.abs(signed)).astype(np.int8))
        exact = [lowbit.decode(code, tensor.format.element, dtype=np.float64) for code in tensor.codes.ravel()]
        parts = np.array([Fraction(float(value)).limit_denominator(49) for value in exact], object)
        fractions.append(parts.reshape(tensor.codes.shape))
    sums = lowbit.gemm(squares[0], np.ascontiguousarray(squares[1].T))
    assert (sums.astype(object) == fractions[0] @ fractions[1].T * 49 * 49).all()
