"""Formats and policies in words."""

from __future__ import annotations

from lowbit.dyadic import Exact, format_decimal, format_exact, format_hexfloat
from lowbit.policy import AXES, PRESETS, Policy
from lowbit.spec import FixedFormat, FloatFormat, Scalar

LONG = 24
"""A fraction of more characters than this is written as a hexadecimal float."""


def number(value: Exact) -> str:
    """A value exactly, and in decimal where that reads differently: ``7/4*2^-7 = 0.013671875``."""
    exact, decimal = format_exact(value), format_decimal(value)
    if len(exact) > LONG:
        exact = format_hexfloat(value)
    if decimal in {exact, f"~{exact}"}:
        return exact
    return f"{exact} {decimal}" if decimal.startswith("~") else f"{exact} = {decimal}"


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


def live_axes(fmt: Scalar) -> list[str]:
    """The axes that can change a result in this format; the others are ignored there."""
    if isinstance(fmt, FixedFormat):
        return ["rounding", "overflow", "infinity", "nan", "flush_inputs", "via"]
    return [axis for axis in AXES if _is_live(axis, fmt)]


def _is_live(axis: str, fmt: FloatFormat) -> bool:
    conditions = {
        "tie_without_mantissa": fmt.mantissa_bits == 0,
        "without_infinity": fmt.infinity is None,
        "nan": not fmt.has_nan,
        "nan_sign": fmt.signed and fmt.nan is not None,
        "nan_code": fmt.nan is not None and fmt.nan_count > 1 + int(fmt.signed),
        "negative": not fmt.signed,
        "negative_zero": fmt.negative_zero,
        "zero": not fmt.zero,
        "underflow": not fmt.zero,
        "flush_results": fmt.subnormals and fmt.mantissa_bits > 0,
        "random_bits": False,
    }
    return conditions.get(axis, True)


def policy_rows(policy: Policy, axes: list[str] | None = None) -> list[tuple[str, str, str]]:
    """Each axis, its choice and what that means, in the order of ``lowbit.policy.AXES``."""
    rows = []
    for axis in axes or list(AXES):
        choice = getattr(policy, axis)
        if axis == "via":
            if choice:
                rows.append((axis, choice, "rounded to that format first, to nearest even"))
        elif axis == "random_bits":
            if choice:
                rows.append((axis, str(choice), "random bits of each stochastic rounding"))
        else:
            rows.append((axis, choice, Policy.meaning(axis, choice)))
    return rows


def policy_name(policy: Policy) -> str:
    """The name of a preset, or how a policy differs from the nearest one."""
    if policy.name:
        return policy.name
    nearest = min(PRESETS.values(), key=lambda preset: len(policy.differences(preset)))
    changes = ", ".join(f"{axis}={own}" for axis, (own, _) in policy.differences(nearest).items())
    return f"{nearest.name} with {changes}" if changes else nearest.name
