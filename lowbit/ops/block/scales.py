"""From the values of each block to its scale, over whole arrays: the fast twin of ``lowbit.oracle.block.scale``."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

import ml_dtypes
import numpy as np

from lowbit.errors import InputError, LowbitError
from lowbit.format.block import BlockFormat, ScaleField, Shape
from lowbit.format.protocol import Scalar
from lowbit.ops.arithmetic.exact_rounding import ODD_BITS, binary32_to_odd, divide_to_odd, product_over
from lowbit.ops.arrays import Array, first_place
from lowbit.ops.block.blocks import at_blocks, reduced, spread
from lowbit.ops.block.tensor import from_codes
from lowbit.ops.cast.cast import decode, encode
from lowbit.policy.block import POWER_RULES, BlockPolicy

PLAIN_BITS = 51
"""A quotient x / s in binary64 is on the same side as the exact one of every boundary b where x and b * s have so many
bits: they differ by more than half a unit of it, or not at all."""


BEYOND_BINARY32 = (1 << 29) - 1
"""The low bits of a binary64 significand that binary32 has not."""


def in_binary32(values: Any) -> bool:
    """Whether every value has at most 24 significant bits."""
    words = np.ascontiguousarray(values, np.float64).view(np.int64)
    return not (words & BEYOND_BINARY32).any()


class Steps:
    """Operations in the arithmetic of a policy: binary64 to odd where it is exact, else rounded to its format."""

    def __init__(self, policy: BlockPolicy) -> None:
        self.exact = policy.arithmetic == "exact"
        self.dtype = np.float64 if self.exact else np.float32
        self.narrow = policy.arithmetic == "bfloat16"
        self._wide = np.float64 if self.narrow else self.dtype  # holds products of what is wider than bfloat16
        self.largest = np.finfo(np.float32).max

    def enter(self, values: Any) -> Array:
        """Values as the first step finds them."""
        return self.rounded(np.asarray(values).astype(self._wide))

    def divide(self, left: Any, right: Any, bits: int = 2 * PLAIN_BITS, precision: int = ODD_BITS) -> Array:
        """The quotient, which is rounded to ``precision`` bits next; ``bits`` are those of a tie times the divisor."""
        if self.exact:
            plain = bits <= PLAIN_BITS and in_binary32(left)
            return np.asarray(left / right) if plain else divide_to_odd(left, right, precision)
        if self.narrow:
            return self.rounded(divide_to_odd(np.asarray(left, np.float64), np.asarray(right, np.float64)))
        return self.rounded(np.divide(left, right, dtype=self.dtype))

    def multiply(self, left: Any, right: Any) -> Array:
        return self.rounded(np.multiply(left, right, dtype=self._wide))

    def limited(self, values: Array) -> Array:
        """At most the largest binary32 number; bfloat16 rounds that to infinity no more."""
        return np.where(values == np.inf, self.dtype(self.largest), values)

    def rounded(self, values: Any) -> Array:
        """Values rounded as the result of each step is."""
        if not self.narrow:
            return np.asarray(values)
        wide = np.asarray(values)
        wide = binary32_to_odd(np.atleast_1d(wide)).reshape(wide.shape) if wide.dtype == np.float64 else wide
        return np.asarray(wide.astype(ml_dtypes.bfloat16).astype(np.float32))


@dataclass(frozen=True, eq=False)
class Coarse:
    """The scale above the finest ones and its reciprocal, as the steps find them."""

    field: ScaleField
    codes: Array
    scale: Array
    reciprocal: Array
    amax: Array
    maximum: Any

    @property
    def divides(self) -> bool:
        return self.field.role == "divide"


@dataclass(frozen=True)
class Fine:
    """A finest scale: its codes, and what values are divided by, one number a code where ``coded``.

    ``factors``: what values are multiplied by instead, where that does not follow from the scale.
    """

    field: ScaleField
    codes: Array
    numbers: Array
    coded: bool = False
    factors: Array | None = None

    @property
    def used(self) -> Array:
        """What values are divided by, one number a block."""
        return self.each(self.numbers)

    def each(self, numbers: Array) -> Array:
        """One number a block, of what goes with ``numbers``."""
        return np.asarray(numbers[self.codes] if self.coded else numbers)


Parts = tuple[list[Fine | Coarse], Array]
"""Scales, and codes or quotients."""


def magnitudes(values: Array, policy: BlockPolicy) -> Array:
    """Magnitudes with the policy's word on NaN and infinity: of what is ignored nothing is left."""
    sizes = np.abs(values)
    for axis, test in (("nan", np.isnan), ("infinity", np.isinf)):
        choice = getattr(policy, axis)
        if choice == "propagate":
            continue
        found = test(values)
        if choice == "error" and found.any():
            place, _ = first_place(found)
            what = f"the value at {place} is {values[place]}, and the block policy says {axis} = 'error'"
            raise InputError(what, hint="clip or replace it")
        sizes[found] = np.nan if choice == "nan" else 0
    return sizes


