"""Scales that have scales themselves, the double quantisation of QLoRA (arXiv 2305.14314, section 3).

The elements are divided by binary32 scales. Less their mean where there is an offset, these are then brought into
blocks of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from lowbit.errors import InputError
from lowbit.format.block import BlockFormat, ScaleField
from lowbit.format.registry import scalar_format
from lowbit.ops.arithmetic.exact_rounding import BINARY32_BITS, Doubles, add_to_odd, fraction_to_odd, odd_but_near
from lowbit.ops.arrays import Array
from lowbit.ops.block.scales import Steps, field_values
from lowbit.ops.block.tensor import BlockTensor, moved_back, moved_last
from lowbit.ops.cast.cast import encode
from lowbit.policy.block import BlockPolicy, get_block_policy


class Nested(NamedTuple):
    """The format of the elements with scales as they are at first, and that of these scales."""

    outer: BlockFormat
    inner: BlockFormat
    offset: ScaleField | None


@lru_cache(maxsize=64)
def nested_formats(fmt: BlockFormat) -> Nested:
    """The two formats that a format with scales of scales is made of.

    Raises
    ------
    InputError
        It is not made here.
    """
    field, *others = fmt.scales
    on_scales = fmt.on_scales(field.name)
    above = [other for other in on_scales if other.role == "super"]
    offsets = [other for other in on_scales if other.role == "offset"]
    plain = field.role == "multiply" and len(field.block) == 1 and field.block[0] > 0
    fits = plain and len(others) == len(on_scales) and len(above) == 1 and len(above[0].block) == 1
    if not fits or above[0].block[0] % field.block[0] or any(other.block for other in offsets):
        roles = ", ".join(part.role for part in fmt.scales)
        raise InputError(
            f"{fmt.id}: quantize does not make scales of the roles {roles} together",
            hint="a factor, its super-scale over whole blocks of it, and the offset of a tensor: nf4.g64.nested",
        )
    binary32 = replace(field, format=scalar_format("float32"))
    group = (above[0].block[0] // field.block[0],)
    inner = replace(above[0], block=group, role="multiply", of="")
    return Nested(
        replace(fmt, scales=(binary32,)),
        replace(fmt, element=field.format, block=group, scales=(inner,)),
        offsets[0] if offsets else None,
    )


def require_unrounded(fmt: BlockFormat, policy: BlockPolicy) -> None:
    """Refuse scales of scales that are not made here, and a policy that divides by the stored ones: InputError."""
    nested_formats(fmt)
    if policy.quotient_scale != "unrounded":
        what = f"{fmt.id}: elements are divided by scales as they are before these are quantised themselves"
        raise InputError(what, hint="policy='bitsandbytes_nested', or quotient_scale='unrounded'")


def quantize_nested(
    fmt: BlockFormat, policy: BlockPolicy, axis: int, quantize: Callable[[BlockFormat], BlockTensor]
) -> BlockTensor:
    """Bring scales into blocks of their own; ``quantize`` makes the tensor with scales as they are."""
    parts = nested_formats(fmt)
    tensor = quantize(parts.outer)
    fields = quantize_scales(fmt, policy, moved_last(tensor.scales[fmt.scales[0].name], axis))
    return BlockTensor.trusted(fmt, axis, tensor.codes, {name: moved_back(fields[name], axis) for name in fields})


def quantize_scales(fmt: BlockFormat, policy: BlockPolicy, scales: Array) -> dict[str, Array]:
    """Codes of every field for binary32 scales of the finest blocks, whose axis is the last one."""
    from lowbit.ops.block.quantize import quantize

    parts, steps, fields = nested_formats(fmt), Steps(policy), {}
    with np.errstate(all="ignore"):
        if parts.offset is not None:
            target = parts.offset.format
            mean = steps.rounded(np.asarray(mean_to_odd(scales)).astype(steps.dtype))
            fields[parts.offset.name] = np.asarray(encode(mean, target, policy=policy.policy("tensor", target)))
            offset = field_values(fields[parts.offset.name], parts.offset).astype(steps.dtype)
            scales = steps.rounded(np.subtract(scales, offset, dtype=steps.dtype))
    own = get_block_policy(policy.nested or "nearest")
    inner = quantize(scales, parts.inner, policy=own.choose(tail="short"))
    above = parts.inner.scales[0].name
    return fields | {fmt.scales[0].name: inner.codes, above: inner.scale_codes(above)}


def mean_to_odd(values: Array) -> float:
    """The mean of binary32 numbers that are not negative, exactly summed, in binary64 to odd; 0 of nothing."""
    if not values.size:
        return 0.0
    if not np.isfinite(values).all():
        return float(values.sum())
    fractions, exponents = np.frexp(values.astype(np.float64))
    whole = np.ldexp(fractions, BINARY32_BITS).astype(np.int64)
    lowest, total = int(exponents.min()), 0
    for exponent in np.unique(exponents).tolist():
        total += int(whole[exponents == exponent].sum()) << (exponent - lowest)
    return fraction_to_odd(Fraction(total, values.size) * Fraction(2) ** (lowest - BINARY32_BITS))


def product_with_sum(elements: Doubles, factors: Doubles, addends: Doubles) -> Doubles:
    """``elements * (factors + addends)`` in binary64, so that it can be rounded on to at most 24 bits.

    Elements have at most 24 bits. The rounded product tells on which side of a boundary of such a rounding the exact
    one is, but close to one; there it is made of fractions.
    """
    total = factors + addends
    exact = (add_to_odd(factors, addends) == total) & (total.view(np.int64) & ((1 << BINARY32_BITS) - 1) == 0)
    result = np.asarray(elements * total)
    inexact = ~exact & (elements != 0) & np.isfinite(result)
    for place in odd_but_near(result, inexact):
        element, factor, addend = (Fraction(float(array[place])) for array in (elements, factors, addends))
        result[place] = fraction_to_odd(element * (factor + addend))
    return result
