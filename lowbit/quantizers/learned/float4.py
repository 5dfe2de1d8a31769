"""Values of E2M1 in training: scales of rows, ties, the differentiable gradient estimator, outliers that are clamped.

Wang et al., "Optimizing Large Language Model Training Using FP4 Quantization" (arXiv 2501.17116), and its release in
MS-AMP (Azure/MS-AMP 9746ea8: msamp/operators/fp4_quantize, msamp/common/tensor/meta.py, msamp/megatron/layers.py)
disagree in the scale, the ties and the axis of the weights' scales: each is a choice here. MS-AMP computes in bfloat16,
this in the arrays' own precision; with its scales, powers of two, both give the same bits of bfloat16 numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from lowbit.errors import InputError
from lowbit.kernels.quantizers.fast_float4 import LARGEST, fake_float4, float4_slopes
from lowbit.ops.arrays import Array
from lowbit.policy.choices import require_choice
from lowbit.quantizers.learned.gradients import differentiable

SCALES = {
    "ratio": "6 / amax, so that the largest magnitude is 6 (arXiv 2501.17116, equation 1)",
    "power_of_two": "2^floor(log2(6 / amax)) (MS-AMP, ScalingMeta.compute_scaling_factor)",
}
TIES = {
    "even": "to the even code (IEEE 754)",
    "up": "to the larger value: 0.25 to 0.5, -0.25 to 0, -5 to -4 (MS-AMP, quantize.cu)",
}
ESTIMATORS = {
    "straight_through": "1",
    "differentiable": "min(|2 (x - low) / width - 1|^(1/k - 1) / k, 3) between two values (section 3.1)",
}
BEYOND = {
    "published": "below -6 the formula goes on, above 6 the slope is 0 (MS-AMP, quantize.cu)",
    "clamped": "the slope at the end",
}
GAINS = {
    "published": "as it is: weights learn at 0.593 of their rate in the mean",
    "one": "divided by its mean, so that the mean slope is 1",
}
SHARPNESS, LIMIT = 5.0, 3.0
"""k and the largest slope (arXiv 2501.17116, section 3.1; MS-AMP, apply_DGE_item)."""


def mean_slope(sharpness: float = SHARPNESS, limit: float = LIMIT) -> float:
    """The mean slope of the estimator over an interval between two values: 1 without a limit.

    Examples
    --------
    >>> round(mean_slope(), 3)  # weights learn at 0.6 of their rate
    0.593
    """
    reached = min((sharpness * limit) ** (sharpness / (1 - sharpness)), 1.0)
    return float(limit * reached + 1 - reached ** (1 / sharpness))


def row_scales(values: Array, rule: str = "ratio") -> Array:
    """What rows are multiplied by before they are rounded, shape (rows,); 1 for a row of zeros."""
    require_choice("scale", rule, SCALES)
    largest = np.abs(values).max(axis=1, initial=0)
    share = LARGEST / np.where(largest > 0, largest, LARGEST)
    if rule == "power_of_two":
        share = np.ldexp(np.ones_like(share), np.frexp(share)[1] - 1)
    return np.asarray(share, values.dtype)


def float4(
    values: Any,
    *,
    scale: str = "ratio",
    ties: str = "even",
    estimator: str = "straight_through",
    beyond: str = "clamped",
    gain: str = "published",
) -> Any:
    """Round rows, the last axis, to E2M1 under one scale each, and back.

    The scale's own slope is left out, as published: what is scaled up before the rounding is scaled down behind it.

    Parameters
    ----------
    values : array
    scale, ties, estimator, beyond, gain : str
        Of ``SCALES``, ``TIES``, ``ESTIMATORS``, ``BEYOND`` and ``GAINS``.

    Raises
    ------
    PolicyError
        A choice is unknown.
    """
    tables = {"scale": SCALES, "ties": TIES, "estimator": ESTIMATORS, "beyond": BEYOND, "gain": GAINS}
    own = {"scale": scale, "ties": ties, "estimator": estimator, "beyond": beyond, "gain": gain}
    for axis, table in tables.items():
        require_choice(axis, own[axis], table)
    return _float4(estimator == "differentiable")(values, scale, ties == "up", (beyond == "clamped", gain == "one"))


def float4_slope(values: Array, *, beyond: str = "published") -> Array:
    """The slopes of the estimator at numbers that are scaled already."""
    require_choice("beyond", beyond, BEYOND)
    rows = np.ascontiguousarray(values).reshape(1, -1)
    result = np.empty_like(rows)
    ones = np.ones_like(rows)
    float4_slopes(rows, ones[:, 0], *_limits(rows), beyond == "clamped", ones, result)
    return result.reshape(np.shape(values))


def clamped(values: Any, share: float, *, over: str = "row", passes: bool = False) -> Any:
    """Numbers cut to what lies at two places of their sorted list of n: ``int((1 - share) n)`` and ``int(share n)``.

    Parameters
    ----------
    values : array
    share : float
        Above 1/2, at most 1. The place may be the last one, so that nothing is cut: of 96 numbers with 0.99, say.
    over : str
        "row": the lists are those of the last axis (MS-AMP's training); "tensor": there is one.
    passes : bool
        Whether the slope is 1 where numbers are cut too, as in MS-AMP, or 0.

    Raises
    ------
    InputError
        The share is not one.
    """
    require_choice("over", over, {"row": "", "tensor": ""})
    if not 0.5 < share <= 1:
        raise InputError(f"outliers are cut at a share of {share!r} of the numbers", hint="0.99, say")
    return _clamped(passes)(values, share, over == "row")


def _limits(values: Array) -> tuple[Any, Any]:
    kind = values.dtype.type
    return kind(SHARPNESS), kind(LIMIT)


def _rows(values: Any) -> Array:
    return np.ascontiguousarray(values).reshape(-1, np.shape(values)[-1])


@cache
def _float4(estimated: bool) -> Callable[..., Any]:
    def forward(values: Any, scale: str, upwards: bool, _ends: tuple[bool, bool]) -> Array:
        rows = _rows(values)
        result = np.empty_like(rows)
        fake_float4(rows, row_scales(rows, scale), upwards, result)
        return result.reshape(np.shape(values))

    def gradients(
        above: Any, _result: Array, values: Any, scale: str, _up: bool, ends: tuple[bool, bool]
    ) -> tuple[Any, ...]:
        if not estimated:
            return (above,)
        rows = _rows(values)
        slopes = np.empty_like(rows)
        outside = _rows(np.asarray(above, rows.dtype))
        float4_slopes(rows, row_scales(rows, scale), *_limits(rows), ends[0], outside, slopes)
        slopes = slopes.reshape(np.shape(values))
        return (slopes / rows.dtype.type(mean_slope()) if ends[1] else slopes,)

    return differentiable().primitive(forward, gradients)


def _cut(values: Array, share: float, by_row: bool) -> tuple[Array, Array]:
    numbers = values if by_row else values.reshape(-1)
    places = int((1 - share) * numbers.shape[-1]), min(int(share * numbers.shape[-1]), numbers.shape[-1] - 1)
    ordered = np.partition(numbers, places, axis=-1)
    return ordered[..., places[0], None], ordered[..., places[1], None]


@cache
def _clamped(passes: bool) -> Callable[..., Any]:
    def forward(values: Any, share: float, by_row: bool) -> Array:
        array = np.asarray(values)
        return np.asarray(np.clip(array, *_cut(array, share, by_row)))

    def gradients(above: Any, result: Array, values: Any, _share: float, _by_row: bool) -> tuple[Any, ...]:
        return (above if passes else above * (result == values),)

    return differentiable().primitive(forward, gradients)
