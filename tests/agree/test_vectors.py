"""Block formats whose elements are vectors: the oracle in fractions and the fast path find the same nearest ones."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lowbit.errors import InputError
from lowbit.exact import from_float
from lowbit.format.block import BlockFormat, ScaleField
from lowbit.format.block_name import block_format
from lowbit.format.build import vector_format
from lowbit.format.registry import scalar_format
from lowbit.format.vector import VectorFormat, pyramid_values
from lowbit.ops.arithmetic.exact_rounding import divide_to_odd
from lowbit.ops.block.dequantize import dequantize
from lowbit.ops.block.quantize import quantize
from lowbit.ops.block.tensor import BlockTensor
from lowbit.ops.block.vectors import nearest_codes
from lowbit.oracle.block.decode import element_value
from lowbit.oracle.block.encode import quantize as oracle_quantize
from lowbit.policy.block import BlockPolicy, get_block_policy
from tests.agree.test_block import blocks, exact_equal

PYRAMID = VectorFormat(id="pyramid4x2", bits=5, values=pyramid_values(4, 2), default_policy="ocp_sat")
PAIRS = vector_format(np.random.default_rng(5).normal(size=(13, 2)).astype(np.float16), id="pairs")
GRID = vector_format(np.random.default_rng(6).choice([8.0, 25.0, 43.0], size=(64, 8)), id="grid")
"""Of the kind of ggml's IQ2_XXS: vectors of eight magnitudes of three values."""


