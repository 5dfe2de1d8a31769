"""Sort inputs into classes such that only a few axes of a policy can matter in each.

The classes are generous: an input near a border goes to the class that has more axes. That keeps the elimination in
``lowbit.check.cast.identify`` sound, because an axis that is left out of a class cannot change any result in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lowbit.exact import FINITE, NAN, floor_log2
from lowbit.format.registry import scalar_format
from lowbit.format.scalar import Scalar
from lowbit.ops.arrays import is_negative, magnitudes
from lowbit.policy.cast import DEFECTS, Defect

INTERMEDIATES = ("float32", "tf32", "bfloat16", "float16")
"""Formats that real kernels round through."""

LOW, HIGH, NEGATIVE, SOURCE_SUBNORMAL, VIA_HIGH, VIA_LOW, DEFECT = (1 << bit for bit in range(7))

BELOW_TOP, BETWEEN = "inputs below the top binade", "inputs between the lowest and the top binade"
ZERO_INPUTS = "zero inputs"
IN_RANGES = frozenset((BELOW_TOP, BETWEEN))
"""What has neither end of the range in it, of integers and of others."""
KINDS = {NEGATIVE: "negative", SOURCE_SUBNORMAL: "subnormal", VIA_HIGH: "huge", VIA_LOW: "tiny"}
PLACES = {HIGH: "from the top binade up", LOW: "up to the lowest normal binade"}


@dataclass(frozen=True)
class InputClass:
    """Inputs for which the same axes are live."""

    name: str  # in words
    rows: NDArray[np.intp]  # the inputs
    axes: tuple[str, ...]  # the axes that can change a result here


@dataclass(frozen=True)
class Inputs:
    """Source codes decoded: kind, sign, and the exponent of the leading bit (finite nonzero inputs only)."""

    codes: NDArray[Any]
    kind: NDArray[Any]
    negative: NDArray[np.bool_]
    zero: NDArray[np.bool_]
    leading: NDArray[np.int64]


def decode_inputs(codes: NDArray[Any], source: Scalar) -> Inputs:
    """Decode once what the classes and the hypotheses look at."""
    from lowbit.ops.cast.exact import decode_exact

    kind, significand, exponent = decode_exact(codes, source)
    zero = np.asarray((kind == FINITE) & (significand == 0))
    magnitude = np.abs(significand.astype(np.float64))  # rounding up to a power of two only widens a class
    leading = np.frexp(magnitude)[1].astype(np.int64) - 1 + exponent
    return Inputs(codes, kind, is_negative(codes, source), zero, leading)


def intermediate_formats(source: Scalar, target: Scalar) -> tuple[str, ...]:
    """The formats that a conversion could be rounded through with an effect."""
    return tuple(
        name for name in INTERMEDIATES if name not in (source.id, target.id) and not _holds(scalar_format(name), source)
    )


def _holds(wide: Scalar, narrow: Scalar) -> bool:
    """Whether every value of ``narrow`` is one of ``wide``."""
    fine = narrow.precision <= wide.precision and narrow.smallest_exponent >= wide.smallest_exponent
    return fine and narrow.max_exponent <= wide.max_exponent


def input_classes(inputs: Inputs, source: Scalar, target: Scalar) -> list[InputClass]:
    """Every input in exactly one class, the classes with the fewest live axes first."""
    vias = intermediate_formats(source, target)
    special = inputs.kind != FINITE
    specials = [
        ("NaN inputs", inputs.kind == NAN, (*_nan_axes(target), *(("via",) if vias else ()))),
        ("infinite inputs", special & (inputs.kind != NAN), _infinity_axes(target)),
        (ZERO_INPUTS, inputs.zero, _zero_axes(target)),
    ]
    classes = [InputClass(name, np.flatnonzero(mask), axes) for name, mask, axes in specials if mask.any()]
    rows = np.flatnonzero(~special & ~inputs.zero)
    bands = _bands(inputs, source, target, vias)[rows]
    classes += [
        InputClass(_name(band, target), rows[bands == band], _finite_axes(band, target, vias))
        for band in np.unique(bands).tolist()
    ]
    return sorted(classes, key=lambda item: (len(item.axes), item.name))


def _name(band: int, target: Scalar) -> str:
    """``negative inputs from the top binade up``."""
    kinds = [text for bit, text in KINDS.items() if band & bit]
    places = [text for bit, text in PLACES.items() if band & bit]
    return (
        " ".join([*kinds, "inputs", " and ".join(places)]).rstrip()
        if kinds or places
        else (BELOW_TOP if target.wraps else BETWEEN)
    )


def _bands(inputs: Inputs, source: Scalar, target: Scalar, vias: tuple[str, ...]) -> NDArray[np.int64]:
    leading = inputs.leading
    bands = np.zeros(leading.shape, np.int64)
    bands[leading >= floor_log2(target.max)] |= HIGH
    if not target.wraps:
        bands[leading <= _lowest_normal_exponent(target)] |= LOW
    if not target.signed:
        bands[inputs.negative] |= NEGATIVE
    bands[magnitudes(inputs.codes, source)[0] < source.min_normal_code] |= SOURCE_SUBNORMAL
    formats = [scalar_format(name) for name in vias]
    if formats:
        bands[leading >= min(floor_log2(fmt.max) for fmt in formats)] |= VIA_HIGH
        bands[leading <= max(floor_log2(fmt.smallest) for fmt in formats)] |= VIA_LOW
    for name in interval_defects(source, target):
        bands[_in_interval(leading, DEFECTS[name])] |= DEFECT
    return bands


def _lowest_normal_exponent(target: Scalar) -> int:
    """The binade up to which results can be subnormal or underflow; beyond all where every value is subnormal."""
    if not target.zero:
        return floor_log2(target.smallest)
    if target.min_normal_code > target.largest_code():
        return 1 << 30
    return floor_log2(target.decode(target.min_normal_code or target.from_ordinal(1)))


def _in_interval(leading: NDArray[np.int64], defect: Defect) -> NDArray[np.bool_]:
    """The inputs in the binades that the interval of a defect touches."""
    inside = np.ones(leading.shape, dtype=bool)
    if defect.above is not None and defect.above.significand:
        inside &= leading >= floor_log2(defect.above)
    if defect.below is not None:
        inside &= leading <= floor_log2(defect.below)
    return inside


def _nan_axes(target: Scalar) -> tuple[str, ...]:
    """The axes that choose a NaN, or what stands in for one."""
    return _live(target, "nan", "nan_sign", "nan_code")


def _live(target: Scalar, *axes: str) -> tuple[str, ...]:
    """Those of some axes that can change a result in the target."""
    return tuple(axis for axis in axes if axis in target.live_axes)


def _infinity_axes(target: Scalar) -> tuple[str, ...]:
    return ("infinity", *_nan_axes(target), *_live(target, "without_infinity", "negative"))


def _zero_axes(target: Scalar) -> tuple[str, ...]:
    return _live(target, "negative_zero") if target.zero else ("zero", *_nan_axes(target))


def _finite_axes(band: int, target: Scalar, vias: tuple[str, ...]) -> tuple[str, ...]:
    axes = ["rounding", *_live(target, "tie_without_mantissa")]
    if vias:
        axes.append("via")
    if band & HIGH or (band & NEGATIVE and target.wraps):
        axes += ["overflow", *_nan_axes(target)]
    if not target.wraps:
        axes += _float_axes(band, target, vias)
        if band & DEFECT:
            axes += ["defects", *_nan_axes(target)]
    if band & SOURCE_SUBNORMAL:
        axes += ["flush_inputs", *_zero_axes(target)]
    if band & VIA_HIGH and vias:
        axes += _infinity_axes(target)
    return tuple(dict.fromkeys(axes))


def _float_axes(band: int, target: Scalar, vias: tuple[str, ...]) -> list[str]:
    axes = [*_live(target, "without_infinity")] if band & HIGH else []
    if band & LOW:
        axes += [*_zero_axes(target), *_live(target, "underflow", "flush_results")]
    if band & NEGATIVE:
        axes += ["negative", *_nan_axes(target), *_zero_axes(target)]
    if band & VIA_LOW and vias:
        axes += _zero_axes(target)
    return axes


def interval_defects(source: Scalar, target: Scalar) -> tuple[str, ...]:
    """The known defects that send an interval of inputs to a wrong code in this conversion."""
    return tuple(name for name, defect in DEFECTS.items() if not defect.via and defect.applies(source.id, target.id))
