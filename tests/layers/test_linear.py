"""What linear layers and requantisations refuse, and how they say it."""

import numpy as np
import pytest

import lowbit
from lowbit.errors import InputError, LowbitError
from lowbit.layers import KINDS, Layer, Linear, Quantity, Requantize, Rescale

INT8 = Quantity("int8", 0.1)
WEIGHT = np.array([[1, 2, 3], [4, 5, 6]], np.int8)
HALF = Rescale.from_scale(0.5, "tflm", INT8)


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda: Linear(INT8, WEIGHT[0], HALF), r"linear: weight has shape \(3,\), not \(any, any\)"),
        (lambda: Linear(INT8, WEIGHT * 0.5, HALF), "linear: weight has dtype float64"),
        (lambda: Linear(INT8, WEIGHT * 3, HALF, weight_format="int4"), "linear: weight: .* at index .* int4"),
        (lambda: Linear(INT8, WEIGHT, HALF, np.zeros(3, np.int32)), r"linear: bias has shape \(3,\), not \(2\)"),
        (lambda: Linear(INT8, WEIGHT, HALF, np.array([1 << 31, 0])), "linear: bias: .* not a code of int32"),
        (lambda: Linear(INT8, WEIGHT, HALF, weight_zero_point=200), "linear: weight_zero_point"),
        (lambda: Linear(Quantity("int32", 1.0), WEIGHT, HALF), "linear: input has format int32"),
        (lambda: Linear(INT8, WEIGHT, Rescale.from_scale([0.5] * 3, "tflm", INT8)), "linear: 3 multipliers for 2"),
        (lambda: Linear(INT8, WEIGHT, INT8), "linear: accumulators leave as int32"),
        (lambda: Quantity("float32", 1.0), "not an integer format"),
        (lambda: Quantity("int8", float("nan")), "scale is not a number"),
        (lambda: Quantity("int8", 1.0, 128), "zero_point = 128 is not a code of int8"),
        (lambda: Rescale.from_scale(0.0, "tflm", INT8), "scale is zero"),
        (lambda: Rescale.from_scale(2.0**40, "tflm", INT8), "needs a shift of 41"),
        (lambda: Rescale("tflm", np.array([0.5]), np.array([1]), INT8), "multiplier has dtype float64"),
        (lambda: Rescale("tflm", np.array([1 << 31]), np.array([1]), INT8), "multiplier 2147483648 is out of range"),
        (lambda: Rescale("nosuch", np.array([5]), np.array([1]), INT8), "nosuch"),
    ],
)
def test_bad_parameters_are_named(make, what):
    with pytest.raises(LowbitError, match=what):
        make()


@pytest.mark.parametrize(
    ("codes", "what"),
    [
        (np.zeros(3, np.float32), "linear: input has dtype float32: it takes an array of int8"),
        (np.zeros(3, np.uint8), "linear: input has dtype uint8"),
        (np.zeros((2, 4), np.int8), r"linear: input has shape \(2, 4\), not \(\.\.\., 3\)"),
        ([1, 2, 3], "linear: input has type list"),
    ],
)
def test_bad_codes_are_named(codes, what):
    with pytest.raises(InputError, match=what):
        Linear(INT8, WEIGHT, HALF)(codes)


def test_codes_beyond_a_narrow_format_are_named():
    layer = Requantize(Quantity("int4", 0.1), HALF)
    with pytest.raises(InputError, match="requantize: input: 0x8 at index 1 is not a code of int4"):
        layer(np.array([7, 8], np.int8))
    with pytest.raises(InputError, match="requantize takes 1 inputs, not 2"):
        layer(WEIGHT, WEIGHT)


def test_a_scheme_that_takes_the_scale_itself_runs_from_its_significand():
    codes, scale = np.arange(-3000, 3000, dtype=np.int32), 0.03827386349439621
    layer = Requantize(Quantity("int32", 1.0), Rescale.from_scale(scale, "xnnpack_fp32", INT8))
    assert np.array_equal(layer(codes), lowbit.requantize(codes, scheme="xnnpack_fp32", scale=scale))


def test_the_last_intermediate_is_the_result():
    layer = Linear(INT8, WEIGHT, HALF)
    steps = list(layer.intermediates(np.array([[1, 2, 3]], np.int8)))
    assert [(step.label, step.codes.tolist(), step.bits) for step in steps] == [
        ("accumulator", [[14, 32]], 32),
        ("requantised", [[7, 16]], 8),
    ]
    assert layer.result == INT8
    assert layer.inputs == (INT8,)


def test_kinds_are_named_by_their_operation():
    assert all(issubclass(kind, Layer) and kind.operation == name for name, kind in KINDS.items())


@pytest.mark.parametrize("result", ["int8", "int16", "int32"])
def test_a_result_stays_when_the_memory_of_sums_is_used_again(result):
    rng = np.random.default_rng(1)
    layer = Linear(INT8, WEIGHT, Rescale.from_scale(0.5, "tflite_double", Quantity(result, 0.1)))
    rows = rng.integers(-128, 128, (2, 50, 3), dtype=np.int8)
    first = layer(rows[0])
    kept = first.copy()
    layer(rows[1])
    assert np.array_equal(first, kept)
    assert np.array_equal(kept, list(layer.intermediates(rows[0]))[-1].codes)
