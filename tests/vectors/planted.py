"""Planted bugs: casts that are wrong on purpose, to show that the core sets catch what random vectors do not.

`python -m tests.vectors.planted` prints the table. The casts are an independent implementation in float64 and int64
NumPy arithmetic with a switch for each bug; with all switches off it is right, and the tests prove that first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, partial

import numpy as np

from lowbit.spec import FloatFormat
from lowbit.vectors.generate import Recipe, expected, parse_policy, scalar
from lowbit.vectors.manifest import golden_directory
from lowbit.vectors.splitmix import random_patterns
from lowbit.vectors.vec import read_vectors


@dataclass(frozen=True)
class Unit:
    """A float cast unit, and what is broken in it."""

    ties: str = "even"  # even, away, up, zero, odd
    direction: str = "nearest"  # nearest, truncate, away, up
    early_overflow: bool = False
    late_overflow: bool = False
    guard_bits: int = 64  # so many discarded bits are looked at
    flush_results: str = ""  # after, before
    flush_inputs: bool = False
    nan_shift: int = 0  # added to the NaN code
    nan_sign_lost: bool = False
    nan_is_zero: bool = False
    zero_sign_lost: bool = False
    underflow_sign_lost: bool = False
    via: str = ""
    bias_shift: int = 0
    subnormal_shift: int = 0
    saturation_short: int = 0
    infinity_kept: bool = False
    infinity_positive: bool = False
    max_is_overflow: bool = False
    carry_lost: bool = False
    smallest_lost: bool = False
    negative_absolute: bool = False
    lowest_binade_up: bool = False
    payload_kept: bool = False


RIGHT = Unit()


def cast_float(patterns, source, target, policy, unit=RIGHT):
    """float16/32/64 or bfloat16 bit patterns to a float target under ocp_sat, ocp_nosat or ieee."""
    if unit.via and unit.via != source.id:
        middle = scalar(unit.via)
        patterns = cast_float(patterns, source, middle, parse_policy("ieee"))
        return cast_float(patterns, middle, target, policy, replace(unit, via=""))
    sign = (patterns >> np.uint64(source.magnitude_bits)).astype(np.int64)
    magnitude = (patterns & np.uint64((1 << source.magnitude_bits) - 1)).astype(np.int64)
    code, overflow, tiny = _round(magnitude, sign, source, target, unit)
    code, sign = _special_results(code, overflow, tiny, magnitude, sign, source, target, policy, unit)
    return (code | sign << target.magnitude_bits if target.signed else code).astype(np.uint64)


def _round(magnitude, sign, source, target, unit):
    """Magnitude code of a finite nonzero value, whether it overflows, whether it came from a nonzero tiny one."""
    field, mantissa = magnitude >> source.mantissa_bits, magnitude & ((1 << source.mantissa_bits) - 1)
    significand = np.where(field > 0, mantissa | 1 << source.mantissa_bits, mantissa)
    exponent = np.maximum(field, 1) - source.bias - source.mantissa_bits
    if unit.flush_inputs:
        significand = np.where(field == 0, 0, significand)
    leading = np.frexp(significand.astype(np.float64))[1] - 1 + exponent  # significands have at most 53 bits
    first = 1 if target.subnormals else 0
    lowest = first - (target.bias + unit.bias_shift) - target.mantissa_bits
    ulp = leading - target.mantissa_bits
    ulp = np.where(ulp < lowest, lowest + unit.subnormal_shift, ulp)
    drop = np.clip(ulp - exponent, 0, 60)
    kept = np.where(ulp > exponent, significand >> drop, significand << np.clip(exponent - ulp, 0, 60))
    rest = np.where(ulp > exponent, significand & ((1 << drop) - 1), 0)
    rest = rest & ~((1 << np.clip(drop - unit.guard_bits, 0, 60)) - 1)
    base = (np.maximum(ulp, lowest) - lowest) << target.mantissa_bits
    base = base - (0 if target.subnormals else 1 << target.mantissa_bits)
    up = _goes_up(base + kept, rest, drop, sign, target, unit)
    rounded = kept + up
    if unit.carry_lost:
        rounded = np.where(rounded == 2 << target.mantissa_bits, 1 << target.mantissa_bits, rounded)
    code = base + rounded
    if unit.lowest_binade_up:
        code = np.where((base + kept == 0) & (rest > 0), 1, code)
    overflow = code > target.max_code
    if unit.early_overflow:
        overflow = (base + kept > target.max_code) | ((base + kept == target.max_code) & (rest > 0))
    if unit.late_overflow:
        overflow = base + kept > target.max_code
        code = np.minimum(code, target.max_code)
    if unit.max_is_overflow:
        overflow |= code == target.max_code
    if unit.smallest_lost:
        code = np.where(code == 1, 0, code)
    normal = target.min_normal_code
    if unit.flush_results == "after":
        code = np.where(code < normal, 0, code)
    if unit.flush_results == "before":
        code = np.where(base + kept < normal, 0, code)
    return np.maximum(code, 0), overflow, significand > 0


def _goes_up(code, rest, drop, sign, target, unit):
    if unit.direction == "truncate":
        return np.zeros_like(rest)
    if unit.direction == "away":
        return (rest > 0).astype(np.int64)
    if unit.direction == "up":
        return ((rest > 0) & (sign == 0)).astype(np.int64)
    half = np.where(drop > 0, 1 << np.maximum(drop - 1, 0), 1)
    rules = {"even": code & 1 == 1, "odd": code & 1 == 0, "away": True, "zero": False, "up": sign == 0}
    tie = rest == half
    return ((rest > half) | (tie & rules[unit.ties])).astype(np.int64)


def _special_results(code, overflow, tiny, magnitude, sign, source, target, policy, unit):
    is_nan, is_infinite = magnitude > source.infinity, magnitude == source.infinity
    lost = is_infinite if unit.infinity_kept or policy.infinity != "saturate" else is_nan & ~is_nan
    beyond = target.max_code - unit.saturation_short
    not_a_number = target.nan if target.canonical_nan is None else target.canonical_nan
    nan_magnitude = target.max_code if not target.has_nan else not_a_number + unit.nan_shift
    if target.nan_at_negative_zero:
        nan_magnitude = unit.nan_shift
    if unit.nan_is_zero:
        nan_magnitude = 0
    infinite = target.infinity if target.infinity is not None else nan_magnitude
    if target.infinity is None and not target.has_nan:
        infinite = target.max_code
    overflow = overflow & ~is_nan & ~is_infinite
    code = np.where(overflow, beyond if policy.overflow == "saturate" else infinite, code)
    code = np.where(is_infinite, np.where(lost, infinite, beyond), code)
    code = np.where(is_nan, nan_magnitude, code)
    to_nan = is_nan.copy()
    if target.nan_at_negative_zero:
        became = is_nan | ((overflow & (policy.overflow != "saturate")) | lost)
        code = np.where(became, unit.nan_shift, code)
        result_sign = np.where(became, 1, np.where(code == 0, 0, sign))
        return code, result_sign
    if not target.has_nan:
        sign = np.where(is_nan, 0, sign)  # the axis nan = maximum drops the sign
    if policy.nan_code == "payload" and target.ieee_like and source.ieee_like:
        code = np.where(is_nan, _payload(magnitude, source, target, unit), code)
    if unit.nan_sign_lost:
        sign = np.where(is_nan, 0, sign)
    if unit.infinity_positive:
        sign = np.where(is_infinite, 0, sign)
    if unit.zero_sign_lost:
        sign = np.where(magnitude == 0, 0, sign)
    if unit.underflow_sign_lost:
        sign = np.where((code == 0) & tiny & ~to_nan, 0, sign)
    if not target.signed and not unit.negative_absolute:
        refused = (sign == 1) & (magnitude > 0) & ((code > 0) | (not target.zero))
        code = np.where(refused, nan_magnitude, code)
    return code, sign


def _payload(magnitude, source, target, unit):
    payload = magnitude & ((1 << source.mantissa_bits) - 1)
    shift = source.mantissa_bits - target.mantissa_bits
    payload = payload >> shift if shift >= 0 else payload << -shift
    quiet = 0 if unit.payload_kept else 1 << (target.mantissa_bits - 1)
    return target.infinity | payload | quiet


def cast_integer(patterns, source, target, policy, *, rounding=np.rint, bug=""):
    """float32 bit patterns to an integer or fixed-point target under the policy ``integer``."""
    del policy, source
    with np.errstate(invalid="ignore"):  # signalling NaNs
        values = patterns.astype(np.uint32).view(np.float32).astype(np.float64) * 2.0**target.fraction_bits
    is_nan = np.isnan(values)
    values = np.where(is_nan, 0.0, values)
    if bug == "absolute":
        values = np.abs(values)
    if bug == "clamp_first":
        values = np.clip(values, target.min_code + 0.0, target.max_code - 0.5)
    rounded = rounding(values)
    lowest = -target.max_code if bug == "symmetric" else target.min_code
    results = np.clip(rounded, lowest, target.max_code)
    mask = (1 << target.bits) - 1
    if bug == "wrap":
        results = np.fmod(np.where(np.isinf(rounded), 0.0, rounded), 2.0**target.bits)
    codes = results.astype(np.int64)
    if bug == "nan_is_max":
        codes = np.where(is_nan, target.max_code, codes)
    if bug == "infinity_is_zero":
        codes = np.where(np.isinf(rounded), 0, codes)
    return (codes & mask).astype(np.uint64)


@dataclass(frozen=True)
class Bug:
    """A planted bug and the core set that is shown to catch it."""

    name: str
    recipe: Recipe
    cast: Callable


E4M3 = Recipe("encode", "float32", "float8_e4m3fn", "ocp_sat")
E4M3_NOSAT = Recipe("encode", "float32", "float8_e4m3fn", "ocp_nosat")
E5M2 = Recipe("encode", "float32", "float8_e5m2", "ocp_sat")
E5M2_IEEE = Recipe("encode", "float32", "float8_e5m2", "ieee")
E4M3_WIDE = Recipe("encode", "float64", "float8_e4m3fn", "ocp_sat")
E2M1 = Recipe("encode", "float32", "float4_e2m1fn", "ocp_sat")
FNUZ = Recipe("encode", "float32", "float8_e4m3fnuz", "ocp_sat")
E8M0 = Recipe("encode", "float32", "float8_e8m0fnu", "ocp_sat")
UE5M3 = Recipe("encode", "float32", "float8_e5m3fnu", "ocp_sat")
HALF = Recipe("encode", "float32", "float16", "ieee")
INT8 = Recipe("encode", "float32", "int8", "integer")
UINT8 = Recipe("encode", "float32", "uint8", "integer")
INT4 = Recipe("encode", "float32", "int4", "integer")


def _float(name, recipe, **switches):
    return Bug(name, recipe, partial(cast_float, unit=Unit(**switches)))


def _integer(name, recipe, **switches):
    return Bug(name, recipe, partial(cast_integer, **switches))


def _half_away(values):
    return np.copysign(np.floor(np.abs(values) + 0.5), values)


BUGS = (
    _float("ties away from zero", E4M3, ties="away"),
    _float("ties up", E4M3, ties="up"),
    _float("ties toward zero", E4M3, ties="zero"),
    _float("ties to odd", E4M3, ties="odd"),
    _float("truncation", E4M3, direction="truncate"),
    _float("rounding toward +infinity", E4M3, direction="up"),
    _float("overflow decided before rounding", E4M3_NOSAT, early_overflow=True),
    _float("overflow decided before rounding (e5m2)", E5M2_IEEE, early_overflow=True),
    _float("overflow by the unrounded binade only", E4M3_NOSAT, late_overflow=True),
    _float("sticky sees 4 bits only", E4M3, guard_bits=4),
    _float("sticky misses the last bit", E4M3, guard_bits=19),
    _float("sticky misses the last bit (e8m0)", E8M0, guard_bits=22),
    _float("sticky sees 32 bits of float64 only", E4M3_WIDE, guard_bits=32),
    _float("results flushed after rounding", E4M3, flush_results="after"),
    _float("results flushed before rounding", E4M3, flush_results="before"),
    _float("inputs flushed (e8m0)", E8M0, flush_inputs=True),
    _float("wrong NaN code", E5M2, nan_shift=1),
    _float("NaN one code too low", E4M3, nan_shift=-1),
    _float("NaN becomes zero", E4M3, nan_is_zero=True),
    _float("sign of NaN lost", E4M3, nan_sign_lost=True),
    _float("NaN becomes +0 (fnuz)", FNUZ, nan_shift=1),
    _float("signalling NaN truncated to infinity", HALF, payload_kept=True),
    _float("sign of zero lost", E4M3, zero_sign_lost=True),
    _float("sign of underflow lost", E4M3, underflow_sign_lost=True),
    _float("double rounding via float16", E4M3, via="float16"),
    _float("double rounding via bfloat16", E4M3, via="bfloat16"),
    _float("double rounding via float32", E4M3_WIDE, via="float32"),
    _float("double rounding via bfloat16 (e8m0)", E8M0, via="bfloat16"),
    _float("bias one too high", E4M3, bias_shift=1),
    _float("bias one too low", E5M2, bias_shift=-1),
    _float("subnormal shift one too far", E4M3, subnormal_shift=1),
    _float("smallest subnormal lost", E4M3, smallest_lost=True),
    _float("saturates one code too low", E4M3, saturation_short=1),
    _float("infinity not saturated", E5M2, infinity_kept=True),
    _float("sign of infinity lost", E5M2, infinity_positive=True),
    _float("largest value treated as overflow", E4M3_NOSAT, max_is_overflow=True),
    _float("carry into the exponent lost", E4M3, carry_lost=True),
    _float("ties away from zero (e2m1)", E2M1, ties="away"),
    _float("E8M0 lowest binade rounds up", E8M0, lowest_binade_up=True),
    _float("E8M0 tie away", E8M0, ties="away"),
    _float("E8M0 truncates", E8M0, direction="truncate"),
    _float("negative as absolute value (e8m0)", E8M0, negative_absolute=True),
    _float("negative as absolute value (ue5m3)", UE5M3, negative_absolute=True),
    _integer("integer wraps", INT8, bug="wrap"),
    _integer("integer truncates", INT8, rounding=np.trunc),
    _integer("integer ties away", INT8, rounding=_half_away),
    _integer("integer floor(x + 1/2)", INT4, rounding=lambda values: np.floor(values + 0.5)),
    _integer("lowest integer left out", INT8, bug="symmetric"),
    _integer("clamped before rounding", UINT8, bug="clamp_first"),
    _integer("NaN becomes the largest integer", INT8, bug="nan_is_max"),
    _integer("infinity becomes zero", INT8, bug="infinity_is_zero"),
    _integer("negative as absolute value (uint8)", UINT8, bug="absolute"),
)


@dataclass(frozen=True)
class Score:
    """How many rows of a core set catch a bug, and of random sets of the same size."""

    name: str
    set_id: str
    rows: int
    caught: int
    random_bits: int
    random_normal: int


@cache
def core_rows(recipe):
    """(inputs, expected codes) of a core set, as its file has them."""
    file = read_vectors(golden_directory() / recipe.file)
    return file.column("input"), file.column("expected")


@cache
def random_rows(recipe, distribution):
    """As many random inputs as the core set has rows, and what the oracle says of them."""
    source, target = scalar(recipe.source), scalar(recipe.target)
    patterns = random_patterns(source, len(core_rows(recipe)[0]), 1, distribution)
    return patterns, expected(patterns, source, target, parse_policy(recipe.policy, target))


def count_differences(cast, recipe, rows):
    """In how many rows a cast gives another code than expected."""
    source, target = scalar(recipe.source), scalar(recipe.target)
    patterns, right = rows
    return int(np.count_nonzero(cast(patterns, source, target, parse_policy(recipe.policy, target)) != right))


def right_cast(recipe):
    """The cast with every switch off."""
    return cast_float if isinstance(scalar(recipe.target), FloatFormat) else cast_integer


def qualify():
    """Run every planted bug on its core set and on random sets of the same size."""
    scores = []
    for bug in BUGS:
        counts = [
            count_differences(bug.cast, bug.recipe, rows)
            for rows in (
                core_rows(bug.recipe),
                random_rows(bug.recipe, "bits"),
                random_rows(bug.recipe, "normal"),
            )
        ]
        scores.append(Score(bug.name, bug.recipe.id, len(core_rows(bug.recipe)[0]), *counts))
    return scores


def table(scores):
    """The scores as lines of text."""
    head = f"{'planted bug':42} {'set':38} {'rows':>6} {'core':>6} {'bits':>6} {'normal':>6}"
    lines = [head, "-" * len(head)]
    lines += [
        f"{score.name:42} {score.set_id:38} {score.rows:6} {score.caught:6} {score.random_bits:6} {score.random_normal:6}"
        for score in scores
    ]
    total = len(scores)
    missed = [sum(getattr(score, name) == 0 for score in scores) for name in ("caught", "random_bits", "random_normal")]
    lines.append(
        f"of {total} planted bugs the core sets catch {total - missed[0]}, random bit patterns {total - missed[1]}, "
        f"random N(0, 1) values {total - missed[2]}"
    )
    return lines


if __name__ == "__main__":
    print("\n".join(table(qualify())))  # noqa: T201
