"""HQQ against its steps in Python numbers, one block at a time."""

from itertools import pairwise

import numpy as np
import pytest

import lowbit
from lowbit.errors import InputError
from lowbit.quantizers import hqq
from lowbit.quantizers.methods.hqq import shrunk


@pytest.fixture(scope="module")
def weights():
    return (np.random.default_rng(5).standard_t(5, size=(24, 128)) / 50).astype(np.float32)


def plainly(block, top, steps, *, beta=10.0, norm=0.7, growth=1.01):
    """The zero point of a block after some steps, and its codes."""
    factor = top / (max(block) - min(block))
    zero = -min(block) * factor

    def codes():
        return [min(max(round(w * factor + zero), 0), top) for w in block]

    for _ in range(steps):
        left = []
        for w, q in zip(block, codes(), strict=True):
            d = w - (q - zero) / factor
            size = max(abs(d) - abs(d) ** (norm - 1) / beta, 0) if d else 0
            left.append(size if d > 0 else -size)
        zero = sum(q - (w - e) * factor for w, q, e in zip(block, codes(), left, strict=True)) / len(block)
        beta *= growth
    return factor, zero, codes()


@pytest.mark.parametrize(("bits", "size"), [(4, 1), (2, 1), (3, 30), (8, 1)])
def test_its_steps_are_the_published_ones(weights, bits, size):
    weights = weights * np.float32(size)
    result = hqq(weights, to=f"uint{bits}.g64.asymmetric", iterations=3)
    errors = result.report["errors"]
    assert len(errors) == 3
    kept = errors.index(min(errors))  # steps after which the zero points were best
    for row in range(len(weights)):
        factor, zero, codes = plainly(weights[row, :64].tolist(), 2**bits - 1, kept)
        assert float(result.tensor.scales["block"][row, 0]) == pytest.approx(1 / factor, rel=2**-10)
        assert float(result.tensor.scales["zero_point"][row, 0]) == pytest.approx(zero, rel=2**-10)
        near_ties = np.abs((weights[row, :64] * factor + zero) % 1 - 0.5) < 1e-4
        assert (near_ties | (result.tensor.codes[row, :64] == codes)).all()
        assert near_ties.mean() < 0.1


def test_without_steps_it_is_rounding_to_nearest_by_its_own_rule(weights):
    fmt = lowbit.block_format("uint4", block=64, scale="float16", asymmetric="float16")
    nearest = lowbit.quantize(weights, fmt, policy="hqq")
    for variant in ("paper", "official"):
        result = hqq(weights, variant=variant, iterations=0).tensor
        np.testing.assert_array_equal(result.codes, nearest.codes)
        for name in ("block", "zero_point"):
            np.testing.assert_array_equal(result.scales[name], nearest.scales[name])


def test_the_proximal_operator():
    """p = 1 is soft thresholding; the threshold of p is where ``|d|^(2 - p) = 1 / beta``."""
    np.testing.assert_allclose(shrunk(np.float32([0.5, -0.5, 0.1, 0]), 10, 1), [0.4, -0.4, 0, 0], rtol=1e-6, atol=1e-8)
    assert shrunk(np.float32([0.5]), 10, 0.7)[0] == pytest.approx(0.5 - 0.1 * 0.5**-0.3)  # 0.37689
    edge = 10 ** (-1 / 1.3)  # 0.1701
    assert shrunk(np.float32([edge * 0.999]), 10, 0.7)[0] == 0
    assert shrunk(np.float32([edge * 1.001]), 10, 0.7)[0] > 0


def test_the_mean_error_never_rises_in_the_papers_variant(weights):
    for bits in (2, 3, 4):
        fmt = f"uint{bits}.g64.asymmetric"
        start, end = (hqq(weights, to=fmt, iterations=count) for count in (0, 20))
        errors = end.report["errors"]
        assert all(after < before for before, after in pairwise(errors[:-1]))
        mean = [float(np.abs(one.dequantize() - weights).mean()) for one in (start, end)]
        assert mean[1] < mean[0] * 0.99


def test_the_official_code_keeps_its_penalty_and_goes_one_step_further(weights):
    for size, most in ((1, 20), (30, 40)):
        values = weights * np.float32(size)
        official = hqq(values, to="uint3.g64.asymmetric", variant="official", iterations=most)
        errors = official.report["errors"]
        assert len(errors) < most
        assert errors[-1] >= errors[-2]
        for row in range(4):
            zero = plainly(values[row, :64].tolist(), 7, len(errors), growth=1.0)[1]
            assert float(official.tensor.scales["zero_point"][row, 0]) == pytest.approx(zero, rel=2**-9)


def test_bits_are_those_of_two_numbers_of_sixteen_bits_a_block(weights):
    for fmt, bits in (("uint4.g64", 4.5), ("uint3.g64", 3.5), ("uint2.g16", 4.0)):
        assert float(hqq(weights, to=fmt).bits_per_weight) == bits


def test_blocks_of_one_value_and_small_ones():
    same = np.array([[0.0], [3.0], [-100.0]]) * np.ones(64)
    for variant in ("paper", "official"):
        np.testing.assert_array_equal(hqq(same, variant=variant).dequantize(), same)
    narrow = 3 + np.linspace(0, 1e-6, 64)[None]
    np.testing.assert_allclose(hqq(narrow).dequantize(), narrow, rtol=2**-10)
    small = np.random.default_rng(0).normal(size=(2, 64)) * 1e-5
    assert hqq(small).error(small) < 0.02
    assert hqq(small, variant="official").error(small) > 0.5  # blocks narrower than 1e-4


def test_a_broken_request_is_refused(weights):
    for to in ("int4.g64", "float4_e2m1fn.g64", "uint16.g64.asymmetric"):
        with pytest.raises(InputError, match="unsigned integers"):
            hqq(weights, to=to)
    for option in ({"norm": 0}, {"norm": 1.5}, {"penalty": -1}, {"growth": 0.5}, {"iterations": -1}, {"norm": np.nan}):
        (name,) = option
        with pytest.raises(InputError, match=rf"{name} = .* is not a (whole )?number (above|from)"):
            hqq(weights, **option)
    with pytest.raises(InputError, match=r"weights\[\d+\] has a block .* beyond binary16"):
        hqq(weights * 1e8)
