"""``activations``: synthetic activations by kind and seed, the same numbers on every machine.

NumPy may change what its distributions make of random words (NEP 19), and the logarithms of C libraries differ in the
last place. So numbers are made of SplitMix64's words by sums, products, quotients, square roots and comparisons alone,
all of which IEEE 754 rounds correctly.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from lowbit.errors import InputError
from lowbit.ops.arrays import is_whole
from lowbit.policy.choices import require_choice
from lowbit.vectors.splitmix import splitmix64

Doubles = npt.NDArray[np.float64]

KINDS = {
    "gaussian": "standard normal",
    "outlier_channels": "standard normal, a few channels times a strength (32)",
    "biased_keys": "rows of standard normal and a constant a channel, + or - a strength (16) in a few of them and 0 "
    "elsewhere, times a number a row from 1/2 to 3/2",
    "heavy_tails": "Student's t with three degrees of freedom",
}
"""What ``activations`` makes, by name."""

LARGEST_STRENGTH = 1 << 100
"""Products are far from the largest binary32."""

STRENGTH = {"outlier_channels": 32.0, "biased_keys": 16.0}
CHANNELS_AN_OUTLIER = 32
NORMALS, PLACES, SIGNS, SIZES, SPREADS = range(5)
"""Streams of a seed's random words. Kinds of one seed have the same normal numbers."""

STREAM_BITS = 56
"""A stream begins at the word of its number times 2^56."""

LOG_2 = 0.6931471805599453
TERMS = 11
"""Of the logarithm's series: the next one is below 2^-60."""


def activations(
    kind: str,
    rows: int,
    channels: int,
    *,
    seed: int = 0,
    outliers: int | None = None,
    strength: float | None = None,
) -> npt.NDArray[np.float32]:
    """Rows of synthetic activations, reproducible to the bit on every machine.

    Parameters
    ----------
    kind : str
        "gaussian": z, standard normal. "heavy_tails": ``z / sqrt((a^2 + b^2 + c^2) / 3)`` with three more of them,
        which is Student's t with three degrees of freedom. "outlier_channels": z, in a few channels ``strength * z``.
        "biased_keys", as keys of attention before their rotation: ``(1/2 + u) (z + bias)`` with u of the row uniform
        in [0, 1) and the bias of the channel, ``strength`` with a random sign in a few channels, 0 in the others.
    rows, channels : int
        From 1.
    seed : int
        From 0. Normal numbers of a seed are the same in all kinds. Another seed has its outliers in other channels:
        rows to calibrate with and rows held out are parts of one array,
        ``calibration, held_out = np.split(activations("outlier_channels", 1024, 64), 2)``.
    outliers : int, optional
        How many channels are the few, at random places: one in 32 and at least one by default.
    strength : float, optional
        32 for "outlier_channels", 16 for "biased_keys" by default.

    Returns
    -------
    ndarray of float32, shape (rows, channels)
        Computed in binary64 and rounded once.

    Raises
    ------
    PolicyError
        The kind is unknown.
    InputError
        A number is out of its range, or the kind has no outliers.

    Notes
    -----
    A uniform number is the upper 53 bits of a word of SplitMix64 from the seed, over 2^53; stream k begins with word
    ``k 2^56``, counted from 0. Normal ones come in pairs by the polar method (Marsaglia and Bray, SIAM Review 6, 1964),
    in the order of the words. The streams are 0 for normal numbers, 1 for the places of outliers (the channels of the
    smallest uniform numbers), 2 for signs (- below 1/2), 3 for the rows' factors and 4 for Student's a, b, c, one
    after the other.

    Examples
    --------
    >>> (activations("outlier_channels", 2, 4, strength=100) * 8).astype(int).tolist()
    [[7, -140, -5, -2], [-4, 414, -4, 11]]
    """
    require_choice("kind", kind, KINDS)
    rows, channels = _whole(rows, "rows", 1), _whole(channels, "channels", 1)
    seed = _whole(seed, "seed", 0)
    normal = _normals(seed, NORMALS, rows * channels).reshape(rows, channels)
    if kind in STRENGTH:
        count = max(1, channels // CHANNELS_AN_OUTLIER) if outliers is None else _whole(outliers, "outliers", 0)
        values = _with_outliers(kind, normal, seed, count, STRENGTH[kind] if strength is None else strength)
    elif outliers is not None or strength is not None:
        raise InputError(
            f"{kind!r} has no outlier channels", hint=f"outliers and strength are for {', '.join(STRENGTH)}"
        )
    elif kind == "heavy_tails":
        first, second, third = _normals(seed, SPREADS, 3 * normal.size).reshape(3, rows, channels)
        values = normal / np.sqrt((first * first + second * second + third * third) / 3)
    else:
        values = normal
    return values.astype(np.float32)


def _with_outliers(kind: str, normal: Doubles, seed: int, count: int, strength: Any) -> Doubles:
    rows, channels = normal.shape
    if count > channels:
        raise InputError(f"outliers = {count} is more than the {channels} channels", hint="fewer outliers")
    if not isinstance(strength, int | float | np.number) or not abs(float(strength)) <= LARGEST_STRENGTH:
        raise InputError(f"strength = {strength!r} is not a number of at most 2^{LARGEST_STRENGTH.bit_length() - 1}")
    places = np.argsort(_uniforms(seed, PLACES, channels), kind="stable")[:count]
    if kind == "outlier_channels":
        factor = np.ones(channels)
        factor[places] = strength
        return normal * factor
    bias = np.zeros(channels)
    bias[places] = np.where(_uniforms(seed, SIGNS, channels)[places] < 0.5, -strength, strength)
    return (0.5 + _uniforms(seed, SIZES, rows))[:, None] * (normal + bias)


def _uniforms(seed: int, stream: int, count: int, start: int = 0) -> Doubles:
    """Numbers ``start`` to ``start + count - 1`` of a stream, in [0, 1), multiples of 2^-53."""
    words = splitmix64(seed, count, (stream << STREAM_BITS) + start)
    return (words >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _normals(seed: int, stream: int, count: int) -> Doubles:
    """Points in the unit disc but its middle, the two coordinates of each times ``sqrt(-2 log(s) / s)``."""
    parts: list[Doubles] = []
    start, missing = 0, count
    while missing > 0:
        point = 2 * _uniforms(seed, stream, 2 * missing, start).reshape(-1, 2) - 1
        start += point.size
        square = point[:, 0] * point[:, 0] + point[:, 1] * point[:, 1]
        inside = (square > 0) & (square < 1)
        point, square = point[inside], square[inside]
        parts.append((point * np.sqrt(-2 * _log(square) / square)[:, None]).reshape(-1))
        missing -= parts[-1].size
    return np.concatenate(parts)[:count]


def _log(values: Doubles) -> Doubles:
    """The natural logarithm of positive numbers: ``e log 2 + 2 artanh((m - 1) / (m + 1))`` of ``m 2^e``, m around 1."""
    significand, exponent = np.frexp(values)
    low = significand * significand < 0.5
    significand, exponent = np.where(low, 2 * significand, significand), np.where(low, exponent - 1, exponent)
    ratio = (significand - 1) / (significand + 1)
    square, series = ratio * ratio, np.zeros_like(ratio)
    for term in range(TERMS - 1, -1, -1):
        series = series * square + 1 / (2 * term + 1)
    result: Doubles = exponent * LOG_2 + 2 * ratio * series
    return result


def _whole(number: Any, name: str, least: int) -> int:
    if not is_whole(number) or number < least:
        raise InputError(f"{name} = {number!r} is not a whole number from {least}", hint=f"{name}={max(least, 1)}")
    return int(number)
