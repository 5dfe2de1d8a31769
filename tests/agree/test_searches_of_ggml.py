"""ggml's searches: the oracle, step by step in numbers of binary32, and the kernels give the same codes and scales."""

import math

import numpy as np
import pytest

from lowbit.errors import InputError
from lowbit.exact import from_float
from lowbit.format.registry import get_format
from lowbit.ops.block.dequantize import dequantize
from lowbit.ops.block.ggml_searches import ROW_SEARCHES, SEARCHES
from lowbit.ops.block.quantize import quantize
from lowbit.oracle.arithmetic.binary32 import Binary32
from lowbit.oracle.block.encode import quantize as oracle_quantize
from lowbit.policy.block import get_block_policy

WEIGHTED = [name for name in SEARCHES if name != "ggml_q8_k"]
LENGTH = 256


def rows(seed):
    """Super-blocks of every kind, the usual ones first; all finite."""
    drawn = np.random.default_rng(seed)
    normal = drawn.standard_normal((12, LENGTH))
    outlier, sparse = normal[4].copy(), normal[5] * np.repeat(drawn.integers(0, 2, 16), 16)
    outlier[drawn.integers(LENGTH)] *= 1000
    values = [
        *(normal[0], sparse, normal[1] * 10.0 ** np.repeat(drawn.integers(-8, 8, 16), 16), np.abs(normal[2]) + 5),
        *(-np.abs(normal[3]) - 5, outlier, np.full(LENGTH, -7), np.zeros(LENGTH), drawn.integers(-8, 8, LENGTH)),
        *(normal[6] * 1e-40, normal[7] * 1e-15, normal[8] * 1e13, normal[9] * 1e19, np.sort(normal[10])),
        *(np.clip(normal[11] * 2e38, -3.4e38, 3.4e38), drawn.choice([-3e38, 0, 3e38], LENGTH)),
    ]
    return np.array(values, np.float32)


def importance(seed):
    """Weights over many powers of two, some of them 0."""
    drawn = np.random.default_rng(seed)
    return (np.exp(3 * drawn.standard_normal(LENGTH)) * (drawn.integers(0, 8, LENGTH) > 0)).astype(np.float32)


def exact(array):
    return [from_float(float(value)) for value in array.reshape(-1)]


def require_equal(values, name, policy, weights=None):
    fmt = get_format(name)
    tensor = quantize(values, fmt, policy=policy, importance=weights)
    of_columns = None if weights is None else exact(weights)
    result = oracle_quantize(exact(values), values.shape, fmt, get_block_policy(policy), importance=of_columns)
    assert tensor.codes.reshape(-1).tolist() == result.codes
    for field in fmt.scales:
        assert tensor.scale_codes(field.name).reshape(-1).tolist() == result.scales[field.name], field.name


@pytest.mark.parametrize("name", SEARCHES)
def test_the_usual_ones(name):
    require_equal(rows(1)[:2], name, "ggml_search")


@pytest.mark.parametrize("name", SEARCHES)
def test_zeros(name):
    values = np.zeros((1, LENGTH), np.float32)
    values[:, ::3] = -0.0
    require_equal(values, name, "ggml_search", importance(1) if name in WEIGHTED else None)
    assert (dequantize(quantize(values, name)) == 0).all()


@pytest.mark.parametrize("name", WEIGHTED)
def test_with_importance(name):
    require_equal(rows(2)[:1], name, "ggml_search", importance(2))


@pytest.mark.parametrize("name", ROW_SEARCHES)
def test_rows_with_importance(name):
    """Whole rows, of which there are several: the mean square of a row is in the weights of all of its blocks."""
    values, weights = rows(2)[:4].reshape(2, -1), np.concatenate([importance(2), importance(3)])
    require_equal(values, name, "ggml_search", weights)
    tensor = quantize(values, name, importance=weights)
    assert np.array_equal(tensor.codes, quantize(values, name, policy="ggml_search", importance=weights).codes)
    assert not np.array_equal(tensor.codes, quantize(values, name).codes)
    with pytest.raises(InputError, match="search = 'ggml' is not for this format"):
        quantize(values, name, policy="ggml_search")


def test_the_first_scale_of_a_table():
    require_equal(rows(3), "ggml_iq4_nl", "ggml_iq4_nl_row")


@pytest.mark.slow
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", SEARCHES)
def test_every_kind_of_block(name, weighted):
    if name in WEIGHTED or not weighted:
        require_equal(rows(4), name, "ggml_search", importance(4) if weighted else None)


def test_numbers_of_binary32_are_those_of_the_machine():
    drawn = np.random.default_rng(5)
    words = drawn.integers(0, 1 << 32, (2, 20_000), dtype=np.uint32)
    words[:, :4000] &= np.uint32(0x80FFFFFF)  # small numbers, subnormal ones among them
    words[0, 4000:8000] = words[1, 4000:8000] ^ drawn.integers(0, 4, 4000, dtype=np.uint32)
    left, right = words.view(np.float32)
    right[-8:] = 0, -0.0, np.inf, -np.inf, 0, np.inf, np.nan, 0
    with np.errstate(all="ignore"):
        results = left + right, left - right, left * right, left / right, np.sqrt(np.abs(left))
    for place, (first, second) in enumerate(zip(left.tolist(), right.tolist(), strict=True)):
        one, two = Binary32(first), Binary32(second)
        numbers = one + two, one - two, one * two, one / two, abs(one).sqrt()
        for number, array in zip(numbers, results, strict=True):
            same = math.isnan(number) if np.isnan(array[place]) else number.word == int(array[place].view(np.uint32))
            assert same, (first, second, number, array[place])
