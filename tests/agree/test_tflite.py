"""TFLite's, LiteRT's and CMSIS-NN's nonlinear operators: kernels and oracle give the same codes under every rule."""

import numpy as np
import pytest

import lowbit
from lowbit.errors import InputError, IntermediateOverflowError
from lowbit.nonlinear import litert, tflite
from lowbit.nonlinear.tflite_widths import (
    VARIANTS,
    l2norm_widths,
    layernorm_widths,
    sigmoid_int8_widths,
    sigmoid_int16_widths,
    softmax_int8_widths,
    softmax_int16_widths,
    softmax_litert_widths,
)
from lowbit.oracle.fixed_point import table
from lowbit.oracle.nonlinear import litert_softmax, tflite_norm, tflite_sigmoid, tflite_softmax
from lowbit.oracle.nonlinear.steps import Steps

ONE = tflite.binary32(1)
INT16_TWINS = {
    "tflite_int16": tflite_softmax.softmax_int16,
    "litert_int16": tflite_softmax.softmax_int16,
    "cmsis_int16": tflite_softmax.softmax_int16_cmsis,
}
EVERY_INT8 = np.arange(-128, 128, dtype=np.int8)
SOME_INT16 = np.unique(np.concatenate([np.arange(-32768, 32768, 97), np.arange(-300, 300), [-32767, 32766, 32767]]))


def rows(bits, length, seed):
    """Random rows, narrow rows, equal maxima, one-hot rows, the rails."""
    drawn = np.random.default_rng([seed, length])
    low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    wide = drawn.integers(low, high + 1, (6, length))
    normal = drawn.normal(0, high / 6, (6, length)).clip(low, high)
    narrow = drawn.integers(-3, 4, (4, length))
    one_hot = np.full((2, length), low)
    one_hot[0, -1] = high
    one_hot[1, :1] = low + 1
    flat = np.stack([np.full(length, value) for value in (low, 0, high)])
    return np.concatenate([wide, normal, narrow, one_hot, flat]).astype(f"int{bits}")


def answers(function, *arguments, **options):
    """The codes, or how the computation ended."""
    try:
        return np.asarray(function(*arguments, **options)).tolist()
    except IntermediateOverflowError as error:
        return (error.row, error.element, error.name, error.value)
    except InputError:
        return "ends"


def by_oracle(twin, codes, *arguments):
    """The oracle's rows, with the row's number for a report; the last argument is the watch over the steps."""
    steps = arguments[-1]

    def each():
        done = []
        for steps.row, row in enumerate(codes.tolist()):
            steps.element = -1
            done.append(twin(row, *arguments))
        return done

    return answers(each)


@pytest.mark.parametrize("overflow", ["wrap", "saturate", "trap"])
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("bits", [8, 16])
def test_softmax_int8(variant, bits, overflow):
    for length in (1, 2, 60):
        codes = rows(8, length, 0)
        for scale in (1e-6, 0.003, 0.05, 1.0, 40.0):
            parameters = tflite.softmax_parameters(tflite.binary32(scale), ONE, variant)
            steps = Steps(softmax_int8_widths(variant, bits), overflow)
            expected = by_oracle(tflite_softmax.softmax_int8, codes, parameters, variant, bits, steps)
            options = {"scale": scale, "variant": variant, "bits": bits, "overflow": overflow}
            assert lowbit.softmax(codes, scheme="tflite_int8", **options).tolist() == expected


@pytest.mark.parametrize("overflow", ["wrap", "saturate", "trap"])
@pytest.mark.parametrize(("length", "bits"), [(511, 8), (512, 8), (4095, 16), (4096, 16), (8192, 16), (8193, 8)])
def test_softmax_of_many_equal_maxima(length, bits, overflow):
    codes = np.zeros((2, length), np.int8)
    codes[0] = np.arange(length) % 3 - 128
    parameters = tflite.softmax_parameters(tflite.binary32(0.05), ONE)
    steps = Steps(softmax_int8_widths("double_rounding", bits), overflow)
    expected = by_oracle(tflite_softmax.softmax_int8, codes, parameters, "double_rounding", bits, steps)
    got = answers(lowbit.softmax, codes, scheme="tflite_int8", scale=0.05, bits=bits, overflow=overflow)
    assert got == expected


@pytest.mark.parametrize("overflow", ["wrap", "saturate", "trap"])
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("scheme", sorted(INT16_TWINS))
def test_softmax_int16(scheme, variant, overflow):
    for length in (1, 2, 60):
        codes = rows(16, length, 1)
        for scale in (1e-6, 1e-4, 0.01, 40.0):
            parameters = tflite.softmax_int16_multiplier(tflite.binary32(scale), ONE, scheme)
            steps = Steps(softmax_int16_widths(variant, scheme), overflow)
            expected = by_oracle(INT16_TWINS[scheme], codes, parameters, variant, steps)
            options = {"scale": scale, "variant": variant, "overflow": overflow}
            assert answers(lowbit.softmax, codes, scheme=scheme, **options) == expected


