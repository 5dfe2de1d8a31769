"""Every code of every named format of at most 16 bits, and of P3109, decodes alike in kernel and oracle."""

import numpy as np
import pytest

from lowbit.exact import FINITE, NAN
from lowbit.format.registry import formats, get_format
from lowbit.format.scalar import FloatFormat
from lowbit.oracle import decode as oracle_decode
from lowbit.vectors.recipes import p3109_names

NAMED = [name for name in formats(kind="scalar") if get_format(name).bits <= 16]


def all_codes(fmt):
    return np.arange(fmt.codes[0], fmt.codes[-1] + 1).astype(fmt.code_dtype)


def require_equal_triples(codes, name):
    from lowbit.ops.cast.exact import decode_exact

    fmt = get_format(name)
    kind, significand, exponent = (array.tolist() for array in decode_exact(codes, fmt))
    for index, code in enumerate(codes.tolist()):
        value = oracle_decode(code, fmt)
        expected = value.reduced()
        assert kind[index] == expected.kind, (name, hex(code))
        if value.kind == FINITE:
            triple = (significand[index], exponent[index])
            assert triple == (expected.significand, expected.exponent), (name, hex(code))


@pytest.mark.parametrize("name", NAMED)
def test_every_code(name):
    codes = all_codes(get_format(name))
    require_equal_triples(
        codes if codes.size <= 4096 or name in ("float16", "bfloat16", "int16") else codes[::13], name
    )


@pytest.mark.parametrize("bits", range(3, 11))
def test_p3109(bits):
    for name in p3109_names(range(bits, bits + 1)):
        codes = all_codes(get_format(name))
        require_equal_triples(codes if bits <= 8 else codes[:: 2 * bits - 15], name)


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", p3109_names(range(9, 17)))
def test_every_code_of_larger_p3109(name):
    require_equal_triples(all_codes(get_format(name)), name)


@pytest.mark.parametrize("name", ["float32", "float64", "tf32", "int32", "uint32", "int64"])
def test_wide_formats(name):
    fmt = get_format(name)
    drawn = np.random.default_rng(11)
    if isinstance(fmt, FloatFormat):
        codes = drawn.integers(0, 1 << fmt.bits, 3000, dtype=np.uint64)
        edges = [0, 1, fmt.min_normal_code, fmt.max_code, fmt.max_code + 1, fmt.nan, fmt.sign_bit, fmt.sign_bit + 1]
        codes[: len(edges)] = edges
    else:
        codes = drawn.integers(fmt.min_code, fmt.max_code, 3000, dtype=fmt.code_dtype, endpoint=True)
        codes[:3] = [0, fmt.min_code, fmt.max_code]
    require_equal_triples(codes.astype(fmt.code_dtype), name)


@pytest.mark.parametrize("name", [name for name in NAMED if isinstance(get_format(name), FloatFormat)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_values(name, dtype):
    """``decode`` gives the bits that the oracle gives: signs of zeros and NaNs, and payloads, included."""
    from lowbit.ops.cast.cast import decode
    from lowbit.oracle import convert
    from lowbit.policy.cast import CAST_PRESETS

    fmt, target = get_format(name), get_format(dtype)
    codes = all_codes(fmt)
    codes = codes if codes.size <= 4096 else codes[::7]
    bits = decode(codes, fmt, dtype=dtype).view(target.code_dtype).tolist()
    for index, code in enumerate(codes.tolist()):
        result = convert(code, fmt, target, CAST_PRESETS["ieee"])
        assert result.flags == 0
        assert bits[index] == result.code, (name, hex(code))


def test_nan_fields_survive():
    value = oracle_decode(0x7FC00001, get_format("float32"))
    assert (value.kind, value.significand, value.exponent) == (NAN, 0x400001, -23)
