"""Blocks with a zero point: the range of a block becomes the range of the codes."""

from __future__ import annotations

from collections.abc import Sequence

from lowbit.errors import InputError
from lowbit.exact import FINITE, ZERO, Exact, finite
from lowbit.format.block import BlockFormat
from lowbit.oracle.arithmetic import exact, rounded
from lowbit.oracle.block.linear import quantize_linear
from lowbit.oracle.block.scale import Steps, scale_code, steps_of
from lowbit.oracle.cast.cast import encode
from lowbit.oracle.cast.decode import decode
from lowbit.policy.block import BlockPolicy


def quantize_block(values: Sequence[Exact], fmt: BlockFormat, policy: BlockPolicy) -> tuple[list[int], int, int]:
    """Codes of one block, and the codes of its scale and of its zero point."""
    field, of_zero = fmt.scales
    steps, element = steps_of(policy), fmt.element
    low, high = value_range([steps.enter(value) for value in values], policy)
    width = _add(steps, high, exact.negated(low))
    scale = scale_code(steps.divide(width, finite(element.codes[-1] - element.codes[0])), width, field, policy, "scale")
    stored = decode(scale, field.format)
    place = _add(steps, finite(element.codes[0]), exact.negated(steps.divide(low, stored)))
    zero = encode(place, of_zero.format, policy.zero_point_policy(of_zero.format)).code
    codes = [quantize_linear(value, stored, zero, element, policy) for value in values]
    return codes, scale, zero


def value_range(values: Sequence[Exact], policy: BlockPolicy) -> tuple[Exact, Exact]:
    """The lowest and the highest value; 0 is between them or at an end where the policy says so."""
    if any(value.kind != FINITE for value in values):
        raise InputError("a block has NaN or infinity, and no range")
    every = [*values, ZERO] if policy.value_range == "with_zero" else list(values)
    fractions = [value.fraction() for value in every]
    return every[fractions.index(min(fractions))], every[fractions.index(max(fractions))]


def _add(steps: Steps, left: Exact, right: Exact) -> Exact:
    total = exact.add(left, right)
    return total if steps.exact else rounded.round_exact(total, steps.fmt)
