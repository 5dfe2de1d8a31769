"""The oracle and the kernels of every integer-only scheme give the same integers, or the same refusal.

Rows of 8-bit codes go through tables and vector registers, wider codes through the plain kernels.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lowbit
from lowbit.errors import InputError, IntermediateOverflowError
from lowbit.nonlinear import lowbit_scheme as own
from lowbit.nonlinear.ivit import norm_bias
from lowbit.oracle.nonlinear import (
    exp_ibert,
    exp_ivit,
    gelu_ibert,
    gelu_ivit,
    gelu_lowbit,
    layernorm_fqvit,
    layernorm_ibert,
    layernorm_ivit,
    layernorm_lowbit,
    softmax_fqvit,
    softmax_ibert,
    softmax_ivit,
    softmax_lowbit,
)


def unvaried(function):
    return lambda row, scale, _, overflow: function(row, scale, overflow=overflow)


def oracle(module, name):
    return lambda row, scale, variant, overflow: getattr(module, name)(row, scale, variant, overflow=overflow)


def norm(module):
    return lambda row, _, variant, overflow: module.layernorm(row, None, variant, overflow=overflow)


SCHEMES = {
    ("softmax", "ivit"): (oracle(softmax_ivit, "softmax"), ("torch", "paper", "tvm")),
    ("softmax", "ibert"): (oracle(softmax_ibert, "softmax"), ("code", "paper")),
    ("softmax", "fqvit"): (oracle(softmax_fqvit, "softmax"), ("code", "paper")),
    ("softmax", "lowbit"): (unvaried(softmax_lowbit.softmax), ("",)),
    ("gelu", "ivit"): (oracle(gelu_ivit, "gelu"), ("torch", "paper", "tvm")),
    ("gelu", "ibert"): (oracle(gelu_ibert, "gelu"), ("code", "paper")),
    ("gelu", "lowbit"): (unvaried(gelu_lowbit.gelu), ("",)),
    ("layernorm", "ivit"): (norm(layernorm_ivit), ("torch", "paper", "tvm")),
    ("layernorm", "ibert"): (norm(layernorm_ibert), ("code", "paper")),
    ("layernorm", "lowbit"): (lambda row, _, __, mode: layernorm_lowbit.layernorm(row, overflow=mode), ("",)),
}
CASES = [(*key, variant) for key, (_, variants) in SCHEMES.items() for variant in variants]
SCALES = [float(np.float32(scale)) for scale in (0.05, 0.25, 0.04, 0.0123, 0.002, 0.5)]
OVERFLOWS = ("wrap", "saturate", "trap")


def refused_or(call):
    """The answer, or what kind of refusal it was, with the first overflow's place."""
    try:
        return call()
    except IntermediateOverflowError as error:
        return ("trap", error.element, error.name, error.bits)
    except InputError:
        return "refused"


def require_equal(operation, scheme, variant, rows, scale, overflow):
    reference = SCHEMES[operation, scheme][0]
    for row in rows:
        expected = refused_or(lambda row=row: reference(row.tolist(), scale, variant, overflow))
        got = refused_or(
            lambda row=row: getattr(lowbit, operation)(
                row, scheme=scheme, variant=variant, scale=scale, overflow=overflow
            ).tolist()
        )
        assert got == expected, f"{operation} {scheme} {variant} {scale} {overflow} {row[:8]}... of {row.size}"


def directed(dtype, length=40):
    """Rails, equal codes, one high among low, one low among high, steps, the whole range."""
    low, high = int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)
    one_hot, one_cold = np.full(length, low), np.full(length, high)
    one_hot[3], one_cold[5] = high, low
    ones = np.zeros(length, int)
    ones[1] = 1
    fours = np.zeros(length, int)
    fours[2] = 4
    rows = [np.full(length, low), np.full(length, high), np.full(length, 7), one_hot, one_cold, ones, fours]
    rows += [np.linspace(low, high, length).astype(int), np.array([low]), np.array([high, low]), np.array([0])]
    return [row.astype(dtype) for row in rows]


