"""The scale of one block: from its values to amax, from amax to the scale, step by step."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext
from fractions import Fraction
from math import floor

from lowbit.errors import InputError
from lowbit.exact import (
    FINITE,
    INFINITY,
    MINUS_INFINITY,
    NAN,
    NOT_A_NUMBER,
    POSITIVE_INFINITY,
    ZERO,
    Exact,
    finite,
    floor_log2,
)
from lowbit.format.block import ScaleField
from lowbit.format.protocol import Scalar
from lowbit.format.registry import scalar_format
from lowbit.oracle.arithmetic import exact, rounded
from lowbit.oracle.arithmetic.exact import is_negative, is_zero
from lowbit.oracle.cast.cast import encode
from lowbit.oracle.cast.decode import decode
from lowbit.oracle.cast.project import project
from lowbit.oracle.cast.projection import INVALID, OVERFLOW
from lowbit.policy.block import POWER_RULES, RATIO_RULES, BlockPolicy, spelled
from lowbit.policy.cast import Policy

ONE = finite(1)
BINS = 1 << 16
LOGARITHM_DIGITS = 60


@dataclass(frozen=True)
class Steps:
    """Operations that are rounded to ``fmt``, or, where it is "exact", to odd, which changes nothing later."""

    fmt: str

    @property
    def exact(self) -> bool:
        return self.fmt == "exact"

    def enter(self, value: Exact) -> Exact:
        """A value as the first step finds it."""
        return value if self.exact or value.kind == NAN else rounded.round_exact(value, self.fmt)

    def divide(self, left: Exact, right: Exact) -> Exact:
        return exact.divide(left, right) if self.exact else rounded.divide(left, right, self.fmt)

    def multiply(self, left: Exact, right: Exact) -> Exact:
        return exact.multiply(left, right) if self.exact else rounded.multiply(left, right, self.fmt)

    def limited(self, value: Exact) -> Exact:
        """At most the largest binary32 number."""
        return scalar_format("float32").max if value.kind == POSITIVE_INFINITY else value


FORMATS = {"exact": "exact", "binary32": "float32", "bfloat16": "bfloat16"}


def steps_of(policy: BlockPolicy) -> Steps:
    """The arithmetic that a policy names."""
    return Steps(FORMATS[policy.arithmetic])


def largest(values: Iterable[Exact], policy: BlockPolicy) -> Exact:
    """amax: the largest magnitude, or what the policy makes of NaN and infinity."""
    amax = ZERO
    kinds = set()
    for value in values:
        kinds.add(value.kind)
        if (
            value.kind == FINITE
            and abs(value.significand)
            and (is_zero(amax) or abs(value.fraction()) > amax.fraction())
        ):
            amax = Exact(FINITE, abs(value.significand), value.exponent)
    infinite = bool(kinds - {FINITE, NAN})
    for present, axis in ((NAN in kinds, "nan"), (infinite, "infinity")):
        if present and getattr(policy, axis) == "error":
            raise InputError(f"a block has {axis}, and the block policy says {axis} = 'error'")
    if (NAN in kinds and policy.nan == "propagate") or (infinite and policy.infinity == "nan"):
        return NOT_A_NUMBER
    return INFINITY if infinite and policy.infinity == "propagate" else amax


@dataclass(frozen=True)
class Coarse:
    """The scale above the finest ones and its reciprocal, as steps find them; ``divides`` if the latter is stored."""

    scale: Exact
    reciprocal: Exact
    divides: bool
    amax: Exact
    maximum: Exact

    @classmethod
    def of(
        cls, stored: Exact, reciprocal: Exact, policy: BlockPolicy, *, divides: bool, amax: Exact, maximum: Exact
    ) -> Coarse:
        """From the stored number, and the reciprocal before it is stored."""
        steps = steps_of(policy)
        if divides:
            return cls(steps.divide(ONE, stored), stored, divides, amax, maximum)
        if steps.exact or policy.tensor_steps == "divide" or is_zero(stored):
            reciprocal = steps.divide(ONE, stored)
        return cls(stored, reciprocal, divides, amax, maximum)


def coarse_scale(amax: Exact, maximum: Exact, policy: BlockPolicy) -> tuple[Exact, Exact]:
    """The coarsest scale before it is rounded into its format, and its reciprocal."""
    steps = steps_of(policy)
    if steps.exact:
        return steps.divide(amax, maximum), steps.divide(maximum, amax)
    if policy.tensor_steps == "divide":
        scale = steps.divide(amax, maximum)
        return scale, steps.divide(ONE, scale)
    reciprocal = steps.limited(steps.divide(maximum, amax))
    if is_zero(reciprocal):
        reciprocal = ONE
    return steps.divide(ONE, reciprocal), reciprocal


def ratio(amax: Exact, maximum: Exact, above: Coarse | None, policy: BlockPolicy) -> Exact:
    """Amax over the largest element and over the scale above it, in the steps of the policy."""
    steps, way = steps_of(policy), policy.scale_steps
    if above is None:
        if not steps.exact and way in {"reciprocal", "folded"}:
            return steps.multiply(amax, steps.divide(ONE, maximum))
        return steps.divide(amax, maximum)
    if steps.exact:
        over = steps.multiply(amax, above.reciprocal) if above.divides else amax
        return steps.divide(over, maximum if above.divides else steps.multiply(maximum, above.scale))
    if way == "divide_by_product":
        return steps.divide(amax, steps.multiply(maximum, above.scale))
    if way == "folded":
        return steps.multiply(amax, steps.multiply(above.reciprocal, steps.divide(ONE, maximum)))
    if way == "multiply":
        return steps.multiply(steps.divide(amax, maximum), above.reciprocal)
    first = steps.multiply(amax, steps.divide(ONE, maximum)) if way == "reciprocal" else steps.divide(amax, maximum)
    return steps.divide(first, above.scale)


def exact_terms(value: Exact, scale: Exact, above: Coarse | None) -> tuple[Exact, Exact]:
    """Numerator and denominator of a value over its scales, where no step is rounded."""
    if above is None:
        return value, scale
    if above.divides:
        return exact.multiply(value, above.reciprocal), scale
    return value, exact.multiply(scale, above.scale)


def quotient(value: Exact, scale: Exact, above: Coarse | None, policy: BlockPolicy) -> Exact:
    """A value over its scales, in the steps of the policy."""
    steps, way = steps_of(policy), policy.quotient_steps
    if way == "sign":
        return exact.negated(ONE) if value.kind == NAN or (is_negative(value) and not is_zero(value)) else ONE
    if steps.exact:
        over, total = exact_terms(value, scale, above)
    elif above and way == "divide_by_ratio":
        over, total = value, steps.divide(scale, above.reciprocal)
    elif way == "multiply_by_ratio":
        over, total = value, scale
    else:
        over, total = value, steps.multiply(scale, above.scale) if above else scale
    if is_zero(total) and policy.zero_scale == "lowest":
        return MINUS_INFINITY
    if is_zero(total) and policy.zero_scale != "infinite":
        largest = scalar_format("float32").max if policy.zero_scale == "largest" else ZERO
        return steps.multiply(over, largest)
    if way == "multiply_by_ratio" and not steps.exact:
        return steps.multiply(over, steps.divide(above.reciprocal if above else ONE, scale))
    if way in {"divide", "divide_by_ratio"} or steps.exact:
        return steps.divide(over, total)
    factor = steps.limited(steps.divide(ONE, total))
    return exact.multiply(over, factor) if way == "reciprocal_exact" else steps.multiply(over, factor)


def middle_of_bin(result: Exact, policy: BlockPolicy) -> Exact:
    """The middle of the bin that a quotient is in, where the policy has bins."""
    if policy.quotient_bins == "none" or result.kind == NAN:
        return result
    steps, last = steps_of(policy), finite(BINS - 1)
    inside = result
    if result.kind != FINITE or abs(result.fraction()) > 1:
        inside = exact.negated(ONE) if is_negative(result) else ONE
    share = steps.multiply(steps.multiply(rounded.add(inside, ONE, steps.fmt), finite(1, -1)), last)
    place = finite(floor(rounded.add(share, finite(1, -1), steps.fmt).fraction()))
    return rounded.add(steps.divide(steps.multiply(place, finite(2)), last), exact.negated(ONE), steps.fmt)


def intermediate(result: Exact, policy: BlockPolicy) -> Exact:
    """A quotient that is rounded to an intermediate format first, where the policy has one; a NaN stays one."""
    name, spelling = policy.intermediate
    if not name or result.kind == NAN:
        return result
    fmt = scalar_format(name)
    return decode(encode(result, fmt, spelled(spelling or fmt.default_policy, fmt)).code, fmt)


def cut_sum(result: Exact, factors: tuple[Exact, Exact] | None, lowest: Exact, policy: BlockPolicy) -> Exact:
    """An integer from a quotient, or from the factors whose product it is: the sum with 1/2 less the lowest, cut."""
    if result.kind != FINITE:
        return result
    half, steps = exact.add(finite(1, -1), exact.negated(lowest)), steps_of(policy)
    if policy.rounding_steps == "fused_sum" and factors is not None:
        total = rounded.round_exact(exact.add(exact.multiply(*factors), half), steps.fmt)
    else:
        total = rounded.add(result, half, steps.fmt)
    return exact.add(finite(int(total.fraction())), lowest)


def least_error(value: Exact, scale: Exact, element: Scalar, policy: BlockPolicy) -> Exact:
    """The first of all elements whose product with a scale has the least distance from a value."""
    steps, numbers, best = steps_of(policy), [decode(code, element) for code in element.codes], 0
    differences = [rounded.add(steps.multiply(each, scale), exact.negated(value), steps.fmt) for each in numbers]
    errors = [rounded.absolute(difference) for difference in differences]
    for place, error in enumerate(errors):
        best = place if rounded.is_less(error, errors[best]) else best
    return numbers[best]


def statistic(values: Sequence[Exact], amax: Exact, policy: BlockPolicy) -> Exact:
    """What the rule of the finest scales looks at: amax, the value of that magnitude, or the mean of the magnitudes."""
    if policy.scale_rule == "mean":
        steps, total = steps_of(policy), ZERO
        for value in values:
            total = rounded.add(total, _size(value, policy), steps.fmt)
        return steps.divide(total, finite(len(values) or 1))
    if policy.scale_rule != "signed_amax" or amax.kind != FINITE or is_zero(amax):
        return amax
    return next(value for value in values if value.kind == FINITE and abs(value.fraction()) == amax.fraction())


def _size(value: Exact, policy: BlockPolicy) -> Exact:
    """A magnitude, with the policy's word on NaN and infinity: of what is ignored nothing is left."""
    if value.kind == FINITE:
        return rounded.absolute(value)
    choice = policy.nan if value.kind == NAN else policy.infinity
    return ZERO if choice == "ignore" else NOT_A_NUMBER if choice == "nan" else rounded.absolute(value)


