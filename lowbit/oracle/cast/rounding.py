"""Which of two neighbours an inexact value goes to: the rounding axis, one clause a mode.

Everything is measured in magnitude, between the neighbour nearer zero ("lower") and the one farther from it. The
discarded fraction is ``rest / gap``, exactly: rest is the distance from the lower neighbour, gap the distance between
the two, both as integers in one unit.
"""

from __future__ import annotations

from dataclasses import dataclass

from lowbit.policy.cast import Policy


@dataclass(frozen=True, slots=True)
class Gap:
    """Where a magnitude lies between its neighbours: ``0 < rest < gap``."""

    # rest, gap: distance from the lower neighbour, and between the neighbours, in the same unit
    rest: int
    gap: int
    lower_is_odd: bool  # whether the magnitude code of the lower neighbour is odd; that of the upper one is then even
    negative: bool  # sign of the value
    # Whether the target codes powers of two only, so that ``tie_without_mantissa`` applies.
    without_mantissa: bool = False


def rounds_up(gap: Gap, policy: Policy, random: int) -> tuple[bool, str]:
    """Whether the value goes to the upper neighbour, and the rule in words."""
    rounding = policy.rounding
    if rounding.startswith("nearest_"):
        return _nearest(gap, policy)
    if rounding.startswith("stochastic_"):
        return _stochastic(gap, policy, random)
    if rounding == "toward_zero":
        return False, "truncated toward zero"
    if rounding == "toward_positive":
        return not gap.negative, "rounded toward +infinity"
    if rounding == "toward_negative":
        return gap.negative, "rounded toward -infinity"
    if rounding == "away_from_zero":
        return True, "inexact, so away from zero"
    assert rounding == "to_odd"
    return not gap.lower_is_odd, "inexact, so to the odd code"


def _nearest(gap: Gap, policy: Policy) -> tuple[bool, str]:
    """IEEE 754-2019 4.3.1; the fraction is compared with one half."""
    twice = 2 * gap.rest
    if twice != gap.gap:
        return twice > gap.gap, "the nearer neighbour"
    tie = policy.rounding.removeprefix("nearest_")
    if tie == "even" and gap.without_mantissa and policy.tie_without_mantissa == "up":
        return True, "a tie, to the larger power of two"
    upper = {
        "even": gap.lower_is_odd,
        "odd": not gap.lower_is_odd,
        "away": True,
        "zero": False,
        "up": not gap.negative,
        "down": gap.negative,
    }[tie]
    words = {
        "even": "to the even code",
        "odd": "to the odd code",
        "away": "away from zero",
        "zero": "toward zero",
        "up": "toward +infinity",
        "down": "toward -infinity",
    }[tie]
    return upper, f"a tie, {words}"


def _stochastic(gap: Gap, policy: Policy, random: int) -> tuple[bool, str]:
    """P3109 v4.0 4.7.4, RoundAway(StochasticA, B, C), with N random bits R."""
    scale = 1 << policy.random_bits
    if policy.rounding == "stochastic_a":
        upper = gap.rest * scale // gap.gap + random >= scale
        words = "floor(v*2^N) + R >= 2^N"
    elif policy.rounding == "stochastic_b":
        upper = gap.rest * 2 * scale // gap.gap + 2 * random + 1 >= 2 * scale
        words = "floor(v*2^(N+1)) + 2R + 1 >= 2^(N+1)"
    else:
        upper = _nearest_even_quotient(gap.rest * scale, gap.gap) + random >= scale
        words = "nearest_even(v*2^N) + R >= 2^N"
    return upper, f"{words} {'holds' if upper else 'does not hold'} (N = {policy.random_bits}, R = {random})"


def _nearest_even_quotient(numerator: int, denominator: int) -> int:
    """The integer nearest to a quotient, the even one at a tie (RNITE of P3109 v4.0 4.7.4)."""
    whole, rest = divmod(numerator, denominator)
    if 2 * rest == denominator:
        return whole + whole % 2
    return whole + int(2 * rest > denominator)
