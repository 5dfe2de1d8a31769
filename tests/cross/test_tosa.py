"""TOSA's TABLE and elementwise arithmetic against the reference model (PyPI: tosa-tools)."""

import numpy as np
import pytest

import lowbit
from lowbit.nonlinear.stored_tables import stored_table
from lowbit.ops.fixed_point.tosa import arithmetic_right_shift, integer_divide, multiply_shifted, pooling_divisor
from tests.cross.tosa_graphs import run_operator, serializer

EVERY_INT8 = np.arange(-128, 128).astype(np.int8)
EVERY_INT16 = np.arange(-32768, 32768).astype(np.int16)


@pytest.fixture(autouse=True)
def _reference_model():
    serializer()


def look_up(codes, table, result):
    return run_operator("TABLE", ("TableAttribute", ()), [(codes, "")], (codes.shape, result), constants=[(table, "")])


def numbers(count, seed):
    drawn = np.random.default_rng(seed)
    edges = [-(1 << 31), -(1 << 30), -7, -2, -1, 0, 1, 2, 5, 1 << 30, (1 << 31) - 1]
    spread = drawn.integers(-(1 << 31), 1 << 31, count) >> drawn.integers(0, 31, count)
    return np.concatenate([spread, edges]).astype(np.int32)


def test_table_of_int8():
    table = np.random.default_rng(0).integers(-128, 128, 256).astype(np.int8)
    assert np.array_equal(lowbit.fixed_point.table_lookup(EVERY_INT8, table), look_up(EVERY_INT8, table, "int8"))


def test_table_of_int16():
    drawn = np.random.default_rng(1)
    for step in (3, 100, 4000, 30_000):
        table = np.cumsum(drawn.integers(-step, step + 1, 513)).clip(-32768, 32767).astype(np.int16)
        table[7], table[8] = 32767, 0  # the steepest slopes that fit
        table[20], table[21] = 0, -32768
        if np.abs(np.diff(table.astype(int))).max() > 32767:
            table = (table // 2).astype(np.int16)
        assert np.array_equal(lowbit.fixed_point.table_lookup(EVERY_INT16, table), look_up(EVERY_INT16, table, "int32"))


@pytest.mark.parametrize(("operation", "table"), [("tanh", "tosa_tanh"), ("logistic", "tosa_sigmoid")])
def test_the_specification_s_tables(operation, table):
    entries = np.array(stored_table(table), np.int16)
    mine = getattr(lowbit, operation)(EVERY_INT16, scheme="tosa")
    assert np.array_equal(mine, look_up(EVERY_INT16, entries, "int32"))


@pytest.mark.parametrize("round_half_up", [False, True])
@pytest.mark.parametrize("bits", [8, 16, 32])
def test_arithmetic_right_shift(bits, round_half_up):
    values = (numbers(2000, bits) >> (32 - bits)).astype(f"int{bits}")
    shifts = np.random.default_rng(5).integers(0, bits, values.size).astype(values.dtype)
    attribute = ("ArithmeticRightShiftAttribute", (round_half_up,))
    got = run_operator(
        "ARITHMETIC_RIGHT_SHIFT", attribute, [(values, ""), (shifts, "")], (values.shape, values.dtype.name)
    )
    assert np.array_equal(arithmetic_right_shift(values, shifts, round_half_up=round_half_up), got)


@pytest.mark.parametrize("shift", [0, 1, 7, 31, 32, 62])
def test_multiply(shift):
    a, b = numbers(2000, 6), numbers(2000, 7)[::-1].copy()
    products = a.astype(object) * b.astype(object)
    if shift:  # what does not fit is undefined
        fits = np.array([-(1 << 31) <= (2 * product + (1 << shift)) // (2 << shift) < 1 << 31 for product in products])
        a, b = a[fits], b[fits]
    else:
        fits = np.array([-(1 << 31) <= product < 1 << 31 for product in products])
        a, b = a[fits], b[fits]
    constants = [(np.array([shift], np.int8), "")]
    got = run_operator("MUL", ("MulAttribute", ()), [(a, ""), (b, "")], (a.shape, "int32"), constants=constants)
    assert np.array_equal(multiply_shifted(a, b, shift=shift), got)


def test_integer_divide():
    a, b = numbers(2000, 8), numbers(2000, 9)[::-1].copy()
    defined = (b != 0) & ~((a == -(1 << 31)) & (b == -1))
    a, b = a[defined], b[defined]
    got = run_operator("INTDIV", ("IntDivAttribute", ()), [(a, ""), (b, "")], (a.shape, "int32"))
    assert np.array_equal(integer_divide(a, b), got)


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (3, 3), (7, 7), (5, 8)])
def test_average_pool(size):
    height, width = size
    images = np.random.default_rng(10).integers(-128, 128, (1, height, width, 500)).astype(np.int8)
    attribute = ("AvgPool2dAttribute", (list(size), [1, 1], [0, 0, 0, 0], serializer().DType.INT32))
    zero = [(np.zeros(1, np.int8), ""), (np.zeros(1, np.int8), "")]
    got = run_operator("AVG_POOL2D", attribute, [(images, "")], ((1, 1, 1, 500), "int8"), constants=zero)
    multiplier, shift = pooling_divisor(height * width)
    sums = images.astype(np.int64).sum(axis=(1, 2), keepdims=True)
    mine = lowbit.requantize(sums, scheme="tosa_single", multiplier=multiplier, shift=shift)
    assert np.array_equal(mine, got)
