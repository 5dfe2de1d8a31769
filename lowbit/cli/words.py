"""Formats and policies in words."""

from __future__ import annotations

from lowbit.exact import Exact, format_decimal, format_exact, format_hexfloat
from lowbit.format.scalar import FixedFormat, Scalar
from lowbit.policy.cast import PRESETS, Policy


def number_json(value: Exact) -> dict[str, str]:
    """The three spellings of a value."""
    return {"exact": format_exact(value), "hexfloat": format_hexfloat(value), "decimal": format_decimal(value)}


def formula(fmt: Scalar) -> list[str]:
    """What a code is worth, in terms of its fields."""
    if isinstance(fmt, FixedFormat):
        scale = f" * 2^{-fmt.fraction_bits}" if fmt.fraction_bits else ""
        kind = "two's complement" if fmt.signed else "unsigned"
        return [f"code{scale}, {kind}{', the lowest code left out' if fmt.narrow else ''}"]
    sign = "(-1)^s * " if fmt.signed else ""
    step = 1 << fmt.mantissa_bits
    lines = []
    normal = f"(1 + m/{step})" if fmt.mantissa_bits else "1"
    power = f"2^(e - {fmt.bias})" if fmt.bias >= 0 else f"2^(e + {-fmt.bias})"
    if fmt.exponent_bits:
        lines.append(
            f"{sign}{power}{'' if normal == '1' else f' * {normal}'}" + (" where e > 0" if fmt.subnormals else "")
        )
    if fmt.subnormals:
        where = " where e = 0" if fmt.exponent_bits else ""
        lowest = f"{sign}2^{1 - fmt.bias} * m/{step}" if fmt.mantissa_bits else "0"
        lines.append(f"{lowest}{where}")
    return lines


def policy_name(policy: Policy) -> str:
    """The name of a preset, or how a policy differs from the nearest one."""
    if policy.name:
        return policy.name
    nearest = min(PRESETS.values(), key=lambda preset: len(policy.differences(preset)))
    changes = policy.spell(nearest)
    return f"{nearest.name} with {changes}" if changes else nearest.name
