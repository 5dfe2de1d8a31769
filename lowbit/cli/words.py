"""Numbers and policies in words."""

from __future__ import annotations

from lowbit.exact import Exact, format_decimal, format_exact, format_hexfloat
from lowbit.policy.cast import PRESETS, Policy


def number_json(value: Exact) -> dict[str, str]:
    """The three spellings of a value."""
    return {"exact": format_exact(value), "hexfloat": format_hexfloat(value), "decimal": format_decimal(value)}


def policy_name(policy: Policy) -> str:
    """The name of a preset, or how a policy differs from the nearest one."""
    if policy.name:
        return policy.name
    nearest = min(PRESETS.values(), key=lambda preset: len(policy.differences(preset)))
    changes = policy.spell(nearest)
    return f"{nearest.name} with {changes}" if changes else nearest.name
