"""The kernels' source run on Python integers that fail where 64-bit registers would: no width or typing accident.

The same functions, compiled, must give the same codes and flags, and both must agree with the oracle.
"""

import numpy as np
import pytest

from lowbit.format.registry import get_format
from lowbit.kernels.cast import layout as at
from lowbit.ops.cast.lowering import lower
from lowbit.policy.cast import Policy
from tests.thinned import thinned

# Python warns of ~True from 3.12 on; under Numba it is a plain logical not.
pytestmark = pytest.mark.filterwarnings("ignore:Bitwise inversion '~' on bool:DeprecationWarning")

POLICIES = [
    Policy(),
    Policy(nan_code="payload"),
    Policy(rounding="nearest_odd", overflow="saturate", infinity="saturate"),
    Policy(rounding="to_odd", flush_results="after_rounding"),
    Policy(rounding="toward_negative", flush_inputs="always", negative="absolute"),
    Policy(rounding="away_from_zero", flush_results="before_rounding", negative_zero="positive", negative="zero"),
    Policy(rounding="nearest_down", overflow="nan", nan_sign="drop_input", zero="nan", underflow="nan"),
    Policy(rounding="stochastic_a", random_bits=32),
    Policy(rounding="stochastic_b", random_bits=10),
    Policy(rounding="stochastic_c", random_bits=7),
]
FLOATS = ["float64", "float32", "float16", "float8_e5m2", "float8_e4m3fn", "float8_e4m3fnuz", "float4_e2m1fn"]
FLOATS += ["float4_e0m3", "float8_e8m0fnu", "float8_e4m3fnu", "binary8p1ue", "binary16p2se"]
FIXED = ["int1", "int4_narrow", "int8", "uint8", "int32", "q4.12", "uq1.7"]
SOURCES = ["float64", "float32", "bfloat16", "float8_e5m2fnuz", "float8_e8m0fnu", "binary16p1sf"]


