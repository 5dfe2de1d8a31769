"""Clips: how far the range of a block is narrowed before its scale is taken from it.

A method only searches here. Scales, zero points and codes are made by ``lowbit.quantize`` of the narrowed weights, by
the format's own policy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np

from lowbit.format.block import BlockFormat
from lowbit.ops.block.dequantize import dequantize
from lowbit.ops.block.quantize import quantize
from lowbit.ops.block.tensor import BlockTensor
from lowbit.policy.block import BlockPolicy
from lowbit.quantizers.inputs import Doubles
from lowbit.quantizers.solver import with_codes

ErrorOfBlocks = Callable[[Doubles], Doubles]
"""From the errors of the weights to a number for each output and block, shape (outputs, blocks)."""


def block_length(fmt: BlockFormat, inputs: int) -> int:
    """Inputs that share a scale: those of a row where a block is a row or more."""
    return fmt.block[0] if fmt.block and fmt.block[0] else inputs


def clipped(weights: Doubles, share: Doubles, length: int, *, mirrored: bool = False) -> Doubles:
    """Weights whose blocks keep ``share`` (outputs, blocks) of their range on either side of zero.

    ``mirrored``: of the larger side on both.
    """
    outputs, inputs = weights.shape
    parts = weights.reshape(outputs, inputs // length, length)
    low, high = np.minimum(parts.min(axis=2), 0) * share, np.maximum(parts.max(axis=2), 0) * share
    if mirrored:
        high = np.maximum(high, -low)
        low = -high
    return np.clip(parts, low[:, :, None], high[:, :, None]).reshape(outputs, inputs)


def search_clip(
    weights: Doubles,
    fmt: BlockFormat,
    shares: Iterable[float],
    error: ErrorOfBlocks,
    policy: BlockPolicy | str | None = None,
    *,
    mirrored: bool = False,
    patience: int | None = None,
    ends: bool = False,
) -> Doubles:
    """The share of each block's range whose error is the smallest, the first of equal ones.

    Parameters
    ----------
    weights : ndarray of float64, shape (outputs, inputs)
    fmt : BlockFormat
    shares : iterable of float
        Tried in this order.
    error : callable
        What is made small.
    policy : BlockPolicy or str, optional
    mirrored : bool
        As for :func:`clipped`.
    patience : int, optional
        The search ends after so many shares in a row of which no block gains.
    ends : bool
        Whether what is cut off is rounded as it is, as by :func:`rounded_within`.

    Returns
    -------
    shares : ndarray of float64, shape (outputs, blocks)
    """
    length = block_length(fmt, weights.shape[1])
    grid = (weights.shape[0], weights.shape[1] // length)
    best, least, left = np.ones(grid), np.full(grid, np.inf), patience
    for share in shares:
        narrow = clipped(weights, np.full(grid, share), length, mirrored=mirrored)
        tensor = rounded_within(weights, narrow, fmt, policy) if ends else nearest(narrow, fmt, policy)
        now = error(weights - dequantize(tensor, dtype=np.float64))
        better = now < least
        best[better], least[better] = share, now[better]
        left = patience if left is None or better.any() else left - 1
        if left == 0:
            break
    return best


class RangeSearch(NamedTuple):
    """A published search of the range of a block, by the error of its own weights.

    Attributes
    ----------
    steps : int
        Hundredths by which the range shrinks at most, less one.
    power : float
        Of the magnitudes of the errors whose sum is made small.
    patience : int, optional
        As for :func:`search_clip`.
    """

    steps: int
    power: float
    patience: int | None = None

    def quantized(self, weights: Doubles, fmt: BlockFormat, policy: BlockPolicy | str | None = None) -> BlockTensor:
        """Weights under the scales of the best range of each block, which is symmetric where the format is.

        Ranges are products in binary32, as the sources compute them.
        """
        length, mirrored = block_length(fmt, weights.shape[1]), not fmt.of_role("zero_point", "offset", "by_sign")
        shares = search_clip(
            weights,
            fmt,
            (float(np.float32(1 - step / 100)) for step in range(self.steps)),
            norm_of_blocks(length, self.power),
            policy,
            mirrored=mirrored,
            patience=self.patience,
            ends=True,
        )
        return rounded_within(weights, clipped(weights, shares, length, mirrored=mirrored), fmt, policy)


def fitted(weights: Doubles, fmt: BlockFormat, ranges: str, policy: BlockPolicy | str | None = None) -> BlockTensor:
    """Round to nearest under the scales of the ranges that one of :data:`lowbit.quantizers.options.RANGES` finds."""
    search = SEARCHES.get(ranges)
    return nearest(weights, fmt, policy) if search is None else search.quantized(weights, fmt, policy)


SEARCHES = {
    "mse": RangeSearch(80, 2.0),
    "norm_2.4": RangeSearch(80, 2.4),
    "llm_compressor": RangeSearch(20, 2.4, patience=5),
}
"""GPTQ's (IST-DASLab/gptq 2d65066, quant.py) with two norms; llm-compressor's (vllm-project/llm-compressor ab1ba3e,
observers/mse.py and mse_quant.py), whose steps end where five in a row bring nothing to any block of the matrix."""


def norm_of_blocks(length: int, power: float = 2.0) -> ErrorOfBlocks:
    """The sum of ``|error|^power`` of each block."""

    def error(errors: Doubles) -> Doubles:
        outputs, inputs = errors.shape
        result: Doubles = (np.abs(errors).reshape(outputs, inputs // length, length) ** power).sum(axis=2)
        return result

    return error


def nearest(weights: Doubles, fmt: BlockFormat, policy: BlockPolicy | str | None = None) -> BlockTensor:
    """Round to nearest. binary32 is what weights come in, and what the fast paths take."""
    return quantize(weights.astype(np.float32), fmt, axis=1, policy=policy)


def rounded_within(
    weights: Doubles, narrow: Doubles, fmt: BlockFormat, policy: BlockPolicy | str | None = None
) -> BlockTensor:
    """Round weights to nearest under the scales of narrowed ones.

    Codes of integers reach further than the range that a scale is made from on one side, or on both: -8 where 7 is the
    largest weight, -8 and 7 where 7.5 is. What was cut off goes to that end where it is nearer.
    """
    tensor, cut = nearest(narrow, fmt, policy), weights != narrow
    for end in (fmt.element.codes[0], fmt.element.codes[-1]) if fmt.element.wraps else ():
        inside = cut & (tensor.codes != end)
        if inside.any():
            whole = with_codes(tensor, np.full_like(tensor.codes, end))
            own, others = (np.abs(weights - dequantize(one, dtype=np.float64)) for one in (tensor, whole))
            tensor = with_codes(tensor, np.where(inside & (others < own), end, tensor.codes))
    return tensor
