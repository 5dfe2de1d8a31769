"""Corners of the array interface: dtypes, shapes, memory, wide integers, refusals. The bits of ordinary casts are
proved in tests/agree."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import lowbit
from lowbit import FixedFormat, FloatFormat, InexactError, InputError, Policy, PolicyError

STOCHASTIC = Policy(rounding="stochastic_a", random_bits=8)


@pytest.mark.parametrize("dtype", [np.int64, np.uint64, np.uint32, np.int32, ">u4", object])
def test_codes_of_any_integer_dtype(dtype: Any) -> None:
    codes: Any = [0x3F800000, 0x40000000]
    if dtype is not object:
        codes = np.array(codes, dtype=dtype)
    assert lowbit.convert(codes, "float32", "float8_e4m3fn").tolist() == [56, 64]


def test_narrow_dtype_of_wide_codes() -> None:
    assert lowbit.convert(np.ones(8, np.int8), "float64", "float8_e5m2").tolist() == [0] * 8
    codes, counts = lowbit.convert(np.array([1], np.uint8), "float16", "float8_e5m2", return_counts=True)
    assert codes.tolist() == [0]
    assert counts["inexact"] == 1


@pytest.mark.parametrize("shape", [(0,), (3, 0, 2)])
@pytest.mark.parametrize("threads", [1, 4])
def test_empty_arrays_of_every_dtype(shape: tuple[int, ...], threads: int) -> None:
    floats = [np.float16, np.float32, np.float64, ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn, ml_dtypes.float4_e2m1fn]
    integers = [np.dtype(f"{sign}int{bits}") for sign in ("", "u") for bits in (8, 16, 32, 64)]
    for dtype in [*floats, *integers, ml_dtypes.int4]:
        values = np.zeros(shape, dtype=dtype)
        for target in (
            "float64",
            "bfloat16",
            "float8_e4m3fn",
            "float8_e8m0fnu",
            "float4_e2m1fn",
            "int8",
            "uint64",
            "q8.8",
        ):
            codes, counts, flags = lowbit.encode(values, target, return_counts=True, return_flags=True, threads=threads)
            assert lowbit.encode(values, target, threads=threads).shape == codes.shape == flags.shape == shape
            assert codes.dtype == lowbit.get_format(target).code_dtype
            assert not any(counts.values())


def test_what_wraps_or_becomes_a_nan_is_not_counted_as_saturated() -> None:
    def counted(values: list[float], fmt: str, policy: Any) -> Any:
        return lowbit.encode(np.float32(values), fmt, policy=policy, return_counts=True)

    codes, counts = counted([256, 512, 511, -1], "uint8", "integer_wrap")
    assert (codes.tolist(), counts["saturated"], counts["invalid"]) == ([0, 0, 255, 255], 0, 4)
    assert counted([256, 512, -1, np.inf, 255], "uint8", "integer")[1]["saturated"] == 4
    without_nan = lowbit.get_policy("ocp_nosat").choose(overflow="nan", nan="maximum")
    codes, counts = counted([100, -100], "float4_e2m1fn", without_nan)
    assert (codes.tolist(), counts["saturated"]) == ([7, 7], 0)
    for policy in ("ml_dtypes", "onnxruntime", "onnx_1_22"):
        assert counted([256, 512], "uint8", policy)[1]["saturated"] == 0
    wide = lowbit.encode(np.array([2**64 - 1, 5], np.uint64), "int64", policy="integer_wrap", return_counts=True)
    assert (wide[0].tolist(), wide[1]["saturated"], wide[1]["invalid"]) == ([-1, 5], 0, 1)
    assert lowbit.encode(np.array([2**63], np.uint64), "int64", return_counts=True)[1]["saturated"] == 1


@pytest.mark.parametrize("size", [3, 100_000])
def test_stray_bits_of_a_small_ml_dtypes_float(size: int) -> None:
    stray = np.full(size, 0xF3, np.uint8).view(ml_dtypes.float4_e2m1fn)
    with pytest.raises(InputError, match="0xf3 at index 0 is not a code of float4_e2m1fn"):
        lowbit.encode(stray, "float8_e4m3fn")


@pytest.mark.parametrize(
    "view",
    [
        lambda a: a.T,
        lambda a: a[::-1, ::2],
        np.asfortranarray,
        lambda a: np.broadcast_to(a[0], (3, 6)),
        lambda a: a.astype(">f4"),
        lambda a: a[:0],
        lambda a: a[1, 1],
    ],
)
def test_any_layout(view: Callable[[Any], Any]) -> None:
    values = view(np.linspace(-20, 20, 24, dtype=np.float32).reshape(4, 6))
    before = np.array(values)
    codes = lowbit.encode(values, "float8_e4m3fn")
    assert np.shape(codes) == np.shape(values)
    plain = [int(lowbit.encode(float(value), "float8_e4m3fn")) for value in np.ravel(before)]
    assert np.ravel(codes).tolist() == plain
    assert np.array_equal(values, before)


def test_values_that_are_not_aligned_or_not_writeable() -> None:
    raw = np.zeros(4 * 100 + 1, np.uint8)
    values = raw[1:].view(np.float32)
    values[:] = np.linspace(-20, 20, 100)
    expected = lowbit.encode(values.copy(), "float8_e4m3fn")
    assert not values.flags.aligned
    assert np.array_equal(lowbit.encode(values, "float8_e4m3fn"), expected)
    frozen = values.copy()
    frozen.setflags(write=False)
    assert np.array_equal(lowbit.encode(frozen, "float8_e4m3fn"), expected)
    expected.setflags(write=False)
    assert np.array_equal(lowbit.decode(expected, "float8_e4m3fn"), lowbit.decode(expected.copy(), "float8_e4m3fn"))


def test_a_policy_of_no_kind() -> None:
    for policy in (3, ["ieee"]):
        with pytest.raises(PolicyError, match="a policy is a Policy or the name of a preset"):
            lowbit.encode(1.0, "float8_e4m3fn", policy=policy)  # type: ignore[arg-type]


def test_scalars_in_scalars_out() -> None:
    code = lowbit.encode(464.0, "float8_e4m3fn")
    assert isinstance(code, np.uint8)
    assert code == 0x7E
    assert isinstance(lowbit.decode(code, "float8_e4m3fn"), np.float32)


def test_a_format_that_only_looks_like_bfloat16() -> None:
    other = FloatFormat(id="e8m7", bits=16, exponent_bits=8, mantissa_bits=7, bias=130, infinity=32640, nan=32641)
    assert lowbit.convert([130 << 7], other, "float8_e4m3fn").tolist() == [56]


def test_floats_without_nan_use_every_magnitude() -> None:
    plain = FloatFormat(id="w", bits=64, exponent_bits=11, mantissa_bits=52, bias=1023)
    codes = lowbit.convert(np.array([0x4000000000000000], np.uint64), plain, "float64")
    assert codes.view(np.float64).tolist() == [2.0]


def test_underflow_of_a_long_mantissa_without_zero() -> None:
    fmt = FloatFormat(
        id="u", bits=45, exponent_bits=3, mantissa_bits=41, bias=3, subnormals=False, zero=False, nan=(1 << 44) - 1
    )
    assert lowbit.encode(1e-9, fmt, policy=Policy(underflow="nan")) == (1 << 44) - 1
    with pytest.raises(InputError):
        lowbit.encode(1e-9, fmt, policy=Policy(underflow="error"))


WIDE = [
    (2.0**61, FixedFormat(id="u62", bits=62, signed=False), None, 2**61),
    (-(2.0**61), FixedFormat(id="s62", bits=62), None, -(2**61)),
    (np.int64(2**55 + 1), FixedFormat(id="t", bits=61, signed=False, fraction_bits=-1), None, 2**54),
    (np.int64(2**62 + 1), FixedFormat(id="q", bits=64, fraction_bits=-4), None, 2**58),
    (np.int64(2**62 + 9), FixedFormat(id="q", bits=64, fraction_bits=-4), None, 2**58 + 1),
    (-1.0, FixedFormat(id="u63", bits=63, signed=False), "integer_wrap", 2**63 - 1),
    (-1.0, FixedFormat(id="u64", bits=64, signed=False), "integer_wrap", 2**64 - 1),
    (np.uint64(2**64 - 1), FixedFormat(id="s32", bits=32), None, 2**31 - 1),
    (np.int64(-(2**63)), FixedFormat(id="s64", bits=64), None, -(2**63)),
    (0.0, FixedFormat(id="fine", bits=64, fraction_bits=900), None, 0),
    (np.int64(0), FixedFormat(id="fine", bits=62, fraction_bits=100), None, 0),
    (np.uint64(2**63 + 5), FixedFormat(id="s8", bits=8), "integer_wrap", 5),
]


@pytest.mark.parametrize(("value", "fmt", "policy", "expected"), WIDE)
def test_wide_integers(value: Any, fmt: FixedFormat, policy: str | None, expected: int) -> None:
    assert int(lowbit.encode(value, fmt, policy=policy)) == expected


def test_every_rounding_of_a_wide_integer_is_the_oracles() -> None:
    from lowbit.exact import finite
    from lowbit.oracle.cast.cast import encode

    fmt = FixedFormat(id="q", bits=62, fraction_bits=-3)
    for rounding in Policy.choices("rounding"):
        stochastic = rounding.startswith("stochastic")
        policy = Policy(rounding=rounding, random_bits=3 if stochastic else 0)
        for value in (2**60 + 4, 2**60 + 12, -(2**60) - 4, 2**60 + 5, -(2**60) - 11):
            for random in range(8) if stochastic else (0,):
                bits = random if stochastic else None
                got = lowbit.encode(np.int64(value), fmt, policy=policy, random_bits=bits)
                assert int(got) == encode(finite(value), fmt, policy, random=random).code, (rounding, value, random)


def test_random_bits_that_a_wide_integer_has_no_room_for() -> None:
    policy = Policy(rounding="stochastic_a", random_bits=32)
    with pytest.raises(InputError, match="63 bits cannot be rounded"):
        lowbit.encode(np.array([2**62 + 1]), "float32", policy=policy, random_bits=[2**32 - 1])


def test_huge_exact_exponents_are_cheap() -> None:
    assert int(lowbit.encode_exact(0, 1, 1 << 40, "int64")) == 2**63 - 1
    assert int(lowbit.encode_exact(0, -1, 1 << 40, "int64", policy="integer_wrap")) == 0
    assert int(lowbit.encode_exact(0, 1, -(1 << 40), "float8_e4m3fn")) == 0


def test_exact_triples_must_fit() -> None:
    with pytest.raises(InputError, match="9223372036854775808 does not fit int64"):
        lowbit.encode_exact(0, np.uint64(2**63), 0, "float32")
    with pytest.raises(InputError, match="shapes"):
        lowbit.encode_exact([0, 0], [1, 2, 3], 0, "int4")


@pytest.mark.parametrize(
    "call",
    [
        lambda: lowbit.encode(np.inf, "uint64", policy=Policy(infinity="error")),
        lambda: lowbit.encode(1e9, "float8_e4m3fn", policy=Policy(overflow="error")),
        lambda: lowbit.encode(np.nan, "float4_e2m1fn", policy=Policy(nan="error")),
        lambda: lowbit.encode_exact(0, 1, 100, "float8_e4m3fn", policy=Policy(via="float32", overflow="error")),
    ],
)
def test_refusals(call: Callable[[], Any]) -> None:
    with pytest.raises(InputError, match="cannot be encoded"):
        call()


def test_out_in_place_and_overlapping() -> None:
    values = np.array([1e9, np.inf, 1, -np.inf], np.float32)
    expected, wanted = lowbit.encode(values, "tf32", policy="ocp_sat", return_counts=True)
    words = values.view(np.uint32)
    codes, counts = lowbit.convert(words, "float32", "tf32", policy="ocp_sat", out=words, return_counts=True)
    assert codes is words
    assert np.array_equal(codes, expected)
    assert counts == wanted
    halves = np.arange(1000, dtype=np.uint16)
    expected = lowbit.convert(halves[:-1].copy(), "float16", "bfloat16")
    assert np.array_equal(lowbit.convert(halves[:-1], "float16", "bfloat16", out=halves[1:]), expected)


def test_a_refused_array_leaves_out_alone() -> None:
    values = np.ones(40_000, np.float32)
    values[-1] = np.inf
    out = np.full(values.size, 77, np.uint8)
    with pytest.raises(InputError):
        lowbit.encode(values, "float8_e4m3fn", policy=Policy(infinity="error"), out=out)
    assert (out == 77).all()


def _read_only(dtype: Any, size: int = 3) -> Any:
    array = np.empty(size, dtype)
    array.setflags(write=False)
    return array


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: lowbit.decode(np.ones(300_000, np.uint8), "int8", out=_read_only(np.float32, 300_000)), "read-only"),
        (lambda: lowbit.decode([1, 2, 3], "float8_e4m3fn", out=[0, 0, 0]), "not list"),
        (lambda: lowbit.encode([1.0], "float8_e4m3fn", out=np.empty(1, np.uint16)), "uint8 array of shape"),
        (lambda: lowbit.encode([[1, 2], [3]], "int4"), "differ in length"),
        (lambda: lowbit.encode(np.ma.masked_array([1.0, 2.0], [0, 1]), "int4"), "masked"),
        (lambda: lowbit.encode([1.0], "int4", threads=0), "threads"),
        (lambda: lowbit.encode(10**30, "int4"), "1000000"),
        (lambda: lowbit.encode(np.longdouble(1), "int4"), "longdouble"),
        (lambda: lowbit.encode("abc", "int4"), "not numbers"),
        (lambda: lowbit.decode(1, "int4", dtype="foo"), "unknown to NumPy"),
        (lambda: lowbit.decode(1.5, "int4"), "codes of int4 are integers, not float64"),
        (lambda: lowbit.decode(300, "float8_e4m3fn"), "not a code"),
        (lambda: lowbit.encode([1.0], "float8_e4m3fn", policy=STOCHASTIC, random_bits=[256]), "outside"),
        (lambda: lowbit.encode([1.0], "float8_e4m3fn", policy=STOCHASTIC, random_bits=[0.5]), "integers"),
        (lambda: lowbit.encode([1.0], "float8_e4m3fn", policy=STOCHASTIC, random_bits=[1, 2]), "broadcast"),
    ],
)
def test_errors_in_words(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()


def test_policies_that_do_not_fit() -> None:
    with pytest.raises(PolicyError, match="needs random_bits"):
        lowbit.encode(1.0, "float8_e4m3fn", policy=STOCHASTIC)
    with pytest.raises(PolicyError, match="uses none"):
        lowbit.encode(1.0, "float8_e4m3fn", random_bits=3)
    with pytest.raises(PolicyError, match="wrap"):
        lowbit.encode(1.0, "float8_e4m3fn", policy=Policy(overflow="wrap"))
    with pytest.raises(PolicyError, match="floating-point"):
        lowbit.encode(1.0, "float8_e4m3fn", policy=Policy(via="int8"))


def test_decode_refuses_a_dtype_that_is_too_narrow() -> None:
    for fmt, dtype in (("float64", np.float32), ("binary12p1ue", np.float64), ("float8_e8m0fnu", np.float16)):
        with pytest.raises(InexactError, match="cannot hold every value"):
            lowbit.decode(1, fmt, dtype=dtype)


def test_empty_arrays_of_a_stochastic_mode() -> None:
    assert lowbit.encode([], "float8_e4m3fn", policy=STOCHASTIC, random_bits=[]).size == 0


def test_decode_into_another_byte_order() -> None:
    out = np.empty(2, ">f4")
    assert lowbit.decode([0x38, 0x40], "float8_e4m3fn", dtype=">f4", out=out) is out
    assert out.tolist() == [1.0, 2.0]


def test_threads_give_the_same_bits() -> None:
    values = np.random.default_rng(5).standard_normal(3_000_001).astype(np.float32)
    for policy in (None, Policy(rounding="to_odd")):
        alone = lowbit.encode(values, "float8_e5m2", policy=policy)
        assert np.array_equal(lowbit.encode(values, "float8_e5m2", policy=policy, threads=3), alone)
