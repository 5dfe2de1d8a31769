"""The source of gemmlowp's and TOSA's kernels, run on Python integers that fail where int64 would."""

import numpy as np
import pytest

from lowbit.oracle.fixed_point import gemmlowp as oracle
from lowbit.oracle.fixed_point import tosa as tosa_oracle
from tests import uncompiled

HOMES = ("gemmlowp", "tosa")
EDGES = [-(1 << 31), -(1 << 31) + 1, -(1 << 28) - 1, -12_345, -1, 0]


@pytest.fixture(scope="module")
def plain():
    return dict(zip(HOMES, uncompiled.load(*(f"fixed_point.{name}" for name in HOMES)), strict=True))


@pytest.fixture(scope="module")
def objects(checked):
    def make(values):
        array = np.asarray(values, dtype=np.int64)
        made = np.empty(array.shape, dtype=object)
        made.reshape(-1)[:] = [checked(value) for value in array.reshape(-1).tolist()]
        return made

    return make


def test_the_functions_of_gemmlowp(plain, checked):
    kernels = plain["gemmlowp"]
    assert not hasattr(kernels.tanh, "py_func"), "this module is compiled"
    for bits, places in ((32, 0), (32, 4), (32, 5), (32, 12), (16, 3)):
        for value in {max(edge, -(1 << (bits - 1))) for edge in EDGES}:
            got = kernels.exp_on_negative_values(checked(value), places, bits)
            assert int(got) == oracle.exp_on_negative_values(value, places, bits)
            for number in (value, min(-value, (1 << (bits - 1)) - 1)):
                assert int(kernels.logistic(checked(number), places, bits)) == oracle.logistic(number, places, bits)
                assert int(kernels.tanh(checked(number), places, bits)) == oracle.tanh(number, places, bits)
    for number in (1, 2, 3, 4, 1000, (1 << 29) - 1, 1 << 29, (1 << 31) - 1):
        assert tuple(map(int, kernels.inverse_square_root(checked(number)))) == oracle.inverse_square_root(number, 1)
        assert int(kernels.reciprocal(checked(number))) == oracle.reciprocal(number, 12).value


def test_tosa(plain, objects):
    kernels = plain["tosa"]
    a = [-(1 << 31), -(1 << 31), (1 << 31) - 1, -7, 5]
    b = [-(1 << 31), (1 << 31) - 1, (1 << 31) - 1, 2, -3]
    out = objects([0] * 5)
    for shift in (0, 1, 31, 62):
        kernels.multiply_each(objects(a), objects(b), shift, out)
        assert [int(v) for v in out] == [tosa_oracle.multiply(x, y, shift) for x, y in zip(a, b, strict=True)]
    kernels.integer_divide_each(objects(a), objects(b), out)
    assert [int(v) for v in out] == [tosa_oracle.integer_divide(x, y) for x, y in zip(a, b, strict=True)]
