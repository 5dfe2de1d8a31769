"""SpQR: small blocks whose scales are quantised too, error feedback, and the weights that hurt most kept apart."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from lowbit.errors import InputError
from lowbit.format.block import BlockFormat
from lowbit.format.block_name import block_format
from lowbit.format.types import FormatLike
from lowbit.ops.arrays import checked_threads
from lowbit.ops.block.dequantize import dequantize
from lowbit.ops.block.quantize import quantize
from lowbit.ops.block.tensor import BlockTensor
from lowbit.policy.block import get_block_policy
from lowbit.quantizers.clip import block_length, nearest
from lowbit.quantizers.hessian import REPORT, prepared
from lowbit.quantizers.inputs import Doubles, weight_format, weight_matrix
from lowbit.quantizers.levels import Levels
from lowbit.quantizers.method import Method
from lowbit.quantizers.options import Numbers, Option, ordered
from lowbit.quantizers.solver import Grid, Swept, joined, sweep
from lowbit.quantizers.transform import Permutation
from lowbit.quantizers.weight import Bilevel, QuantizedWeight, Sparse

TILE = 16
"""Outputs whose scales are quantised together; the last ones may be fewer."""

SCALES = block_format("uint3", block=TILE, scale="float16", asymmetric="float16")
POLICY = replace(get_block_policy("spqr"), tail="short", name="")


def spqr(  # noqa: PLR0913 (all but two are keyword-only options)
    weights: npt.ArrayLike,
    activations: npt.ArrayLike | None = None,
    *,
    to: FormatLike = "uint3.g16.asymmetric",
    variant: str = "paper",
    outliers: float = 0.2,
    order: str = "none",
    damping: float = 1.0,
    hessian: npt.ArrayLike | None = None,
    threads: int = 1,
) -> QuantizedWeight:
    """Round with error feedback in short blocks, but for the weights whose rounding would cost the outputs most.

    Parameters
    ----------
    to : str or BlockFormat
        Unsigned integers of at most 8 bits, and the blocks; scales and zero points are 3-bit codes whatever it says,
        with a binary16 scale and a binary16 zero point each for 16 outputs.
    variant : str
        "paper": what is stored of an outlier is what its dense code lacks, so that their sum is the outlier.
        "official": the outlier itself is stored, as in the official code, whose packed layout adds it to the dense
        code: that is the code of 0, whose value is not 0 where the zero point is not an integer. (Its evaluation puts
        the outlier in place of it, and does not see this.)
    outliers : float
        A weight is an outlier where its squared error over ``U[j, j]^2`` is above this times the mean over the inputs
        of the variance of their weights over ``U[j, j]^2``; infinite for none.

    Returns
    -------
    QuantizedWeight
        ``tensor`` is a :class:`lowbit.quantizers.Bilevel`, ``sparse`` is added to it. ``report`` has the share of
        outliers, the smallest distance from a tie or (relatively) from the threshold, and the dead inputs.

    Raises
    ------
    InputError
        Elements are not unsigned integers, a block has a scale that binary16 does not hold, or as for gptq.

    Notes
    -----
    With little data a damping of 1 is usual here. Scales of a block are made without its likely outliers, which the
    mean of the others replaces: weights without which the rest of the block, with scales of its own, loses so much
    less. A block of one value, or of values that lie so near to each other that its zero point is beyond binary16, has
    the range from 0 to it; the official code divides by its width, and one such zero point spoils those of 15 other
    outputs. The official code computes in binary32, the solver here in binary64, with the scales as they are stored.
    Source: Dettmers et al., "SpQR", ICLR 2024 (arXiv 2306.03078), section 4 and Algorithm 1; Vahe1994/SpQR 543d10e,
    spqr_engine.py and quant_groups.py.

    Examples
    --------
    >>> random = np.random.default_rng(0)
    >>> layer, rows = random.normal(size=(16, 32)), random.normal(size=(64, 32))
    >>> layer[3, 5] = 40
    >>> kept = spqr(layer, rows).sparse
    >>> (3, 5) in zip(kept.rows, kept.columns)
    True
    """
    matrix = weight_matrix(weights)
    fmt = weight_format(to, matrix.shape[1], METHOD.name)
    element, length = fmt.element, block_length(fmt, matrix.shape[1])
    if not element.wraps or element.signed or element.bits > 8:
        raise InputError(f"spqr rounds to unsigned integers of at most 8 bits, not {element.id}", hint="uint3.g16")
    checked_threads(threads)
    layer = prepared(matrix, activations, hessian, ordered=order != "none", damping=damping, method=METHOD.name)
    left, diagonal = layer.weights[:, layer.order], np.diag(layer.factor)
    spread = left.var(axis=0, ddof=1) / diagonal**2 if len(left) > 1 else np.zeros(1)
    cutoff = 1 / (outliers * float(spread.mean())) if spread.any() else 0.0
    fmt = block_format(element, block=length, scale="float32", asymmetric="float32")
    columns, margins = np.ascontiguousarray(left.T), np.ones(len(left))
    scales: list[BlockTensor] = []
    zeros: list[BlockTensor] = []
    parts: list[Swept] = []
    for start in range(0, len(columns), length):
        group = slice(start, start + length)
        part = columns[group].T
        likely = _savings(part, diagonal[group], fmt) * cutoff > 1
        scale, zero = _fit(_filled(part, likely), fmt)
        grid = Grid.of(_levels(scale, zero, fmt))
        swept = sweep(columns, layer.factor, grid, np.zeros(length, int), start, margins, threads, cutoff=cutoff)
        columns[group.stop :] -= layer.factor[group, group.stop :].T @ swept.errors
        scales.append(scale)
        zeros.append(zero)
        parts.append(swept)
    codes, apart = (np.concatenate([getattr(one, name) for one in parts]).T for name in ("codes", "apart"))
    tensor = Bilevel(np.ascontiguousarray(codes), element.bits, joined(scales), joined(zeros))
    stored = columns.T if variant == "official" else columns.T - tensor.values()
    report = {"outliers": float(apart.mean()), "tie_margin": float(margins.min()), "dead_inputs": layer.dead}
    return QuantizedWeight(
        tensor,
        sparse=Sparse.narrow(apart, stored, replaces=False) if apart.any() else None,
        transform=Permutation(layer.order) if order == "activation" else None,
        report=report,
    )


def _savings(part: Doubles, diagonal: Doubles, fmt: BlockFormat) -> Doubles:
    """How much of its block's error is gone without each weight, where scales are made without it."""
    own = _errors(part, diagonal, fmt)
    result, whole, rows = own.copy(), own.sum(axis=1), np.arange(len(part))
    for places in (part.argmin(axis=1), part.argmax(axis=1)):  # without any other weight the scales stay
        without = part.copy()
        without[rows, places] = part[rows, (places + 1) % part.shape[1]]
        rest = _errors(without, diagonal, fmt)
        rest[rows, places] = 0
        result[rows, places] = whole - rest.sum(axis=1)
    return result


