"""Projection to an integer or fixed-point format.

The rounding axis is the floating-point one, on the magnitude in units of the last place; conversions to integers in
IEEE 754-2019 5.8 are the case without fraction bits. Out of range, an infinity or a NaN raise the invalid flag and,
as IEEE 754-2019 7.2 says, no other. ``negative``, ``negative_zero`` and ``flush_results`` do not apply: a negative
value is simply below the range of an unsigned format.
"""

from __future__ import annotations

from lowbit.errors import InputError
from lowbit.exact import FINITE, NAN, Exact, finite
from lowbit.format.scalar import FixedFormat
from lowbit.oracle.cast.neighbours import floor_scaled
from lowbit.oracle.cast.projection import INEXACT, INVALID, Projection
from lowbit.oracle.cast.rounding import Gap, rounds_up
from lowbit.oracle.cast.specials import nan_code
from lowbit.policy.cast import Policy


def project_fixed(value: Exact, fmt: FixedFormat, policy: Policy, random: int) -> Projection:
    """Round to a multiple of the last place, then see to the range; see :func:`lowbit.oracle.cast.project`."""
    if value.kind == NAN:
        return Projection(nan_code(value, fmt, policy), INVALID, None, None, f"NaN: {policy.nan}")
    if value.kind != FINITE:
        return _infinity(value, fmt, policy)
    magnitude = Exact(FINITE, abs(value.significand), value.exponent)
    lower = floor_scaled(magnitude, -fmt.fraction_bits)
    rest, gap = _fraction(magnitude, lower, fmt)
    rounded, rule = lower, "exact"
    if rest:
        up, rule = rounds_up(Gap(rest, gap, lower % 2 == 1, value.significand < 0), policy, random)
        rounded += int(up)
    signed = -rounded if value.significand < 0 else rounded
    below, above = _neighbours(value, lower, bool(rest), fmt)
    if fmt.min_code <= signed <= fmt.max_code:
        return Projection(signed, INEXACT if rest else 0, below, above, rule)
    code, rule, saturated = _out_of_range(signed, value, fmt, policy)
    return Projection(code, INVALID, below, above, rule, saturated)


def _fraction(magnitude: Exact, lower: int, fmt: FixedFormat) -> tuple[int, int]:
    """What the floor leaves, and one unit of the last place, as integers in the finer of the two units."""
    unit = min(magnitude.exponent, -fmt.fraction_bits)
    place = 1 << (-fmt.fraction_bits - unit)
    return (magnitude.significand << (magnitude.exponent - unit)) - lower * place, place


def _neighbours(value: Exact, lower: int, inexact: bool, fmt: FixedFormat) -> tuple[Exact | None, Exact | None]:
    below, above = lower, lower + int(inexact)
    if value.significand < 0:
        below, above = -above, -below
    places = -fmt.fraction_bits
    floor = min(below, fmt.max_code) if below >= fmt.min_code else None
    ceiling = max(above, fmt.min_code) if above <= fmt.max_code else None
    return (
        None if floor is None else finite(floor, places),
        None if ceiling is None else finite(ceiling, places),
    )


def _out_of_range(signed: int, value: Exact, fmt: FixedFormat, policy: Policy) -> tuple[int, str, bool]:
    """Code, rule and whether it saturated, for a rounded value outside the range."""
    if policy.overflow == "error":
        raise InputError(
            f"{value} rounds to a code outside the range {fmt.min_code} to {fmt.max_code} of {fmt.id}, and the policy "
            "says overflow='error'",
            hint="overflow='saturate' gives the nearer end of the range",
        )
    if policy.overflow == "nan":
        return nan_code(value, fmt, policy), f"out of range, taken as a NaN: {policy.nan}", False
    if policy.overflow == "wrap":
        raw = signed % (1 << fmt.bits)
        if fmt.signed and raw >> (fmt.bits - 1):
            raw -= 1 << fmt.bits
        # A narrow format has no code for the lowest value that can come out here.
        return max(raw, fmt.min_code), f"out of range, wrapped modulo 2^{fmt.bits}", False
    # Neither infinity nor NaN exists here: "ieee" and "infinity" saturate like "saturate".
    return (fmt.min_code if signed < 0 else fmt.max_code), "out of range, saturated", True


def _infinity(value: Exact, fmt: FixedFormat, policy: Policy) -> Projection:
    if policy.infinity == "error":
        raise InputError(
            f"{value} has no code in {fmt.id}, and the policy says infinity='error'",
            hint="infinity='saturate' gives the end of the range",
        )
    if policy.infinity == "nan":
        code = nan_code(value, fmt, policy)
        return Projection(code, INVALID, None, None, f"infinity, taken as a NaN: {policy.nan}")
    code = fmt.min_code if value.negative else fmt.max_code
    return Projection(code, INVALID, None, None, "infinity, saturated", True)