@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_directed_rows(case):
    rng = np.random.default_rng(0)
    rows = directed(np.int8) + [rng.integers(-128, 128, length).astype(np.int8) for length in (2, 63, 64, 65, 197)]
    for scale in SCALES:
        for overflow in OVERFLOWS:
            require_equal(*case, rows, scale, overflow)


@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_every_code_of_8_bits(case):
    codes = np.arange(-128, 128).astype(np.int8)
    rows = [codes, *(np.array([code, 0, code], np.int8) for code in codes[::5])]
    require_equal(*case, rows, SCALES[0], "wrap")


@pytest.mark.parametrize("case", CASES, ids="-".join)
@pytest.mark.parametrize("dtype", ["uint8", "int16"])
def test_other_dtypes(case, dtype):
    rng = np.random.default_rng(1)
    info = np.iinfo(dtype)
    rows = [*directed(dtype, 20), rng.integers(info.min, info.max, 100).astype(dtype), np.arange(64).astype(dtype)]
    for overflow in OVERFLOWS:
        require_equal(*case, rows, SCALES[3], overflow)


@pytest.mark.parametrize(("operation", "scheme", "variant"), [case for case in CASES if case[0] == "softmax"])
def test_sums_next_to_powers_of_two(operation, scheme, variant):
    # The reciprocal jumps where the sum passes a power of two: equal maxima, one fewer, one more, and one far below.
    for length in (2, 4, 128, 1024, 4096):
        for extra in (-1, 0, 1):
            row = np.zeros(length + extra, np.int8)
            near = row.copy()
            near[-1] = -60
            require_equal(operation, scheme, variant, [row, near], SCALES[0], "wrap")


@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_many_rows_and_threads(case):
    operation, scheme, variant = case
    codes = np.random.default_rng(2).normal(0, 40, (300, 200)).clip(-128, 127).astype(np.int8)
    options = {"scheme": scheme, "variant": variant, "scale": SCALES[0]}
    call = getattr(lowbit, operation)
    alone = call(codes, **options)
    assert np.array_equal(alone[7], call(codes[7], **options))
    assert np.array_equal(alone, call(codes, threads=3, **options))
    assert np.array_equal(alone, call(codes.T, axis=0, **options).T)
    assert np.array_equal(alone, call(codes.astype(np.int32), **options))
    out = np.empty_like(alone)
    assert call(codes, out=out, **options) is out
    assert np.array_equal(out, alone)


@settings(max_examples=60, deadline=None)
@given(
    case=st.sampled_from(CASES),
    codes=st.lists(st.integers(-128, 127), min_size=1, max_size=300),
    scale=st.floats(2.0**-12, 0.59375, width=32),
    overflow=st.sampled_from(OVERFLOWS),
)
def test_any_row(case, codes, scale, overflow):
    require_equal(*case, [np.array(codes, np.int8)], scale, overflow)


@pytest.mark.parametrize("variant", ["torch", "paper", "tvm"])
@pytest.mark.parametrize("bits", [2, 8, 9, 16, 20])
def test_result_widths_of_shiftmax(variant, bits):
    row = np.random.default_rng(3).integers(-128, 128, 197).astype(np.int8)
    expected = softmax_ivit.softmax(row.tolist(), SCALES[0], variant, bits)
    assert lowbit.softmax(row, scale=SCALES[0], variant=variant, bits=bits).tolist() == expected


@pytest.mark.parametrize("variant", ["code", "paper"])
@pytest.mark.parametrize("bits", [2, 4, 7, 8])
def test_result_widths_of_log_int_softmax(variant, bits):
    for dtype, scale in ((np.int8, 0.3), (np.int16, 0.02)):
        row = np.random.default_rng(3).integers(-128, 128, 197).astype(dtype) * (1 if dtype == np.int8 else 20)
        expected = softmax_fqvit.softmax(row.tolist(), float(np.float32(scale)), variant, bits)
        assert lowbit.softmax(row, scheme="fqvit", scale=scale, variant=variant, bits=bits).tolist() == expected