def _errors(part: Doubles, diagonal: Doubles, fmt: BlockFormat) -> Doubles:
    scale, zero, codes = _first_level(part, fmt)
    return ((part - scale * (codes - zero)) / diagonal) ** 2


def _first_level(part: Doubles, fmt: BlockFormat) -> tuple[Doubles, Doubles, Doubles]:
    tensor = nearest(part, fmt, POLICY)
    scale, zero, codes = (one.astype(np.float64) for one in (*tensor.scales.values(), tensor.codes))
    return scale, zero, codes


def _filled(part: Doubles, likely: npt.NDArray[np.bool_]) -> Doubles:
    """A block with the mean of its other weights in place of likely outliers."""
    others = np.where(likely, 0, part).sum(axis=1) / np.maximum((~likely).sum(axis=1), 1)
    return np.where(likely, others[:, None], part)


def _fit(part: Doubles, fmt: BlockFormat) -> tuple[BlockTensor, BlockTensor]:
    """Scales and zero points of a block of each output, quantised."""
    scale, zero, _codes = _first_level(part, fmt)
    low, high, top = part.min(axis=1, keepdims=True), part.max(axis=1, keepdims=True), fmt.element.codes[-1]
    with np.errstate(over="ignore"):
        single = (low == high) | ~np.isfinite(zero.astype(np.float16))
    scale = np.where(single, np.maximum(high, -low) / top, scale)
    zero = np.where(single, np.where(low < 0, top, 0), zero)
    of_scale, of_zero = (quantize(one.astype(np.float32), SCALES, axis=0, policy=POLICY) for one in (scale, zero))
    return of_scale, of_zero


def _levels(scale: BlockTensor, zero: BlockTensor, fmt: BlockFormat) -> Levels:
    codes = np.arange(fmt.element.codes[-1] + 1).astype(np.uint8)
    factor, place = (dequantize(one, dtype=np.float64)[:, :, None] for one in (scale, zero))
    values: Doubles = factor * (codes - place)
    beyond = ~np.isfinite(values).all(axis=(1, 2))
    if beyond.any():
        raise InputError(
            f"weights[{int(beyond.argmax())}] has a block whose scale is beyond binary16",
            hint="scale the weights, or take gptq, whose formats have scales in binary32",
        )
    return Levels(codes, values, np.zeros(values.shape[:2], np.int64))


METHOD = Method(
    name="spqr",
    quantize=spqr,
    title="small blocks with quantised scales, error feedback, and the weights that hurt most kept apart",
    source="Dettmers et al., ICLR 2024 (arXiv 2306.03078); Vahe1994/SpQR 543d10e",
    variants={
        "paper": "what is added to an outlier's code makes it the outlier",
        "official": "the outlier itself is added to its code, which is not worth 0",
    },
    needs_activations=True,
    to="uint3.g16.asymmetric",
    own={
        "outliers": Option(
            "how much of its block's error a weight must be worth to be kept apart: 0.2 is usual, infinity for none",
            Numbers(0, excluded=0, infinite=True),
        ),
        "order": ordered("none", "activation"),
    },
    report={
        "outliers": "the share of the weights that are kept apart",
        **REPORT,
    },
)
