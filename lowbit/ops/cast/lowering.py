"""Lower (source, target, policy) to the flat int64 vector that a cast kernel takes.

Everything a policy decides is decided here, once: final codes for overflow, infinities, NaNs, zeros and negative
values by sign (``outcomes``), and rounding as a few masks. No enum reaches a kernel, so one compiled kernel serves
every format and policy, and a branch costs nothing per element.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from lowbit.format.scalar import FloatFormat, Scalar
from lowbit.kernels.cast import layout as at
from lowbit.ops.cast.outcomes import Outcome, Outcomes
from lowbit.policy.cast import Policy

_ABOVE_ALL = (1 << 63) - 1
_NEVER = -(1 << 40)
_NO_CODE = -(1 << 60)  # below every magnitude code, and below what rounds to less than the lowest
WIDEST_FIXED = 61
Vector = npt.NDArray[np.int64]


@lru_cache(maxsize=4096)
def lower(source: Scalar | None, target: Scalar, policy: Policy) -> Vector:
    """The vector for a cast; ``source`` is None for values that are already unpacked.

    ``via`` and ``defects`` are not lowered: ``lowbit.ops.cast.conversion`` takes those steps.

    Raises PolicyError: the policy asks for what the target cannot do (``overflow="wrap"`` in a float format).
    """
    vector = [0] * at.SIZE
    if isinstance(source, FloatFormat):
        _lower_source(vector, source, policy)
    elif source is not None:
        vector[at.SOURCE_BASE] = source.smallest_exponent
    _lower_rounding(vector, target, policy)
    if isinstance(target, FloatFormat):
        _lower_float(vector, source, target, policy)
    else:
        _lower_fixed(vector, target, policy)
    wrapped = [entry - (1 << 64) if entry >= 1 << 63 else entry for entry in vector]
    lowered = np.array(wrapped, dtype=np.int64)
    lowered.setflags(write=False)
    return lowered


def narrow(vector: Vector) -> npt.NDArray[np.int32]:
    """The vector for 32-bit lanes: what lies beyond stands for "never" there too."""
    narrowed = np.clip(vector, -(1 << 30), 1 << 30).astype(np.int32)
    narrowed.setflags(write=False)
    return narrowed


def _lower_source(vector: list[int], source: FloatFormat, policy: Policy) -> None:
    vector[at.SOURCE_SIGN_SHIFT] = source.bits - 1
    vector[at.SOURCE_SIGN_MASK] = int(source.signed)
    vector[at.SOURCE_MAGNITUDE_MASK] = (1 << source.magnitude_bits) - 1
    vector[at.SOURCE_MANTISSA_BITS] = source.mantissa_bits
    vector[at.SOURCE_MANTISSA_MASK] = (1 << source.mantissa_bits) - 1
    vector[at.SOURCE_FIRST_NORMAL] = int(source.subnormals)
    vector[at.SOURCE_BASE] = source.smallest_exponent - int(source.subnormals)
    vector[at.SOURCE_INFINITY] = -1 if source.infinity is None else source.infinity
    vector[at.SOURCE_BELOW_NAN] = _ABOVE_ALL if source.nan is None else source.nan - 1
    vector[at.SOURCE_NAN_AT_NEGATIVE_ZERO] = int(source.nan_at_negative_zero)
    flushed = policy.flush_inputs == "always" and source.zero
    vector[at.SOURCE_FLUSH] = min(source.min_normal_code, source.max_code + 1) if flushed else 0


_MAGNITUDE_ROUNDINGS = {
    # rounding: (half, odd, odd_flip, one, full, full_if_even) for positive values, with one and full for negative ones
    "nearest_even": (-1, 1, 0, -1, 0, 0, -1, 0),
    "nearest_odd": (-1, 1, 1, -1, 0, 0, -1, 0),
    "nearest_away": (-1, 0, 0, 0, 0, 0, 0, 0),
    "nearest_zero": (-1, 0, 0, -1, 0, 0, -1, 0),
    "nearest_up": (-1, 0, 0, 0, 0, 0, -1, 0),
    "nearest_down": (-1, 0, 0, -1, 0, 0, 0, 0),
    "toward_zero": (0, 0, 0, 0, 0, 0, 0, 0),
    "toward_positive": (0, 0, 0, 0, -1, 0, 0, 0),
    "toward_negative": (0, 0, 0, 0, 0, 0, 0, -1),
    "away_from_zero": (0, 0, 0, 0, -1, 0, 0, -1),
    "to_odd": (0, 0, 0, 0, -1, -1, 0, -1),
}
_STOCHASTIC = {
    # rounding: (bits beyond N, left shift of R, offset of R, nearest first)
    "stochastic_a": (0, 0, 0, 0),
    "stochastic_b": (1, 1, 1, 0),
    "stochastic_c": (0, 0, 0, 1),
}


def _lower_rounding(vector: list[int], target: Scalar, policy: Policy) -> None:
    if policy.stochastic:
        beyond, scale, offset, nearest = _STOCHASTIC[policy.rounding]
        vector[at.RANDOM_BITS] = policy.random_bits + beyond
        vector[at.RANDOM_SCALE] = scale
        vector[at.RANDOM_OFFSET] = offset
        vector[at.RANDOM_NEAREST] = nearest
        return
    rounding = policy.rounding
    powers_of_two = "tie_without_mantissa" in target.live_axes
    if powers_of_two and rounding == "nearest_even" and policy.tie_without_mantissa == "up":
        rounding = "nearest_away"
    half, odd, flip, one, full, if_even, negative_one, negative_full = _MAGNITUDE_ROUNDINGS[rounding]
    vector[at.ROUND_HALF] = half
    vector[at.ROUND_ODD] = odd
    vector[at.ROUND_ODD_FLIP] = flip
    vector[at.ROUND_ONE : at.ROUND_ONE + 2] = [one, negative_one]
    vector[at.ROUND_FULL : at.ROUND_FULL + 2] = [full, negative_full]
    vector[at.ROUND_FULL_IF_EVEN] = if_even


def _lower_float(vector: list[int], source: Scalar | None, target: FloatFormat, policy: Policy) -> None:
    outcomes = Outcomes(target, policy)
    vector[at.SOURCE_DROP_SIGN] = int(not target.signed and policy.negative == "absolute")
    vector[at.PRECISION] = target.precision
    vector[at.MANTISSA_BITS] = target.mantissa_bits
    vector[at.SMALLEST] = target.smallest_exponent
    vector[at.CLAMP] = target.smallest_exponent if target.subnormals else _NEVER
    vector[at.HIDDEN] = 0 if target.subnormals else 1 << target.mantissa_bits
    top_field = target.max_code >> target.mantissa_bits
    vector[at.MAX_INDEX] = max(top_field - int(target.subnormals), 0)
    vector[at.MAX_CODE] = target.max_code
    flushes = policy.flush_results if target.zero else "never"
    if flushes == "before_rounding" and target.min_normal_code > target.max_code:
        flushes = "after_rounding"  # without a normal value all results that do not overflow are flushed, either way
    flush_below = min(target.min_normal_code, target.max_code + 1)  # an overflow is not flushed
    vector[at.FLUSH_CODE] = flush_below if flushes == "after_rounding" else 0 if target.zero else _NO_CODE
    min_normal_exponent = target.smallest_exponent + target.mantissa_bits
    vector[at.FLUSH_LEADING] = min_normal_exponent if flushes == "before_rounding" else 2 * _NEVER
    vector[at.MIN_NORMAL_CODE] = target.min_normal_code
    vector[at.SIGN + 1] = target.sign_bit
    vector[at.ZERO_MATCH] = 0 if target.zero else _NO_CODE
    vector[at.NEGATIVE_ABOVE] = _ABOVE_ALL if target.signed else 0 if target.zero else 2 * _NO_CODE
    _pair(vector, at.ZERO, None, outcomes.zero)
    _pair(vector, at.OVERFLOW, at.FLAG_OVERFLOW, outcomes.overflow)
    _pair(vector, at.UNDERFLOW, at.FLAG_UNDERFLOW, outcomes.underflow)
    _pair(vector, at.NAN, None, outcomes.nan)
    _pair(vector, at.INFINITY, at.FLAG_INFINITY, outcomes.infinity)
    _pair(vector, at.ZERO_INPUT, None, outcomes.zero_input)
    vector[at.NEGATIVE], vector[at.FLAG_NEGATIVE] = outcomes.negative()
    vector[at.FLAG_NAN] = outcomes.nan(0).flags
    vector[at.FLAG_ZERO] = outcomes.zero_input(0).flags
    if policy.nan_code == "payload" and source is not None and source.ieee_like and target.ieee_like:
        widening = target.precision - source.precision
        vector[at.PAYLOAD_LEFT] = max(widening, 0)
        vector[at.PAYLOAD_RIGHT] = max(-widening, 0)
        vector[at.PAYLOAD_MASK] = (1 << target.mantissa_bits) - 1
        assert target.infinity is not None
        # the payload joins these bits, not the canonical NaN
        quieted = target.infinity | 1 << (target.mantissa_bits - 1)
        for place in (at.NAN, at.NAN + 1):
            vector[place] = quieted | (vector[place] & target.sign_bit)


def _pair(vector: list[int], place: int, flag_place: int | None, outcome: Callable[[int], Outcome]) -> None:
    for negative in (0, 1):
        code, flags = outcome(negative)
        vector[place + negative] = code
        if flag_place is not None:
            vector[flag_place + negative] = flags


def _lower_fixed(vector: list[int], target: Scalar, policy: Policy) -> None:
    assert target.wraps, f"{target.id}: kernels know floats and fixed point only"
    outcomes = Outcomes(target, policy)
    vector[at.FIXED_ULP] = target.smallest_exponent
    # wider targets send large values another way, and what lies below their range: lowbit.ops.cast.full
    limit = (1 << WIDEST_FIXED) - 1
    limits = [limit, limit] if target.bits > WIDEST_FIXED else [target.largest_code(), -target.lowest_code]
    vector[at.FIXED_LIMIT : at.FIXED_LIMIT + 2] = limits
    _pair(vector, at.FIXED_OUT, at.FLAG_OVERFLOW, outcomes.overflow)
    _pair(vector, at.NAN, None, outcomes.nan)
    _pair(vector, at.INFINITY, at.FLAG_INFINITY, outcomes.infinity)
    vector[at.FLAG_NAN] = outcomes.nan(0).flags
    if policy.overflow == "wrap" and target.bits <= WIDEST_FIXED:
        vector[at.FIXED_WRAP_MASK] = (1 << target.bits) - 1
        vector[at.FIXED_WRAP_SIGN] = 1 << (target.bits - 1) if target.signed else 0