@pytest.mark.parametrize("variant", ["torch", "paper", "tvm"])
def test_exponentials_that_wrap(variant):
    # Unit codes around 2^15, 2^16 and 2^17: the exponential of 0 leaves 32 bits, that of -255 perhaps not.
    rows = [np.array([127, -128, 0, 60], np.int8), np.full(9, 5, np.int8), np.arange(-128, 128).astype(np.int8)]
    for unit in (32_700, 32_800, 65_500, 65_600, 65_700, 131_100):
        for overflow in OVERFLOWS:
            require_equal("softmax", "ivit", variant, rows, float(np.float32(1 / unit)), overflow)
            require_equal("gelu", "ivit", variant, rows, float(np.float32(1 / unit)), overflow)


def test_gamma_and_beta():
    rng = np.random.default_rng(4)
    row = rng.integers(-128, 128, 197).astype(np.int8)
    gamma, beta = rng.normal(1, 0.3, 197).astype(np.float32), rng.normal(0, 1, 197).astype(np.float32)
    pairs = list(zip(beta.tolist(), gamma.tolist(), strict=True))
    bias = [norm_bias(*pair, 197) for pair in pairs]
    ours = {name: lowbit.layernorm(row, scheme=name, gamma=gamma, beta=beta) for name in ("ivit", "ibert", "lowbit")}
    assert ours["ivit"].tolist() == layernorm_ivit.layernorm(row.tolist(), bias)
    assert ours["ibert"].tolist() == layernorm_ibert.layernorm(row.tolist(), bias)
    own_bias = [own.norm_bias(*pair) for pair in pairs]
    assert ours["lowbit"].tolist() == layernorm_lowbit.layernorm(row.tolist(), own_bias)


def test_learned_shift_of_ibert():
    row = np.random.default_rng(5).integers(-30000, 30000, 197).astype(np.int16)
    expected = layernorm_ibert.layernorm(row.tolist(), shift=3)
    assert lowbit.layernorm(row, scheme="ibert", shift=3).tolist() == expected


@pytest.mark.parametrize(
    ("scheme", "module", "variant"),
    [
        *(("ivit", exp_ivit, name) for name in ("torch", "paper", "tvm")),
        *(("ibert", exp_ibert, n) for n in ("code", "paper")),
    ],
)
def test_exponentials(scheme, module, variant):
    codes = np.arange(0, -1200, -1)
    for scale in SCALES:
        expected = module.exponential(codes.tolist(), scale, variant)
        assert lowbit.fixed_point.exp(codes, scheme=scheme, variant=variant, scale=scale).tolist() == expected
    with pytest.raises(InputError, match="positive"):
        lowbit.fixed_point.exp([0, 1], scheme=scheme, scale=0.1)


def test_integer_sqrt():
    near = [n * n + d for n in (1, 2, 3, 181, 46340, 65535, 1 << 20, (1 << 31) - 1) for d in (-1, 0, 1, n)]
    values = [*range(2000), *near, (1 << 62) - 1]
    roots = lowbit.fixed_point.integer_sqrt(np.array(values)).tolist()
    assert roots == [layernorm_ibert.integer_sqrt(value) for value in values] == [math.isqrt(value) for value in values]
    with pytest.raises(InputError, match="negative"):
        lowbit.fixed_point.integer_sqrt([-1])
    with pytest.raises(InputError, match="does not fit"):
        lowbit.fixed_point.integer_sqrt([1 << 62])


def test_power_of_two_factors_of_fqvit():
    rng = np.random.default_rng(6)
    for length in (2, 64, 197):
        row = rng.integers(-128, 128, length).astype(np.int8)
        row[:2] = -128, 127
        gamma, beta = rng.normal(0, 1, length).astype(np.float32), rng.normal(0, 2, length).astype(np.float32)
        factors = rng.integers(0, 4, length)
        gamma[0] = 0
        for unit in (0.05, 0.3, 1e-4, 50.0):
            affine = list(zip(gamma.tolist(), beta.tolist(), strict=True))
            unit32 = float(np.float32(unit))
            expected = layernorm_fqvit.layernorm(row.tolist(), unit32, affine, factors.tolist())
            options = {"gamma": gamma, "beta": beta, "factors": factors, "result_scale": unit}
            assert lowbit.layernorm(row, scheme="fqvit", **options).tolist() == expected
