"""Logistic, tanh and L2 normalisation against TFLite Micro and LiteRT's three resolvers."""

import numpy as np
import pytest

import lowbit
from tests.cross.tflite_activations import PRODUCTS, differing, l2norm_model, sigmoid_model

EVERY_INT8 = np.arange(-128, 128, dtype=np.int8)[None]
EVERY_INT16 = np.arange(-32768, 32768, dtype=np.int32).astype(np.int16)[None]
OPERATIONS = ["logistic", "tanh"]


def scales(low, high, count, *more):
    drawn = np.random.default_rng(0)
    return [*np.exp(drawn.uniform(np.log(low), np.log(high), count)).tolist(), *more]


@pytest.mark.parametrize("product", sorted(PRODUCTS))
@pytest.mark.parametrize("operation", OPERATIONS)
def test_int8(operation, product):
    scheme = "tflite_int8" if product == "tflite_micro" else "litert_int8"
    drawn = np.random.default_rng(1)
    powers = [2.0**-k for k in range(1, 14)]
    for scale in scales(1e-6, 40, 40, *powers, 7.99, 8.0, 20.0, 1e3, 1e9):
        zero_point = int(drawn.integers(-128, 128))
        mine = getattr(lowbit, operation)(EVERY_INT8, scheme=scheme, scale=scale, zero_point=zero_point)
        model = sigmoid_model(operation, EVERY_INT8.shape, "int8", scale, zero_point)
        assert differing(product, model, EVERY_INT8, mine) == (0, 0), (scale, zero_point)


@pytest.mark.parametrize(
    ("operation", "scale", "zero_point", "code", "micro", "litert"),
    [
        # A tie but for the last bit: sigmoid(1/128) * 256 is 128.49999. Fixed point rounds it up, binary32 down.
        ("logistic", 2.0**-7, 120, 121, 1, 0),
        ("logistic", 2.0**-7, 120, 119, -1, 0),
        # sigmoid(-6.165) * 256 = 0.5374 is 1; in fixed point the input is beyond the radius, where all is 0.
        ("logistic", 6.165371736983704, 116, 115, -128, -127),
        # From scale 8 on the radius is 0, and the zero point itself is taken for a large negative input.
        ("logistic", 8.0, -125, -125, -128, 0),
        ("tanh", 8.0, -125, -125, -128, 0),
        ("tanh", 1e3, 93, 93, -128, 0),
    ],
)
def test_int8_differences(operation, scale, zero_point, code, micro, litert):
    model = sigmoid_model(operation, EVERY_INT8.shape, "int8", scale, zero_point)
    for product, expected in (("tflite_micro", micro), ("litert_ref", litert)):
        got = np.asarray(PRODUCTS[product](model, EVERY_INT8))[0, code + 128]
        assert int(got) == expected
    options = {"scale": scale, "zero_point": zero_point}
    assert int(getattr(lowbit, operation)(np.int8(code), scheme="tflite_int8", **options)) == micro
    assert int(getattr(lowbit, operation)(np.int8(code), scheme="litert_int8", **options)) == litert


@pytest.mark.parametrize("product", sorted(PRODUCTS))
@pytest.mark.parametrize("operation", OPERATIONS)
def test_int16(operation, product):
    # BUILTIN_REF and TFLite Micro interpolate; the others take gemmlowp's functions at scale 2^-12 (tanh: 2^-11 too).
    scheme = "litert_int16" if product in ("litert_opt", "litert_auto") else "tflite_int16"
    near = [2.0**-12 * factor for factor in (1.0, 2.0, 0.5, 1.0005, 0.9994, 1.0009)]
    for scale in scales(1e-8, 2.6, 12, *near, 2.0**-15, 1.0):
        mine = getattr(lowbit, operation)(EVERY_INT16, scheme=scheme, scale=scale)
        model = sigmoid_model(operation, EVERY_INT16.shape, "int16", scale)
        assert differing(product, model, EVERY_INT16, mine) == (0, 0), scale


@pytest.mark.parametrize("product", sorted(PRODUCTS))
def test_l2norm(product):
    drawn = np.random.default_rng(2)
    for length in (1, 2, 3, 16, 197, 4096):
        for zero_point in (0, 7, -128, 127):
            near = np.clip(zero_point + drawn.integers(-3, 4, (10, length)), -128, 127)
            wide = drawn.integers(-128, 128, (20, length))
            codes = np.concatenate([wide, near, np.full((1, length), zero_point)]).astype(np.int8)
            mine = lowbit.l2norm(codes, zero_point=zero_point)
            model = l2norm_model(codes.shape, zero_point)
            assert differing(product, model, codes, mine) == (0, 0), (length, zero_point)
