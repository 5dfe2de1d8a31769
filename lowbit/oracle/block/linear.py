"""Affine quantisation with given scales and zero points (QuantizeLinear), one number at a time."""

from __future__ import annotations

from collections.abc import Sequence

from lowbit.errors import InputError
from lowbit.exact import FINITE, NAN, ZERO, Exact, finite
from lowbit.format.protocol import Scalar
from lowbit.format.registry import scalar_format
from lowbit.oracle.arithmetic import exact, rounded
from lowbit.oracle.block.scale import ONE, cut_sum, steps_of
from lowbit.oracle.cast.cast import encode
from lowbit.oracle.cast.decode import decode
from lowbit.policy.block import BlockPolicy


def quantize_linear(
    value: Exact,
    scale: Exact,
    zero_point: int | Exact,
    fmt: Scalar,
    policy: BlockPolicy,
    *,
    factor: Exact | None = None,
) -> int:
    """The code of a value: its quotient by the scale, rounded, and the zero point; see ``lowbit.quantize_linear``.

    With a ``factor`` the value is multiplied by that instead.
    """
    number = unrounded(value, scale, zero_point, fmt, policy, factor=factor)
    element = policy.policy("element", fmt)
    if not adds_after_rounding(fmt, policy):
        return encode(number, fmt, element).code
    assert isinstance(zero_point, int)
    code = encode(number, scalar_format("int32"), element).code + zero_point
    return min(max(code, fmt.codes[0]), fmt.codes[-1])


def factor_of(scale: Exact, policy: BlockPolicy) -> Exact | None:
    """What values are multiplied by in place of a division by the scale, if they are."""
    steps = steps_of(policy)
    if policy.quotient_steps != "reciprocal" or steps.exact:
        return None
    if exact.is_zero(scale) and policy.zero_scale == "zero" and policy.zero_block == "project":
        return ZERO
    factor = steps.divide(ONE, scale)
    return steps.limited(factor) if policy.rounding_steps.endswith("sum") else factor


def adds_after_rounding(fmt: Scalar, policy: BlockPolicy) -> bool:
    """Whether the zero point is added to the rounded quotient, an int32, and not to what is rounded."""
    return fmt.wraps and policy.zero_point_place == "after_rounding"


def unrounded(
    value: Exact,
    scale: Exact,
    zero_point: int | Exact,
    fmt: Scalar,
    policy: BlockPolicy,
    *,
    factor: Exact | None = None,
) -> Exact:
    """What is rounded: the quotient of a value, or with the zero point where that is added before."""
    steps = steps_of(policy)
    value, scale = steps.enter(value), steps.enter(scale)
    factor = factor_of(scale, policy) if factor is None else factor
    quotient = steps.divide(value, scale) if factor is None else steps.multiply(value, factor)
    zero = finite(zero_point) if isinstance(zero_point, int) else zero_point
    if quotient.kind == NAN:
        quotient = Exact(NAN, 0, 0, value.kind == NAN and value.negative)
    if policy.rounding_steps.endswith("sum"):
        factors = None if factor is None else (value, factor)
        quotient = cut_sum(quotient, factors, finite(fmt.codes[0]), policy)
    if not fmt.wraps or policy.zero_point_place == "after_rounding":
        return quotient
    fused = factor is not None and policy.zero_point_place == "fused"
    total = exact.add(exact.multiply(value, factor) if fused and factor is not None else quotient, zero)
    return total if steps.exact else rounded.round_exact(total, steps.fmt)


def dequantize_linear(code: int, scale: Exact, zero_point: int, fmt: Scalar) -> Exact:
    """What a code is worth: exactly."""
    value = decode(code, fmt)
    return exact.multiply(exact.add(value, finite(-zero_point)) if zero_point else value, scale)


def dynamic_parameters(values: Sequence[Exact], fmt: Scalar) -> tuple[Exact, int]:
    """Scale and zero point of a tensor in steps of binary32, its range with 0 in it (DynamicQuantizeLinear)."""
    low, high = ZERO, ZERO
    for value in values:
        if value.kind != FINITE:
            raise InputError("a value is NaN or infinite: there is no range")
        low = value if rounded.is_less(value, low) else low
        high = value if rounded.is_less(high, value) else high
    span = finite(fmt.codes[-1] - fmt.codes[0])
    width = rounded.add(high, exact.negated(low), "float32")
    scale = rounded.divide(width, span, "float32")
    if exact.is_zero(scale):
        scale = ONE
    ratio = rounded.divide(low, scale, "float32")
    place = rounded.nearest_integer(rounded.add(finite(fmt.codes[0]), exact.negated(ratio), "float32"))
    assert place is not None
    return scale, min(max(place, fmt.codes[0]), fmt.codes[-1])
