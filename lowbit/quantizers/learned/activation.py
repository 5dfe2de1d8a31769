"""Activations that are rounded in training: a range that is learned, and the kurtosis of rows as a penalty.

Nrusimha et al., "Mitigating the Impact of Outlier Channels for Language Model Quantization with Activation
Regularization" (arXiv 2404.03605), section 4. Their release (aninrusimha/qat-pretrain 6defcc9, cuda/pactplusmod.cu) is
another function: it does not round the zero, so that 0 has no code; its slope by the ends is taken at x - low cut to
the range of x; and it sums slopes as integers.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from lowbit.errors import InputError
from lowbit.kernels.quantizers.fast_activation import (
    fake_range,
    fake_range_slopes,
    kurtosis_of_rows,
    kurtosis_slopes,
)
from lowbit.ops.arrays import Array
from lowbit.quantizers.learned.gradients import differentiable

BITS = 4


def learned_range(values: Any, ends: Any = None, *, bits: int = BITS) -> Any:
    """Round to 2^bits evenly spread values over a range that is learned, one for all numbers.

    With n = 2^bits - 1, s = n / (high - low) and z = rint(s low): ``(clamp(rint(s clamp(x) - z), 0, n) + z) / s``. The
    slopes are those of learned steps (Esser et al., arXiv 1902.08153) for both ends.

    Parameters
    ----------
    values : array
    ends : array, shape (2,), optional
        low and high, low first; by default the least and the largest of the values and 0, which have no slope.
    bits : int

    Raises
    ------
    InputError
        The range is empty.
    """
    if ends is None:
        return _range_of_all()(values, (1 << bits) - 1)
    return _learned_range()(values, ends, (1 << bits) - 1)


def kurtosis(values: Any) -> Any:
    """Of each row, the last axis: the fourth central moment over the square of the second, shape without that axis.

    It is 3 of normal numbers and n of one that stands out among n; 0 of a row of equal numbers.
    """
    return _kurtosis()(values)


def outlier_ratio(values: Array) -> float:
    """The largest magnitude of the channels, the last axis, over their median: how far outlier channels stand out."""
    channels = np.abs(values).reshape(-1, values.shape[-1]).max(axis=0)
    return float(channels.max() / np.median(channels))


def _ends(values: Any, ends: Any) -> tuple[Array, Any, Any]:
    numbers = np.ascontiguousarray(values).reshape(-1)
    low, high = (numbers.dtype.type(end) for end in np.asarray(ends))
    if not low < high:
        raise InputError(f"a range from {low} to {high} holds no values", hint="a lower rate of the ends, low first")
    return numbers, low, high


def _rounded(values: Any, ends: Any, levels: int) -> Array:
    numbers, low, high = _ends(values, ends)
    result = np.empty_like(numbers)
    fake_range(numbers, low, high, numbers.dtype.type(levels), result)
    return result.reshape(np.shape(values))


@cache
def _range_of_all() -> Callable[..., Any]:
    def forward(values: Any, levels: int) -> Array:
        ends = min(np.min(values), 0), max(np.max(values), 0)
        return _rounded(values, ends, levels) if ends[0] < ends[1] else np.array(values)

    return differentiable().primitive(forward, lambda above, _result, _values, _levels: (above,))


@cache
def _learned_range() -> Callable[..., Any]:
    def gradients(above: Any, _result: Array, values: Any, ends: Any, levels: int) -> tuple[Array, ...]:
        numbers, low, high = _ends(values, ends)
        slopes, of_ends = np.empty_like(numbers), np.empty(2)
        outside = np.ascontiguousarray(above, numbers.dtype).reshape(-1)
        fake_range_slopes(numbers, low, high, numbers.dtype.type(levels), outside, slopes, of_ends)
        return slopes.reshape(np.shape(values)), of_ends.astype(np.asarray(ends).dtype)

    return differentiable().primitive(_rounded, gradients)


@cache
def _kurtosis() -> Callable[..., Any]:
    def forward(values: Any) -> Array:
        rows = np.ascontiguousarray(values).reshape(-1, np.shape(values)[-1])
        result = np.empty(len(rows), rows.dtype)
        kurtosis_of_rows(rows, result)
        return result.reshape(np.shape(values)[:-1])

    def gradients(above: Any, _result: Array, values: Any) -> tuple[Array, ...]:
        rows = np.ascontiguousarray(values).reshape(-1, np.shape(values)[-1])
        slopes = np.empty_like(rows)
        kurtosis_slopes(rows, np.ascontiguousarray(above, rows.dtype).reshape(-1), slopes)
        return (slopes.reshape(np.shape(values)),)

    return differentiable().primitive(forward, gradients)
