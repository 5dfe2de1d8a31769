"""Bugs of conversions that are not a policy: those between floats, and all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache

import numpy as np

from lowbit.check.cast.bug import CastBug, finite, float_numbers, normal_results, nowhere, scaled, subnormal_results
from lowbit.check.cast.conversion import Codes, Conversion, Mask, View
from lowbit.check.cast.input_classes import intermediate_formats
from lowbit.check.cast.integer_bugs import integer_bugs
from lowbit.check.cast.nan_bugs import nan_bugs
from lowbit.check.cast.rules import reference
from lowbit.check.cast.subnormal_bugs import subnormal_bugs
from lowbit.check.cast.table_bugs import table_bugs
from lowbit.exact import floor_log2
from lowbit.format.registry import scalar_format
from lowbit.format.scalar import FloatFormat, Scalar
from lowbit.policy.cast import Policy

HUGE = 2.0**1000
"""Beyond every format that bugs are looked for in."""


def _where_above_max(conversion: Conversion, replacement: int, *, next_step: bool) -> Codes:
    """The results where magnitudes above the target's largest count as another one."""
    view = conversion.view
    magnitude = view.codes & ((1 << view.source.magnitude_bits) - 1)
    top = _source_magnitude(view.source, view.target)
    above = magnitude > top
    if next_step:
        dropped = view.mantissa(view.source) - view.mantissa(view.target)
        above &= (magnitude < top + (1 << max(dropped, 0))) & (view.inputs.leading == floor_log2(view.target.max))
    return conversion.of_codes(np.where(above, replacement | (view.codes & view.source.sign_bit), view.codes))


@lru_cache(maxsize=64)
def _source_magnitude(source: Scalar, target: Scalar) -> int:
    """The source code of the target's largest value, or of the largest source value below it."""
    from lowbit.oracle.cast.project import project

    return project(target.max, source, Policy(rounding="toward_zero", overflow="saturate")).code


def _early_overflow(conversion: Conversion) -> Codes:
    return _where_above_max(conversion, conversion.view.source.largest_code(), next_step=False)


def _late_overflow(conversion: Conversion) -> Codes:
    view = conversion.view
    return _where_above_max(conversion, _source_magnitude(view.source, view.target), next_step=True)


def _top_binade(conversion: Conversion) -> Codes:
    """What rounds to a value of the top binade counts as huge."""
    view, results = conversion.view, conversion.right()
    bits = view.mantissa(view.target)
    field = (results & ~results.dtype.type(view.target.sign_bit)) >> bits
    top = (field == view.target.largest_code() >> bits) & view.finite
    return np.where(top, conversion.of_values(np.copysign(HUGE, view.values)), results)


def _lost_sticky(conversion: Conversion) -> Codes:
    view = conversion.view
    leading = view.inputs.leading
    ulp = np.maximum(leading - view.mantissa(view.target), view.target.smallest_exponent)
    source_ulp = np.maximum(leading - view.mantissa(view.source), view.source.smallest_exponent)
    dropped = np.clip(ulp - 1 - source_ulp, 0, view.mantissa(view.source) + 1)
    codes = view.codes.astype(np.uint64)
    shift = dropped.astype(np.uint64)
    cut = (codes >> shift) << shift
    vanished = np.asarray(dropped > view.mantissa(view.source))
    cut[vanished] = codes[vanished] & np.uint64(view.source.sign_bit)
    return conversion.of_codes(cut)


def _powers_reached(conversion: Conversion) -> Mask:
    """Where rounding carries out of the mantissa, be it beyond the range."""
    view = conversion.view
    field = (1 << view.mantissa(view.target)) - 1
    top = view.inputs.leading == floor_log2(view.target.max)
    values = np.where(top, view.values / 2, view.values)
    rounded, cut = conversion.of_values(values), conversion.of_values(values, rounding="toward_zero")
    return np.asarray((rounded != cut) & (rounded & field == 0) & (cut & field == field))


def _lost_carry(conversion: Conversion) -> Codes:
    """The power of two that is reached is the one below, or 0 for the smallest normal value."""
    view = conversion.view
    smallest = view.target.decode(view.target.min_normal_code or 1)
    below = np.abs(view.values) < float(smallest.fraction())
    powers = np.where(below, 0.0, np.ldexp(1.0, view.inputs.leading.astype(np.int32)))
    lost = conversion.of_values(np.copysign(powers, view.values))
    return np.where(_powers_reached(conversion), lost, conversion.right())


def _stuck_mantissa(conversion: Conversion) -> Codes:
    return np.where(_powers_reached(conversion), conversion.right(rounding="toward_zero"), conversion.right())


def _cleared_bit(conversion: Conversion) -> Codes:
    results = conversion.right()
    return np.asarray(results & ~results.dtype.type(1))


def _one_code_low(conversion: Conversion) -> Codes:
    """The largest value is never reached."""
    results, target = conversion.right(), conversion.view.target
    largest = [target.largest_code(), target.largest_code(negative=True)]
    return np.where(np.isin(results, largest), results - results.dtype.type(1), results)


def _negative_numbers(view: View) -> Mask:
    return np.asarray(finite(view) & view.inputs.negative)


