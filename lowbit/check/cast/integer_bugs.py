"""Bugs of conversions to integers, and from them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from lowbit.check.cast.bug import CastBug, nowhere
from lowbit.check.cast.conversion import Codes, Conversion, Mask, Values, View
from lowbit.format.registry import scalar_format


def into_integers(view: View) -> Mask:
    """What becomes an integer, infinities included."""
    return ~view.nan if view.held_by_binary64 and view.target.wraps and not view.source.wraps else nowhere(view)


def single(values: Values, view: View) -> Values:
    """Values in the arithmetic that a kernel of such inputs has: binary32, or binary64 for wider ones."""
    return values.astype(np.float32).astype(np.float64) if view.source.precision <= 24 else values


def _half_added(
    rounding: Callable[[Values], Values], half: Callable[[Values], Values | float] = lambda _: 0.5
) -> Callable[[Conversion], Codes]:
    def compute(conversion: Conversion) -> Codes:
        view = conversion.view
        return conversion.of_values(rounding(single(view.values + half(view.values), view)))

    return compute


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
        wide = scalar_format(f"{'' if target.signed else 'u'}int{bits}")
        clamped = conversion.of_values(conversion.view.values, target=wide, overflow="saturate", infinity="saturate")
        return conversion.of_values(clamped.astype(np.float64), overflow="wrap")

    return compute


def _narrower_than(bits: int) -> Callable[[View], Mask]:
    return lambda view: into_integers(view) if view.target.bits < bits else nowhere(view)


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


def _one_side_wraps(*, below: bool) -> Callable[[Conversion], Codes]:
    def compute(conversion: Conversion) -> Codes:
        wraps = conversion.view.inputs.negative == below
        return np.where(wraps, conversion.right(overflow="wrap"), conversion.right(overflow="saturate"))

    return compute


def _sign_extended(conversion: Conversion) -> Codes:
    view = conversion.view
    half = 2.0 ** (view.source.bits - 1)
    return conversion.of_values(np.where(view.values >= half, view.values - 2 * half, view.values))


def _unsigned_codes(view: View) -> Mask:
    narrow = (
        view.source.wraps and not view.source.signed and view.held_by_binary64 and view.source.smallest_exponent == 0
    )
    return view.finite if narrow else nowhere(view)


def integer_bugs() -> Iterator[CastBug]:
    """The likeliest first."""
    words = "adds 0.5 and truncates: right for positive values only"
    yield CastBug("half_added", words, into_integers, _half_added(np.trunc))
    words = "takes the floor of x + 0.5, a sum that is itself rounded"
    yield CastBug("half_added_floor", words, into_integers, _half_added(np.floor))
    words = "truncates |x| + 0.5, a sum that is itself rounded"
    away = _half_added(np.trunc, lambda values: np.copysign(0.5, values))
    yield CastBug("half_added_away", words, into_integers, away)
    yield CastBug(
        "range_first", "looks at the range before it rounds: what rounds out of it wraps", into_integers, _range_first,
        True,
    )  # fmt: skip
    yield CastBug(
        "narrow_range", "never gives the lowest code (a narrow range, as -127 to 127)", _signed_integers,
        _narrow_range, True,
    )  # fmt: skip
    words = "takes the absolute value of negative inputs"
    yield CastBug(
        "absolute", words, _negative_into_unsigned, lambda made: made.of_values(np.abs(made.view.values)), True
    )
    yield CastBug(
        "zero_extended", "extends negative codes with zeros, not with their sign", _negative_codes, _zero_extended,
        True,
    )  # fmt: skip
    for name, below in (("low_wraps", True), ("high_wraps", False)):
        ends = ("above", "below") if below else ("below", "above")
        words = f"saturates {ends[0]} the range, and wraps {ends[1]} it"
        yield CastBug(name, words, into_integers, _one_side_wraps(below=below), True)
    yield CastBug("sign_extended", "takes unsigned codes for signed ones", _unsigned_codes, _sign_extended, True)
    for bits in (8, 16):
        yield CastBug(
            f"wider_{bits}",
            f"saturates to {bits} bits and keeps the low bits of that",
            _narrower_than(bits),
            _wider_first(bits),
            True,
        )