@pytest.mark.parametrize("bits", [8, 16])
def test_litert_s_optimised_softmax(bits):
    steps = Steps(softmax_litert_widths(bits), "trap")
    for length in (1, 3, 70):
        codes = rows(8, length, 8)
        for scale, beta in ((1e-6, 1.0), (0.05, 1.0), (0.5, 0.3), (1e4, 1.0)):
            entries = litert.softmax_table(tflite.binary32(scale), tflite.binary32(beta))
            expected = by_oracle(litert_softmax.softmax_int8, codes, entries, bits, steps)
            made = lowbit.softmax(codes, scheme="litert_int8", scale=scale, beta=beta, bits=bits)
            assert made.tolist() == expected


def test_softmax_int16_of_too_many_equal_maxima():
    codes = np.zeros((1, 65_549), np.int16)  # 65,549 times 32762 is beyond 2^31
    with pytest.raises(InputError, match="row 0: the int32 sum of the exponentials has wrapped to -2147450958"):
        lowbit.softmax(codes, scheme="tflite_int16", scale=0.001)
    with pytest.raises(IntermediateOverflowError, match="'sum' is 2,147"):
        lowbit.softmax(codes, scheme="tflite_int16", scale=0.001, overflow="trap")
    assert set(lowbit.softmax(codes, scheme="tflite_int16", scale=0.001, overflow="saturate")[0].tolist()) == {0}


def test_cmsis_reads_the_wrong_entry_when_the_sum_is_just_below_a_power_of_two():
    # 8 * 32767 - 1: normalised, plus half, the sum leaves int32.
    row = np.array([32767] * 8 + [-10176], np.int16)
    options = {"multiplier": 1 << 30, "shift": 1}
    assert lowbit.softmax(row, scheme="tflite_int16", **options).tolist() == [4095] * 8 + [6]
    assert lowbit.softmax(row, scheme="cmsis_int16", **options).tolist() == [8190] * 8 + [12]
    with pytest.raises(IntermediateOverflowError) as error:
        lowbit.softmax(row, scheme="cmsis_int16", overflow="trap", **options)
    assert (error.value.row, error.value.element, error.value.name) == (0, -1, "rounded sum")
    assert error.value.value == ((1 << 18) - 1 << 13) + (1 << 13)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("operation", ["logistic", "tanh"])
def test_sigmoid_int8(operation, variant):
    for scale in (1e-6, 0.01, 0.05, 0.3, 7.9, 8.0, 100.0):
        for zero_point in (-128, -3, 127):
            parameters = tflite.sigmoid_parameters(tflite.binary32(scale))
            steps = Steps(sigmoid_int8_widths(operation, variant), "trap")
            run = tflite_sigmoid.sigmoid_int8
            expected = [run(code, operation, zero_point, parameters, variant, steps) for code in EVERY_INT8.tolist()]
            options = {"scale": scale, "zero_point": zero_point, "variant": variant}
            assert getattr(lowbit, operation)(EVERY_INT8, **options).tolist() == expected
            twice = np.stack([EVERY_INT8, EVERY_INT8[::-1]])  # so many that a table is used
            assert getattr(lowbit, operation)(twice, **options).tolist() == [expected, expected[::-1]]


@pytest.mark.parametrize("operation", ["logistic", "tanh"])
def test_sigmoid_int16(operation):
    for scale in (1e-6, 2.0**-12, 2.0**-11, 3e-4, 1.0, 2.6):
        parameters = tflite.sigmoid_int16_parameters(tflite.binary32(scale), operation)
        steps = Steps(sigmoid_int16_widths(operation), "trap")
        twin = getattr(tflite_sigmoid, f"{operation}_int16")
        expected = [twin(code, parameters, steps) for code in SOME_INT16.tolist()]
        function = getattr(lowbit, operation)
        assert function(SOME_INT16, scheme="tflite_int16", scale=scale).tolist() == expected
        left = tflite.sigmoid_int16_left_shift(tflite.binary32(scale), operation)
        if left is not None:
            optimised = tflite_sigmoid.sigmoid_int16_optimised
            expected = [optimised(code, operation, left) for code in SOME_INT16.tolist()]
        assert function(SOME_INT16, scheme="litert_int16", scale=scale).tolist() == expected


