"""Policies drawn at random, over small formats and every kind of source, with codes, flags and refusals compared."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lowbit.format.registry import formats, get_format
from lowbit.format.scalar import FloatFormat
from lowbit.ops.cast.cast import encode
from lowbit.policy.cast import CAST_PRESETS, DEFECTS, Policy, get_policy
from lowbit.testing.format_strategies import own_floats
from tests.thinned import examples

FLOATS = [name for name in formats(kind="scalar") if get_format(name).kind == "float"]
SMALL = [name for name in FLOATS if get_format(name).bits <= 8]
P3109 = ["binary3p1se", "binary4p4ue", "binary5p1uf", "binary6p2sf", "binary8p3se", "binary8p1ue", "binary8p5uf"]
FIXED = ["int1", "int3", "int4_narrow", "int8", "uint1", "uint5", "uint8", "q3.3", "uq2.4", "q1.7"]
SOURCES = ["float16", "bfloat16", "float32", "float64", "tf32", "float8_e5m2", "float8_e4m3fnuz", "float8_e8m0fnu"]
SOURCES += ["int8", "uint8", "int32", "int64", "uint64", "q4.12", "binary16p5se"]
AXES = list(Policy.CHOICES)


@st.composite
def policies(draw, wrap):
    """Any policy; ``wrap`` says whether overflow may wrap."""
    axes = {}
    for axis in draw(st.lists(st.sampled_from(AXES), max_size=6, unique=True)):
        choices = [choice for choice in Policy.CHOICES[axis] if choice != "wrap" or wrap]
        axes[axis] = draw(st.sampled_from(choices))
    if axes.get("rounding", "").startswith("stochastic"):
        axes["random_bits"] = draw(st.integers(1, 10))
    axes["via"] = draw(st.sampled_from(["", "", "", "float32", "bfloat16", "float16"]))
    return Policy(**axes)


def some_codes(fmt, drawn, count):
    """Codes of a format: the edges, short ones, and random ones."""
    if fmt.kind != "float":
        low, high = fmt.min_code, fmt.max_code
        near = np.array([low, low + 1, -2, -1, 0, 1, 2, high - 1, high], dtype=object)
        small = [int(code) for code in drawn.integers(-300, 300, count)]
        wide = [int(code) for code in drawn.integers(low, high, count, dtype=fmt.code_dtype, endpoint=True)]
        return np.array([code for code in [*near, *small, *wide] if low <= code <= high], dtype=fmt.code_dtype)
    codes = [0, 1, 2, fmt.min_normal_code, fmt.min_normal_code - 1, fmt.max_code, fmt.max_code - 1, fmt.max_code + 1]
    codes += [(1 << fmt.magnitude_bits) - 1, fmt.canonical_nan or 0]
    one = max((0 + fmt.bias) << fmt.mantissa_bits, 0)
    steps = drawn.integers(-16, 17, count)
    fine = drawn.integers(-2, 3, count)
    # around 1, by sixteenths of a binade and single units, so that ties and near ties are common
    codes += [
        one + int(step) * (1 << max(fmt.mantissa_bits - 3, 0)) + int(unit)
        for step, unit in zip(steps, fine, strict=True)
    ]
    exponents = drawn.integers(0, 1 << fmt.exponent_bits, count)
    short = drawn.integers(0, 16, count)
    codes += [
        (int(exponent) << fmt.mantissa_bits) + (int(bits) << max(fmt.mantissa_bits - 4, 0))
        for exponent, bits in zip(exponents, short, strict=True)
    ]
    codes += [int(code) for code in drawn.integers(0, 1 << fmt.magnitude_bits, count, dtype=np.uint64)]
    top = 1 << fmt.magnitude_bits
    magnitudes = sorted({code for code in codes if 0 <= code < top})
    return np.array(magnitudes + [code | fmt.sign_bit for code in magnitudes], dtype=fmt.code_dtype)


def compare(agree, source, target, policy, seed, count):
    drawn = np.random.default_rng(seed)
    codes = some_codes(get_format(source), drawn, count)
    random = drawn.integers(0, 1 << policy.random_bits, codes.size) if policy.stochastic else None
    agree(codes, source, target, policy, random)


FLOAT_CASTS = {
    "policy": policies(wrap=False),
    "source": st.sampled_from(SOURCES),
    "target": st.sampled_from(FLOATS + P3109),
    "seed": st.integers(0, 2**32 - 1),
}
OWN_CASTS = FLOAT_CASTS | {"source": st.sampled_from(SOURCES) | own_floats(), "target": own_floats()}
FIXED_CASTS = FLOAT_CASTS | {"policy": policies(wrap=True), "target": st.sampled_from([*FIXED, "int32", "q8.24"])}


@settings(max_examples=examples(250))
@given(**FLOAT_CASTS)
def test_floats(agree, policy, source, target, seed):
    compare(agree, source, target, policy, seed, 8)


@settings(max_examples=examples(150))
@given(**OWN_CASTS)
def test_formats_of_no_standard(agree, policy, source, target, seed):
    compare(agree, source, target, policy, seed, 8)


@settings(max_examples=examples(150))
@given(**FIXED_CASTS)
def test_fixed(agree, policy, source, target, seed):
    compare(agree, source, target, policy, seed, 8)


@pytest.mark.slow
@pytest.mark.parametrize("casts", [FLOAT_CASTS, OWN_CASTS, FIXED_CASTS], ids=["floats", "own", "fixed"])
def test_many_more(agree, casts):
    @settings(max_examples=examples(1200))
    @given(**casts)
    def run(policy, source, target, seed):
        compare(agree, source, target, policy, seed, 8)

    run()


@pytest.mark.parametrize("canonical", [0x7C01, 0x7DFF, 0x7E01, 0x7FFF])
@pytest.mark.parametrize("signed", [True, False])
def test_payloads_do_not_join_the_canonical_nan(agree, canonical, signed):
    """IEEE 754-2019 6.2.3: the payload goes beside the quiet bit, whichever NaN is the canonical one (CUDA: 0x7fff)."""
    fields = {"exponent_bits": 5, "mantissa_bits": 10, "bias": 15, "infinity": 0x7C00, "nan": 0x7C01}
    own = FloatFormat(
        id=f"half_{canonical:x}_{signed}", bits=15 + signed, signed=signed, canonical_nan=canonical, **fields
    )
    words = np.array([0x7FC00000, 0xFFC00000, 0x7F800001, 0x7FE02000, 0x7FFFFFFF, 0x7F800000, 0x7F802000], np.uint32)
    assert encode(words[:1].view(np.float32), own, policy="ieee").tolist() == [0x7E00]
    for policy in (CAST_PRESETS["ieee"], Policy(nan_code="payload", nan_sign="drop"), Policy(), Policy(overflow="nan")):
        agree(words, "float32", own, policy)
        compare(agree, "float64", own, policy, 3, 8)
        compare(agree, own, "float32", policy, 3, 8)
        compare(agree, own, "bfloat16", policy, 3, 8)
    every_nan = np.arange(0x7C00, 1 << 15)
    agree(np.concatenate([np.arange(0, 0x7C00, 7), every_nan]).astype(np.uint16), own, "float16", CAST_PRESETS["ieee"])


@pytest.mark.parametrize("axis", AXES)
def test_every_choice_on_small_formats(agree, axis):
    """Each value of each axis over all formats of at most 8 bits, from binary16, the other axes at their defaults."""
    for choice in Policy.CHOICES[axis]:
        bits = {"random_bits": 3} if choice.startswith("stochastic") else {}
        policy = Policy(**{axis: choice, **bits})
        for number, target in enumerate([*SMALL, *P3109, *FIXED]):
            if choice == "wrap" and target not in FIXED:
                continue
            compare(agree, "float16", target, policy, number, 10)


@pytest.mark.parametrize("preset", list(CAST_PRESETS))
def test_presets(agree, preset):
    """Each preset with its overrides and defects, from binary64 and binary32, into every small format."""
    for number, target in enumerate([*SMALL, "float16", "bfloat16", "int8", "uint4"]):
        policy = get_policy(preset, get_format(target))
        if policy.overflow == "wrap" and get_format(target).kind == "float":
            continue
        for source in ("float64", "float32", "bfloat16"):
            compare(agree, source, target, policy, number, 12)


@pytest.mark.parametrize("exponent_bits", [0, 1])
@pytest.mark.parametrize("infinity", [True, False])
def test_sources_of_subnormals_alone_are_flushed_whole(agree, exponent_bits, infinity):
    """The smallest normal value is none of theirs: it would be an infinity, a NaN, or no code at all."""
    specials = {"infinity": 6, "nan": 7} if infinity and not exponent_bits else {"infinity": 4, "nan": 5}
    fields = {"exponent_bits": exponent_bits, "mantissa_bits": 3 - exponent_bits, "bias": 1}
    own = FloatFormat(id=f"subnormal_{exponent_bits}_{infinity}", bits=4, **fields, **(specials if infinity else {}))
    policy = Policy(flush_inputs="always")
    for target in ("float8_e5m2", "float8_e8m0fnu", "int8", "float32"):
        agree(np.arange(16, dtype=np.uint8), own, target, policy)
        agree(np.arange(16, dtype=np.uint8), own, target, policy.choose(via="bfloat16"))


@pytest.mark.parametrize("defect", list(DEFECTS))
def test_defects(agree, defect):
    for number, target in enumerate(
        dict.fromkeys(["float8_e8m0fnu", "float8_e5m2", "float8_e4m3fn", *DEFECTS[defect].targets])
    ):
        for negative in ("nan", "absolute"):
            policy = Policy(defects=(defect,), negative=negative)
            for source in ("float64", "float32", "bfloat16", "int32"):
                compare(agree, source, target, policy, number, 60)


@pytest.mark.parametrize("defect", list(DEFECTS))
def test_defects_of_flushed_inputs(agree, defect):
    """A subnormal input that is flushed is zero, which no defect's interval holds."""
    policy = Policy(defects=(defect,), negative="absolute", flush_inputs="always", zero="minimum")
    for source in ("float64", "float32", "bfloat16"):
        fmt = get_format(source)
        low = np.arange(0, 4 * fmt.min_normal_code, max(fmt.min_normal_code // 60, 1), dtype=fmt.code_dtype)
        for target in ("float8_e8m0fnu", "float8_e5m2", "float8_e4m3fn"):
            agree(np.concatenate([low, low | low.dtype.type(fmt.sign_bit)]), source, target, policy)


@pytest.mark.parametrize("defect", list(DEFECTS))
@pytest.mark.parametrize("source", ["int64", "uint64", "int32", "uint32", "q8.8", "uint8"])
def test_defects_of_integers(agree, source, defect):
    """Neither the ends of 64 bits nor a sign bit is taken for another magnitude."""
    fmt = get_format(source)
    near = {edge + step for edge in (fmt.min_code, 0, fmt.max_code) for step in (-497, -495, -481, -480, -1, 0, 1, 485)}
    near |= {power + step for power in (480, 61440, 61441, 65535, 65536) for step in (-1, 0, 1, 15)}
    codes = sorted(code for code in near | {-code for code in near} if fmt.min_code <= code <= fmt.max_code)
    for target in ("float8_e8m0fnu", "float8_e5m2", "float8_e4m3fn"):
        for negative in ("nan", "absolute"):
            policy = Policy(overflow="infinity", defects=(defect,), negative=negative)
            agree(np.array(codes, fmt.code_dtype), source, target, policy)


@pytest.mark.parametrize("mode", ["stochastic_a", "stochastic_b", "stochastic_c"])
@pytest.mark.parametrize("count", [1, 2, 5, 10, 23, 32])
def test_stochastic(agree, mode, count):
    policy = Policy(rounding=mode, random_bits=count)
    for number, target in enumerate([*SMALL, "int8", "q2.6", "float16"]):
        compare(agree, "float32", target, policy, number, 25)


@pytest.mark.parametrize("mode", ["stochastic_a", "stochastic_b", "stochastic_c"])
def test_every_draw(agree, mode):
    """All R of 4 random bits, for points a 32nd of an interval apart."""
    policy = Policy(rounding=mode, random_bits=4)
    codes = np.repeat((np.float32(1) + np.arange(65, dtype=np.float32) / 256).view(np.uint32), 16)
    random = np.tile(np.arange(16), 65)
    for target in ("float8_e4m3fn", "float6_e2m3fn", "float4_e2m1fn", "float8_e8m0fnu", "q4.4"):
        agree(codes, "float32", target, policy, random)


@pytest.mark.parametrize("source", ["int64", "uint64", "int32", "uint32"])
@pytest.mark.parametrize("target", ["float64", "float32", "float16", "bfloat16", "float8_e5m2", "float8_e8m0fnu"])
def test_wide_integers(agree, source, target):
    fmt = get_format(source)
    codes = {fmt.min_code, fmt.max_code, 0}
    for power in range(fmt.bits):
        for head in (1, 3, 5):
            codes.update((head << power) + beside for beside in (-1, 0, 1))
            codes.update(-(head << power) + beside for beside in (-1, 0, 1))
            codes.update((head << power) + (1 << max(power - 24, 0)) + beside for beside in (-1, 0, 1))
    kept = np.array(sorted(code for code in codes if fmt.min_code <= code <= fmt.max_code), dtype=fmt.code_dtype)
    for rounding in ("nearest_even", "toward_negative", "to_odd"):
        agree(kept, source, target, Policy(rounding=rounding))


@pytest.mark.parametrize("source", ["float64", "bfloat16", "int8", "int64"])
@pytest.mark.parametrize("target", ["uint64", "int64"])
def test_wrapping_into_64_bits(agree, source, target):
    """Small negative values wrap too: -1 into uint64 is 2^64 - 1."""
    for rounding in ("toward_zero", "toward_negative", "nearest_even"):
        policy = Policy(rounding=rounding, overflow="wrap", infinity="saturate", nan="zero")
        compare(agree, source, target, policy, 5, 40)
