"""Softmax against TFLite Micro and LiteRT's three resolvers: bit for bit, and where they differ, which and why."""

import numpy as np
import pytest

import lowbit
from lowbit.errors import InputError
from tests.cross.tflite_activations import PRODUCTS, differing, ends_process, softmax_model

INT8_PRODUCTS = ["litert_ref", "tflite_micro"]
SCALES = [1e-6, 0.0003, 0.003, 0.05, 0.1, 0.5, 1.0, 7.9, 31.0, 32.0, 40.0, 1e4, 1e9]
LENGTHS = [1, 2, 7, 197, 500]


def rows(bits, length, seed=1):
    """Random, normal and narrow rows, one-hot rows and the rails."""
    drawn = np.random.default_rng([seed, length])
    low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    wide = drawn.integers(low, high + 1, (20, length))
    normal = drawn.normal(0, high / 6, (20, length)).clip(low, high)
    narrow = drawn.integers(-3, 4, (5, length))
    ends = np.full((4, length), low)
    ends[1, 0] = high
    ends[2] = high
    ends[3, ::2] = low + 1
    return np.concatenate([wide, normal, narrow, ends]).astype(f"int{bits}")


@pytest.mark.parametrize("product", INT8_PRODUCTS)
@pytest.mark.parametrize("result", ["int8", "int16"])
def test_int8(product, result):
    for length in LENGTHS:
        codes = rows(8, length)
        for scale in SCALES:
            for beta in (1.0, 0.3):
                mine = lowbit.softmax(codes, scheme="tflite_int8", scale=scale, beta=beta, bits=int(result[3:]))
                model = softmax_model(codes.shape, "int8", scale, result, beta)
                assert differing(product, model, codes, mine) == (0, 0), (length, scale, beta)


@pytest.mark.parametrize("product", sorted(PRODUCTS))
def test_int16(product):
    scheme = "tflite_int16" if product == "tflite_micro" else "litert_int16"
    for length in (1, 2, 7, 197, 3000):
        codes = rows(16, length)
        for scale in (1e-9, 1e-6, 2e-5, 0.0003, 0.003, 0.05, 0.5, 1.0, 4.9):
            for beta in (1.0, 0.3):
                mine = lowbit.softmax(codes, scheme=scheme, scale=scale, beta=beta)
                model = softmax_model(codes.shape, "int16", scale, "int16", beta)
                assert differing(product, model, codes, mine) == (0, 0), (length, scale, beta)


@pytest.mark.parametrize(
    ("scale", "beta", "rows_that_differ"),
    [(0.003, 1.0, 1), (0.0001, 1.0, 96), (0.0007, 0.7, 25)],
)
def test_every_int16_difference(scale, beta, rows_that_differ):
    # A maximum and one other code, at every distance. LiteRT builds the reciprocal's table in binary64, where two
    # entries differ, and multiplies scale and beta in binary32 (five of the last line's rows).
    other = np.arange(-32768, 32768).astype(np.int16)
    codes = np.stack([np.full_like(other, 32767), other], axis=1)
    model = softmax_model(codes.shape, "int16", scale, "int16", beta)
    for product in sorted(PRODUCTS):
        scheme = "tflite_int16" if product == "tflite_micro" else "litert_int16"
        mine = lowbit.softmax(codes, scheme=scheme, scale=scale, beta=beta)
        assert differing(product, model, codes, mine) == (0, 0)
    micro = lowbit.softmax(codes, scheme="tflite_int16", scale=scale, beta=beta)
    litert = lowbit.softmax(codes, scheme="litert_int16", scale=scale, beta=beta)
    assert int((micro != litert).any(axis=1).sum()) == rows_that_differ


@pytest.mark.parametrize("product", ["litert_opt", "litert_auto"])
@pytest.mark.parametrize("result", ["int8", "int16"])
def test_int8_optimised(product, result):
    for length in [*LENGTHS, 512, 5000]:
        codes = rows(8, length)
        for scale in SCALES:
            for beta in (1.0, 0.3):
                mine = lowbit.softmax(codes, scheme="litert_int8", scale=scale, beta=beta, bits=int(result[3:]))
                model = softmax_model(codes.shape, "int8", scale, result, beta)
                assert differing(product, model, codes, mine) == (0, 0), (length, scale, beta)


@pytest.mark.parametrize(("bits", "worst"), [(8, 0), (16, 12)])
def test_the_optimised_int8_softmax_is_another(bits, worst):
    # Outside BUILTIN_REF, LiteRT adds entries of a binary32 table of exp. No int8 result here shows it; of the int16
    # ones a few by 1, and by 12 in a one-hot row, whose small exponentials the fixed-point sum rounds to 2^-19 one by
    # one. The float result is the closer one; the reference kernel defines the integers.
    largest = 0
    for scale in (0.003, 0.05, 0.1, 0.5, 1.0):
        codes = rows(8, 197)
        fixed = lowbit.softmax(codes, scheme="tflite_int8", scale=scale, bits=bits).astype(int)
        floating = lowbit.softmax(codes, scheme="litert_int8", scale=scale, bits=bits)
        distance = np.abs(fixed - floating)
        assert (distance > 0).sum() <= codes.size // 200
        largest = max(largest, int(distance.max()))
    assert largest == worst


@pytest.mark.parametrize("product", INT8_PRODUCTS)
@pytest.mark.parametrize(
    ("length", "result", "ends"),
    [(511, "int8", False), (512, "int8", True), (8191, "int16", False), (8192, "int16", True)],
)
def test_where_the_process_ends(product, length, result, ends):
    # TFLITE_CHECK(0 <= exponent && exponent <= 31): with as many equal maxima the sum needs a longer shift.
    assert ends_process(product, length, result) is ends
    codes, bits = np.zeros((1, length), np.int8), int(result[3:])
    if ends:
        with pytest.raises(InputError, match="ends its process"):
            lowbit.softmax(codes, scheme="tflite_int8", scale=0.05, bits=bits)
        return
    mine = lowbit.softmax(codes, scheme="tflite_int8", scale=0.05, bits=bits)
    model = softmax_model(codes.shape, "int8", 0.05, result)
    assert differing(product, model, codes, mine) == (0, 0)


@pytest.mark.parametrize("product", INT8_PRODUCTS)
def test_the_sum_that_wraps_past_32_bits(product):
    # 8193 equal maxima: the sum wraps to 2^19, that of a single one, and each gets probability 1. Silently.
    codes = np.zeros((1, 8193), np.int8)
    mine = lowbit.softmax(codes, scheme="tflite_int8", scale=0.05)
    assert set(mine[0].tolist()) == {127}
    assert differing(product, softmax_model(codes.shape, "int8", 0.05, "int8"), codes, mine) == (0, 0)