def compared(amax: Exact, maximum: Exact, above: Coarse | None, policy: BlockPolicy) -> Exact:
    """What the scale rule looks at: amax over the scale above it and, but for some powers, over the largest element."""
    if above and is_zero(amax) and is_zero(above.scale):
        return ZERO  # not the NaN of 0 / 0: such a block is one of zeros, of which the axis zero_block speaks
    of_amax = policy.scale_rule in POWER_RULES and policy.scale_rule not in RATIO_RULES
    return ratio(amax, ONE if of_amax else maximum, above, policy)


def rule_value(value: Exact, element: Scalar, policy: BlockPolicy, headroom: int = 0) -> Exact:
    """The scale before it is rounded into its format; exponents below it reach ``headroom`` binades further.

    ``value`` is what the rule looks at.
    """
    if policy.scale_rule not in POWER_RULES or value.kind != FINITE or is_zero(value):
        return value
    power = _power(value, element, policy.scale_rule)
    return finite(1, power - (0 if policy.scale_rule in RATIO_RULES else headroom))


def _power(value: Exact, element: Scalar, rule: str) -> int:
    """The exponent of a scale that is a power of two; ``value`` is amax, or for rceil and nearest the ratio.

    By sign, too, it is the largest element that counts, not the lowest one, whose power may be another.
    """
    floor = floor_log2(value)
    above = value.fraction() / Fraction(2) ** floor
    if rule == "rceil":
        return floor + (above > 1)
    if rule == "nearest":
        return floor + (above >= Fraction(3, 2))
    power = floor - floor_log2(element.max)
    if rule == "ceil":
        return power + (above > 1)
    if rule == "floor_log2":
        return floor_of_log2(value) - floor_log2(element.max)
    if rule == "even":
        unit = Fraction(1, 1 << (element.precision - 1))
        return power + (round(above / unit) * unit >= 2)
    scaled = exact.multiply(value, finite(1, -power))
    return power + bool(rule == "tosa" and project(scaled, element, Policy()).flags & (OVERFLOW | INVALID))


