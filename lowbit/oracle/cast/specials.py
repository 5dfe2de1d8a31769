"""Values that a format cannot hold, or holds in its own way: NaN, infinity, zero, negatives, overflow.

One function a case, each reading its own axes of the policy. Decisions where the sources leave room:

- Wherever a rule says NaN and the format has none, the ``nan`` axis decides, whatever the cause.
- ``nan_sign`` is about NaN results only: ``signed_maximum`` and ``inverted_zero`` look at the sign of the input.
- ``nan="negative_zero"`` and ``"inverted_zero"`` choose the code outright; the axis ``negative_zero`` does not undo it.
- ``nan="minimum"`` is the lowest value: -max, or the smallest value of an unsigned format.
- The invalid flag: a NaN that does not come out as NaN, an infinity that does not come out as infinity, a zero that
  becomes NaN, and every nonzero negative value into an unsigned format that does not round to zero. Inexact is not
  raised beside it (IEEE 754-2019 7.2), except by the rounding of a magnitude whose sign was dropped. A signalling NaN
  raises nothing: low-bit formats do not distinguish it.
"""

from __future__ import annotations

from lowbit.errors import InputError
from lowbit.exact import FINITE, NAN, Exact
from lowbit.format.scalar import FloatFormat, Scalar
from lowbit.oracle.cast.projection import INEXACT, INVALID, Projection
from lowbit.policy.cast import Policy


def refuse(value: Exact, fmt: Scalar, what: str, axis: str, instead: str) -> InputError:
    """The error of an axis that says ``error``."""
    return InputError(
        f"{value} {what} of {fmt.id}, and the policy says {axis}='error'",
        hint=f"{axis}={instead!r} gives a code",
    )


def from_nan(value: Exact, fmt: Scalar, policy: Policy) -> Projection:
    """A NaN input."""
    code = nan_code(value, fmt, policy)
    if fmt.has_nan:
        return Projection(code, 0, None, None, "NaN")
    return Projection(code, INVALID, None, None, f"NaN, which the format lacks: {policy.nan}")


def from_infinity(value: Exact, fmt: Scalar, policy: Policy) -> Projection:
    """An infinite input whose sign the format can hold."""
    if policy.infinity == "error":
        raise refuse(value, fmt, "is not a finite value", "infinity", "saturate")
    if policy.infinity == "nan":
        return Projection(nan_code(value, fmt, policy), INVALID, None, None, "infinity: NaN")
    if policy.infinity == "saturate":
        code, words, saturated = _largest(value, fmt), "the largest value", True
    else:
        code, words, saturated = infinity_code(value, fmt, policy)
    flags = 0 if policy.infinity == "propagate" and fmt.infinity_code(value.negative) is not None else INVALID
    return Projection(code, flags, None, None, f"infinity: {words}", saturated)


def from_zero(value: Exact, fmt: Scalar, policy: Policy) -> Projection:
    """A zero input."""
    if fmt.zero:
        code = zero_code(value.negative, fmt, policy)
        zero = Exact(FINITE, 0, 0, value.negative)
        return Projection(code, 0, zero, zero, "zero")
    smallest = fmt.value_at(0)
    if policy.zero == "error":
        raise refuse(value, fmt, "is below every value", "zero", "minimum")
    below = Exact(FINITE, -smallest.significand, smallest.exponent, True) if fmt.signed else None
    if policy.zero == "nan":
        return Projection(nan_code(value, fmt, policy), INVALID, below, smallest, "zero, which the format lacks: NaN")
    code = fmt.sign_bit if value.negative and policy.negative_zero == "keep" else 0
    return Projection(code, INEXACT, below, smallest, "zero, which the format lacks: the smallest value")


def zero_code(negative: bool, fmt: Scalar, policy: Policy) -> int:
    """The code of a zero result in a format that has zero."""
    return fmt.sign_bit if negative and fmt.negative_zero and policy.negative_zero == "keep" else 0


