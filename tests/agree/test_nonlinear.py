"""The oracle and the kernels of every integer-only scheme give the same integers, or the same refusal.

Every test loops over the table of schemes. Rows of narrow codes go through tables and vector registers, wider codes and
``overflow="trap"`` through the plain kernels.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lowbit.errors import InputError
from lowbit.nonlinear.scheme import OPERATIONS, get_scheme, schemes
from tests.agree.schemes import CALLS, OVERFLOWS, by_kernels, by_oracle, operands_of, over, require_equal, taken
from tests.thinned import examples

SOFTMAXES = [call for call in CALLS if call[0].operation == "softmax"]
OF_ANY_INTEGERS = [call for call in CALLS if call[0].relatives != "tflite" and call[0].id not in ("tosa", "gemmlowp")]
WITH_WIDTHS = [call for call in CALLS if len(call[0].bits) > 1 and call[0].id != "gemmlowp"]
SCALES = {"int8": (0.05, 0.25, 0.0123, 0.002, 0.5, 7.9), "int16": (1e-6, 2.0**-12, 2.0**-11, 3e-4, 0.01, 1.0)}


def parameters_of(record):
    """The scheme's own options, and every scale that tells something."""
    for scale in SCALES[record.codes] if record.takes_scale else (None,):
        yield {**record.examples[-1].parameters, **({} if scale is None else {"scale": scale})}


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


def drawn(dtype, lengths, seed=0):
    """Wide and narrow random rows."""
    rng, info = np.random.default_rng(seed), np.iinfo(dtype)
    rows = [rng.integers(info.min, info.max, length, endpoint=True).astype(dtype) for length in lengths]
    return [*rows, rng.integers(-3, 4, 30).astype(dtype)] if info.min else rows


@over(CALLS)
def test_directed_rows(record, variant):
    dtype = record.codes if record.codes in SCALES else "int16"
    rows = taken(record, directed(dtype) + drawn(dtype, (2, 63, 64, 65, 197)))
    for stated in parameters_of(record):
        for overflow in OVERFLOWS if len(record.with_parameters().widths.steps) > 1 else ("trap",):
            require_equal(record, variant, rows, stated, overflow)


@over(CALLS)
def test_every_code_of_8_bits(record, variant):
    codes = np.arange(-128, 128).astype(np.int8)
    rows = taken(record, [codes, *(np.array([code, 0, code], np.int8) for code in codes[::5])])
    require_equal(record, variant, rows, next(parameters_of(record)))


@over([call for call in CALLS if call[0].codes != "int8"])
def test_many_codes_of_16_bits(record, variant):
    # Enough of them that an elementwise function goes through a table of them all.
    codes = np.unique(np.concatenate([np.arange(-32768, 32768, 97), np.arange(-300, 300), [-32767, 32766, 32767]]))
    many = np.tile(codes.astype(np.int16), 60)
    for stated in parameters_of(record):
        both = {**operands_of(record, codes.size), **stated}
        expected = by_oracle(record, variant, codes, "wrap", **both)
        assert by_kernels(record, variant, codes.astype(np.int16), **both).tolist() == expected
        if not OPERATIONS[record.operation].by_row:
            assert by_kernels(record, variant, many, **both).tolist() == expected * 60


