"""LLM.int8(): the array functions and the oracle agree bit for bit in every variant, special values included."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lowbit.errors import InputError, PolicyError
from lowbit.exact import from_float
from lowbit.format.registry import get_format
from lowbit.ops.arithmetic.exact_rounding import add_products, divide_sum, fused_multiply_add
from lowbit.oracle.arithmetic.rounded import multiply_add, round_to
from lowbit.oracle.cast.project import project
from lowbit.oracle.quantizers import llm_int8 as oracle
from lowbit.policy.cast import Policy
from lowbit.quantizers.methods.llm_int8 import VARIANTS, llm_int8_matmul, llm_int8_quantize
from tests.thinned import examples

MODES = [(variant, threshold) for variant in VARIANTS for threshold in (0.0, 6.0, 6.001, 1e-3)]
HALF_BITS = st.integers(0, (1 << 16) - 1)


def exact(array):
    """Rows of exact numbers."""
    return [[from_float(float(value)) for value in row] for row in array]


def bits(numbers, fmt="float16"):
    """Codes of exact numbers, every NaN the same."""
    return [project(number, get_format(fmt), Policy()).code if number.kind != 3 else "nan" for number in numbers]


def own_bits(array):
    pattern = f"u{array.dtype.itemsize}"
    return ["nan" if np.isnan(value) else int(value.view(pattern)) for value in array]


def matrices(seed, m=4, k=11, n=3):
    """Activations with outliers, and weights."""
    random = np.random.default_rng(seed)
    activations = random.standard_normal((m, k)) * random.choice([0.01, 1, 30], (1, k), p=[0.2, 0.6, 0.2])
    weights = random.standard_normal((n, k)) * random.choice([1e-4, 0.05, 2], (n, 1))
    return activations.astype(np.float16), weights.astype(np.float16), random.standard_normal(n).astype(np.float16)


def require_quantized(values, variant, threshold):
    expected = oracle.quantize(exact(values), variant, threshold)
    got = llm_int8_quantize(values, variant=variant, threshold=threshold)
    assert got.codes.tolist() == expected.codes
    assert got.outlier_columns.tolist() == expected.outliers
    assert own_bits(got.largest) == bits(expected.largest, "float32")
    return got


def require_product(activations, weights, variant, threshold, bias=None):
    offset = None if bias is None else exact([bias])[0]
    expected = oracle.matmul(exact(activations), exact(weights), variant, threshold, offset)
    got = llm_int8_matmul(activations, weights, variant=variant, threshold=threshold, bias=bias)
    assert [own_bits(row) for row in got] == [bits(row) for row in expected]
    return got


@pytest.mark.parametrize(("variant", "threshold"), MODES)
def test_random_matrices(variant, threshold):
    for seed in range(12):
        activations, weights, bias = matrices(seed)
        require_quantized(activations, variant, threshold)
        require_product(activations, weights, variant, threshold, bias if seed % 2 else None)


@given(st.lists(st.lists(HALF_BITS, min_size=5, max_size=5), min_size=1, max_size=3), st.sampled_from(MODES))
@settings(max_examples=examples(150))
def test_any_bits(rows, mode):
    """Infinities, NaNs, subnormals, zeros."""
    values = np.array(rows, dtype=np.uint16).view(np.float16)
    require_quantized(values, *mode)
    require_product(values, values[:1], *mode)
    require_product(np.array([[1, 0, -2, 0.5, 3]], np.float16), values, *mode)


@pytest.mark.parametrize("variant", VARIANTS)
def test_special_rows(variant):
    rows = np.array([[0, 0, -0.0], [1, np.inf, 2], [1, np.nan, 2], [6e-8, -6e-8, 0], [65504, 1, 255]], np.float16)
    got = require_quantized(rows, variant, 0.0)
    assert got.codes[0].tolist() == [0, 0, 0]
    assert not np.signbit(got.largest[0])
    assert got.codes[1].tolist() == [0, 0, 0]
    assert got.codes[3].tolist() == [127, -127, 0]
    assert got.codes[2].tolist() == ([64, 0, 127] if variant == "cuda" else [0, 0, 0])
    assert np.isnan(got.largest[2]) == (variant != "cuda")


def test_variants_differ_where_they_should():
    """Neighbours of an outlier count for the scale in bitsandbytes and not in the paper; the limit itself, too."""
    rows = np.array([[7, 1, 0.5], [5, 2, 1]], np.float16)
    assert llm_int8_quantize(rows, variant="cpu", threshold=6.0).largest.tolist() == [1, 5]
    assert llm_int8_quantize(rows, variant="paper", threshold=6.0).largest.tolist() == [1, 2]
    assert llm_int8_quantize(rows, variant="cpu", threshold=7.0).outlier_columns.tolist() == [0]
    assert llm_int8_quantize(rows, variant="paper", threshold=7.0).outlier_columns.tolist() == []


def test_cuda_compares_in_two_precisions():
    """binary16(6.001) is 6: such an element is left out of the scale, and in a single row it is coded nevertheless."""
    row = np.array([[6.0, 3.0]], np.float16)
    assert llm_int8_quantize(row, variant="cuda", threshold=6.001).codes.tolist() == [[-2, 127]]
    assert llm_int8_quantize(row, variant="cpu", threshold=6.001).codes.tolist() == [[0, 127]]
    alone = np.array([[6.0, 0.0]], np.float16)
    assert require_quantized(alone, "cuda", 6.001).codes.tolist() == [[-1, 0]]  # saturated to 2^31 - 1, low byte


def test_a_row_without_a_number_below_the_threshold():
    """csrc/kernels.cu starts the maximum at -FLT_MIN, which binary16 makes -0: 127 over it is -infinity."""
    rows = np.array([[6, -6]], np.float16)
    for variant, codes in (("cuda", [[0, -1]]), ("cpu", [[0, 0]]), ("paper", [[127, -127]])):
        assert require_quantized(rows, variant, 6.001).codes.tolist() == codes
    for values in (rows[:, :0], np.full((1, 3), np.nan, np.float16), np.full((2, 2), np.inf, np.float16)):
        require_quantized(values, "cuda", 6.0)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_threshold_beyond_all_magnitudes_changes_nothing(variant):
    activations, weights, _ = matrices(99, 8, 40, 6)
    limit = float(np.abs(activations).max()) * 2
    plain = llm_int8_matmul(activations, weights, variant=variant, threshold=0)
    assert np.array_equal(llm_int8_matmul(activations, weights, variant=variant, threshold=limit), plain)


def test_decomposition_helps():
    random = np.random.default_rng(5)
    activations, weights = (random.standard_normal(shape).astype(np.float16) for shape in ((32, 256), (16, 256)))
    activations[:, [17, 90, 200]] *= 40
    exact_product = activations.astype(np.float64) @ weights.astype(np.float64).T
    errors = [np.abs(llm_int8_matmul(activations, weights, threshold=t) - exact_product).mean() for t in (0.0, 6.0)]
    assert errors[1] < errors[0] / 2


def test_uncertain_codes_are_those_next_to_a_tie():
    got = llm_int8_quantize(np.array([[254, 127, 3, 1]], np.float16), variant="cuda")
    assert got.uncertain.tolist() == [[False, True, True, True]]  # 63.5, 1.5 and 0.5 are ties
    assert not llm_int8_quantize(np.array([[127, 5, 3]], np.float16), variant="cuda").uncertain.any()
    assert not llm_int8_quantize(np.array([[254, 127]], np.float16), variant="cpu").uncertain.any()


def test_weights_that_are_quantised_already():
    activations, weights, bias = matrices(3)
    quantized = llm_int8_quantize(weights, variant="cpu")
    again = llm_int8_matmul(activations, quantized, bias=bias)
    assert np.array_equal(again, llm_int8_matmul(activations, weights, bias=bias))
    with pytest.raises(InputError, match="paper"):
        llm_int8_matmul(activations, quantized, variant="paper")


@given(st.lists(st.integers(0, (1 << 32) - 1), min_size=2, max_size=2), HALF_BITS)
@settings(max_examples=examples(500))
def test_fused_multiply_add(words, half):
    factors = np.array(words, dtype=np.uint32).view(np.float32)
    addend = np.array([half], dtype=np.uint16).view(np.float16)
    with np.errstate(all="ignore"):
        got = fused_multiply_add(factors[:1], factors[1:], addend)
    left, right = (from_float(float(value)) for value in factors)
    expected = multiply_add(left, right, from_float(float(addend[0])), "float32")
    assert own_bits(got) == bits([expected], "float32")


@given(st.integers(-(1 << 31), 1 << 31), st.integers(0, 0x7BFF), st.integers(0, 0x7BFF), st.integers(0, 0x7BFF))
@settings(max_examples=examples(500))
def test_divided_sums(total, row, column, bias):
    halves = (row, column, bias)
    row, column, bias = (float(np.uint16(half).view(np.float16)) for half in halves)
    with np.errstate(all="ignore"):
        got = divide_sum(np.array([total * row * column]), np.array([-bias]), 127**2).astype(np.float16)
    parts = [from_float(number).fraction() for number in (row, column, bias)]
    expected = round_to(total * parts[0] * parts[1] / 127**2 - parts[2], "float16")
    assert own_bits(got) == bits([expected])


@given(HALF_BITS, st.lists(st.tuples(HALF_BITS, HALF_BITS), min_size=1, max_size=4))
@settings(max_examples=examples(500))
def test_sums_of_products(start, pairs):
    numbers = np.array([start, *[half for pair in pairs for half in pair]], dtype=np.uint16).view(np.float16)
    value, left, right = numbers[:1][None], numbers[1::2][None], numbers[2::2][None]
    with np.errstate(all="ignore"):
        got = add_products(value, left, right)[0]
    expected = oracle.add_outliers(*(exact(value)[0]), exact(left)[0], exact(right)[0])
    assert own_bits(got) == bits([expected])


def test_bad_input():
    rows = np.ones((2, 4), np.float16)
    with pytest.raises(InputError, match="float64"):
        llm_int8_quantize(rows.astype(float))
    with pytest.raises(InputError, match="a matrix is needed"):
        llm_int8_quantize(rows[0])
    with pytest.raises(InputError, match="threshold = -1"):
        llm_int8_quantize(rows, threshold=-1)
    with pytest.raises(InputError, match="threshold = nan"):
        llm_int8_quantize(rows, threshold=float("nan"))
    with pytest.raises(PolicyError, match="variant = 'gpu'"):
        llm_int8_quantize(rows, variant="gpu")
    with pytest.raises(InputError, match="k columns"):
        llm_int8_matmul(rows, rows[:, :3])
    with pytest.raises(InputError, match="bias"):
        llm_int8_matmul(rows, rows, bias=np.ones(3, np.float16))


def test_empty():
    assert llm_int8_quantize(np.zeros((0, 4), np.float16)).codes.shape == (0, 4)
    assert llm_int8_matmul(np.zeros((2, 0), np.float16), np.zeros((3, 0), np.float16)).tolist() == [[0, 0, 0]] * 2


def test_bias_in_either_byte_order():
    rows = np.array([[1.0, -0.5], [2.0, 0.25]], np.float16)
    bias = np.array([1.0, 3.0], np.float16)
    swapped = llm_int8_matmul(rows, rows, bias=bias.astype(bias.dtype.newbyteorder()))
    assert swapped.tolist() == llm_int8_matmul(rows, rows, bias=bias).tolist()
