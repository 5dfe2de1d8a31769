"""``encode_exact`` and ``decode_exact``: values that no array dtype holds."""

import numpy as np
import pytest

from lowbit.errors import InputError
from lowbit.exact import FINITE, INFINITY, MINUS_INFINITY, NOT_A_NUMBER, Exact
from lowbit.format.registry import get_format
from lowbit.ops.cast.exact import decode_exact, encode_exact
from lowbit.oracle import encode as oracle_encode
from lowbit.policy.cast import CAST_PRESETS, Policy

TARGETS = ["float64", "float32", "float16", "float8_e4m3fn", "float8_e8m0fnu", "float8_e4m3fnu", "binary16p1se"]
TARGETS += ["binary16p2ue", "int8", "int64", "uint64", "q4.12", "int4_narrow"]
POLICIES = [
    CAST_PRESETS["ocp_sat"],
    Policy(),
    Policy(rounding="toward_negative", negative="absolute", infinity="nan", nan="minimum"),
    Policy(rounding="to_odd", without_infinity="saturate", negative_zero="positive", zero="nan"),
    Policy(rounding="nearest_away", overflow="nan", via="float32"),
    Policy(rounding="away_from_zero", overflow="saturate", flush_results="after_rounding"),
    Policy(rounding="stochastic_c", random_bits=6, negative="zero"),
]


def triples(target, count, seed):
    """Significands of 1 to 63 bits, exponents that reach the target's range and far beyond it."""
    drawn = np.random.default_rng(seed)
    widths = drawn.integers(1, 64, count)
    significands = drawn.integers(0, 1 << 62, count) * 2 + 1 >> 63 - widths
    significands |= 1
    near = np.round(np.log2(float(min(target.max.fraction(), 10**300)))) if target.max.fraction() < 10**300 else 0
    spans = np.array([8, 60, 1200, 40000])[drawn.integers(0, 4, count)]
    exponents = (drawn.integers(-spans, spans + 1) + int(near) * drawn.integers(0, 2, count) - widths).astype(np.int64)
    signs = drawn.integers(0, 2, count) * 2 - 1
    significands = significands * signs
    edges = [-(1 << 63), (1 << 63) - 1, -(1 << 63) + 1, (1 << 62) + 1, 0, 1, -1, 3, -3]
    significands[: len(edges)] = edges
    exponents[: len(edges)] = 0
    return significands, exponents


@pytest.mark.parametrize("target", TARGETS)
def test_against_the_oracle(target):
    fmt = get_format(target)
    significands, exponents = triples(fmt, 250, 17)
    if target in ("int64", "uint64"):
        # a stated limit: what has more than 55 bits must be a multiple of the unit of a 64-bit target
        exponents = np.where(np.abs(significands.astype(float)) < 2.0**55, exponents, np.abs(exponents))
    kinds = np.zeros(significands.size, dtype=np.int64)
    kinds[-3:] = (1, 2, 3)
    special = {1: INFINITY, 2: MINUS_INFINITY, 3: NOT_A_NUMBER}
    for policy in POLICIES:
        if policy.stochastic and target == "float64":
            continue  # a stated limit: 55 bits are too few for a binary64 result and random bits
        random = np.random.default_rng(1).integers(0, 1 << policy.random_bits, kinds.size)
        expected, kept = [], []
        for index, (significand, exponent) in enumerate(zip(significands.tolist(), exponents.tolist(), strict=True)):
            value = Exact(FINITE, significand, exponent, significand < 0)
            value = special.get(int(kinds[index]), value)
            expected.append(oracle_encode(value, fmt, policy, random=int(random[index])).code)
            kept.append(value)
        draws = random if policy.stochastic else None
        got = encode_exact(kinds, significands, exponents, fmt, policy=policy, random_bits=draws).tolist()
        wrong = [(str(kept[i]), got[i], expected[i]) for i in range(len(got)) if got[i] != expected[i]]
        assert not wrong, f"{target}, {policy}: {len(wrong)} differ, (value, got, oracle): {wrong[:4]}"


@pytest.mark.parametrize("name", ["float16", "float8_e4m3fn", "float8_e8m0fnu", "binary12p1se", "binary10p4uf", "int8"])
def test_inverse(name):
    fmt = get_format(name)
    codes = np.arange(1 << fmt.bits, dtype=np.int64) if fmt.kind == "float" else np.arange(-128, 128)
    codes = codes.astype(fmt.code_dtype)
    kind, significand, exponent = decode_exact(codes, fmt)
    again = encode_exact(kind, significand, exponent, fmt, policy=Policy())
    ordinary = (kind != 3) & ((significand != 0) | (kind != 0) | (codes == 0))
    assert np.array_equal(again[ordinary], codes[ordinary])
    assert np.all(decode_exact(again[kind == 3], fmt)[0] == 3)


def test_refusals():
    with pytest.raises(InputError, match="negative"):
        encode_exact(0, -3, 0, "float8_e8m0fnu", policy=Policy(negative="error"))
