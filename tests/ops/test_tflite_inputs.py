"""What TFLite's and TOSA's operators refuse, in words, and what they return beside codes."""

import numpy as np
import pytest

import lowbit
from lowbit.errors import InputError
from lowbit.nonlinear import tflite_parameters as tflite
from lowbit.nonlinear.binary32 import binary32

ROW = np.array([1, 2, 3], np.int8)
ROW_16 = ROW.astype(np.int16)
NORM = {"scheme": "tflite_int16", "weights": [1, 1, 1], "biases": [0, 0, 0], "multiplier": 1 << 30, "shift": -10}


def softmax(codes=ROW, **options):
    return lowbit.softmax(codes, **({"scheme": "tflite_int8", "scale": 0.05} | options))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: softmax(scale=0), "scale is zero"),
        (lambda: softmax(scale=-0.05), r"scale is -0\.05"),
        (lambda: softmax(scale=float("nan")), "scale is not a number"),
        (lambda: softmax(scale=float("inf")), "scale is inf"),
        (lambda: softmax(scale=1e300), r"scale is infinite in binary32: 1e\+300"),
        (lambda: softmax(scale=1e-300), "scale is zero in binary32: 1e-300"),
        (lambda: softmax(scale=None), "scale is missing"),
        (lambda: softmax(scale="small"), "scale = 'small' is not a number"),
        (lambda: softmax(scale=1e-9), r"beta \* scale = 1e-09 is not above 2\*\*-26"),
        (lambda: softmax(beta=0), "beta is zero"),
        (lambda: softmax(bits=12), "bits = 12: softmax under tflite_int8 takes 8 or 16"),
        (lambda: softmax(multiplier=5), "unknown argument of softmax under scheme 'tflite_int8': 'multiplier'"),
        (lambda: softmax(variant="triple"), "softmax under tflite_int8 has no variant 'triple'"),
        (lambda: softmax(overflow="ignore"), "unknown overflow: 'ignore'"),
        (lambda: softmax([1, 2, 300]), "0x12c at index .* is not a code of tflite_int8"),
        (lambda: softmax([0.5]), "are not integers"),
        (lambda: softmax(np.zeros((2, 0), np.int8)), "the rows are empty"),
        (
            lambda: softmax(np.zeros(512, np.int8)),
            "row 0: the shift by 32 is outside 0..31 and TFLite ends",
        ),
        (
            lambda: softmax(ROW_16, scheme="tflite_int16", bits=8),
            "bits = 8: softmax under tflite_int16 takes 16",
        ),
        (lambda: softmax(ROW_16, scheme="tflite_int16", scale=1e9), "needs a left shift of 43, beyond 30"),
        (lambda: softmax(ROW_16, scheme="cmsis_int16", shift=1), "a multiplier needs a shift, and no scale or beta"),
        (lambda: softmax(ROW_16, scheme="cmsis_int16", scale=None, multiplier=-1, shift=1), "multiplier = -1"),
        (
            lambda: softmax(ROW_16, scheme="cmsis_int16", scale=None, multiplier=1, shift=31),
            "shift = 31 is not a whole",
        ),
        (lambda: lowbit.logistic(ROW, scale=0), "scale is zero"),
        (lambda: lowbit.logistic(ROW, scale=1e-9), r"scale = 1e-09 is below 2\*\*-28"),
        (lambda: lowbit.logistic(ROW, scale=1.0, zero_point=128), "zero_point = 128 is not a whole number from -128"),
        (lambda: lowbit.tanh(ROW, scheme="tflite_int16", scale=3.0), "multiplier of 36864, beyond 16 bits"),
        (lambda: lowbit.tanh(ROW, scheme="tflite_int16", scale=0.1, zero_point=1), "it takes none"),
        (lambda: lowbit.tanh([40_000], scheme="tflite_int16", scale=0.1), "0x9c40 at index"),
        (lambda: lowbit.tanh([0], scheme="litert_int8", scale=-1), "scale is -1"),
        (lambda: lowbit.tanh([0], scheme="tosa", bits=16), "bits = 16: tanh under tosa takes 32"),
        (lambda: lowbit.l2norm(np.zeros((1, 0), np.int8)), "the rows are empty"),
        (lambda: lowbit.l2norm([200]), "is not a code of tflite_int8"),
        (lambda: lowbit.layernorm(ROW_16, **(NORM | {"weights": [1, 1]})), "weights have shape .2,., and a row has 3"),
        (lambda: lowbit.layernorm(ROW_16, **(NORM | {"weights": [1, 1, 40_000]})), "is not a code of weights, int16"),
        (lambda: lowbit.layernorm(ROW_16, **(NORM | {"shift": 20})), "shift = 20 is out of range"),
        (lambda: lowbit.layernorm(ROW_16, scheme="tflite_int16"), "multiplier and shift are missing"),
        (lambda: lowbit.fixed_point.table_lookup([0], [1, 2, 3]), "the table has 3 entries"),
        (lambda: lowbit.fixed_point.table_lookup([200], [0] * 256), "is not a code of a table of 256 entries"),
        (lambda: lowbit.fixed_point.table_lookup([0], [0] * 512 + [40_000]), "int16 entries of a table"),
        (
            lambda: lowbit.fixed_point.table_lookup([0], [-32768, 32767] + [0] * 511),
            "entries 0 and 1 of the table are 65,535",
        ),
        (
            lambda: lowbit.fixed_point.table_lookup([0], [0] * 513, scheme="onnx"),
            "unknown scheme of table_lookup: 'onnx'",
        ),
        (
            lambda: lowbit.fixed_point.table_lookup([0], [0] * 513, scheme=["tosa"]),
            r"unknown scheme of table_lookup: \['tosa'\]",
        ),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_scales_of_results():
    assert softmax(return_scale=True)[1] == 1 / 256
    assert softmax(return_scale=True, bits=16)[1] == 1 / 65536
    assert softmax(ROW_16, scheme="tflite_int16", return_scale=True)[1] == 1 / 32768
    assert lowbit.logistic(ROW, scale=0.1, return_scale=True)[1] == 1 / 256
    assert lowbit.tanh(ROW, scale=0.1, scheme="litert_int8", return_scale=True)[1] == 1 / 128
    assert lowbit.tanh(ROW, scheme="gemmlowp", integer_bits=3, bits=16, return_scale=True)[1] == 1 / 32768
    assert lowbit.tanh(ROW, scheme="tosa", return_scale=True)[1] == 2.0**-22
    assert lowbit.l2norm(ROW, return_scale=True)[1] == 1 / 128


