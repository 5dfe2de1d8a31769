"""Bugs of conversions between floats that move the bits of codes, and convert nothing."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from lowbit.check.cast.bug import CastBug
from lowbit.check.cast.conversion import Codes, Conversion, Mask, View
from lowbit.format.scalar import FloatFormat

FEW = 64
"""Answers that are looked at before all of them."""


def copy_bugs(view: View, got: Codes) -> Iterator[CastBug]:
    """Those that all answers suggest: the bits of the inputs from some place up, or the inputs shifted."""
    source, target = view.source, view.target
    if not (isinstance(source, FloatFormat) and isinstance(target, FloatFormat)):
        return
    alike = (source.exponent_bits, source.signed) == (target.exponent_bits, target.signed)
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
        yield CastBug(f"copied_{shift}", words, _all_inputs, compute, True)


def _moved(view: View, shift: int) -> Codes:
    """The codes shifted right, or left by as much, and cut to the bits of the target."""
    codes = view.codes.astype(np.uint64)
    moved = codes >> np.uint64(shift) if shift >= 0 else codes << np.uint64(-shift)
    return np.asarray(moved & np.uint64((1 << view.target.bits) - 1))


def _all_inputs(view: View) -> Mask:
    return np.ones(view.codes.shape, bool)
