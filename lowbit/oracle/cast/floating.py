"""Projection to a floating-point format.

The order is the whole point: round first, as if the exponent range were unbounded above, then decide overflow on the
rounded value (IEEE 754-2019 7.4; P3109 v4.0 4.7.3), then encode. What stands in for a special value that the format
lacks is in :mod:`lowbit.oracle.cast.specials`.

Decisions where the standards leave room:

- A negative value into an unsigned format is decided before overflow and underflow: -1e30 is negative, not too large.
- Tininess is detected after rounding as IEEE 754-2019 7.5 defines it: the value rounded to the format's precision with
  an unbounded exponent lies below the smallest normal one. A value can round up to the smallest normal one and still
  raise underflow.
- ``flush_results`` does not apply to a format without subnormals, nor to a value that rounds beyond the largest one;
  where every value is subnormal (float4_e0m3), every result that does not overflow is flushed.
"""

from __future__ import annotations

from lowbit.errors import PolicyError
from lowbit.exact import FINITE, INFINITY, MINUS_INFINITY, NAN, Exact, finite
from lowbit.format.scalar import FloatFormat
from lowbit.oracle.cast.decode import magnitude_value
from lowbit.oracle.cast.neighbours import distances, lower_code
from lowbit.oracle.cast.projection import INEXACT, INVALID, OVERFLOW, UNDERFLOW, Projection
from lowbit.oracle.cast.rounding import Gap, rounds_up
from lowbit.oracle.cast.specials import (
    from_infinity,
    from_nan,
    from_negative,
    from_overflow,
    from_zero,
    nan_code,
    refuse,
    zero_code,
)
from lowbit.policy.cast import Policy


def project_floating(value: Exact, fmt: FloatFormat, policy: Policy, random: int) -> Projection:
    """Project to a floating-point format; see :func:`lowbit.oracle.cast.project`."""
    if policy.overflow == "wrap":
        raise PolicyError(
            f"overflow = 'wrap' has no meaning for {fmt.id}, a floating-point format",
            hint="overflow='saturate', 'infinity', 'nan' or 'ieee'",
        )
    if value.kind == NAN:
        return from_nan(value, fmt, policy)
    negative = value.negative if value.kind != FINITE or value.significand == 0 else value.significand < 0
    below_range = negative and not fmt.signed and (value.kind != FINITE or value.significand != 0)
    if below_range and policy.negative == "absolute":
        positive = INFINITY if value.kind != FINITE else Exact(FINITE, -value.significand, value.exponent, False)
        result = project_floating(positive, fmt, policy, random)
        rule = f"the sign is dropped; {result.rule}"
        floor = None, magnitude_value(0, fmt)
        below, above = floor if value.kind == FINITE else (None, None)
        return Projection(result.code, result.flags | INVALID, below, above, rule, result.saturated)
    if value.kind != FINITE:
        return from_negative(value, fmt, policy) if below_range else from_infinity(value, fmt, policy)
    if value.significand == 0:
        return from_zero(value, fmt, policy)
    return _finite(value, fmt, policy, random)


def _finite(value: Exact, fmt: FloatFormat, policy: Policy, random: int) -> Projection:
    negative = value.significand < 0
    magnitude = Exact(FINITE, abs(value.significand), value.exponent)
    lower, top = lower_code(magnitude, fmt), fmt.max_code
    rest, gap = _interval(magnitude, lower, top, fmt)
    below, above = _neighbours(lower, top, bool(rest), negative, fmt)
    rounded, rule, tiny = lower, "exact", lower < fmt.min_normal_code
    if rest:
        place = Gap(rest, gap, lower % 2 == 1, negative, fmt.mantissa_bits == 0)
        up, rule = rounds_up(place, policy, random)
        rounded += int(up)
        tiny = _tiny(place, lower, rounded, fmt, policy)
    flags = (INEXACT if rest else 0) | (UNDERFLOW if rest and tiny else 0)
    if fmt.zero and rounded <= top:
        if policy.flush_results == "before_rounding" and lower < fmt.min_normal_code:
            rounded, flags, rule = 0, UNDERFLOW | INEXACT, "below the smallest normal value, flushed to zero"
        elif policy.flush_results == "after_rounding" and 0 < rounded < fmt.min_normal_code:
            rounded, flags, rule = 0, UNDERFLOW | INEXACT, f"{rule}; subnormal, flushed to zero"
    if rounded == 0 and fmt.zero:
        return Projection(zero_code(negative, fmt, policy), flags, below, above, rule)
    if negative and not fmt.signed:
        return from_negative(value, fmt, policy)
    if rounded > top:
        code, words, saturated = from_overflow(value, fmt, policy)
        first = "beyond the largest value" if lower > top else rule
        return Projection(code, OVERFLOW | INEXACT, below, above, f"{first}; {words}", saturated)
    if rounded < 0:
        return _underflow(value, fmt, policy, above)
    return Projection(rounded + (fmt.sign_bit if negative else 0), flags, below, above, rule)