def some_codes(fmt, seed):
    """Edges, the surroundings of 1, and random bits."""
    drawn = np.random.default_rng(seed)
    one = max(fmt.bias, 0) << fmt.mantissa_bits
    half = (1 << fmt.mantissa_bits) >> 1
    codes = [0, 1, fmt.min_normal_code - 1, fmt.min_normal_code, fmt.max_code - 1, fmt.max_code, fmt.max_code + 1]
    codes += [one + offset for offset in (-1, 0, 1, half - 1, half, half + 1, half // 8, half // 8 + 1)]
    codes += [int(code) for code in drawn.integers(0, 1 << fmt.magnitude_bits, 12, dtype=np.uint64)]
    codes += [one + int(code) for code in drawn.integers(-(20 << fmt.mantissa_bits), 20 << fmt.mantissa_bits, 12)]
    codes.append((1 << fmt.magnitude_bits) - 1)
    magnitudes = [code for code in codes if 0 <= code < 1 << fmt.magnitude_bits]
    return sorted({code | sign for code in magnitudes for sign in (0, fmt.sign_bit)})


def objects(values, checked):
    array = np.empty(len(values), dtype=object)
    array[:] = [checked(value) for value in values]
    return array


def signed_64(code):
    """A code as the int64 lane that holds it."""
    return code - (1 << 64) if code >> 63 else code


def run_plain(cast, checked, codes, random, vector, floating):
    """Codes and flags by the kernels' loops on checked integers."""
    entries = [checked(int(entry)) for entry in vector]
    lanes = objects([signed_64(code) for code in codes], checked)
    state, magnitude, exponent = (np.empty(lanes.size, dtype=object) for _ in range(3))
    cast.unpack(lanes, entries, state, magnitude, exponent)
    kernel = cast.encode_unpacked_float if floating else cast.encode_unpacked_fixed
    kernel(state, magnitude, exponent, objects(random, checked), entries)
    return [int(code) for code in magnitude], [int(flag) for flag in exponent]


def run_compiled(codes, random, vector, floating):
    """The same loops, compiled."""
    from lowbit.kernels.cast import cast

    lanes = np.array([signed_64(code) for code in codes], dtype=np.int64)
    state, magnitude, exponent = (np.empty(lanes.size, dtype=np.int64) for _ in range(3))
    cast.unpack(lanes, vector, state, magnitude, exponent)
    kernel = cast.encode_unpacked_float if floating else cast.encode_unpacked_fixed
    kernel(state, magnitude, exponent, np.array(random, dtype=np.int64), vector)
    return magnitude.tolist(), exponent.tolist()


def matches_oracle(oracle_codes, codes, random, source, target, policy, plain):
    """Compare codes and flags, leaving out what the layer above the kernels adds: NV of a dropped sign."""
    array = np.array(codes, dtype=get_format(source).code_dtype)
    expected, flags, saturated, refused = oracle_codes(array, source, target, policy, random)
    dropped = policy.negative == "absolute" and not get_format(target).signed
    ignored = at.INVALID if dropped else 0
    width = get_format(target).container_bits
    for index, code in enumerate(codes):
        where = f"{source} {code:#x} -> {target}, {policy}"
        if refused[index]:
            assert plain[1][index] & at.REFUSED, where
            continue
        assert plain[0][index] % (1 << width) == int(expected[index]) % (1 << width), where
        assert plain[1][index] & at.EXCEPTIONS | ignored == int(flags[index]) | ignored, where
        assert bool(plain[1][index] & at.SATURATED) == saturated[index], where


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("target", thinned(FLOATS + FIXED, 8))
def test_three_runs(python_kernels, checked, oracle_codes, source, target):
    _, cast = python_kernels
    codes = some_codes(get_format(source), 3)
    floating = get_format(target).kind == "float"
    drawn = np.random.default_rng(9)
    for policy in POLICIES:
        if policy.stochastic and source == "float64" and policy.random_bits > 10:
            continue
        random = drawn.integers(0, 1 << policy.random_bits, len(codes)).tolist()
        vector = lower(get_format(source), get_format(target), policy)
        plain = run_plain(cast, checked, codes, random, vector, floating)
        assert plain == run_compiled(codes, random, vector, floating)
        matches_oracle(oracle_codes, codes, random, source, target, policy, plain)


@pytest.mark.parametrize("source", ["float32", "bfloat16", "float64"])
@pytest.mark.parametrize("target", FLOATS)
def test_the_fused_loop(python_kernels, checked, source, target):
    """``encode_float`` gives the codes of the full kernel, on Python integers and compiled."""
    from lowbit.kernels.cast import cast as compiled

    _, cast = python_kernels
    codes = some_codes(get_format(source), 4)
    lanes = np.array([signed_64(code) for code in codes], dtype=np.int64)
    for policy in POLICIES[:7]:
        vector = lower(get_format(source), get_format(target), policy)
        out = np.empty(lanes.size, dtype=np.int64)
        compiled.encode_float(lanes, vector, out)
        plain = np.empty(lanes.size, dtype=object)
        cast.encode_float(objects(lanes.tolist(), checked), [checked(int(entry)) for entry in vector], plain)
        assert [int(code) for code in plain] == out.tolist()
        whole = run_compiled(codes, [0] * len(codes), vector, True)[0]
        assert whole == out.tolist()


def test_the_checked_integer_checks(checked):
    """The net has no holes: overflow and undefined shifts fail, ordinary arithmetic does not."""
    top = checked((1 << 63) - 1)
    with pytest.raises(AssertionError, match="64 bits"):
        top + 1
    with pytest.raises(AssertionError, match="64 bits"):
        1 + top
    with pytest.raises(AssertionError, match="64 bits"):
        checked(1) << 63
    with pytest.raises(AssertionError, match="shift by 64"):
        checked(1) >> 64
    with pytest.raises(AssertionError, match="shift by -1"):
        1 << checked(-1)
    with pytest.raises(AssertionError, match="shift by 70"):
        5 >> checked(70)
    assert type(checked(3) * 2 - 1 & 7) is checked
    assert type(5 | checked(2)) is checked
    assert ~checked(0) == -1


@pytest.mark.parametrize("name", ["pick", "increment", "place", "project_float_fully"])
def test_the_plain_kernels_are_not_compiled(python_kernels, name):
    project, _ = python_kernels
    assert type(getattr(project, name)).__name__ == "function"
