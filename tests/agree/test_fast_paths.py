"""Every way that the array layer may take gives the same codes: tables, 32-bit lanes, fused loops, the full kernel.

Asking for flags takes the full kernel, which the other tests of this folder compare with the oracle; here the others
are compared with it on many more inputs.
"""

import numpy as np
import pytest

from lowbit.format.registry import formats, get_format
from lowbit.ops.cast.cast import convert, encode
from lowbit.policy.cast import CAST_PRESETS, Policy, get_policy

FLOATS = [name for name in formats(kind="scalar") if get_format(name).kind == "float"]
SMALL = [name for name in FLOATS if get_format(name).bits <= 8]
POLICIES = [
    Policy(),
    Policy(overflow="saturate", infinity="saturate", nan_code="all_ones", nan_sign="drop"),
    Policy(rounding="toward_zero", negative="absolute", negative_zero="positive"),
    Policy(rounding="to_odd", flush_results="after_rounding", flush_inputs="always"),
    Policy(rounding="nearest_away", nan_code="payload", tie_without_mantissa="up"),
    Policy(nan_code="payload", negative_zero="positive"),
    Policy(rounding="toward_positive", flush_results="before_rounding", zero="nan", underflow="nan"),
]


def words(count, seed=0):
    """binary32 bits: every exponent with short and long mantissas, both signs."""
    drawn = np.random.default_rng(seed)
    random = drawn.integers(0, 1 << 32, count, dtype=np.uint32)
    short = random & np.uint32(0xFFF80000)
    near = short + drawn.integers(-2, 3, count).astype(np.uint32)
    return np.concatenate([random, short, near])


def require_same(codes, source, target, policy):
    got = convert(codes, source, target, policy=policy)
    whole, _ = convert(codes, source, target, policy=policy, return_flags=True)
    where = np.flatnonzero(got != whole)
    first = "" if where.size == 0 else f"{codes[where[0]]:#x}: {got[where[0]]:#x}, full kernel {whole[where[0]]:#x}"
    assert where.size == 0, f"{source} -> {target}: {where.size} differ, {first}, {policy}"


@pytest.mark.parametrize("target", [*SMALL, "float16", "bfloat16", "binary8p3se", "binary8p1uf"])
def test_binary32(target):
    codes = words(1 << 16)
    default = get_policy(get_format(target).default_policy, get_format(target))
    for policy in [default, CAST_PRESETS["cuda"], CAST_PRESETS["ocp_sat"], CAST_PRESETS["ocp_nosat"], *POLICIES]:
        require_same(codes, "float32", target, policy)


@pytest.mark.exhaustive
@pytest.mark.parametrize("target", SMALL)
def test_every_binary32(target):
    """All 2^32 inputs."""
    for start in range(0, 1 << 32, 1 << 24):
        codes = np.arange(start, start + (1 << 24), dtype=np.uint64).astype(np.uint32)
        require_same(codes, "float32", target, get_policy(get_format(target).default_policy, get_format(target)))


@pytest.mark.parametrize("source", ["float64", "float16", "int16", "uint8", "int32"])
def test_other_sources(source):
    fmt = get_format(source)
    drawn = np.random.default_rng(2)
    if fmt.kind == "float":
        codes = drawn.integers(0, 1 << fmt.bits, 70_000, dtype=fmt.code_dtype)
    else:
        codes = drawn.integers(fmt.min_code, fmt.max_code, 70_000, dtype=fmt.code_dtype, endpoint=True)
    for target in ("float8_e4m3fn", "float4_e2m1fn", "float8_e8m0fnu", "float16", "float32"):
        for policy in POLICIES:
            require_same(codes, source, target, policy)


@pytest.mark.parametrize("target", ["float8_e4m3fn", "float8_e8m0fnu", "float16", "int8"])
@pytest.mark.parametrize("size", [0, 1, 2, 7, 15, 16, 17, 63, 64, 127, 1 << 14, (1 << 14) + 1, (1 << 18) + 3])
def test_sizes(target, size):
    """Remainders of vector loops and of chunks, on arrays that are cut from a longer one."""
    codes = words(1 << 17)[:size]
    policy = CAST_PRESETS["ocp_sat"]
    every = convert(words(1 << 17), "float32", target, policy=policy)[:size]
    assert np.array_equal(convert(codes, "float32", target, policy=policy), every)
    backwards = convert(codes[::-1], "float32", target, policy=policy)
    assert np.array_equal(backwards, every[::-1])


@pytest.mark.parametrize("target", ["float8_e4m3fn", "float8_e5m3fnu", "bfloat16", "int8"])
@pytest.mark.parametrize("threads", [2, 3])
def test_threads(target, threads):
    values = words(1 << 18).view(np.float32)
    policy = get_policy(get_format(target).default_policy, get_format(target))
    alone = encode(values, target, policy=policy, return_flags=True, return_counts=True)
    together = encode(values, target, policy=policy, return_flags=True, return_counts=True, threads=threads)
    assert np.array_equal(alone[0], together[0])
    assert alone[1] == together[1]
    assert np.array_equal(alone[2], together[2])
