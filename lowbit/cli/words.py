"""Numbers and policies in words."""

from __future__ import annotations

from typing import Any

from lowbit.exact import FINITE, Exact, format_decimal, format_exact, format_hexfloat
from lowbit.policy.cast import CAST_PRESETS, Policy


def spellings(value: Exact) -> dict[str, str]:
    """The three spellings of a value."""
    return {"exact": format_exact(value), "hexfloat": format_hexfloat(value), "decimal": format_decimal(value)}


def number_json(value: Exact) -> dict[str, Any]:
    """A value as JSON has it: exactly as text, and as the nearest number, null for infinities and NaN."""
    return {"exact": format_exact(value), "hexfloat": format_hexfloat(value), "decimal": _nearest(value)}


def _nearest(value: Exact) -> float | None:
    try:
        number = float(value.fraction()) if value.kind == FINITE else None
    except OverflowError:
        return None
    return -0.0 if number == 0 and value.negative else number


def policy_name(policy: Policy) -> str:
    """The name of a preset, or how a policy differs from the nearest one."""
    if policy.name:
        return policy.name
    nearest = min(CAST_PRESETS.values(), key=lambda preset: len(policy.differences(preset)))
    changes = policy.spell(nearest)
    return f"{nearest.name} with {changes}" if changes else nearest.name
