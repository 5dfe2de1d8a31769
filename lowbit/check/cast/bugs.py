"""Bugs of conversions that are no policy: each says which inputs it changes, and what becomes of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from lowbit.check.cast.conversion import Codes, Conversion, Mask, Values, View
from lowbit.check.operation import Bug
from lowbit.exact import floor_log2
from lowbit.format.registry import get_format
from lowbit.format.scalar import FloatFormat, Scalar
from lowbit.policy.cast import Policy

HUGE = 2.0**1000
"""Beyond every format that bugs are looked for in."""


@dataclass(frozen=True)
class CastBug(Bug):
    """A bug of a conversion.

    Attributes
    ----------
    touches : callable
        View -> which inputs the bug may change; none where it makes no sense between the formats.
    compute : callable
        Conversion -> the results, of which those of the touched inputs count.
    everywhere : bool
        Whether the words say themselves which inputs they are about.
    """

    touches: Callable[[View], Mask]
    compute: Callable[[Conversion], Codes]
    everywhere: bool = False

    def run(self, conversion: Conversion) -> Codes:
        """What comes out under a policy."""
        touched = self.touches(conversion.view)
        right = conversion.right()
        if not touched.any():
            return right
        with np.errstate(all="ignore"):  # of inputs that are not touched
            return np.where(touched, self.compute(conversion).astype(right.dtype), right)


def nowhere(view: View) -> Mask:
    """No input."""
    return np.zeros(view.codes.shape, bool)


def finite(view: View) -> Mask:
    """Numbers that binary64 holds."""
    return view.finite if view.held_by_binary64 else nowhere(view)


def float_numbers(view: View) -> Mask:
    """Numbers between two formats of fields."""
    return finite(view) if view.floats else nowhere(view)


def subnormal_results(view: View) -> Mask:
    """Numbers below the smallest normal result."""
    if not view.floats or view.target.min_normal_code > view.target.largest_code() or not view.target.zero:
        return nowhere(view)
    smallest = view.target.decode(view.target.min_normal_code)
    small = np.abs(view.values) < float(smallest.fraction())
    return np.asarray(finite(view) & small & (view.values != 0))


def normal_results(view: View) -> Mask:
    """Numbers from the smallest normal result up."""
    below = subnormal_results(view)
    return float_numbers(view) & ~below


def into_integers(view: View) -> Mask:
    """What becomes an integer, infinities included."""
    return ~view.nan if view.held_by_binary64 and view.target.wraps and not view.source.wraps else nowhere(view)


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


def _unsigned_zero_lost(conversion: Conversion) -> Codes:
    """The sign of a zero is kept although the code of -0 is the NaN."""
    view, results = conversion.view, conversion.right()
    return np.where(view.inputs.negative & (results == 0), results.dtype.type(view.target.sign_bit), results)


def _has_nan_for_negative_zero(view: View) -> Mask:
    target = view.target
    taken = isinstance(target, FloatFormat) and target.signed and target.canonical_nan == target.sign_bit
    return view.finite if taken else nowhere(view)


def _twice_rounded(conversion: Conversion) -> Codes:
    """Subnormal results are rounded to the precision of normal ones first."""
    values = conversion.view.values
    fraction, exponent = np.frexp(values)
    bits = conversion.view.target.precision
    return conversion.of_values(np.ldexp(np.rint(np.ldexp(fraction, bits)), exponent - bits))


def _truncated_subnormal(conversion: Conversion) -> Codes:
    grid = conversion.view.target.smallest_exponent
    return conversion.of_values(np.copysign(_on_grid(np.trunc, conversion.view.values, grid), conversion.view.values))


def _on_grid(rounding: Callable[[Values], Values], values: Values, grid: int) -> Values:
    return np.ldexp(rounding(np.ldexp(values, -grid)), grid)


def _subnormal_as_normal(conversion: Conversion) -> Codes:
    """A hidden one is added to the mantissa of a subnormal input."""
    view = conversion.view
    hidden = float(view.source.decode(view.source.min_normal_code).fraction()) / 2
    magnitude = hidden + np.abs(view.values) / 2
    return conversion.of_values(np.copysign(magnitude, view.values))


def _subnormal_inputs(view: View) -> Mask:
    if not isinstance(view.source, FloatFormat) or not view.source.subnormals or not view.held_by_binary64:
        return nowhere(view)
    smallest = float(view.source.decode(view.source.min_normal_code).fraction())
    return view.finite & (np.abs(view.values) < smallest)


def _special_as_number(conversion: Conversion) -> Codes:
    """What the codes of infinities and NaNs would be worth as numbers."""
    view = conversion.view
    source = view.source
    assert isinstance(source, FloatFormat)
    mantissa = (view.codes & ((1 << source.mantissa_bits) - 1)).astype(np.float64)
    field = (view.codes.astype(np.int64) >> source.mantissa_bits) & ((1 << source.exponent_bits) - 1)
    exponent = np.where(field == 0, 1, field) - source.bias - source.mantissa_bits
    hidden = np.where(field == 0, 0.0, float(1 << source.mantissa_bits))
    values = np.ldexp(mantissa + hidden, exponent.astype(np.int32))
    return conversion.of_values(np.copysign(values, np.where(view.inputs.negative, -1.0, 1.0)))


def _specials(view: View) -> Mask:
    fits = isinstance(view.source, FloatFormat) and view.source.precision <= view.target.precision
    return ~view.finite if fits else nowhere(view)


def _single(values: Values, view: View) -> Values:
    """Values in the arithmetic that a kernel of such inputs has: binary32, or binary64 for wider ones."""
    return values.astype(np.float32).astype(np.float64) if view.source.precision <= 24 else values


def _half_added(conversion: Conversion) -> Codes:
    view = conversion.view
    return conversion.of_values(np.trunc(_single(view.values + 0.5, view)))


def _half_added_floor(conversion: Conversion) -> Codes:
    view = conversion.view
    return conversion.of_values(np.floor(_single(view.values + 0.5, view)))


def _half_added_away(conversion: Conversion) -> Codes:
    view = conversion.view
    return conversion.of_values(np.trunc(_single(view.values + np.copysign(0.5, view.values), view)))


def _range_first(conversion: Conversion) -> Codes:
    """The range is looked at before rounding, and what rounds out of it wraps."""
    low, high = (float(end.fraction()) for end in (conversion.view.target.min, conversion.view.target.max))
    values = conversion.view.values
    inside = (values > low - 1) & (values < high + 1)
    return np.where(inside, conversion.right(overflow="wrap"), conversion.right(overflow="saturate"))


def _narrow_range(conversion: Conversion) -> Codes:
    results, low = conversion.right(), conversion.view.target.codes[0]
    return np.where(results == low, results.dtype.type(low + 1), results)


def _signed_integers(view: View) -> Mask:
    return ~view.nan if view.target.wraps and view.target.signed else nowhere(view)


def _wider_first(bits: int) -> Callable[[Conversion], Codes]:
    def compute(conversion: Conversion) -> Codes:
        target = conversion.view.target
        wide = get_format(f"{'' if target.signed else 'u'}int{bits}")
        clamped = conversion.of_values(conversion.view.values, target=wide, overflow="saturate", infinity="saturate")
        return conversion.of_values(clamped.astype(np.float64), overflow="wrap")

    return compute


def _narrower_than(bits: int) -> Callable[[View], Mask]:
    return lambda view: into_integers(view) if view.target.bits < bits else nowhere(view)


def _absolute(conversion: Conversion) -> Codes:
    return conversion.of_values(np.abs(conversion.view.values))


def _negative_into_unsigned(view: View) -> Mask:
    unsigned = view.target.wraps and not view.target.signed and view.held_by_binary64
    return ~view.nan & view.inputs.negative if unsigned else nowhere(view)


def _zero_extended(conversion: Conversion) -> Codes:
    view = conversion.view
    values = view.values
    return conversion.of_values(np.where(values < 0, values + 2.0**view.source.bits, values))


def _negative_codes(view: View) -> Mask:
    narrow = view.source.wraps and view.source.signed and view.held_by_binary64 and view.source.smallest_exponent == 0
    return view.finite & view.inputs.negative if narrow else nowhere(view)


def _scaled(factor: float) -> Callable[[Conversion], Codes]:
    return lambda conversion: conversion.of_values(conversion.view.values * factor)


def _without_low_bits(bits: int) -> Callable[[Conversion], Codes]:
    def compute(conversion: Conversion) -> Codes:
        codes = conversion.view.codes
        return conversion.of_codes(codes & ~codes.dtype.type((1 << bits) - 1))

    return compute


def _as_low_bits(bits: int) -> Callable[[View], Mask]:
    def touches(view: View) -> Mask:
        inside = view.floats and view.mantissa(view.source) - view.mantissa(view.target) > bits
        return view.finite if inside else nowhere(view)

    return touches


def _bits_of_nan(rounding: int) -> Callable[[Conversion], Codes]:
    """The bits of a NaN moved like those of a number: cut (0), half up (1), or half to even (2), and carried on."""

    def compute(conversion: Conversion) -> Codes:
        view = conversion.view
        drop = view.mantissa(view.source) - view.mantissa(view.target)
        bits = view.codes.astype(np.uint64)
        lowest = (bits >> np.uint64(drop)) & np.uint64(1)
        half = np.uint64(1 << (drop - 1))
        added = (np.uint64(0), half, half - np.uint64(1) + lowest)[rounding]
        whole = np.uint64((1 << view.source.bits) - 1)
        return np.asarray(((bits + added) & whole) >> np.uint64(drop))

    return compute


def _same_exponents(view: View) -> Mask:
    source, target = view.source, view.target
    if not (isinstance(source, FloatFormat) and isinstance(target, FloatFormat)) or source.bits > 32:
        return nowhere(view)
    same = (source.exponent_bits, source.signed) == (target.exponent_bits, target.signed)
    return view.nan if same and source.mantissa_bits > target.mantissa_bits else nowhere(view)


def _cut_payload(conversion: Conversion) -> Codes:
    """The payload is cut to the bits that the target has, and the quiet bit is not set."""
    view = conversion.view
    drop = view.mantissa(view.source) - view.mantissa(view.target)
    payload = view.codes & ((1 << view.mantissa(view.source)) - 1)
    sign = np.where(view.inputs.negative, view.target.sign_bit, 0)
    return sign | view.target.infinities[0] | (payload >> drop).astype(np.int64)


def _ieee_nans(view: View) -> Mask:
    formats = view.source, view.target
    if not all(isinstance(fmt, FloatFormat) and fmt.ieee_like for fmt in formats):
        return nowhere(view)
    return view.nan if view.mantissa(view.source) > view.mantissa(view.target) else nowhere(view)


def _infinity_of_nan(conversion: Conversion) -> Codes:
    view = conversion.view
    plus, minus = view.target.infinities
    return np.where(view.inputs.negative, np.int64(minus), np.int64(plus))


def _has_infinities(view: View) -> Mask:
    return view.nan if view.target.infinity_count == 2 else nowhere(view)


def _nan_bugs() -> Iterator[CastBug]:
    yield CastBug(
        "nan_payload_cut",
        "cuts the payload of a NaN without setting the quiet bit, so that a small one becomes infinity",
        _ieee_nans,
        _cut_payload,
        True,
    )
    words = (
        "has no NaN test: its bits are rounded like a number's (a small payload becomes infinity, the largest a zero)"
    )
    for number, how in ((2, "even"), (1, "up")):
        yield CastBug(f"nan_rounded_{how}", words, _same_exponents, _bits_of_nan(number), True)
    yield CastBug(
        "nan_infinity", "has no NaN test: a NaN becomes infinity, as a huge number does", _has_infinities,
        _infinity_of_nan, True,
    )  # fmt: skip
    yield CastBug(
        "specials_as_numbers",
        "has no test for infinity and NaN: their codes are decoded as numbers",
        _specials,
        _special_as_number,
        True,
    )


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
    yield CastBug(
        "twice_rounded",
        "rounds subnormal results twice: to the precision of a normal one first",
        subnormal_results,
        _twice_rounded,
        True,
    )
    yield CastBug("truncated_subnormal", "truncates subnormal results", subnormal_results, _truncated_subnormal, True)
    for factor, size in ((0.5, "half"), (2.0, "twice")):
        words = f"shifts subnormal results by a place: they are {size} as large as they should be"
        yield CastBug(f"subnormal_{size}", words, subnormal_results, _scaled(factor), True)
    yield CastBug(
        "subnormal_as_normal",
        "takes subnormal inputs for normal ones, with a hidden one",
        _subnormal_inputs,
        _subnormal_as_normal,
        True,
    )
    for factor, size in ((0.5, "half"), (2.0, "twice")):
        words = f"gives values {size} as large: an exponent bias is off by one"
        yield CastBug(f"bias_{size}", words, float_numbers, _scaled(factor))
    yield CastBug("cleared_bit", "clears the lowest bit of the result", float_numbers, _cleared_bit)
    yield CastBug(
        "one_code_low", "never gives the largest value, but the one below it", float_numbers, _one_code_low, True
    )
    yield CastBug(
        "negative_zero_nan",
        "keeps the sign of a result that is zero: the code of -0 is the NaN of this format",
        _has_nan_for_negative_zero,
        _unsigned_zero_lost,
        True,
    )


def _integer_bugs() -> Iterator[CastBug]:
    yield CastBug("half_added", "adds 0.5 and truncates: right for positive values only", into_integers, _half_added)
    yield CastBug(
        "half_added_floor", "takes the floor of x + 0.5, a sum that is itself rounded", into_integers,
        _half_added_floor,
    )  # fmt: skip
    yield CastBug(
        "half_added_away", "truncates |x| + 0.5, a sum that is itself rounded", into_integers, _half_added_away
    )
    yield CastBug(
        "range_first", "looks at the range before it rounds: what rounds out of it wraps", into_integers, _range_first,
        True,
    )  # fmt: skip
    yield CastBug(
        "narrow_range", "never gives the lowest code (a narrow range, as -127 to 127)", _signed_integers,
        _narrow_range, True,
    )  # fmt: skip
    yield CastBug("absolute", "takes the absolute value of negative inputs", _negative_into_unsigned, _absolute, True)
    yield CastBug(
        "zero_extended", "extends negative codes with zeros, not with their sign", _negative_codes, _zero_extended,
        True,
    )  # fmt: skip
    for bits in (8, 16):
        yield CastBug(
            f"wider_{bits}",
            f"saturates to {bits} bits and keeps the low bits of that",
            _narrower_than(bits),
            _wider_first(bits),
            True,
        )


CAST_BUGS = (*_nan_bugs(), *_float_bugs(), *_integer_bugs())
"""The likeliest first."""
LOW_BIT_BUGS = tuple(
    CastBug(f"low_bits_{bits}", f"drops the low {bits} bits of its input before it rounds", _as_low_bits(bits),
            _without_low_bits(bits))
    for bits in (32, *(bits for bits in range(1, 52) if bits != 32))
)  # fmt: skip
"""Tried where none of the others explains the answers."""
