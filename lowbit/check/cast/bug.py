"""A bug of a conversion that is not a policy, and the inputs that bugs are about."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from lowbit.check.cast.conversion import Codes, Conversion, Mask, View
from lowbit.check.operation import Bug


@dataclass(frozen=True)
class CastBug(Bug):
    """A bug of a conversion."""

    # View -> which inputs the bug may change; none where it makes no sense between the formats.
    touches: Callable[[View], Mask]
    compute: Callable[[Conversion], Codes]  # conversion -> the results, of which those of the touched inputs count
    everywhere: bool = False  # whether the words say themselves which inputs they are about

    def run(self, conversion: Conversion) -> Codes:
        """What comes out under a policy."""
        touched = self.touches(conversion.view)
        right = conversion.right()
        if not touched.any():
            return right
        with np.errstate(all="ignore"):  # of inputs that are not touched
            return np.where(touched, self.compute(conversion).astype(right.dtype), right)


def everything(view: View) -> Mask:
    """Every input."""
    return np.ones(view.codes.shape, bool)


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


def scaled(factor: float) -> Callable[[Conversion], Codes]:
    """What computes the results of values that are that many times as large."""
    return lambda conversion: conversion.of_values(conversion.view.values * factor)