def coarse_scales(amax: Array, field: ScaleField, fmt: BlockFormat, finest: ScaleField, policy: BlockPolicy) -> Coarse:
    """The scales above the finest ones, from the largest magnitudes of their blocks."""
    steps = Steps(policy)
    reach = policy.scale_maximum or float(finest.format.max.fraction())
    maximum = steps.dtype(float(fmt.number.max.fraction()) * reach * 2**fmt.headroom)
    one = steps.dtype(1)
    if policy.tensor_steps == "divide" or steps.exact:
        scale = steps.divide(amax, maximum)
        reciprocal = steps.divide(maximum, amax) if steps.exact else steps.divide(one, scale)
    else:
        reciprocal = steps.limited(steps.divide(maximum, amax))
        reciprocal = np.where(reciprocal == 0, one, reciprocal)
        scale = steps.divide(one, reciprocal)
    codes = scale_codes(reciprocal if field.role == "divide" else scale, amax, field, policy, "tensor")
    stored = field_values(codes, field).astype(steps.dtype)
    if field.role == "divide":
        return Coarse(field, codes, steps.divide(one, stored), stored, amax, maximum)
    if policy.tensor_steps == "divide" or steps.exact:
        reciprocal = steps.divide(one, stored)
    return Coarse(field, codes, stored, np.where(stored == 0, steps.divide(one, stored), reciprocal), amax, maximum)


@lru_cache(maxsize=8)
def scale_of_tensor(
    amax: float, field: ScaleField, fmt: BlockFormat, finest: ScaleField, policy: BlockPolicy
) -> Coarse:
    """The one scale above the finest ones, from the largest magnitude of a tensor; the same object for its parts."""
    with np.errstate(all="ignore"):
        return coarse_scales(np.asarray(amax, Steps(policy).dtype), field, fmt, finest, policy)


def statistics(sizes: Array, values: Array, field: ScaleField, policy: BlockPolicy) -> Array:
    """What the rule of the finest scales looks at, of each block: amax, the value of that magnitude, or the mean.

    Raises
    ------
    InputError
        A mean is asked for over blocks of two axes.
    """
    if policy.scale_rule == "mean":
        return _means(sizes, of_sign(values, field).astype(np.float64), field)
    amax = reduced(sizes, field)
    if policy.scale_rule != "signed_amax" or not sizes.size:
        return amax
    places = np.where(sizes == spread(amax, field, sizes.shape), np.arange(sizes.size).reshape(sizes.shape), sizes.size)
    first = np.append(values.reshape(-1), values.dtype.type(np.nan))[reduced(places, field, np.minimum)]
    return np.where(amax == 0, amax, first)


def of_sign(values: Array, field: ScaleField) -> Array:
    """Whether a value is one that a field is for: of its sign, or NaN."""
    if field.role != "by_sign":
        return np.ones(values.shape, np.bool_)
    return np.asarray((np.signbit(values) == (field.name == "negative")) | np.isnan(values))


