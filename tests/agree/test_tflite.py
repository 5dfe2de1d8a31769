"""TFLite's, LiteRT's and CMSIS-NN's nonlinear operators: kernels and oracle give the same codes under every rule."""

import numpy as np
import pytest

import lowbit
from lowbit.errors import InputError, IntermediateOverflowError
from lowbit.nonlinear.scheme import get_scheme
from lowbit.nonlinear.tflite import VARIANTS
from lowbit.oracle.fixed_point import table
from tests.agree.schemes import CALLS, OVERFLOWS, over, require_equal

OF_TFLITE = [call for call in CALLS if call[0].relatives == "tflite"]
EVERY_INT8 = np.arange(-128, 128, dtype=np.int8)
SOME_INT16 = np.unique(np.concatenate([np.arange(-32768, 32768, 97), np.arange(-300, 300), [-32767, 32766, 32767]]))
NORM = [
    {"multiplier": multiplier, "shift": shift, "variance_limit": limit}
    for multiplier, shift, limit in ((1 << 30, -12, 1), (1895081728, -13, 5), ((1 << 31) - 1, -1, 1))
]
PARAMETERS = {
    ("softmax", "int8"): [{"scale": s, "beta": b} for s, b in ((1e-6, 1.0), (0.003, 0.3), (1.0, 1.0), (40.0, 1.7))],
    ("softmax", "int16"): [
        *({"scale": s, "beta": b} for s, b in ((1e-6, 1.0), (1e-4, 0.3), (40.0, 1.0))),
        {"multiplier": 1 << 30, "shift": 1},
    ],
    ("logistic", "int8"): [
        {"scale": s, "zero_point": z} for s, z in ((1e-6, -128), (0.01, -3), (0.3, 127), (8.0, 5), (100.0, 0))
    ],
    ("logistic", "int16"): [{"scale": scale} for scale in (1e-6, 2.0**-12 * 1.0005, 1.0, 2.6)],
    ("l2norm", "int8"): [{"zero_point": zero_point} for zero_point in (-128, 0, 5)],
    ("layernorm", "int16"): NORM,
}
PARAMETERS |= {("tanh", codes): PARAMETERS["logistic", codes] for codes in ("int8", "int16")}


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


@over(OF_TFLITE)
def test_blocks_of_rows(record, variant):
    blocks = [rows(np.iinfo(record.codes).bits, length, 0) for length in (1, 3, 60)]
    for stated in PARAMETERS[record.operation, record.codes]:
        for overflow in OVERFLOWS if len(record.with_parameters().widths.steps) > 1 else ("trap",):
            for bits in record.bits or (None,):
                require_equal(
                    record, variant, blocks, stated, overflow, bits if record.operation == "softmax" else None
                )


@pytest.mark.parametrize("overflow", OVERFLOWS)
@pytest.mark.parametrize(("length", "bits"), [(511, 8), (512, 8), (4095, 16), (4096, 16), (8192, 16), (8193, 8)])
def test_softmax_of_many_equal_maxima(length, bits, overflow):
    codes = np.zeros((2, length), np.int8)
    codes[0] = np.arange(length) % 3 - 128
    require_equal(get_scheme("softmax", "tflite_int8"), VARIANTS[0], [codes], {"scale": 0.05}, overflow, bits)


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


def test_l2norm_overflows_from_33026_codes():
    codes = np.full((1, 33_026), 127, np.int8)
    with pytest.raises(IntermediateOverflowError, match=r"element 33,025.*'sum' is 2,147,515,650"):
        lowbit.l2norm(codes, zero_point=-128, overflow="trap")
    assert lowbit.l2norm(codes[:, :-1], zero_point=-128, overflow="trap").tolist() == [[1] * 33_025]


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