def _into_exponents(view: View) -> Mask:
    """Numbers of a float with the exponents of a target that has nothing else, as E8M0."""
    source, target = view.source, view.target
    if not (isinstance(source, FloatFormat) and isinstance(target, FloatFormat)):
        return nowhere(view)
    fits = target.bits == target.exponent_bits == source.exponent_bits and source.mantissa_bits > 1
    return view.finite if fits else nowhere(view)


def _rounded_as_element(conversion: Conversion) -> Codes:
    """The exponent of the value rounded half up to one mantissa bit, that of an E2M1 element."""
    codes, added = conversion.view.codes, 1 << (conversion.view.mantissa(conversion.view.source) - 2)
    return conversion.of_codes(codes + codes.dtype.type(added), rounding="toward_zero")


def _without_low_bits(bits: int) -> Callable[[Conversion], Codes]:
    def compute(conversion: Conversion) -> Codes:
        codes = conversion.view.codes
        return conversion.of_codes(codes & ~codes.dtype.type((1 << bits) - 1))

    return compute


def _as_low_bits(bits: int) -> Callable[[View], Mask]:
    def touches(view: View) -> Mask:
        inside = view.floats and view.mantissa(view.source) - view.mantissa(view.target) > bits
        return view.finite | view.nan if inside else nowhere(view)

    return touches


def _through(name: str, rounding: str) -> Callable[[Conversion], Codes]:
    """By way of another float, rounded to in a way of its own."""

    def compute(conversion: Conversion) -> Codes:
        view, middle = conversion.view, scalar_format(name)
        codes = reference(view.codes, view.source, middle, Policy(rounding=rounding))
        return reference(codes, middle, view.target, conversion.policy)

    return compute


def _wider_than(name: str) -> Callable[[View], Mask]:
    def touches(view: View) -> Mask:
        return finite(view) if name in intermediate_formats(view.source, view.target) else nowhere(view)

    return touches


def _float_bugs() -> Iterator[CastBug]:
    yield CastBug("early_overflow", "decides overflow before rounding", float_numbers, _early_overflow, True)
    yield CastBug("late_overflow", "decides overflow one half ulp too late", float_numbers, _late_overflow, True)
    yield CastBug("lost_sticky", "loses the sticky bit (looks at one discarded bit only)", float_numbers, _lost_sticky)
    yield CastBug(
        "top_binade", "takes the whole top binade for overflow, values in range included", float_numbers, _top_binade,
        True,
    )  # fmt: skip
    carry = "loses the carry of a mantissa that rounds up to 2: the exponent stays"
    yield CastBug("lost_carry", carry, float_numbers, _lost_carry)
    yield CastBug("normal_lost_carry", carry, normal_results, _lost_carry)
    yield CastBug(
        "subnormal_lost_carry",
        "loses the carry of a subnormal result that rounds up to the smallest normal one",
        subnormal_results,
        _lost_carry,
        True,
    )
    yield CastBug(
        "subnormal_lost_sticky",
        "loses the sticky bit of subnormal results (looks at one discarded bit only)",
        subnormal_results,
        _lost_sticky,
        True,
    )
    stays = "does not round a mantissa of ones up to 2: it stays as it is"
    yield CastBug("stuck_mantissa", stays, float_numbers, _stuck_mantissa)
    yield CastBug("normal_stuck_mantissa", stays, normal_results, _stuck_mantissa)
    words = "rounds up from 1.75 times a power of two on, as a mantissa of 1 bit"
    yield CastBug("rounded_as_element", words, _into_exponents, _rounded_as_element, True)
    yield CastBug(
        "negative_truncated", "truncates negative values", _negative_numbers,
        lambda made: made.right(rounding="toward_zero"), True,
    )  # fmt: skip
    for factor, size in ((0.5, "half"), (2.0, "twice")):
        words = f"gives values {size} as large: an exponent bias is off by one"
        yield CastBug(f"bias_{size}", words, float_numbers, scaled(factor))
    yield CastBug("cleared_bit", "clears the lowest bit of the result", float_numbers, _cleared_bit)
    yield CastBug(
        "one_code_low", "never gives the largest value, but the one below it", float_numbers, _one_code_low, True
    )


CAST_BUGS = (*nan_bugs(), *_float_bugs(), *subnormal_bugs(), *integer_bugs(), *table_bugs())
"""The likeliest first."""
THROUGH_BUGS = tuple(
    CastBug(f"{how}_{name}", f"{what} {name} first", _wider_than(name), _through(name, rounding))
    for name in ("float16", "bfloat16", "float32")
    for how, what, rounding in (
        ("cut", "truncates to", "toward_zero"),
        ("even", "rounds to nearest, ties to even, in", "nearest_even"),
    )
)
LOW_BIT_BUGS = tuple(
    CastBug(f"low_bits_{bits}", f"drops the low {bits} bits of its input before it rounds", _as_low_bits(bits),
            _without_low_bits(bits))
    for bits in (32, *(bits for bits in range(1, 52) if bits != 32))
)  # fmt: skip
"""Tried where none of the others explains the answers."""