def _means(sizes: Array, counts: Array, field: ScaleField) -> Array:
    """The sums of the blocks along one axis, in their order, over how many values they have."""
    if len(field.block) != 1:
        raise InputError("scale_rule = 'mean' is for blocks along one axis", hint="a block of one length")
    count, extent = sizes.shape[-1], field.extents(sizes.shape)[-1]
    blocks = -(-count // extent)
    padded = np.zeros((2, *sizes.shape[:-1], blocks * extent), sizes.dtype)
    padded[0, ..., :count], padded[1, ..., :count] = sizes, counts
    rows = padded.reshape(2, *sizes.shape[:-1], blocks, extent)
    total = np.zeros(rows.shape[:-1], sizes.dtype)
    for place in range(extent):
        total += rows[..., place]
    return np.asarray(np.where(total[1] == 0, 0, total[0] / np.where(total[1] == 0, 1, total[1])))


def largest_element(field: ScaleField, fmt: BlockFormat, policy: BlockPolicy) -> float:
    """What amax becomes: the largest magnitude among the elements that a field is for, or half of their range.

    Times what exponents below it add. For a value with its sign, the lowest element; 1 for what becomes the scale.
    """
    if policy.scale_rule in {"amax", "mean"}:
        return 2.0**fmt.headroom
    if policy.scale_rule == "signed_amax":
        return float(fmt.number.min.fraction()) * 2.0**fmt.headroom
    if policy.scale_rule == "amax_over_half_range":
        return float((fmt.number.max.fraction() - fmt.number.min.fraction()) / 2) * 2.0**fmt.headroom
    end = fmt.number.min if field.name == "negative" and field.role == "by_sign" else fmt.number.max
    return abs(float(end.fraction())) * 2.0**fmt.headroom


def fine_scales(
    amax: Array,
    field: ScaleField,
    fmt: BlockFormat,
    above: Coarse | None,
    policy: BlockPolicy,
    shape: Shape,
    factor: float = 1,
) -> Fine:
    """The scales of the smallest blocks of a tensor of some shape, from the largest magnitudes of a sign or of all.

    They are multiplied by a factor before they are rounded into their format.
    """
    maximum = largest_element(field, fmt, policy)
    upper = None
    if above is not None:
        upper = tuple(at_blocks(numbers, above.field, field, shape) for numbers in (above.scale, above.reciprocal))
    divides = above is not None and above.divides
    bits = fmt.number.precision + field.format.precision + 1
    bits += 0 if above is None else above.field.format.precision
    values = _rule_values(amax, maximum, fmt, (upper, divides, bits), policy)
    if upper is not None:  # not the NaN of 0 / 0: such a block is one of zeros, of which the axis zero_block speaks
        values = np.where((amax == 0) & (upper[0] == 0), values.dtype.type(0), values)
    values = values if factor == 1 else Steps(policy).multiply(values, factor)
    codes = scale_codes(values, amax, field, policy, "scale")
    stored = field_values(codes, field).astype(Steps(policy).dtype)
    if policy.quotient_scale == "unrounded":
        stored = np.where(amax == 0, stored, Steps(policy).enter(values))
    factors = None
    if policy.quotient_steps == "maximum_over_amax" and not Steps(policy).exact:
        steps = Steps(policy)
        factors = np.where(amax == 0, steps.dtype(0), steps.divide(steps.dtype(maximum), amax))
    return Fine(field, codes, stored, factors=factors)


def _ratio(amax: Array, maximum: float, above: tuple[Any, bool, int], policy: BlockPolicy) -> Array:
    steps, way = Steps(policy), policy.scale_steps
    top, (upper, divides, bits) = steps.dtype(maximum), above
    if upper is None:
        if not steps.exact and way in {"reciprocal", "folded"}:
            return steps.multiply(amax, steps.divide(steps.dtype(1), top))
        return steps.divide(amax, top, bits)
    scale, reciprocal = upper
    if steps.exact:
        if divides and not in_binary32(amax):
            return product_over(amax, reciprocal, np.asarray(top))
        over = amax * reciprocal if divides else amax
        return steps.divide(over, top if divides else top * scale, bits)
    if way == "divide_by_product":
        return steps.divide(amax, steps.multiply(top, scale))
    if way == "folded":
        return steps.multiply(amax, steps.multiply(reciprocal, steps.divide(steps.dtype(1), top)))
    if way == "multiply":
        return steps.multiply(steps.divide(amax, top), reciprocal)
    by_reciprocal = way == "reciprocal"
    first = steps.multiply(amax, steps.divide(steps.dtype(1), top)) if by_reciprocal else steps.divide(amax, top)
    return steps.divide(first, scale)


def _rule_values(
    amax: Array, maximum: float, fmt: BlockFormat, above: tuple[Any, bool, int], policy: BlockPolicy
) -> Array:
    """The scales before they are rounded into their format."""
    rule, element = policy.scale_rule, fmt.number
    if rule not in POWER_RULES:
        return _ratio(amax, maximum, above, policy)
    value = _ratio(amax, maximum if rule in {"rceil", "nearest"} else 1.0, above, policy)
    fraction, exponent = np.frexp(value.astype(np.float64))
    power = exponent - 1 + (fraction >= bump(rule, element))
    if rule == "floor_log2":  # binary64 is near enough: no binary32 number has a logarithm within 2^-50 of a tie
        rounded = np.floor(np.log2(np.abs(value.astype(np.float64))).astype(np.float32))
        power = np.where(np.isfinite(rounded), rounded, 0).astype(np.int64)
    if rule not in {"rceil", "nearest"}:
        power -= int(element.max_exponent) + fmt.headroom
    ordinary = np.isfinite(value) & (value != 0)
    return np.where(ordinary, np.ldexp(1.0, np.where(ordinary, power, 0)), value)


@lru_cache(maxsize=256)
def bump(rule: str, element: Scalar) -> float:
    """The least fraction in [1/2, 1) from which on the exponent is one higher; 2 for none."""
    above_one = float(np.nextafter(0.5, 1))
    if rule in {"floor", "floor_log2", "ceil", "rceil", "nearest"}:
        return {"floor": 2.0, "floor_log2": 2.0, "ceil": above_one, "rceil": above_one, "nearest": 0.75}[rule]
    if rule == "even":
        return 1 - 2.0 ** -(element.precision + 1)
    last = element.largest_code()
    ordinal = element.ordinal(last)
    assert ordinal is not None
    tie = (element.max.fraction() + element.value_at(ordinal + 1).fraction()) / 2
    fraction = float(tie / Fraction(2) ** (element.max_exponent + 1))
    return fraction if last & 1 else float(np.nextafter(fraction, 1))  # a tie goes to the even code


def scale_codes(values: Array, amax: Array, field: ScaleField, policy: BlockPolicy, of: str) -> Array:
    """Scales in their format: by the policy of the field ("scale" or "tensor"), but not too small."""
    absent = np.isnan(values)
    if absent.any():  # processors differ in the sign of a new NaN
        values = np.where(absent, values.dtype.type(np.nan), values)
    if policy.zero_block == "one":
        values = np.where(amax == 0, values.dtype.type(1), values)
    if field.role == "exponent":
        values = _exponents(values, field)
    target = field.format
    try:
        codes = np.asarray(encode(values, target, policy=policy.policy(of, target)))
    except LowbitError as error:
        raise _refused(values, field, policy, of, error) from error
    if field.role == "exponent":
        return codes
    if policy.zero_scale == "eighth":
        eighth = encode(0.125, target, policy=policy.policy(of, target))
        codes = np.where(field_values(codes, field) == 0, eighth, codes)
    if policy.smallest_scale == "any":
        return codes
    positive = target.from_ordinal(1 if target.zero else 0)
    smallest = max(target.min_normal_code, positive) if policy.smallest_scale == "normal" else positive
    stored = field_values(codes, field)
    small = np.isfinite(stored) & ~np.signbit(stored) & (stored < float(target.decode(smallest).fraction()))
    return np.where(small, codes.dtype.type(smallest), codes)


def _refused(values: Array, field: ScaleField, policy: BlockPolicy, of: str, error: LowbitError) -> InputError:
    """The error for scales that their policy refuses, in words of blocks: most are too large for their format."""
    target = field.format
    sizes = np.where(np.isfinite(values), np.abs(values), 0)
    largest = float(target.max.fraction())
    if policy.policy(of, target).overflow != "error" or not (sizes > largest).any():
        hint = f"smaller values, or another policy of these scales: BlockPolicy({of}='ieee'), say"
        return InputError(f"scale {field.name!r}: {error.message}", hint=hint)
    _, where = first_place(sizes == sizes.max())
    return InputError(
        f"scale {field.name!r}{where} would be {sizes.max():.9g}, and {target.id} ends at {largest:.9g}: "
        "the policy says overflow = error",
        hint="smaller values, or scales of a wider range: int4.g128.float32 in place of int4.g128, say",
    )


def _exponents(values: Array, field: ScaleField) -> Array:
    if not (np.isfinite(values) & (values > 0)).all():
        raise InputError(f"scale {field.name!r}: a block of zeros, or with NaN or infinity, has no exponent")
    return np.frexp(values)[1].astype(np.int64) - 1


def field_values(codes: Array, field: ScaleField) -> Array:
    """What scales are worth, in binary64."""
    if field.role == "exponent":
        return np.ldexp(1.0, codes.astype(np.int64))
    values = from_codes(codes, field.format)
    wide = np.asarray(values if values.dtype.kind == "f" else decode(codes, field.format, dtype=np.float64))
    with np.errstate(invalid="ignore"):  # a signalling NaN
        return wide.astype(np.float64)
