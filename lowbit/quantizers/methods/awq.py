"""AWQ: inputs that see large activations are scaled up before rounding, and their activations down."""

from __future__ import annotations

from functools import partial

import numpy as np
import numpy.typing as npt

from lowbit.format.block import BlockFormat
from lowbit.format.types import FormatLike
from lowbit.ops.block.dequantize import dequantize
from lowbit.policy.block import BlockPolicy
from lowbit.quantizers.clip import block_length, clipped, nearest, search_clip
from lowbit.quantizers.inputs import Doubles, activation_rows, weight_format, weight_matrix
from lowbit.quantizers.method import Method
from lowbit.quantizers.objective import OutputError
from lowbit.quantizers.options import Option
from lowbit.quantizers.transform import Diagonal
from lowbit.quantizers.weight import QuantizedWeight

RATIOS = tuple(step / 20 for step in range(20))
SHARES = tuple(1 - step / 20 for step in range(10))
SMALLEST = 1e-4


def awq(
    weights: npt.ArrayLike,
    activations: npt.ArrayLike | None = None,
    *,
    to: FormatLike = "int4.g128.asymmetric",
    variant: str = "paper",
    clip: bool = True,
    policy: BlockPolicy | str | None = None,
) -> QuantizedWeight:
    """Scale inputs by a power of their mean activation, the power that makes the output error the smallest.

    Layers that read the same activations share a scale: concatenate their weights along the outputs, and take each with
    ``of_outputs`` of the result.

    Parameters
    ----------
    clip : bool
        Whether the range of each block is narrowed afterwards, in steps of a twentieth down to a half, as far as the
        error of the block's own part of the output gets smaller; kept if the error of the whole output does.

    Returns
    -------
    QuantizedWeight
        ``transform`` is the scale, ``transform.folded`` divides the operation before by it. ``report`` has the ratio r,
        and the error of the outputs for every ratio.

    Raises
    ------
    InputError
        Weights or activations are not finite, or shapes do not fit.
    PolicyError
        The variant is unknown.

    Notes
    -----
    r is one of 0, 0.05, ..., 0.95, the first of the best; s is at least 1e-4 and divided by the root of the product of
    its largest and smallest. With "paper" and r = 0 nothing is scaled, so that no result is worse than rounding to
    nearest on these activations; "duo_scaling" has no such case. Here the error is that of the layer's own output; the
    official code takes that of the attention block or MLP for layers in front of a nonlinearity.
    Source: Lin et al., "AWQ", MLSys 2024 (arXiv 2306.00978), section 3; mit-han-lab/llm-awq d6e797a, auto_scale.py and
    auto_clip.py; duo scaling: casper-hansen/AutoAWQ 88e4c76, quantizer.py.

    Examples
    --------
    >>> import numpy as np
    >>> rows = np.random.default_rng(0).normal(size=(64, 4)) * [1, 1, 8, 1]
    >>> awq([[0.7, -0.1, 0.06, 0.2]], rows, to="int4.channel").report["ratio"] > 0
    True
    """
    matrix = weight_matrix(weights)
    rows = activation_rows(activations, matrix.shape[1], METHOD.name)
    fmt = weight_format(to, matrix.shape[1], METHOD.name)
    length = block_length(fmt, matrix.shape[1])
    magnitudes = np.abs(rows).mean(axis=0)
    spread = _spread(matrix, length) if variant == "duo_scaling" else None
    losses, best, least = {}, np.ones_like(magnitudes), np.inf
    error = OutputError.of(rows, activations)
    for ratio in RATIOS:
        scale = _scale(magnitudes, spread, ratio)
        losses[ratio] = error.total(matrix - _values(matrix * scale, fmt, policy) / scale)
        if losses[ratio] < least:
            best, least = scale, losses[ratio]
    scaled, report = matrix * best, {"ratio": min(losses, key=losses.__getitem__), "losses": losses, "clip": False}
    if clip:
        within = OutputError(error.gram / np.outer(best, best))
        shares = search_clip(scaled, fmt, SHARES, partial(within.of_groups, group=length), policy, mirrored=True)
        narrow = clipped(scaled, shares, length, mirrored=True)
        if error.total(matrix - _values(narrow, fmt, policy) / best) < least:
            scaled, report["clip"] = narrow, True
    return QuantizedWeight(nearest(scaled, fmt, policy), transform=Diagonal(best), report=report)


def _scale(magnitudes: Doubles, spread: Doubles | None, ratio: float) -> Doubles:
    powers = magnitudes**ratio
    if spread is not None:
        powers = powers / (spread ** (1 - ratio) + SMALLEST)
    scale = np.maximum(powers, SMALLEST)
    result: Doubles = scale / np.sqrt(scale.max() * scale.min())
    return result


def _spread(weights: Doubles, length: int) -> Doubles:
    """How large the weights of an input are in their blocks, on average."""
    outputs, inputs = weights.shape
    parts = np.abs(weights).reshape(outputs, inputs // length, length)
    largest = parts.max(axis=2, keepdims=True)
    shares: Doubles = (parts / np.where(largest > 0, largest, 1)).reshape(outputs, inputs).mean(axis=0)
    return shares


def _values(weights: Doubles, fmt: BlockFormat, policy: BlockPolicy | str | None) -> Doubles:
    return dequantize(nearest(weights, fmt, policy), dtype=np.float64)


METHOD = Method(
    name="awq",
    quantize=awq,
    title="inputs scaled by a power of their mean activation, searched on the output error",
    source="Lin et al., MLSys 2024 (arXiv 2306.00978); mit-han-lab/llm-awq d6e797a; casper-hansen/AutoAWQ 88e4c76",
    variants={
        "paper": "s = mean|x|^r, a power of the mean activation",
        "duo_scaling": "s = mean|x|^r / mean(|w| / max of its block)^(1 - r) (AutoAWQ, llm-compressor)",
    },
    needs_activations=True,
    joint=True,
    to="int4.g128.asymmetric",
    own={"clip": Option("whether the range of each block is narrowed where that makes the error smaller", flag=True)},
    report={
        "ratio": "the power of the mean activations that was best",
        "losses": "the squared error of the outputs under each ratio, before any clip",
        "clip": "whether the range of blocks was narrowed",
    },
)
