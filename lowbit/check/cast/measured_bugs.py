"""Bugs of conversions with a number in them that is read off the answers: a clamp, a scale, a place of bits."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from lowbit.check.cast.bug import CastBug, everything
from lowbit.check.cast.conversion import Codes, Conversion, Mask, Values, View
from lowbit.check.cast.integer_bugs import single
from lowbit.exact import format_exact, from_float
from lowbit.format.scalar import FloatFormat

FEWEST = 16
"""Pairs of a number and its result, for a scale to be read off them."""
FEWEST_ADDED = 3
"""The same for a number that is added."""
FRACTION_OF_POWER = 0.5
"""What ``frexp`` makes of a power of two."""
FEWEST_DIGITS, MOST_DIGITS = 3, 9
"""Of a scale: the most tell any two numbers of binary32 apart."""
FEW = 64
"""Answers that are looked at before all of them."""
UNSURE = 0.01
"""Where the bounds of a scale are farther apart, they are told."""
EPSILON, SMALLEST_NORMAL = (float(item) for item in (np.finfo(np.float32).eps, np.finfo(np.float32).tiny))


def measured_bugs(view: View, got: Codes) -> Iterator[CastBug]:
    """Those whose numbers the answers suggest."""
    results = View(got, view.target, view.target)
    numbers = np.flatnonzero(view.finite & results.finite)
    if view.held_by_binary64 and results.held_by_binary64 and not view.target.listed and len(numbers):
        inputs, results = view.take(numbers), results.take(numbers)
        yield from _clamp_bugs(view, results.values)
        yield from _power_bugs(view, inputs.values, results.values)
        yield from _scale_bugs(inputs, results.values)
        yield from _offset_bugs(inputs, results.values)


def _clamp_bugs(view: View, results: Values) -> Iterator[CastBug]:
    """Results that never reach an end of the range."""
    lowest, largest = (float(end.fraction()) for end in (view.target.min, view.target.max))
    low, high = float(results.min()), float(results.max())
    low, high = low if low > lowest else -np.inf, high if high < largest else np.inf

    def compute(conversion: Conversion) -> Codes:
        return conversion.of_values(np.clip(conversion.view.values, low, high))

    spelled = [format_exact(from_float(end)) for end in (low, high) if np.isfinite(end)]
    if len(spelled) == 2:
        words = (
            f"clamps its inputs to ±{spelled[1]}" if low == -high else f"clamps its inputs to {' to '.join(spelled)}"
        )
        yield CastBug("clamp", words, _not_nan, compute, True)
    elif spelled:
        most = "least" if np.isfinite(low) else "most"
        yield CastBug("clamp", f"clamps its inputs to {spelled[0]} at {most}", _not_nan, compute, True)


def _power_bugs(view: View, inputs: Values, results: Values) -> Iterator[CastBug]:
    """Results that are a power of two too large."""
    largest = float(view.target.max.fraction())
    inside = (inputs != 0) & (results != 0) & (np.abs(results) < largest)
    if np.count_nonzero(inside) < FEWEST:
        return
    power = int(np.rint(np.median(np.log2(np.abs(results[inside])) - np.log2(np.abs(inputs[inside])))))

    def compute(conversion: Conversion) -> Codes:
        return conversion.of_values(np.ldexp(conversion.view.values, power))

    if abs(power) > 1 or (power and view.target.wraps):
        yield CastBug("scaled", f"gives values 2^{power} times as large as they are", _is_finite, compute, True)


def _scale_bugs(inputs: View, results: Values) -> Iterator[CastBug]:
    """Results of the inputs times another number than a power of two, rounded to nearest or toward zero."""
    target = inputs.target
    magnitudes = np.abs(results)
    fraction, exponent = np.frexp(magnitudes)
    exponent = np.where(magnitudes == 0, target.smallest_exponent, exponent - target.precision)
    unit = np.ldexp(1.0, np.maximum(exponent, target.smallest_exponent))
    below = np.where((fraction == FRACTION_OF_POWER) & (exponent > target.smallest_exponent), unit / 2, unit)
    above = np.where(magnitudes >= float(target.max.fraction()), np.inf, unit)  # what saturates may be any larger
    inside = (inputs.values > 0) | ((inputs.values < 0) & target.signed)
    inside &= magnitudes + unit > 2 * SMALLEST_NORMAL  # of subnormal products more is lost than is allowed for below
    if np.count_nonzero(magnitudes[inside]) < FEWEST:
        return
    for name, low, high in (
        ("nearest", magnitudes - below / 2, magnitudes + above / 2),
        ("toward_zero", magnitudes, magnitudes + above),
    ):
        with np.errstate(over="ignore"):
            least = float((low[inside] / np.abs(inputs.values[inside])).max())
            most = float((high[inside] / np.abs(inputs.values[inside])).min())
        yield from _times_bugs(least * (1 - EPSILON), most * (1 + EPSILON), name)


def _offset_bugs(inputs: View, results: Values) -> Iterator[CastBug]:
    """A number that is added: to integers that are made, which saturate, or to the inputs."""
    target = inputs.target
    inside = np.abs(results) < float(target.max.fraction())
    if np.count_nonzero(inside) < FEWEST_ADDED:
        return
    added = float(np.median((results - inputs.values)[inside]))
    if target.wraps:
        added = float(np.rint(added))
        low, high = target.codes[0], target.codes[-1]

        def compute(conversion: Conversion) -> Codes:
            return np.clip(conversion.right().astype(np.int64) + int(added), low, high)

        words = f"adds {added:g} to every result"
    else:

        def compute(conversion: Conversion) -> Codes:
            return conversion.of_values(conversion.view.values + added)

        words = f"adds {added:.9g} to its inputs"
    if added:
        yield CastBug("added", words, everything if target.wraps else _is_finite, compute, True)


def _times_bugs(low: float, high: float, name: str) -> Iterator[CastBug]:
    """A product with a number between two others, or a quotient by one, whichever takes fewer digits."""
    if not 0 < low < high < np.inf:
        return
    scales = [_decimal_between(low, high), _decimal_between(1 / high, 1 / low)]
    divides = len(scales[1].strip("0.")) < len(scales[0].strip("0."))
    spelled = scales[divides]
    scale = float(np.float32(spelled))
    if np.frexp(scale)[0] == FRACTION_OF_POWER:
        return

    def compute(conversion: Conversion) -> Codes:
        values = conversion.view.values
        return conversion.of_values(single(values / scale if divides else values * scale, conversion.view))

    ends = (1 / high, 1 / low) if divides else (low, high)
    what = f"about {spelled}" if high - low < UNSURE * high else f"a number between {ends[0]:.4g} and {ends[1]:.4g}"
    words = f"{'divides' if divides else 'multiplies'} its inputs by {what}"
    yield CastBug(f"times_{name}", words, _is_finite, compute, True)


def _decimal_between(low: float, high: float) -> str:
    """The shortest decimal of which the binary32 number lies between two others, or one in their middle."""
    for digits in range(FEWEST_DIGITS, MOST_DIGITS):
        spelled = f"{float(f'{(low + high) / 2:.{digits}g}'):.{digits}g}"
        if low <= float(np.float32(spelled)) <= high:
            return spelled
    return f"{(low + high) / 2:.{MOST_DIGITS}g}"


def copy_bugs(view: View, got: Codes) -> Iterator[CastBug]:
    """Those that all answers suggest: the bits of the inputs from some place up, or the inputs shifted."""
    source, target = view.source, view.target
    if not (isinstance(source, FloatFormat) and isinstance(target, FloatFormat)):
        return
    alike = source.exponent_bits == target.exponent_bits
    few = np.arange(min(len(got), FEW))
    for shift in range(-max(target.bits - source.bits, 0), source.bits):
        if alike and shift == source.mantissa_bits - target.mantissa_bits:  # which is a conversion
            continue
        if not all(np.array_equal(_moved(view.take(rows), shift), got[rows]) for rows in (few, np.arange(len(got)))):
            continue

        def compute(conversion: Conversion, shift: int = shift) -> Codes:
            return _moved(conversion.view, shift)

        if shift < 0:
            words = f"gives the code of each input, shifted left by {-shift}"
        elif target.bits > source.bits:
            words = f"gives the code of each input{f', shifted right by {shift}' if shift else ''}"
        else:
            places = {0: "low", source.bits - target.bits: "high"}
            which = f"{places[shift]} bits" if shift in places else f"bits from {shift} up"
            words = f"gives the {which} of each input's code"
        yield CastBug(f"copied_{shift}", words, everything, compute, True)


def _moved(view: View, shift: int) -> Codes:
    """The codes shifted right, or left by as much, and cut to the bits of the target."""
    codes = view.codes.astype(np.uint64)
    moved = codes >> np.uint64(shift) if shift >= 0 else codes << np.uint64(-shift)
    return np.asarray(moved & np.uint64((1 << view.target.bits) - 1))


def _not_nan(view: View) -> Mask:
    return ~view.nan


def _is_finite(view: View) -> Mask:
    return view.finite
