"""Directed values for kernels that quantise by a scale and a zero point they are given, and codes for the way back."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lowbit.format.protocol import Scalar
from lowbit.ops.arrays import all_codes
from lowbit.vectors.case import Array, Case, numbered
from lowbit.vectors.flags import block as f
from lowbit.vectors.flags.cast import RANDOM
from lowbit.vectors.splitmix import splitmix64

SCALES = (1.0, 0.25, 0.1, 1 / 3, 1.7e-3, 3.0, 0.0078125)
EXTREME_SCALES = (2.0**-126, 2.0**-149, 2.0**100, 1.1754942e-38)
"""The least normal number, the least one, a large one and the largest subnormal one."""
MOST_TIES = 600
"""Of a wide format only the ties at both ends and about zero are taken."""
LARGE = (2.0**23, 2.0**24, 2.0**31, 2.0**32, 2.0**63, 1e10, 3e38)
"""Quotients that a conversion to integers of 32 or 64 bits does not hold, or that have no fraction."""


def directed_values(fmt: Scalar) -> list[Case]:
    """All directed cases of a format: ties of every code and their neighbours, what saturates, NaN and infinities."""
    cases = []
    for index, zero_point in enumerate(zero_points(fmt)):
        some = SCALES if index < 2 else SCALES[index % 3 :: 3]
        cases += [value_case(f.SCALED_TIE, _ties(fmt, scale, zero_point), scale, zero_point) for scale in some]
        large = np.array([sign * value for value in LARGE for sign in (1, -1)])
        cases.append(value_case(f.RANGE_OF_SCALE, large, 1.0, zero_point))
        cases.append(value_case(f.NAN_IN_BLOCK, np.array([np.nan, -np.nan, 1.0, np.nan]), 0.5, zero_point))
        cases.append(value_case(f.INFINITY_IN_BLOCK, np.array([np.inf, -np.inf, -1.0]), 0.5, zero_point))
        values = np.array([0.0, -0.0, 1e-45, -1e-45, 2.0**-126, 0.5, 1.0, -1.0, 1e30, -1e30, 3e38])
        cases += [value_case(f.RANGE_OF_SCALE, values, scale, zero_point) for scale in EXTREME_SCALES]
    return numbered(cases)


def random_values(fmt: Scalar, count: int, seed: int) -> list[Case]:
    """Values that reach a little beyond the range, by scales that are not powers of two."""
    cases = []
    for index in range(count):
        words = splitmix64((seed << 20) + index, 258)
        scale = float(np.float32(2.0 ** -(int(words[0]) % 12) * (1 + int(words[1] >> np.uint64(41)) / 2.0**23)))
        places = zero_points(fmt)
        reach = 1.2 * (len(fmt.codes) if fmt.wraps else 2 * float(fmt.max.fraction()))
        values = (words[2:] / 2.0**64 - 0.5) * reach * scale
        cases.append(value_case(RANDOM, values, scale, places[index % len(places)]))
    return numbered(cases)


def directed_codes(fmt: Scalar) -> list[Case]:
    """Every code of a format of few bits, the ends and the middle of one of many, by several scales."""
    codes = all_codes(fmt) if fmt.bits <= 8 else np.array([*fmt.codes[:300], *range(-300, 300), *fmt.codes[-300:]])
    kept = codes[(codes >= fmt.codes[0]) & (codes <= fmt.codes[-1])].astype(fmt.code_dtype)
    cases = []
    for zero_point in zero_points(fmt):
        for flag, scales in ((f.SCALED_VALUE, SCALES), (f.RANGE_OF_SCALE, (*EXTREME_SCALES, 1e36))):
            cases += [_case(flag, {"codes": kept}, scale, zero_point) for scale in scales]
    return numbered(cases)


def zero_points(fmt: Scalar) -> list[int]:
    """Zero points in the middle, at both ends and between."""
    if not fmt.wraps:
        return [0]
    low, high = fmt.codes[0], fmt.codes[-1]
    return list(dict.fromkeys([(low + high + 1) // 2, min(low + 3, high), low, high, high - 1, (low + high) // 2 - 6]))


def value_case(flag: int, values: NDArray[np.floating], scale: float, zero_point: int) -> Case:
    """The case of values that are quantised by one scale."""
    with np.errstate(over="ignore"):
        return _case(flag, {"values": np.ascontiguousarray(values, np.float32)}, scale, zero_point)


def _case(flag: int, arrays: dict[str, Array], scale: float, zero_point: int) -> Case:
    count = next(iter(arrays.values())).size
    scalars = {"scale": float(np.float32(scale)), "zero_point": zero_point}
    return Case(flag, arrays, {"n": count}, (count,), scalars)


def _ties(fmt: Scalar, scale: float, zero_point: int) -> NDArray[np.float32]:
    """The values, points halfway between them and what is beside both, a little beyond the range, too."""
    if fmt.wraps:
        low, high = fmt.codes[0] - zero_point - 3, fmt.codes[-1] - zero_point + 4
        halves = np.arange(2 * low, 2 * high)
        if len(halves) > MOST_TIES:
            halves = np.unique(np.concatenate([halves[:200], halves[-200:], np.arange(-100, 100)]))
        points = halves / 2
    else:
        values = np.unique(
            [float(fmt.value_at(ordinal).fraction()) for ordinal in fmt.ordinals if _finite(fmt, ordinal)]
        )
        points = np.concatenate([values, (values[1:] + values[:-1]) / 2, values[-1:] * 1.0625, values[:1] * 1.0625])
    scaled = (points * np.float64(np.float32(scale))).astype(np.float32)
    return np.concatenate([scaled, np.nextafter(scaled, np.float32(np.inf)), np.nextafter(scaled, np.float32(-np.inf))])


def _finite(fmt: Scalar, ordinal: int) -> bool:
    return fmt.classify(fmt.from_ordinal(ordinal)) in ("value", "zero", "normal", "subnormal")


def directed_ranges(fmt: Scalar) -> list[Case]:
    """Tensors whose own range gives the scale: zeros, ties of the zero point, one sign, small and large ranges."""
    steps = fmt.codes[-1] - fmt.codes[0]
    tensors = [(f.ZERO_BLOCK, [0.0, 0.0, -0.0]), (f.EQUAL_VALUES, [3.0] * 5), (f.EQUAL_VALUES, [-3.0] * 5)]
    for unit in (1.0, 0.125, 0.1):
        for half in (0, 1, 2, 3, 5, 2 * steps - 1, 2 * steps, steps):
            low, high = -half / 2 * unit, (steps - half / 2) * unit
            tensors.append((f.SCALED_TIE, [low, high, *(low + unit * (place / 2) for place in range(21))]))
    for amax in (2.0**-149, 2.0**-148, 2.0**-140, 1e-40, 2.0**-126, 1e-30, 1e30, 1.6e38):
        tensors += [
            (f.RANGE_OF_SCALE, [amax * part for part in parts]) for parts in ((1, -1), (1, 0.3), (-1, -0.7, 0.2))
        ]
    return numbered(range_case(flag, np.array(values)) for flag, values in tensors)


def range_case(flag: int, values: NDArray[np.floating]) -> Case:
    """The case of values that are quantised by their own range."""
    array = np.ascontiguousarray(values, np.float32)
    shapes = {"codes": array.shape, "scale": (1,), "zero_point": (1,)}
    return Case(flag, {"values": array}, {"n": array.size}, (array.size + 2,), shapes=shapes)