@pytest.mark.parametrize("overflow", ["wrap", "saturate", "trap"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_l2norm(variant, overflow):
    for length in (1, 3, 64):
        codes = rows(8, length, 2)
        for zero_point in (-128, 0, 5):
            steps = Steps(l2norm_widths(variant), overflow)
            expected = by_oracle(tflite_norm.l2norm_int8, codes, zero_point, variant, steps)
            options = {"zero_point": zero_point, "variant": variant, "overflow": overflow}
            assert lowbit.l2norm(codes, **options).tolist() == expected


def test_l2norm_overflows_from_33026_codes():
    codes = np.full((1, 33_026), 127, np.int8)
    with pytest.raises(IntermediateOverflowError, match=r"element 33,025.*'sum' is 2,147,515,650"):
        lowbit.l2norm(codes, zero_point=-128, overflow="trap")
    assert lowbit.l2norm(codes[:, :-1], zero_point=-128, overflow="trap").tolist() == [[1] * 33_025]


@pytest.mark.parametrize("overflow", ["wrap", "saturate", "trap"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_layernorm(variant, overflow):
    drawn = np.random.default_rng(4)
    for length in (1, 16, 20):
        codes = rows(16, length, 3)
        for largest in (100, 32767):
            weights = drawn.integers(-largest, largest, length)
            biases = drawn.integers(-largest * 1000, largest * 1000, length)
            for multiplier, shift in ((1 << 30, -12), (1895081728, -13), ((1 << 31) - 1, -1)):
                parameters = tflite.LayerNormParameters(
                    tuple(weights.tolist()), tuple(biases.tolist()), multiplier, shift, 1
                )
                steps = Steps(layernorm_widths(variant), overflow)
                expected = by_oracle(tflite_norm.layernorm_int16, codes, parameters, variant, steps)
                options = {"weights": weights, "biases": biases, "multiplier": multiplier, "shift": shift}
                options |= {"variant": variant, "overflow": overflow}
                assert answers(lowbit.layernorm, codes, scheme="tflite_int16", **options) == expected


@pytest.mark.parametrize("overflow", ["wrap", "saturate"])
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("scheme", ["tflite_int16", "litert_int16"])
def test_softmax_int16_by_table(scheme, variant, overflow):
    # So many codes that the array layer makes a table of all differences; single rows are too few for that.
    codes = rows(16, 3300, 7)
    for scale in (1e-6, 1e-4, 0.01, 40.0):
        options = {"scheme": scheme, "scale": scale, "variant": variant, "overflow": overflow}
        whole = lowbit.softmax(codes, **options)
        assert all(
            np.array_equal(lowbit.softmax(row, **options), answer) for row, answer in zip(codes, whole, strict=True)
        )


@pytest.mark.parametrize("operation", ["logistic", "tanh"])
def test_sigmoid_int16_by_table(operation):
    codes = np.arange(-32768, 32768, dtype=np.int32).astype(np.int16)
    twice = np.concatenate([codes[::-1], codes])
    for scheme in ("tflite_int16", "litert_int16"):
        for scale in (2.0**-12, 3e-4):
            each = getattr(lowbit, operation)(codes, scheme=scheme, scale=scale)
            whole = getattr(lowbit, operation)(twice, scheme=scheme, scale=scale)
            assert np.array_equal(whole, np.concatenate([each[::-1], each]))


def test_tables():
    drawn = np.random.default_rng(5)
    smooth = np.cumsum(drawn.integers(-60, 60, 513)).clip(-32768, 32767)
    steep = drawn.integers(-32768, 32768, 513)  # TFLite's slopes wrap
    for entries in (smooth, steep):
        expected = [table.interpolate_rounded(code, entries.tolist()) for code in SOME_INT16.tolist()]
        assert lowbit.fixed_point.table_lookup(SOME_INT16, entries, scheme="tflite").tolist() == expected
    expected = [table.interpolate(code, smooth.tolist()) for code in SOME_INT16.tolist()]
    assert lowbit.fixed_point.table_lookup(SOME_INT16, smooth).tolist() == expected
    entries = drawn.integers(-128, 128, 256)
    assert lowbit.fixed_point.table_lookup(EVERY_INT8, entries).tolist() == entries.tolist()


def test_threads_and_axes_change_nothing():
    codes = rows(8, 300, 6).repeat(20, axis=0)
    one = lowbit.softmax(codes, scheme="tflite_int8", scale=0.05)
    assert np.array_equal(lowbit.softmax(codes, scheme="tflite_int8", scale=0.05, threads=3), one)
    assert np.array_equal(lowbit.softmax(codes.T, scheme="tflite_int8", scale=0.05, axis=0), one.T)