@over(OF_ANY_INTEGERS)
@pytest.mark.parametrize("dtype", ["uint8", "int16"])
def test_other_dtypes(record, variant, dtype):
    rows = taken(record, [*directed(dtype, 20), *drawn(dtype, (100,), 1), np.arange(64).astype(dtype)])
    if (record.operation, record.id) == ("layernorm", "fqvit") and dtype == "int16":
        rows = [row // 8 for row in rows]  # the kernels take codes of 13 bits
    stated = {**next(parameters_of(record)), **({"scale": 0.0123} if record.takes_scale else {})}
    for overflow in OVERFLOWS:
        require_equal(record, variant, rows, stated, overflow)


@over(SOFTMAXES)
def test_sums_next_to_powers_of_two(record, variant):
    # The reciprocal jumps where the sum passes a power of two: equal maxima, one fewer, one more, and one far below.
    for length in (2, 4, 128, 1024):
        for extra in (-1, 0, 1):
            row = np.zeros(length + extra, record.codes)
            near = row.copy()
            near[-1] = -60
            require_equal(record, variant, [row, near], record.examples[0].parameters)


@over(CALLS)
def test_many_rows_and_threads(record, variant):
    info = np.iinfo(record.codes)
    wide = np.random.default_rng(2).normal(0, info.max / 3, (300, 200)).clip(info.min, info.max)
    codes = taken(record, [wide.astype(record.codes)])[0]
    stated = {**operands_of(record, 200), **record.examples[-1].parameters}
    alone = by_kernels(record, variant, codes, **stated)
    assert np.array_equal(alone[7], by_kernels(record, variant, codes[7], **stated))
    assert np.array_equal(alone, by_kernels(record, variant, codes, threads=3, **stated))
    assert np.array_equal(alone, by_kernels(record, variant, codes.astype(np.int64), **stated))
    out = np.empty_like(alone)
    assert by_kernels(record, variant, codes, out=out, **stated) is out
    assert np.array_equal(out, alone)
    if OPERATIONS[record.operation].by_row:
        assert np.array_equal(alone, by_kernels(record, variant, codes.T, axis=0, **stated).T)


@settings(max_examples=examples(60), deadline=None)
@given(
    call=st.sampled_from([call for call in CALLS if call[0].codes == "int8"]),
    codes=st.lists(st.integers(-128, 127), min_size=1, max_size=300),
    scale=st.floats(2.0**-12, 0.59375, width=32),
    overflow=st.sampled_from(OVERFLOWS),
)
def test_any_row(call, codes, scale, overflow):
    record, variant = call
    stated = {**record.examples[0].parameters, **({"scale": scale} if record.takes_scale else {})}
    require_equal(record, variant, taken(record, [np.array(codes, np.int8)]), stated, overflow)


@over(WITH_WIDTHS)
def test_result_widths(record, variant):
    row = np.random.default_rng(3).integers(-128, 128, 197).astype(np.int8)
    widths = [bits for bits in (2, 4, 7, 8, 9, 16, 20) if bits in record.bits]
    for bits in widths:
        require_equal(record, variant, [row], record.examples[0].parameters, "wrap", bits)
        if (record, variant) in OF_ANY_INTEGERS:
            require_equal(record, variant, [row.astype(np.int16) * 20], {"scale": 0.02}, "wrap", bits)


@pytest.mark.parametrize("variant", ["torch", "paper", "tvm"])
def test_exponentials_that_wrap(variant):
    # Unit codes around 2^15, 2^16 and 2^17: the exponential of 0 leaves 32 bits, that of -255 perhaps not.
    rows = [np.array([127, -128, 0, 60], np.int8), np.full(9, 5, np.int8), np.arange(-128, 128).astype(np.int8)]
    for unit in (32_700, 32_800, 65_500, 65_600, 65_700, 131_100):
        for overflow in OVERFLOWS:
            for operation in ("softmax", "gelu"):
                require_equal(get_scheme(operation, "ivit"), variant, rows, {"scale": 1 / unit}, overflow)


@over([call for call in CALLS if "gamma" in call[0].options])
def test_gamma_and_beta(record, variant):
    rng = np.random.default_rng(4)
    for length in (2, 64, 197):
        row = rng.integers(-128, 128, length).astype(np.int8)
        row[:2] = -128, 127
        gamma, beta = rng.normal(1, 0.3, length).astype(np.float32), rng.normal(0, 1, length).astype(np.float32)
        require_equal(record, variant, [row], {**record.examples[0].parameters, "gamma": gamma, "beta": beta})


@pytest.mark.parametrize("variant", ["code", "paper"])
def test_learned_shift_of_ibert(variant):
    row = np.random.default_rng(5).integers(-30000, 30000, 197).astype(np.int16)
    require_equal(get_scheme("layernorm", "ibert"), variant, [row], {"shift": 3})


def test_power_of_two_factors_of_fqvit():
    rng = np.random.default_rng(6)
    for length in (2, 64, 197):
        row = rng.integers(-128, 128, length).astype(np.int8)
        row[:2] = -128, 127
        gamma, beta = rng.normal(0, 1, length).astype(np.float32), rng.normal(0, 2, length).astype(np.float32)
        gamma[0] = 0
        stated = {"gamma": gamma, "beta": beta, "factors": rng.integers(0, 4, length)}
        for unit in (0.05, 0.3, 1e-4, 50.0):
            require_equal(get_scheme("layernorm", "fqvit"), "", [row], {**stated, "result_scale": unit})


@pytest.mark.parametrize("scheme", schemes("exp"))
def test_exponentials_take_no_positive_codes(scheme):
    with pytest.raises(InputError, match="positive"):
        by_kernels(get_scheme("exp", scheme), "", [0, 1], scale=0.1)


def test_integer_sqrt():
    near = [n * n + d for n in (1, 2, 3, 181, 46340, 65535, 1 << 20, (1 << 31) - 1) for d in (-1, 0, 1, n)]
    values = [*range(2000), *near, (1 << 62) - 1]
    record = get_scheme("integer_sqrt", "ibert")
    roots = by_kernels(record, "", np.array(values)).tolist()
    assert roots == by_oracle(record, "", np.array(values), "wrap") == [math.isqrt(value) for value in values]
    with pytest.raises(InputError, match="negative"):
        by_kernels(record, "", [-1])
    with pytest.raises(InputError, match="does not fit"):
        by_kernels(record, "", [1 << 62])
