"""Bugs of conversions with a number in them that is read off the answers: a clamp, a scale."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from lowbit.check.cast.bug import CastBug
from lowbit.check.cast.conversion import Codes, Conversion, Mask, Values, View
from lowbit.exact import format_exact, from_float

FEWEST = 16
"""Pairs of a number and its result, for a scale to be read off them."""


def measured_bugs(view: View, got: Codes) -> Iterator[CastBug]:
    """Those whose numbers the answers suggest."""
    results = View(got, view.target, view.target)
    numbers = view.finite & results.finite
    if view.held_by_binary64 and results.held_by_binary64 and not view.target.listed and numbers.any():
        yield from _clamp_bugs(view, results.values[numbers])
        yield from _scale_bugs(view, view.values[numbers], results.values[numbers])


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


def _scale_bugs(view: View, inputs: Values, results: Values) -> Iterator[CastBug]:
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


def _not_nan(view: View) -> Mask:
    return ~view.nan


def _is_finite(view: View) -> Mask:
    return view.finite