def floor_of_log2(value: Exact) -> int:
    """The floor of the logarithm of a number to the base of two, rounded to binary32."""
    with localcontext(prec=LOGARITHM_DIGITS):
        fraction = value.fraction()
        logarithm = (Decimal(fraction.numerator) / fraction.denominator).ln() / Decimal(2).ln()
    return floor(rounded.round_to(Fraction(logarithm), "float32").fraction())


def scale_code(value: Exact, amax: Exact, field: ScaleField, policy: BlockPolicy, of: str) -> int:
    """A scale in its format: by the policy of the field ``of`` ("scale" or "tensor"), but not too small."""
    if is_zero(amax) and policy.zero_block == "one":
        value = ONE
    if field.role == "exponent":
        value = _exponent(value, field)
    code = encode(value, field.format, policy.policy(of, field.format), source=None).code
    if is_zero(decode(code, field.format)) and policy.zero_scale == "eighth" and field.role != "exponent":
        code = encode(finite(1, -3), field.format, policy.policy(of, field.format)).code
    stored = decode(code, field.format)
    if field.role == "exponent" or policy.smallest_scale == "any" or stored.kind != FINITE or is_negative(stored):
        return code
    smallest = smallest_code(field.format, policy.smallest_scale)
    return smallest if stored.fraction() < decode(smallest, field.format).fraction() else code


def _exponent(value: Exact, field: ScaleField) -> Exact:
    if value.kind != FINITE or is_zero(value):
        raise InputError(f"scale {field.name!r}: a block of zeros, or with NaN or infinity, has no exponent")
    return finite(floor_log2(value))


def smallest_code(fmt: Scalar, which: str) -> int:
    """The code of the smallest positive or normal value."""
    positive = fmt.from_ordinal(1 if fmt.zero else 0)
    return max(fmt.min_normal_code, positive) if which == "normal" else positive
