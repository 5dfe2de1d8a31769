"""The source of TFLite's, gemmlowp's and TOSA's kernels, run on Python integers that fail where int64 would."""

import numpy as np
import pytest

import lowbit
from lowbit.nonlinear import tflite
from lowbit.nonlinear.stored_tables import stored_table
from lowbit.nonlinear.tflite_widths import l2norm_widths, layernorm_widths, softmax_int8_widths, softmax_int16_widths
from lowbit.oracle.fixed_point import gemmlowp as oracle
from lowbit.oracle.fixed_point import tosa as tosa_oracle
from tests import uncompiled

VARIANTS = ["double_rounding", "single_rounding"]
HOMES = {
    "gemmlowp": "fixed_point",
    "table": "fixed_point",
    "tosa": "fixed_point",
    "tflite_multiply": "nonlinear",
    "tflite_softmax": "nonlinear",
    "tflite_sigmoid": "nonlinear",
    "tflite_norm": "nonlinear",
}
EDGES = [-(1 << 31), -(1 << 31) + 1, -(1 << 28) - 1, -12_345, -1, 0]


@pytest.fixture(scope="module")
def plain():
    return dict(zip(HOMES, uncompiled.load(*(f"{home}.{name}" for name, home in HOMES.items())), strict=True))


@pytest.fixture(scope="module")
def objects(checked):
    def make(values):
        array = np.asarray(values, dtype=np.int64)
        made = np.empty(array.shape, dtype=object)
        made.reshape(-1)[:] = [checked(value) for value in array.reshape(-1).tolist()]
        return made

    return make


def whole(array):
    return [[int(value) for value in row] for row in array]


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


def limits_of(widths):
    return np.array(widths.limits(), dtype=np.int64)


@pytest.mark.parametrize("variant", VARIANTS)
def test_softmax(plain, objects, variant):
    kernels, single = plain["tflite_softmax"], variant == "single_rounding"
    codes = np.array([[127, 3, -128, -5, 126], [0, 0, 0, 0, 0]])
    for scale in (0.01, 1.0, 40.0):
        multiplier, shift, lowest = tflite.softmax_parameters(tflite.binary32(scale), tflite.binary32(1), variant)
        limits = objects(limits_of(softmax_int8_widths(variant, 8)))
        out, trap = objects(np.zeros((2, 5))), objects([-1] * 4)
        kernels.softmax_int8(objects(codes), objects([multiplier, shift, single, lowest, 8]), limits, 0, out, trap)
        options = {"scheme": "tflite_int8", "scale": scale, "variant": variant}
        assert whole(out) == lowbit.softmax(codes, **options).tolist()
    codes = np.array([[32767, 3, -32768, 32000, 31111], [5, 5, 5, 5, 5]])
    tables = [objects(stored_table(f"tflite_softmax_{name}")) for name in ("exp", "reciprocal")]
    for scheme, cmsis in (("tflite_int16", 0), ("cmsis_int16", 1)):
        constants = objects([1 << 30, 1, single, 0, 16, cmsis])
        limits = objects(limits_of(softmax_int16_widths(variant, scheme)))
        kernels.softmax_int16(objects(codes), constants, *tables, limits, 0, out, trap)
        options = {"scheme": scheme, "multiplier": 1 << 30, "shift": 1, "variant": variant}
        assert whole(out) == lowbit.softmax(codes, **options).tolist()


@pytest.mark.parametrize("variant", VARIANTS)
def test_norms(plain, objects, variant):
    kernels, single = plain["tflite_norm"], variant == "single_rounding"
    codes = np.array([[127, 3, -128, -5], [0, 0, 0, 0], [1, 0, 0, 0]])
    out, trap = objects(np.zeros(codes.shape)), objects([-1] * 4)
    limits = objects(limits_of(l2norm_widths(variant)))
    kernels.l2norm_int8(objects(codes), objects([0, 0, single, -7]), limits, 0, out, trap)
    assert whole(out) == lowbit.l2norm(codes, zero_point=-7, variant=variant).tolist()
    codes = np.array([[32767, -32768, 32767, -32768], [1, 2, 3, 5], [9, 9, 9, 9]])
    weights, biases = [32767, -32768, 5, 1], [(1 << 31) - 1, -(1 << 31), 7, 0]
    constants = objects([(1 << 31) - 1, -13, single, 0, 1])
    limits = objects(limits_of(layernorm_widths(variant)))
    kernels.layernorm_int16(objects(codes), constants, objects(weights), objects(biases), limits, 0, out, trap)
    options = {"weights": weights, "biases": biases, "multiplier": (1 << 31) - 1, "shift": -13, "variant": variant}
    assert whole(out) == lowbit.layernorm(codes, scheme="tflite_int16", **options).tolist()


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
