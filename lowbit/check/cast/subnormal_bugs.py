"""Bugs of conversions where inputs or results are subnormal, or zero."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from lowbit.check.cast.bug import CastBug, nowhere, scaled, subnormal_results
from lowbit.check.cast.conversion import Codes, Conversion, Mask, View
from lowbit.format.scalar import FloatFormat


def _unsigned_zero_lost(conversion: Conversion) -> Codes:
    """The sign of a zero is kept although the code of -0 is the NaN."""
    view, results = conversion.view, conversion.right()
    return np.where(view.inputs.negative & (results == 0), results.dtype.type(view.target.sign_bit), results)


def _zero_sign(kept: bool) -> Callable[[Conversion], Codes]:
    """Results that round to zero, with or without the sign of the input."""

    def compute(conversion: Conversion) -> Codes:
        results, sign = conversion.right(), conversion.view.target.sign_bit
        signs = np.where(conversion.view.inputs.negative, sign, 0) if kept else 0
        return np.where(results & ~results.dtype.type(sign) == 0, signs, results)

    return compute


def _rounded_to_zero(view: View) -> Mask:
    """Numbers that are not zero, where a zero can have a sign."""
    signed = isinstance(view.target, FloatFormat) and view.target.signed
    has_sign = signed and view.target.zero and view.target.canonical_nan != view.target.sign_bit
    return view.finite & ~view.inputs.zero if has_sign else nowhere(view)


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
    values, grid = conversion.view.values, conversion.view.target.smallest_exponent
    return conversion.of_values(np.copysign(np.ldexp(np.trunc(np.ldexp(values, -grid)), grid), values))


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


def subnormal_bugs() -> Iterator[CastBug]:
    """The likeliest first."""
    yield CastBug(
        "twice_rounded",
        "rounds subnormal results twice: to the precision of a normal one first",
        subnormal_results,
        _twice_rounded,
        True,
    )
    yield CastBug("truncated_subnormal", "truncates subnormal results", subnormal_results, _truncated_subnormal, True)
    words = "rounds subnormal results to nearest, ties to even"
    yield CastBug("even_subnormal", words, subnormal_results, lambda made: made.right(rounding="nearest_even"), True)
    for factor, size in ((0.5, "half"), (2.0, "twice")):
        words = f"shifts subnormal results by a place: they are {size} as large as they should be"
        yield CastBug(f"subnormal_{size}", words, subnormal_results, scaled(factor), True)
    yield CastBug(
        "subnormal_as_normal",
        "takes subnormal inputs for normal ones, with a hidden one",
        _subnormal_inputs,
        _subnormal_as_normal,
        True,
    )
    yield CastBug(
        "underflow_unsigned",
        "drops the sign of a result that underflows to zero, not of a zero input",
        _rounded_to_zero,
        _zero_sign(kept=False),
        True,
    )
    yield CastBug(
        "underflow_signed",
        "keeps the sign of a result that underflows to zero",
        _rounded_to_zero,
        _zero_sign(kept=True),
        True,
    )
    yield CastBug(
        "negative_zero_nan",
        "keeps the sign of a result that is zero: the code of -0 is the NaN of this format",
        _has_nan_for_negative_zero,
        _unsigned_zero_lost,
        True,
    )
