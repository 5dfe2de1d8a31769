"""Wide sources where casts go wrong: every value and midpoint of the target, one ulp to either side, both signs.

The places are built with fractions from the target's values, then brought into the source by the oracle.
"""

import numpy as np
import pytest

from lowbit.exact import finite
from lowbit.format.registry import formats, get_format
from lowbit.oracle import project
from lowbit.policy.cast import CAST_PRESETS, ROUNDINGS, Policy, get_policy
from lowbit.vectors.recipes import p3109_names
from tests.thinned import thinned

FLOATS = [name for name in formats(kind="scalar") if get_format(name).kind == "float"]
SMALL = [name for name in FLOATS if get_format(name).bits <= 8]
LARGE = [name for name in FLOATS if 8 < get_format(name).bits <= 19]
INTO_SOURCE = Policy(rounding="toward_zero", overflow="saturate", flush_results="never")


def default_policy(name):
    fmt = get_format(name)
    return get_policy(fmt.default_policy, fmt)


def places(target, step=1):
    """Magnitudes: every value of the target and every point halfway to the next, beyond the largest too."""
    low = 0 if target.zero else -2
    edge = 40
    for code in range(low, target.max_code + 4):
        if step > 1 and edge < code < target.max_code - edge and code % step and abs(code - target.min_normal_code) > 4:
            continue
        value, following = target.magnitude(code).fraction(), target.magnitude(code + 1).fraction()
        yield from (value, (value + following) / 2, value + (following - value) / 4)


def around(source, target, step=1):
    """Source codes at the places and beside them, and the source's own extremes and specials."""
    codes = {0, 1, 2, source.min_normal_code - 1, source.min_normal_code, source.max_code, source.max_code + 1}
    for place in places(target, step):
        value = finite(place.numerator, 1 - place.denominator.bit_length())
        code = project(value, source, INTO_SOURCE).code
        codes.update(range(max(code - 1, 0), min(code + 3, source.max_code + 1)))
    if source.nan is not None:
        codes.update((source.nan, source.canonical_nan, (1 << source.magnitude_bits) - 1))
    magnitudes = np.array(sorted(code for code in codes if code is not None), dtype=source.code_dtype)
    return np.concatenate([magnitudes, magnitudes | np.array(source.sign_bit, dtype=source.code_dtype)])


@pytest.mark.parametrize("source", thinned(["float32", "float64", "tf32"], 2))
@pytest.mark.parametrize("target", SMALL)
def test_small_targets(agree, source, target):
    agree(around(get_format(source), get_format(target)), source, target, default_policy(target))


@pytest.mark.parametrize("source", ["float32", "float64"])
@pytest.mark.parametrize("target", LARGE)
def test_large_targets(agree, source, target):
    fmt = get_format(target)
    step = max(fmt.max_code // 300, 1) | 1
    agree(around(get_format(source), fmt, step), source, target, default_policy(target))


@pytest.mark.parametrize(("source", "target"), [("float64", "float32"), ("float32", "float64"), ("float64", "float64")])
def test_wide_targets(agree, source, target):
    """binary64's low bits around binary32's ties, subnormals and overflow threshold."""
    wide, narrow = get_format(source), get_format(target)
    drawn = np.random.default_rng(5)
    codes = [drawn.integers(0, 1 << wide.bits, 2000, dtype=wide.code_dtype)]
    for code in [0, 1, 2, 3, narrow.min_normal_code - 1, narrow.min_normal_code, narrow.max_code - 1, narrow.max_code]:
        value, following = narrow.magnitude(code).fraction(), narrow.magnitude(code + 1).fraction()
        for place in (value, (value + following) / 2, value + (following - value) * 3 / 4):
            middle = project(finite(place.numerator, 1 - place.denominator.bit_length()), wide, INTO_SOURCE).code
            codes.append(np.arange(max(middle - 3, 0), min(middle + 4, wide.max_code), dtype=wide.code_dtype))
    agree(np.concatenate(codes), source, target, default_policy(target))


@pytest.mark.parametrize("bits", thinned(range(3, 9), 3))
def test_p3109(agree, bits):
    """Each member from binary32, under each saturation mode in turn and under each rounding of the standard."""
    modes = ["nearest_even", "nearest_away", "toward_zero", "toward_positive", "toward_negative", "to_odd"]
    presets = ["p3109_v4_0", "p3109_v4_0_sat_finite", "p3109_v4_0_sat_propagate", "p3109_2026_07"]
    for number, target in enumerate(p3109_names(range(bits, bits + 1))):
        policy = CAST_PRESETS[presets[number % 4]].choose(rounding=modes[number % 6])
        agree(around(get_format("float32"), get_format(target), 1 << max(bits - 6, 0)), "float32", target, policy)


@pytest.mark.exhaustive
@pytest.mark.parametrize("target", p3109_names(range(9, 17)))
def test_larger_p3109(agree, target):
    fmt = get_format(target)
    for mode in ("nearest_even", "to_odd", "toward_negative"):
        policy = CAST_PRESETS["p3109_v4_0"].choose(rounding=mode)
        agree(around(get_format("float64"), fmt, max(fmt.max_code // 2000, 1)), "float64", target, policy)


@pytest.mark.parametrize("mode", [name for name in ROUNDINGS if not name.startswith("stochastic")])
@pytest.mark.parametrize("target", thinned(SMALL, 5))
def test_every_rounding_mode_from_binary32(agree, target, mode):
    policy = default_policy(target).choose(rounding=mode, overflow="ieee", infinity="propagate")
    fmt = get_format(target)
    agree(around(get_format("float32"), fmt, 5), "float32", target, policy)


@pytest.mark.parametrize("target", ["int1", "uint1", "int4", "int4_narrow", "uint8", "int16", "q4.4", "uq2.6", "q1.15"])
@pytest.mark.parametrize("mode", [name for name in ROUNDINGS if not name.startswith("stochastic")])
def test_fixed_point_in_every_mode(agree, target, mode):
    fmt = get_format(target)
    quarters = [code * 4 + offset for code in (fmt.min_code, -2, -1, 0, 1, 2, fmt.max_code) for offset in range(-5, 6)]
    values = np.array(quarters) / 4 / 2.0**fmt.fraction_bits
    beside = np.concatenate([np.nextafter(values, np.inf), values, np.nextafter(values, -np.inf)])
    codes = np.concatenate([beside, [0.0, -0.0, np.inf, -np.inf, np.nan, 1e300, -1e300, 5e-324]]).view(np.uint64)
    for overflow in ("saturate", "wrap", "nan", "ieee"):
        policy = Policy(rounding=mode, overflow=overflow, infinity="saturate", nan="minimum")
        agree(codes, "float64", target, policy)