def test_results_have_the_product_s_types():
    assert softmax().dtype == np.int8
    assert softmax(bits=16).dtype == np.int16
    assert lowbit.logistic(ROW_16, scheme="tflite_int16", scale=0.1).dtype == np.int16
    assert lowbit.logistic([0], scheme="gemmlowp", integer_bits=3).dtype == np.int32
    assert lowbit.tanh(ROW, scheme="tosa").dtype == np.int32
    assert lowbit.fixed_point.table_lookup(ROW, [0] * 256).dtype == np.int8
    assert lowbit.fixed_point.table_lookup(ROW_16, [0] * 513, scheme="tflite").dtype == np.int16


def test_parameters_by_hand():
    # frexp(0.05f * 2^26) = 0.8 * 2^22: a multiplier of 0.8 * 2^31, and 31 * 2^26 / 2^22 = 496 differences.
    assert tflite.softmax_parameters(binary32(0.05), binary32(1)) == (1717986944, 22, -496)
    # The largest factor of either build.
    assert tflite.softmax_parameters(binary32(1e9), binary32(1)) == ((1 << 31) - 1, 31, 0)
    single = tflite.softmax_parameters(binary32(1e9), binary32(1), "single_rounding")
    assert single == ((1 << 31) - 2, 30, -1)
    # 0.5 rounds up to 2^31, which becomes 2^30 of the next power.
    nearly_one = ((1 << 32) - 1) / (1 << 32)
    assert tflite.quantize_multiplier(nearly_one) == (1 << 30, 1)
    assert tflite.quantize_multiplier(2.0**-33) == (0, 0)
    assert tflite.quantize_multiplier(2.0**-32) == (1 << 30, -31)
    # logistic and tanh: powers of two need no shift; 12 more than a thousandth away they do.
    assert tflite.sigmoid_int16_parameters(binary32(2.0**-12), "logistic") == (3, 0)
    assert tflite.sigmoid_int16_parameters(binary32(2.0**-11), "tanh") == (6, 0)
    assert tflite.sigmoid_int16_parameters(binary32(2.0**-11), "logistic") == (24576, 12)
    assert tflite.sigmoid_int16_parameters(binary32(2.0**-12 * 1.0009), "tanh") == (24598, 13)