def from_negative(value: Exact, fmt: Scalar, policy: Policy) -> Projection:
    """A negative value, minus infinity included, that an unsigned format cannot hold; not the rule ``absolute``."""
    above = fmt.min if value.kind == FINITE else None
    if policy.negative == "error":
        raise refuse(value, fmt, "is below the range", "negative", "zero")
    upward = value.kind == FINITE and policy.rounding in ("toward_zero", "toward_positive")
    if policy.negative == "zero" or (policy.negative == "by_direction" and upward):
        return Projection(fmt.lowest_code, INVALID, None, above, "negative into an unsigned format: the smallest code")
    return Projection(nan_code(value, fmt, policy), INVALID, None, above, "negative into an unsigned format: NaN")


def from_overflow(value: Exact, fmt: Scalar, policy: Policy) -> tuple[int, str, bool]:
    """Code, rule and whether it saturated, for a finite value that rounded beyond the largest one."""
    axis = policy.overflow
    if axis == "error":
        raise refuse(value, fmt, "rounds beyond the largest value", "overflow", "saturate")
    if axis == "nan":
        return nan_code(value, fmt, policy), "overflow: NaN", False
    if axis == "saturate" or (axis == "ieee" and _stays_finite(value, fmt, policy)):
        return _largest(value, fmt), "overflow: the largest value", True
    code, words, saturated = infinity_code(value, fmt, policy)
    return code, f"overflow: {words}", saturated


def _stays_finite(value: Exact, fmt: Scalar, policy: Policy) -> bool:
    """Whether the rounding direction keeps an overflow finite (IEEE 754-2019 7.4; P3109 v4.0 4.7.5 for ToOdd)."""
    negative = value.significand < 0
    if policy.rounding == "to_odd":
        # Infinity stands one code above the largest value, so exactly one of the two is odd. Without an infinity the
        # largest value it is.
        return not fmt.has_infinity or fmt.largest_code() % 2 == 1
    return (
        policy.rounding == "toward_zero"
        or (policy.rounding == "toward_positive" and negative)
        or (policy.rounding == "toward_negative" and not negative)
    )


def infinity_code(value: Exact, fmt: Scalar, policy: Policy) -> tuple[int, str, bool]:
    """Code, words and whether it saturated, for a result that is infinite with the sign of ``value``."""
    code = fmt.infinity_code(value.negative)
    if code is not None:
        return code, "infinity", False
    if policy.without_infinity == "nan" and fmt.has_nan:
        return nan_code(value, fmt, policy), "NaN stands in for infinity", False
    return _largest(value, fmt), "the largest value stands in for infinity", True


def _largest(value: Exact, fmt: Scalar) -> int:
    return fmt.largest_code(value.negative)


def nan_code(value: Exact, fmt: Scalar, policy: Policy) -> int:
    """The NaN that ``value`` (any value that ends as one) becomes; the ``nan`` axis where the format has none."""
    if not fmt.has_nan:
        return _without_nan(value, fmt, policy)
    assert fmt.canonical_nan is not None
    if not isinstance(fmt, FloatFormat) or fmt.nan is None:
        return fmt.canonical_nan
    magnitude = fmt.canonical_nan
    if policy.nan_code == "all_ones":
        magnitude = (1 << fmt.magnitude_bits) - 1
    elif policy.nan_code == "payload" and value.kind == NAN and value.exponent < 0 and fmt.ieee_like:
        magnitude = _with_payload(value, fmt)
    kept = policy.nan_sign == "keep" or (policy.nan_sign == "drop_input" and value.kind != NAN)
    negative = value.negative and kept
    return magnitude + (fmt.sign_bit if negative else 0)


def _with_payload(value: Exact, fmt: FloatFormat) -> int:
    """IEEE 754-2019 6.2.3: the leading bits of the payload, quieted; a wider target gets zeros behind them."""
    width = -value.exponent
    field = value.significand * (1 << fmt.mantissa_bits) // (1 << width)
    assert fmt.infinity is not None
    return fmt.infinity + (field | 1 << (fmt.mantissa_bits - 1))


def _without_nan(value: Exact, fmt: Scalar, policy: Policy) -> int:
    if policy.nan == "error":
        raise refuse(value, fmt, "would be a NaN, which is not a value", "nan", "maximum")
    return {
        "maximum": fmt.largest_code(),
        "signed_maximum": _largest(value, fmt),
        "minimum": fmt.lowest_code,
        "zero": fmt.zero_code(),
        "negative_zero": fmt.zero_code(negative=True),
        "inverted_zero": fmt.zero_code(not value.negative),
    }[policy.nan]