def _interval(magnitude: Exact, lower: int, top: int, fmt: FloatFormat) -> tuple[int, int]:
    """Where the magnitude stands above the value of ``lower``: (rest, gap), rest 0 where it is that value.

    Beyond the last interval nothing is left to round, the value is out of range whatever the mode.
    """
    if lower > top or lower < -1:
        return 0, 1
    return distances(magnitude, magnitude_value(lower, fmt), magnitude_value(lower + 1, fmt))


def _tiny(place: Gap, lower: int, rounded: int, fmt: FloatFormat, policy: Policy) -> bool:
    """Whether the value rounded with an unbounded exponent lies below the smallest normal value.

    That differs from the rounded code only just below the smallest normal value, where the unbounded grid is twice as
    fine as the subnormal one: the upper half of the interval has a neighbour of its own in the middle. A random draw
    belongs to one interval and cannot be carried to another, so a stochastic result is tiny if its code is subnormal.
    """
    if rounded < fmt.min_normal_code:
        return True
    if lower >= fmt.min_normal_code or not fmt.subnormals or policy.stochastic:
        return False
    if 2 * place.rest <= place.gap:
        return True
    finer = Gap(2 * place.rest - place.gap, place.gap, place.lower_is_odd, place.negative, place.without_mantissa)
    return not rounds_up(finer, policy, 0)[0]


def _neighbours(
    lower: int, top: int, inexact: bool, negative: bool, fmt: FloatFormat
) -> tuple[Exact | None, Exact | None]:
    """The neighbours in the format's set of values, in the order of the number line; ``top`` is its largest code."""
    if negative and not fmt.signed:
        return None, magnitude_value(0, fmt)
    near: Exact | None
    far: Exact | None
    if lower > top:
        near, far = magnitude_value(top, fmt), _above_range(fmt)
    elif lower < 0:
        near, far = None, magnitude_value(0, fmt)
        if fmt.signed:
            near = finite(-far.significand, far.exponent)
    else:
        near = far = magnitude_value(lower, fmt)
        if inexact:
            far = magnitude_value(lower + 1, fmt) if lower < top else _above_range(fmt)
    return (_negated(far, fmt), _negated(near, fmt)) if negative else (near, far)


def _above_range(fmt: FloatFormat) -> Exact | None:
    return None if fmt.infinity is None else INFINITY


def _negated(value: Exact | None, fmt: FloatFormat) -> Exact | None:
    if value is None:
        return None
    if value.kind != FINITE:
        return MINUS_INFINITY if value == INFINITY else INFINITY
    negative = not value.negative and (value.significand != 0 or fmt.negative_zero)
    return Exact(FINITE, -value.significand, value.exponent, negative)


def _underflow(value: Exact, fmt: FloatFormat, policy: Policy, above: Exact | None) -> Projection:
    """A value that rounds below the smallest one of a format without zero."""
    flags = UNDERFLOW | INEXACT
    below = None
    if value.significand < 0:
        below, above = above, None
    if policy.underflow == "error":
        raise refuse(value, fmt, "rounds below the smallest value", "underflow", "minimum")
    if policy.underflow == "nan":
        return Projection(nan_code(value, fmt, policy), flags, below, above, "below the smallest value: NaN")
    code = fmt.sign_bit if value.significand < 0 else 0
    return Projection(code, flags, below, above, "below the smallest value, which stands in")
