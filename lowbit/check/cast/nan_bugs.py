"""Bugs of conversions of NaNs and infinities."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from operator import or_, xor

import numpy as np

from lowbit.check.cast.bug import CastBug, nowhere
from lowbit.check.cast.conversion import Codes, Conversion, Mask, View
from lowbit.format.scalar import FloatFormat


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


def _bits_of_nan(added: Callable[[Codes, int], Codes | int]) -> Callable[[Conversion], Codes]:
    """The bits of a NaN of at most 32 bits, moved like a number's; ``added``: (bits, dropped ones) -> what rounds."""

    def compute(conversion: Conversion) -> Codes:
        view = conversion.view
        drop = view.mantissa(view.source) - view.mantissa(view.target)
        bits = view.codes.astype(np.int64)
        return np.asarray(((bits + added(bits, drop)) >> drop) & ((1 << view.target.bits) - 1))

    return compute


def _half_even(bits: Codes, drop: int) -> Codes:
    return np.asarray((1 << (drop - 1)) - 1 + (bits >> drop & 1))


def _same_exponents(view: View) -> Mask:
    source, target = view.source, view.target
    if not (isinstance(source, FloatFormat) and isinstance(target, FloatFormat)) or source.bits > 32:
        return nowhere(view)
    same = (source.exponent_bits, source.signed) == (target.exponent_bits, target.signed)
    return view.nan if same and source.mantissa_bits > target.mantissa_bits else nowhere(view)


def _exponents_alone(view: View) -> Mask:
    """NaNs of a float with the exponents of a target that has nothing else, as E8M0."""
    source, target = view.source, view.target
    if not (isinstance(source, FloatFormat) and isinstance(target, FloatFormat)) or source.bits > 32:
        return nowhere(view)
    return view.nan if target.bits == target.exponent_bits == source.exponent_bits else nowhere(view)


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


def _sign_bit(change: Callable[[Codes, Codes], Codes]) -> Callable[[Conversion], Codes]:
    def compute(conversion: Conversion) -> Codes:
        results = conversion.right()
        return np.asarray(change(results, results.dtype.type(conversion.view.target.sign_bit)))

    return compute


def _has_signed_nans(view: View) -> Mask:
    target = view.target
    signed = isinstance(target, FloatFormat) and target.signed and target.nan_count > 1
    return view.nan if signed else nowhere(view)


def nan_bugs() -> Iterator[CastBug]:
    """The likeliest first."""
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
    for how, added in (("even", _half_even), ("up", lambda _, drop: 1 << (drop - 1))):
        yield CastBug(f"nan_rounded_{how}", words, _same_exponents, _bits_of_nan(added), True)
    words = "has no NaN test: its bits are rounded like a number's, and carry out of the exponent (to the lowest code)"
    yield CastBug("nan_carried_up", words, _exponents_alone, _bits_of_nan(lambda _, drop: (1 << drop) - 1), True)
    for place in (1, 2):
        carried = _bits_of_nan(lambda _, drop, place=place: 1 << (drop - place))  # type: ignore[misc]
        yield CastBug(f"nan_carried_{place}", words, _exponents_alone, carried, True)
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
    yield CastBug("nan_negative", "sets the sign of every NaN", _has_signed_nans, _sign_bit(or_), True)
    yield CastBug("nan_sign_flipped", "flips the sign of NaN", _has_signed_nans, _sign_bit(xor), True)
