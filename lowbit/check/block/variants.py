"""Block policies with other choices, ``element.rounding`` of the scalar policies inside them, and what differs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lowbit.check.block.policy_rule import PolicyRule
from lowbit.errors import LowbitError
from lowbit.policy.block import SEPARATOR, BlockPolicy, spelled
from lowbit.policy.cast import Policy

INNER = ("scale", "tensor", "element")
"""The axes of a block policy that are scalar policies."""
WITH_TENSOR = {"scale_steps": ("divide_by_product", "multiply", "folded"), "quotient_steps": ("divide_by_ratio",)}
"""The choices that say something only where there is a scale above the finest ones."""
STEPS = ("scale_steps", "tensor_steps", "quotient_steps")


def inner(rule: PolicyRule, field: str) -> Policy:
    """A scalar policy inside the policy of a rule."""
    return rule.policy.policy(field, rule.format_of(field))


def changed(rule: PolicyRule, choices: Mapping[str, Any]) -> BlockPolicy | None:
    """The policy of a rule with other choices; None for what is not a policy, or only another name of one."""
    own = {axis: value for axis, value in choices.items() if "." not in axis}
    try:
        for field in INNER:
            parts = {axis.partition(".")[2]: value for axis, value in choices.items() if axis.startswith(f"{field}.")}
            if parts:
                own[field] = _spelled(rule, field, parts)
        policy = rule.policy.choose(**own)
    except LowbitError:
        return None
    return policy if _says_something(policy, rule) else None


def _spelled(rule: PolicyRule, field: str, parts: Mapping[str, Any]) -> str:
    """A scalar policy with other choices, as a block policy spells it."""
    fmt, text = rule.format_of(field), getattr(rule.policy, field)
    preset = (text or fmt.default_policy).partition(SEPARATOR)[0]
    different = inner(rule, field).choose(**parts).differences(spelled(preset, fmt))
    if not different:
        return preset if text else ""
    return SEPARATOR.join([preset, *(f"{axis}={value}" for axis, (value, _) in different.items())])


def _says_something(policy: BlockPolicy, rule: PolicyRule) -> bool:
    """Whether no choice of a policy is one that the others, or the format, leave without a meaning."""
    steps = [getattr(policy, axis) == getattr(rule.policy, axis) or getattr(policy, axis) == "divide" for axis in STEPS]
    if policy.arithmetic == "exact":
        return all(steps)
    if rule.two_levels:
        return True
    above = policy.tensor_steps != "divide" or policy.search != "none" or policy.scale_maximum
    return not above and not any(getattr(policy, axis) in values for axis, values in WITH_TENSOR.items())


def differences(rule: PolicyRule, asked: PolicyRule) -> list[str]:
    """The axes on which the policies of two rules differ."""
    found = [axis for axis in rule.policy.differences(asked.policy) if axis not in INNER]
    for field in INNER:
        found += [f"{field}.{axis}" for axis in inner(rule, field).differences(inner(asked, field))]
    return found


def choice(rule: PolicyRule, axis: str) -> Any:
    """What the policy of a rule says on an axis."""
    field, _, part = axis.partition(".")
    return getattr(inner(rule, field), part) if part else getattr(rule.policy, axis)
