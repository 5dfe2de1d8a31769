"""gfloat against the presets ``gfloat`` (sat=False) and ``gfloat_sat``, and against those of P3109.

All codes are decoded. All 65,536 float16 and bfloat16 values are encoded in every rounding mode that both have; its
StochasticOdd has no counterpart in P3109 and none here. Inputs that gfloat refuses are left out where it takes whole
arrays, and tried one by one.
"""

from importlib.metadata import version

import numpy as np
import pytest

from lowbit.errors import InputError
from lowbit.format.registry import get_format
from lowbit.ops.cast.cast import convert, decode, encode
from lowbit.policy.cast import get_policy
from lowbit.vectors.recipes import p3109_names

gfloat = pytest.importorskip("gfloat", reason="gfloat is not installed")
from gfloat import Domain, RoundMode, Signedness  # noqa: E402
from gfloat import formats as infos  # noqa: E402

if version("gfloat") != "0.5.2":
    pytest.skip(f"measured on gfloat 0.5.2, not {version('gfloat')}", allow_module_level=True)

NAMED = {
    "float16": infos.format_info_binary16,
    "bfloat16": infos.format_info_bfloat16,
    "float8_e5m2": infos.format_info_ocp_e5m2,
    "float8_e4m3fn": infos.format_info_ocp_e4m3,
    "float6_e2m3fn": infos.format_info_ocp_e2m3,
    "float6_e3m2fn": infos.format_info_ocp_e3m2,
    "float4_e2m1fn": infos.format_info_ocp_e2m1,
    "float8_e8m0fnu": infos.format_info_ocp_e8m0,
}
MODES = {
    "nearest_even": RoundMode.TiesToEven,
    "nearest_away": RoundMode.TiesToAway,
    "toward_zero": RoundMode.TowardZero,
    "toward_positive": RoundMode.TowardPositive,
    "toward_negative": RoundMode.TowardNegative,
}
STOCHASTIC = {
    "stochastic_a": RoundMode.StochasticFastest,
    "stochastic_b": RoundMode.StochasticFast,
    "stochastic_c": RoundMode.Stochastic,
}


def _p3109(name):
    """gfloat's description of binary{K}p{P}{s|u}{e|f}."""
    k, tail = name.removeprefix("binary").split("p")
    signedness = Signedness.Signed if tail[-2] == "s" else Signedness.Unsigned
    return infos.format_info_p3109(
        int(k), int(tail[:-2]), signedness, Domain.Extended if tail[-1] == "e" else Domain.Finite
    )


def _theirs(info, values, mode, saturate, random_bits=None, count=0):
    with np.errstate(all="ignore"):
        rounded = gfloat.round_ndarray(info, values, mode, saturate, random_bits, count)
        return gfloat.encode_ndarray(info, rounded).astype(np.int64)


def _accepted(values, info, saturate):
    """The inputs that gfloat takes in an array, and that its arrays get right in float8_e8m0fnu."""
    finite = np.isfinite(values)
    keep = np.ones(values.shape, dtype=bool)
    if info.num_nans == 0:
        keep &= ~np.isnan(values)
        if not saturate:
            keep &= finite & (np.abs(values) <= info.max)
    if not info.is_signed:
        keep &= ~(values < 0)
    return keep


def _agree_on_codes(name, info):
    fmt = get_format(name)
    codes = np.arange(1 << fmt.bits).astype(fmt.code_dtype)
    with np.errstate(all="ignore"):
        theirs = gfloat.decode_ndarray(info, codes.astype(np.int64))
    ours = decode(codes, fmt, dtype=np.float64)
    assert np.array_equal(np.isnan(ours), np.isnan(theirs)), name
    numbers = ~np.isnan(ours)
    assert np.array_equal(ours[numbers].view(np.uint64), theirs[numbers].view(np.uint64)), name


@pytest.mark.parametrize("name", NAMED)
def test_codes_have_the_same_values(name):
    _agree_on_codes(name, NAMED[name])


@pytest.mark.parametrize("k", range(3, 9))
def test_p3109_codes_have_the_same_values(k):
    for name in p3109_names(range(k, k + 1)):
        _agree_on_codes(name, _p3109(name))


