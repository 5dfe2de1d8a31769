"""Which axes of a policy can change a result in a format."""

from __future__ import annotations

from lowbit.format.scalar import FixedFormat, FloatFormat, Scalar
from lowbit.policy.cast import Policy


def live_axes(fmt: Scalar) -> list[str]:
    """The axes that can change a result in a format; the others are ignored there."""
    if isinstance(fmt, FixedFormat):
        return ["rounding", "overflow", "infinity", "nan", "flush_inputs", "via"]
    return [axis for axis in Policy.AXES if _is_live(axis, fmt)]


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
