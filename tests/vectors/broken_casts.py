"""Casts with a switch for each bug: an independent implementation in float64 and int64 NumPy arithmetic.

With every switch off they are right, which the tests prove before they trust a planted bug.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from lowbit.format.registry import scalar_format
from lowbit.vectors.cast.sets import parse_policy


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
        middle = scalar_format(unit.via)
        patterns = cast_float(patterns, source, middle, parse_policy("ieee"))
        return cast_float(patterns, middle, target, policy, replace(unit, via=""))
    sign = (patterns >> np.uint64(source.magnitude_bits)).astype(np.int64)
    magnitude = (patterns & np.uint64((1 << source.magnitude_bits) - 1)).astype(np.int64)
    code, overflow, tiny = _round(magnitude, sign, source, target, unit)
    finite = code, overflow, tiny
    code, sign = _special_results(finite, magnitude, sign, source, target, policy, unit)
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


def _special_results(finite, magnitude, sign, source, target, policy, unit):
    code, overflow, tiny = finite
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