@pytest.mark.parametrize("saturate", [False, True])
@pytest.mark.parametrize("rounding", MODES)
@pytest.mark.parametrize("name", NAMED)
def test_every_16_bit_value_is_encoded_alike(name, rounding, saturate, compare):
    for source in ("float16", "bfloat16"):
        codes = np.arange(1 << 16).astype(np.uint16)
        values = decode(codes, source, dtype=np.float64)
        keep = _accepted(values, NAMED[name], saturate)
        got = _theirs(NAMED[name], values[keep], MODES[rounding], saturate)
        compare("gfloat", f"sat={saturate} ndarray", source, name, codes[keep], got, rounding=rounding)


@pytest.mark.parametrize("count", [1, 5, 8])
@pytest.mark.parametrize("rounding", STOCHASTIC)
@pytest.mark.parametrize("name", ["float8_e4m3fn", "float8_e5m2", "float6_e3m2fn", "float4_e2m1fn", "bfloat16"])
def test_stochastic_rounding_is_alike(name, rounding, count):
    codes = np.arange(1 << 16).astype(np.uint16)
    values = decode(codes, "float16", dtype=np.float64)
    keep = np.isfinite(values)
    random_bits = np.random.default_rng(count).integers(0, 1 << count, size=int(keep.sum()))
    policy = get_policy("gfloat_sat", get_format(name)).choose(rounding=rounding, random_bits=count)
    ours = convert(codes[keep], "float16", name, policy=policy, random_bits=random_bits)
    theirs = _theirs(NAMED[name], values[keep], STOCHASTIC[rounding], True, random_bits, count)
    assert np.array_equal(ours.astype(np.int64), theirs)


@pytest.mark.parametrize("saturate", [False, True])
@pytest.mark.parametrize("rounding", MODES)
@pytest.mark.parametrize("k", range(3, 9))
def test_p3109_values_are_encoded_alike(k, rounding, saturate):
    """Without saturation gfloat follows the report after v4.0: a finite domain overflows to NaN."""
    preset = "p3109_v4_0_sat_finite" if saturate else "p3109_2026_07"
    policy = get_policy(preset).choose(rounding=rounding)
    codes = np.arange(0, 1 << 16, 11).astype(np.uint16)
    values = decode(codes, "float16", dtype=np.float64)
    for name in p3109_names(range(k, k + 1)):
        info = _p3109(name)
        keep = _accepted(values, info, saturate)
        ours = convert(codes[keep], "float16", name, policy=policy)
        assert np.array_equal(ours.astype(np.int64), _theirs(info, values[keep], MODES[rounding], saturate)), name


@pytest.mark.parametrize("name", ["float6_e2m3fn", "float6_e3m2fn", "float4_e2m1fn"])
@pytest.mark.parametrize(("value", "saturate"), [(np.nan, False), (np.nan, True), (np.inf, False), (1e9, False)])
def test_both_refuse_what_the_format_lacks(name, value, saturate):
    with pytest.raises(ValueError, match=r"NaN|Inf"):
        gfloat.encode_float(NAMED[name], gfloat.round_float(NAMED[name], value, RoundMode.TiesToEven, saturate))
    policy = get_policy("gfloat_sat" if saturate else "gfloat", get_format(name))
    with pytest.raises(InputError):
        encode(np.array([value]), name, policy=policy)


@pytest.mark.parametrize(
    "name",
    [
        "gfloat-nan_all_ones",
        "gfloat-overflow_nan_all_ones",
        "gfloat-e8m0_tiny_is_no_code",
        "gfloat-e8m0_zero_is_smallest",
    ],
)
def test_the_rows_still_hold(name, differences):
    example = differences[name].example
    source = get_format(example["source"])
    value = decode(np.array([int(example["input"], 16)], dtype=source.code_dtype), source, dtype=np.float64)
    theirs = _theirs(NAMED[example["target"]], value, RoundMode.TiesToEven, "sat=True" in example.get("option", ""))
    assert int(theirs[0]) & ((1 << 64) - 1) == int(example["theirs"], 16)


@pytest.mark.parametrize("value", [0.0, -0.0, -1.0, -np.inf, 2.0**-128, 0.75 * 2.0**-127, np.nan, 3.0, np.inf])
def test_e8m0_one_by_one(value):
    """gfloat's scalar functions give NaN for zero, negative and tiny values; its arrays do not (see the rows)."""
    info = NAMED["float8_e8m0fnu"]
    theirs = gfloat.encode_float(info, gfloat.round_float(info, value, RoundMode.TiesToEven, False))
    assert int(encode(np.array([value]), "float8_e8m0fnu", policy="gfloat")[0]) == theirs
