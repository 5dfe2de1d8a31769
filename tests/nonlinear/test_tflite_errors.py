"""How far TFLite's integer operators are from the real functions: the figures of docs/explanation."""

import numpy as np
import pytest

import lowbit

EVERY_INT8 = np.arange(-128, 128)
EVERY_INT16 = np.arange(-32768, 32768)


def softmax_error(codes, scale, scheme, **options):
    """The largest distance of a probability from that of the same codes in binary64."""
    made, unit = lowbit.softmax(codes, scheme=scheme, scale=scale, return_scale=True, **options)
    zero_point = 0 if scheme.endswith("int16") else np.iinfo(made.dtype).min
    real = codes * np.float64(np.float32(scale))
    powers = np.exp(real - real.max(axis=1, keepdims=True))
    return float(np.abs((made.astype(float) - zero_point) * unit - powers / powers.sum(axis=1, keepdims=True)).max())


def one_hot(length, dtype):
    """One code at the upper rail, all others at the lower one."""
    limits = np.iinfo(dtype)
    codes = np.full((1, length), limits.min, dtype)
    codes[0, 0] = limits.max
    return codes


@pytest.mark.parametrize(
    ("length", "wide", "sixteen"),
    [(16, 1.7e-5, 9.2e-4), (197, 1.83e-4, 0.0118), (511, 4.6e-4, 0.0302), (4000, 3.6e-3, 0.196)],
)
def test_softmax_of_one_hot_rows(length, wide, sixteen):
    # int8 -> int16: each small exponential is rounded to 2^-19 before it is added. int16: the table ends at exp(-10),
    # which it gives as 2 / 32768, however far below the maximum a code is.
    worst = max(softmax_error(one_hot(length, np.int8), scale, "tflite_int8", bits=16) for scale in (0.04, 0.05, 0.2))
    assert worst == pytest.approx(wide, rel=0.1)
    assert softmax_error(one_hot(length, np.int16), 0.001, "tflite_int16") == pytest.approx(sixteen, rel=0.04)


def test_softmax_of_ordinary_rows():
    drawn = np.random.default_rng(0)
    narrow = drawn.normal(0, 30, (300, 197)).clip(-128, 127).astype(np.int8)
    assert softmax_error(narrow, 0.05, "tflite_int8") <= 0.5 / 256 + 1e-5
    assert softmax_error(narrow, 0.05, "tflite_int8", bits=16) < 1.1e-5
    assert 1e-5 < softmax_error((narrow.astype(np.int16) * 250), 0.0002, "tflite_int16") < 1e-4


@pytest.mark.parametrize(
    ("operation", "scheme", "largest"),
    [
        ("logistic", "tflite_int8", 1.0),
        ("logistic", "litert_int8", 1.0),
        ("tanh", "tflite_int8", 1.0),
        ("tanh", "litert_int8", 1.0),
        ("logistic", "tflite_int16", 1.43),
        ("logistic", "litert_int16", 6.4),
        ("tanh", "tflite_int16", 2.9),
        ("tanh", "litert_int16", 11.8),
    ],
)
def test_logistic_and_tanh(operation, scheme, largest):
    # In units of the result: 1/256, 1/128 or 1/32768. The limit of int8 is the last code, a unit below 1.
    if scheme.endswith("int8"):
        codes, scales = EVERY_INT8, np.geomspace(0.001, 2, 40)
    else:
        codes, scales = EVERY_INT16, [2.0**-12, 2.0**-11, *np.geomspace(1e-5, 1e-2, 25)]
    worst = 0.0
    for scale in scales:
        made, unit = getattr(lowbit, operation)(codes, scheme=scheme, scale=scale, return_scale=True)
        zero_point = -128 if (operation, made.dtype) == ("logistic", np.int8) else 0
        real = codes * np.float64(np.float32(scale))
        exact = np.tanh(real) if operation == "tanh" else 1 / (1 + np.exp(-real))
        worst = max(worst, float(np.abs(made.astype(float) - zero_point - exact / unit).max()))
    assert worst == pytest.approx(largest, rel=0.03)


@pytest.mark.parametrize(("operation", "steps", "largest"), [("logistic", 2048, 5.2e-5), ("tanh", 4096, 1.01e-4)])
def test_tosa_s_tables(operation, steps, largest):
    made, unit = getattr(lowbit, operation)(EVERY_INT16, scheme="tosa", return_scale=True)
    real = EVERY_INT16 / steps
    exact = np.tanh(real) if operation == "tanh" else 1 / (1 + np.exp(-real))
    assert float(np.abs(made * unit - exact).max()) == pytest.approx(largest, rel=0.02)


def test_l2norm():
    codes = np.random.default_rng(0).integers(-128, 128, (2000, 64))
    exact = codes / np.sqrt((codes.astype(float) ** 2).sum(axis=1, keepdims=True))
    assert 0.49 < np.abs(lowbit.l2norm(codes) - exact * 128).max() <= 0.5001


@pytest.mark.parametrize("length", [16, 64, 256])
def test_layernorm_is_one(length):
    # With weights in 1/1024 and a multiplier of 2^-10, the result is gamma * normalised + beta in 1/4096.
    drawn = np.random.default_rng(length)
    codes = drawn.normal(40, 3000, (200, length)).clip(-32768, 32767).astype(np.int16)
    weights = drawn.integers(300, 1500, length)
    biases = drawn.integers(-400_000, 400_000, length)
    made = lowbit.layernorm(codes, scheme="tflite_int16", weights=weights, biases=biases, multiplier=1 << 30, shift=-9)
    normalised = (codes - codes.mean(axis=1, keepdims=True)) / codes.std(axis=1, keepdims=True)
    exact = (normalised * weights + biases / 1024) / 1024 * 4096
    inside = np.abs(exact) < 32000
    assert np.abs(made - exact)[inside].max() < 5
    assert inside.mean() > 0.9