def require_equal(values, fmt, policy):
    policy = get_block_policy(policy)
    exact = [from_float(float(value)) for value in values.reshape(-1)]
    expected = oracle_quantize(exact, values.shape, fmt, policy)
    tensor = quantize(values, fmt, policy=policy)
    assert tensor.shape == values.shape
    assert tensor.codes.shape == (*values.shape[:-1], values.shape[-1] // fmt.element.dimension)
    assert tensor.codes.reshape(-1).tolist() == expected.codes
    for field in fmt.scales:
        assert tensor.scale_codes(field.name).reshape(-1).tolist() == expected.scales[field.name], field.name
    return tensor


@pytest.mark.parametrize("arithmetic", ["exact", "binary32"])
@pytest.mark.parametrize(
    "fmt",
    [
        block_format(PYRAMID, block=16, scale="float32"),
        block_format(PAIRS, block=8, scale="bfloat16", by_sign=True),
        block_format(PAIRS, block=(2, 4), scale="float8_e4m3fn", tensor="float32"),
        block_format(GRID, block="channel", scale="float8_e8m0fnu"),
        block_format(PAIRS, block="tensor", scale="float32"),
    ],
    ids=str,
)
def test_oracle_and_fast_path(fmt, arithmetic):
    values = blocks(7, (2, 16))
    policy = BlockPolicy(arithmetic=arithmetic, scale="ocp_sat", tensor="ocp_sat")
    require_equal(values, fmt, policy)
    values[0, 3], values[1, 9], values[1, 15] = np.nan, np.inf, -np.inf
    for choice in BlockPolicy.choices("nan")[:2]:
        require_equal(values, fmt, policy.choose(nan=choice, infinity="ignore"))


TWO_LEVELS = (
    ScaleField("block", scalar_format("float8_e4m3fn"), (8,)),
    ScaleField("tensor", scalar_format("float32"), (), "divide"),
)
SIGNS = block_format(PAIRS, block=8, scale="float8_e4m3fn", by_sign=True)
LONG = block_format(PYRAMID, block=128, scale="float8_e8m0fnu")


def test_a_scale_that_divides():
    fmt = BlockFormat(id="mine", element=PAIRS, block=(8,), scales=TWO_LEVELS)
    require_equal(blocks(8, (1, 32)), fmt, BlockPolicy())
    ties = np.array([[2.0, 1 + 2.0**-52, 0.5, 3 * 2.0**-53, 1, 1, 1, 1]]) / 3
    require_equal(ties, fmt, BlockPolicy())


def test_quotients_of_binary64_are_exact():
    # x / s on the border between two vectors, or beside it by a unit of binary64 of x: rounded quotients cannot tell.
    fmt = block_format(vector_format([[0, 0], [1, 0], [0, 1], [127, 0]]), block=4, scale="float32")
    scale = np.float64(np.float32(0.1))
    border = 0.5 * scale
    rows = [[127 * scale, 0, x, y] for x in beside(border) for y in beside(border)]
    tensor = require_equal(np.array(rows), fmt, BlockPolicy())
    assert len(set(tensor.codes[:, 1].tolist())) == 3


def beside(number):
    return [np.nextafter(number, -1), number, np.nextafter(number, 1)]


def by_definition(row, vectors):
    distances = [sum((Fraction(a) - Fraction(b)) ** 2 for a, b in zip(row, vector, strict=True)) for vector in vectors]
    return distances.index(min(distances))


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_the_nearest_of_any_table(data):
    # Few different numbers, so that ties are many; some far from others, so that binary64 cannot tell them apart.
    numbers = st.sampled_from([0.0, 1.0, -1.0, 0.5, 3.0, 2.0**-60, 1 + 2.0**-52, -(2.0**40), 1 / 3])
    size = data.draw(st.integers(2, 4))
    vectors = data.draw(st.lists(st.lists(numbers, min_size=size, max_size=size), min_size=2, max_size=9))
    if not np.any(vectors):
        vectors[0][0] = 1.0
    rows = data.draw(st.lists(st.lists(numbers, min_size=size, max_size=size), min_size=1, max_size=6))
    element = vector_format(vectors)
    codes = nearest_codes(np.array(rows), element, lambda place: [Fraction(number) for number in rows[place]])
    assert codes.tolist() == [by_definition(row, vectors) for row in rows]


def test_quotients_beyond_scores():
    # Squares and products that binary64 does not hold.
    vectors = [[1.0, 0.0], [0.0, 1.0], [2.0**256, 2.0**256], [-1.0, 2.0**-256]]
    rows = [[1e300, 1e300], [-1e300, 1.0], [-1e-300, 1e-300], [1e300, -1e300]]
    codes = nearest_codes(np.array(rows), vector_format(vectors), lambda place: [Fraction(x) for x in rows[place]])
    assert codes.tolist() == [by_definition(row, vectors) for row in rows]


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
@pytest.mark.parametrize("fmt", [SIGNS, LONG], ids=str)
def test_every_vector_under_every_scale(fmt, dtype):
    element, length = fmt.element, fmt.block[0] // fmt.element.dimension
    numbers = [code for code in range(256) if fmt.scales[0].format.classify(code) != "nan"]
    some = numbers[:: 17 if dtype == "float32" else 60]
    codes = np.resize(np.array(element.codes), -(-len(element.codes) // length) * length)
    table = np.broadcast_to(codes, (len(some), len(codes))).astype(element.code_dtype)
    grid = np.repeat(np.array(some)[:, None], len(codes) // length, axis=1).astype(np.uint8)
    scales = {field.name: np.roll(grid, turn, axis=0) for turn, field in enumerate(fmt.scales)}
    tensor = BlockTensor(fmt, (len(some), len(codes) * element.dimension), 1, table, scales)
    values = dequantize(tensor, dtype=dtype)
    for row in range(len(some)):
        own = {name: int(part[row, 0]) for name, part in scales.items()}
        for place, value in enumerate(values[row].tolist()):
            code, at = divmod(place, element.dimension)
            assert exact_equal(value, element_value(int(codes[code]), own, fmt, at), dtype)


def test_any_axis_and_bytes():
    fmt, values = block_format(PAIRS, block=4, scale="float32"), blocks(9, (6, 16))
    straight = quantize(values, fmt)
    turned = quantize(np.ascontiguousarray(values.T), fmt, axis=0)
    assert turned.shape == (16, 6)
    assert np.array_equal(turned.codes.T, straight.codes)
    assert np.array_equal(dequantize(turned).T, dequantize(straight))
    for tensor in (straight, turned):
        data = tensor.to_bytes()
        assert len(data) == 6 * 4 + 6 * 4 * 4  # eight codes of four bits and four scales a row
        back = BlockTensor.from_bytes(data, fmt, tensor.shape, axis=tensor.axis)
        assert np.array_equal(back.codes, tensor.codes)
        assert np.array_equal(back.scales["block"], tensor.scales["block"])
    assert straight.bits_per_value == fmt.bits_per_value == Fraction(4, 2) + 8


def test_scales_of_scales():
    fmt = block_format(PAIRS, block=4, nested=True)
    values = np.random.default_rng(3).normal(size=(4, 64)).astype(np.float32)
    require_equal(values, fmt, fmt.default_policy)
    assert np.abs(dequantize(quantize(values, fmt)) - values).max() < np.abs(values).max()


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        (BlockPolicy(element="ocp_sat:rounding=toward_zero"), "the nearest vector, and the policy says rounding"),
        (BlockPolicy(search="four_over_six_squared", arithmetic="binary32"), "the policy says search"),
    ],
)
def test_a_vector_is_the_nearest(policy, message):
    fmt, values = block_format(PAIRS, block=4, scale="float8_e4m3fn", tensor="float32"), np.ones((1, 8), np.float32)
    with pytest.raises(InputError, match=message):
        quantize(values, fmt, policy=policy)
    with pytest.raises(InputError, match=message):
        oracle_quantize([from_float(1.0)] * 8, (1, 8), fmt, policy)


def test_quotients_that_add_up_to_a_tie():
    # a/n + (n - a)/n is 1 exactly, which halves the way from 0 to (1, 1); rounded to odd they add up to another number.
    numerators = np.array([[a, n - a] for n in (3, 5, 7, 9, 11, 13, 25, 49) for a in range(1, n)], np.float64)
    rows = divide_to_odd(numerators, numerators.sum(axis=1, keepdims=True))
    exact = [[Fraction(int(a), int(sum(row))) for a in row] for row in numerators.tolist()]
    for vectors, code in (([[0, 0], [1, 1]], 0), ([[1, 1], [0, 0]], 0), ([[2, 2], [1, 1], [0, 0]], 1)):
        assert set(nearest_codes(rows, vector_format(vectors), exact.__getitem__).tolist()) == {code}
