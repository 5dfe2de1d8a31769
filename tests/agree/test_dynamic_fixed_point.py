"""Dynamic fixed point: the array functions are the oracle's, and chains of products do not overflow int32."""

import numpy as np
import pytest

import lowbit
from lowbit.errors import InputError
from lowbit.exact import from_float
from lowbit.fixed_point import dynamic_add, dynamic_matmul, dynamic_multiply, dynamic_narrow
from lowbit.oracle.fixed_point import dynamic as oracle
from lowbit.policy.cast import ROUNDINGS

MODES = [name for name in ROUNDINGS if not name.startswith("stochastic")]
CHAINS = {16: 2, 15: 8, 14: 32, 13: 128, 12: 512}


@pytest.mark.parametrize("rounding", MODES)
def test_sums_and_narrower_numbers(rounding):
    drawn = np.random.default_rng(1)
    left, right = drawn.integers(-(2**15), 2**15, (2, 300))
    left[:6] = 0, 1, -1, 3, -3, -(2**15)
    for exponents in ((0, 0), (-3, 2), (4, -1), (-40, 0), (0, -17)):
        sums, exponent = dynamic_add(left, exponents[0], right, exponents[1], rounding=rounding)
        pairs = zip(left.tolist(), right.tolist(), strict=True)
        expected = [oracle.add(a, exponents[0], b, exponents[1], rounding) for a, b in pairs]
        assert [(int(total), exponent) for total in sums] == expected
    for width in (3, 9, 16, 17, 31):
        wide = drawn.integers(-(2**width), 2**width, 200)
        wide[:3] = 2**width - 1, 1 - 2**width, -(2**width)
        for bits in (2, 8, 12, 16):
            codes, exponent = dynamic_narrow(wide, -5, bits=bits, rounding=rounding)
            assert (codes.tolist(), exponent) == oracle.narrow(wide.tolist(), -5, bits, rounding)


def test_products_are_exact():
    ends = np.array([-(2**15), 1 - 2**15, -1, 0, 1, 2**15 - 1])
    products, exponent = dynamic_multiply(ends[:, None], -7, ends, 3)
    assert exponent == -4
    assert (products == np.multiply.outer(ends, ends)).all()


@pytest.mark.parametrize(("bits", "chain"), CHAINS.items())
def test_chains_do_not_overflow(bits, chain):
    """The worst case of every sign, exactly, and one product more; the proof of the accumulator says the same."""
    limit = 2 ** (bits - 1) - 1
    assert chain * limit**2 <= 2**31 - 1 < (chain + 1) * limit**2
    assert lowbit.largest_safe_k("int32", (-limit, limit), (-limit, limit)).k == chain
    worst = np.full((1, 3 * chain + 1), limit)
    for sign in (1, -1):
        left, right = worst.copy() * sign, worst.T
        found = dynamic_matmul(left, -14, right, 2)
        total, largest = oracle.dot(left[0].tolist(), right[:, 0].tolist(), -12, chain)
        assert largest <= 2**31 - 1
        assert from_float(float(found[0, 0])).reduced() == total.reduced()
        with pytest.raises(InputError, match="may overflow int32"):
            dynamic_matmul(left, 0, right, 0, chain=chain + 1)


@pytest.mark.parametrize("chain", [1, 2, 5, None])
def test_spills(chain):
    drawn = np.random.default_rng(2)
    left, right = drawn.integers(-(2**15) + 1, 2**15, (5, 33)), drawn.integers(-(2**10), 2**10, (33, 4))
    found = dynamic_matmul(left, -30, right, 11, chain=chain)
    ends = int(np.abs(left).max()), int(np.abs(right).max())
    length = chain or (2**31 - 1) // (ends[0] * ends[1])
    for row, column in np.ndindex(5, 4):
        total, _ = oracle.dot(left[row].tolist(), right[:, column].tolist(), -19, length)
        assert from_float(float(found[row, column])).reduced() == total.reduced()


def test_a_tensor_through_all_of_it():
    """dfp16 tensors: what quantize gives goes in, and a product comes back into 16 bits."""
    values = np.random.default_rng(3).normal(size=(2, 6, 6)).astype(np.float32)
    tensors = [lowbit.quantize(part, "dfp16") for part in values]
    parts = [(tensor.codes, int(tensor.scales["tensor"])) for tensor in tensors]
    products, exponent = dynamic_multiply(*parts[0], *parts[1])
    codes, exponent = dynamic_narrow(products, exponent)
    assert np.abs(codes).max() <= 2**15 - 1 < 2 * np.abs(codes).max() + 2
    assert np.abs(np.ldexp(codes.astype(float), exponent) - values[0] * values[1]).max() < 2**-11
    assert np.abs(dynamic_matmul(*parts[0], *parts[1]) - values[0] @ values[1]).max() < 2**-10


def test_refused():
    with pytest.raises(InputError, match="int32"):
        dynamic_add([2**31 - 1], 0, [1], 0)
    with pytest.raises(InputError, match="int16"):
        dynamic_multiply([40000], 0, [1], 0)
    with pytest.raises(InputError, match="bits = 1"):
        dynamic_narrow([1], 0, bits=1)
    with pytest.raises(InputError, match="shapes"):
        dynamic_matmul([[1, 2]], 0, [[1]], 0)
    with pytest.raises(InputError, match="chain = 0"):
        dynamic_matmul([[1]], 0, [[1]], 0, chain=0)
    with pytest.raises(InputError, match="not of integers"):
        dynamic_add([0.5], 0, [1], 0)


def test_exponents_far_apart():
    for distance in (40, 1074, 1075, 10**12):
        assert dynamic_add([-1, 1], -distance, [0, 0], 0)[0].tolist() == [-1, 0]
        assert dynamic_add([-1, 1], -distance, [0, 0], 0, rounding="toward_positive")[0].tolist() == [0, 1]
    assert dynamic_matmul([[0]], 1000, [[5]], 100).tolist() == [[0.0]]
    assert dynamic_matmul([[1]], 1000, [[5]], 100).tolist() == [[float("inf")]]
    with pytest.raises(InputError, match="whole number"):
        dynamic_add([1], 0.5, [1], 0)
    with pytest.raises(InputError, match="do not go together"):
        dynamic_add([1, 2], 0, [1, 2, 3], 0)
