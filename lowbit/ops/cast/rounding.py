"""Which of two neighbours an exact value goes to, in Python integers: for the casts that no kernel makes."""

from __future__ import annotations

from lowbit.policy.cast import Policy


def rounds_away(rest: int, gap: int, odd: bool, negative: bool, policy: Policy, random: int) -> bool:
    """Whether a value ``rest / gap`` of the way from the neighbour nearer zero to the other goes to the other.

    ``odd`` says whether the code of the nearer neighbour is odd; 0 < rest < gap.
    """
    if policy.stochastic:
        return _carries(rest, gap, random, policy)
    rounding = policy.rounding
    ties = {
        "nearest_even": odd,
        "nearest_odd": not odd,
        "nearest_away": True,
        "nearest_zero": False,
        "nearest_up": not negative,
        "nearest_down": negative,
    }
    if rounding in ties:
        return 2 * rest > gap or (2 * rest == gap and ties[rounding])
    directed = {
        "toward_zero": False,
        "toward_positive": not negative,
        "toward_negative": negative,
        "away_from_zero": True,
        "to_odd": not odd,
    }
    return directed[rounding]


def _carries(rest: int, gap: int, random: int, policy: Policy) -> bool:
    """Whether a stochastic mode rounds up the fraction (P3109 v4.0 4.7.4)."""
    scale = 1 << policy.random_bits
    if policy.rounding == "stochastic_a":
        return rest * scale // gap + random >= scale
    if policy.rounding == "stochastic_b":
        return rest * 2 * scale // gap + 2 * random + 1 >= 2 * scale
    whole, lost = divmod(rest * scale, gap)
    whole += 2 * lost > gap or (2 * lost == gap and whole % 2 == 1)
    return whole + random >= scale
