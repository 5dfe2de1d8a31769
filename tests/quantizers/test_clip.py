"""Searches of ranges: where each published one ends, by numbers worked out by hand."""

import numpy as np
import pytest

from lowbit.quantizers import round_to_nearest

MANY = 10_000
"""Weights beside the largest one, which counts little."""

STEADY = [8, *[1] * MANY]
"""Gains with every hundredth down to 0.88, the last one before 7/8, where the step is 1."""

LATE = [7, *[6.2] * MANY]
"""In steps of p, 6.2 is 0.2 off at p = 1, 0.26 at 0.99, 0.45 at 0.95, where it goes to 7 p; 6.23 at 0.89 is best."""

FAR = [14, *[1] * 1000]
"""1 is 2 p: 1000 * (2 p - 1)^2.4 + (14 - 14 p)^2.4 is 317 + 11 at 0.81, 21 + 62 at 0.6."""


def steps(rows, variant):
    result = round_to_nearest(rows, to="int4.channel.float32", variant=variant)
    return result.tensor.scales["block"].ravel().tolist()


@pytest.mark.parametrize(
    ("rows", "shares"),
    [
        ([LATE], [1]),  # after 0.99, 0.98, 0.97, 0.96 and 0.95 brought nothing
        ([LATE, STEADY], [0.89, 0.88 * 8 / 7]),  # a gain of any block lets all of them go on
        ([FAR], [2 * 0.81]),  # the last of 20
    ],
)
def test_llm_compressor_ends_where_its_observer_does(rows, shares):
    assert steps(rows, "llm_compressor") == pytest.approx(shares, rel=1e-6)


def test_gptq_tries_all_of_eighty():
    assert steps([LATE], "norm_2.4") == pytest.approx([0.89], rel=1e-6)
    assert min(steps([FAR], "norm_2.4")) < 2 * 0.6


@pytest.mark.parametrize("variant", ["mse", "norm_2.4", "llm_compressor"])
def test_ranges_are_symmetric_where_formats_are(variant):
    """6.03 is within 0.88 of the range of -8, and not cut off, as by 0.88 of its own side's; -8 is a code itself."""
    weights = np.array([[-8, 6.03, *[1] * MANY]])
    result = round_to_nearest(weights, to="int4.channel.float32", variant=variant)
    step = float(result.tensor.scales["block"][0, 0])
    assert step == pytest.approx(0.88 * 8 / 7)
    assert result.tensor.codes[0, :3].tolist() == [-8, 6, 1]
    assert result.dequantize()[0, 1] == pytest.approx(6 * step)
    asymmetric = round_to_nearest([[-1, 30, *[0.25] * 40]], to="uint4.channel.asymmetric", variant=variant)
    assert asymmetric.tensor.codes.max() == 15
