"""HQQ: zero points that make the errors of most weights small and leave large ones to a few, without data."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lowbit.errors import InputError
from lowbit.format.block import BlockFormat
from lowbit.format.block_name import block_format
from lowbit.format.types import FormatLike
from lowbit.ops.block.tensor import BlockTensor
from lowbit.quantizers.clip import block_length
from lowbit.quantizers.inputs import weight_format, weight_matrix
from lowbit.quantizers.method import Method
from lowbit.quantizers.options import Numbers, Option
from lowbit.quantizers.weight import QuantizedWeight

Singles = npt.NDArray[np.float32]

STORED = "float16"
NARROWEST, LARGEST_FACTOR = np.float32(1e-4), np.float32(2e4)
"""Of the official code, "to avoid half-precision problems"."""


def hqq(
    weights: npt.ArrayLike,
    activations: npt.ArrayLike | None = None,  # noqa: ARG001 - all methods are called alike
    *,
    to: FormatLike = "uint4.g64.asymmetric",
    variant: str = "paper",
    norm: float = 0.7,
    penalty: float = 10.0,
    growth: float = 1.01,
    iterations: int = 20,
) -> QuantizedWeight:
    """Find the zero point of each block by half-quadratic splitting; factors stay those of the range.

    Parameters
    ----------
    to : str or BlockFormat
        Unsigned integers of at most 8 bits, and the blocks: each has a factor and a zero point in binary16.

    Returns
    -------
    QuantizedWeight

    Raises
    ------
    InputError
        Elements are not unsigned integers, an option is out of range, or binary16 does not hold a factor.

    Notes
    -----
    ``q = round(w R + z)`` with ``R = (2^b - 1) / (max - min)``, and ``w' = (q - z) / R``. A step finds the part of each
    error that is left to the weight, ``e = sign(d) max(|d| - |d|^(p - 1) / beta, 0)`` with ``d = w - w'``, and then
    ``z = mean(q - (w - e) R)``. It ends where the mean error of all weights falls no more. All in binary32; factor and
    zero point are rounded when they are stored. A block of one value, or one whose zero point is beyond binary16, has
    R = 1. Source: Badri and Shaji, "Half-Quadratic Quantization of Large Machine Learning Models", 2023,
    https://mobiusml.github.io/hqq_blog/; mobiusml/hqq e0b1d00, core/optimize.py and core/quantize.py.

    Examples
    --------
    >>> result = hqq(np.random.default_rng(0).normal(size=(8, 64)))
    >>> result.report["errors"][-1] < result.report["errors"][0], float(result.bits_per_weight)
    (True, 4.5)
    """
    matrix = weight_matrix(weights)
    fmt = weight_format(to, matrix.shape[1], METHOD.name)
    if not fmt.element.wraps or fmt.element.signed or fmt.element.bits > 8:
        raise InputError(f"hqq rounds to unsigned integers of at most 8 bits, not {fmt.element.id}", hint="uint4.g64")
    length = block_length(fmt, matrix.shape[1])
    blocks = matrix.astype(np.float32).reshape(len(matrix), -1, length)
    top, official = np.float32(fmt.element.codes[-1]), variant == "official"
    factor, zero = _of_range(blocks, top, official=official)
    best, kept, errors, beta = np.inf, zero, [], penalty
    for _ in range(iterations):
        codes = _codes(blocks, factor, zero, top)
        distance = blocks - (codes - zero) / factor
        errors.append(float(np.abs(distance).mean()))
        better = errors[-1] < best
        best, kept = (errors[-1], zero) if better else (best, kept)
        left = shrunk(distance, beta, norm)
        zero = (codes - (blocks - left) * factor).mean(axis=2, keepdims=True)
        if not better:
            break
        beta *= 1 if official else growth
    zero = zero if official else kept
    tensor = _tensor(_codes(blocks, factor, zero, top), factor, zero, fmt)
    return QuantizedWeight(tensor, report={"errors": errors})


def shrunk(values: Singles, penalty: float, norm: float) -> Singles:
    """The proximal operator of the p-norm's power p, as published: ``sign(v) max(|v| - |v|^(p - 1) / penalty, 0)``."""
    sizes = np.abs(values)
    with np.errstate(divide="ignore"):
        powers = sizes.astype(np.float64) ** (norm - 1)  # of binary32, processors give other last bits
        less = sizes - np.float32(1 / penalty) * powers.astype(np.float32)
    result: Singles = np.sign(values) * np.maximum(less, 0)
    return result


def _of_range(blocks: Singles, top: np.float32, *, official: bool) -> tuple[Singles, Singles]:
    """Factors and zero points with which the codes reach over the range of a block."""
    low, high = blocks.min(axis=2, keepdims=True), blocks.max(axis=2, keepdims=True)
    with np.errstate(all="ignore"):
        factor = top / (high - low)
        if official:
            factor = np.minimum(np.where(high - low <= NARROWEST, np.float32(1), factor), LARGEST_FACTOR)
        else:
            held = np.isfinite((low * factor).astype(STORED))
            factor = np.where(held, factor, np.float32(1))
        return factor, -low * factor


def _codes(blocks: Singles, factor: Singles, zero: Singles, top: np.float32) -> Singles:
    result: Singles = np.clip(np.rint(blocks * factor + zero), 0, top)
    return result


def _tensor(codes: Singles, factor: Singles, zero: Singles, fmt: BlockFormat) -> BlockTensor:
    outputs, _blocks, length = codes.shape
    target = block_format(fmt.element, block=length, scale=STORED, asymmetric=STORED)
    with np.errstate(over="ignore"):
        scales = {"block": (1 / factor[:, :, 0]).astype(STORED), "zero_point": zero[:, :, 0].astype(STORED)}
    beyond = ~np.logical_and(*map(np.isfinite, scales.values())).all(axis=1)
    if beyond.any():
        raise InputError(
            f"weights[{int(beyond.argmax())}] has a block whose factor or zero point is beyond binary16",
            hint="scale the weights",
        )
    flat = codes.reshape(outputs, -1).astype(fmt.element.code_dtype)
    return BlockTensor(target, flat.shape, 1, flat, scales)


PENALTIES = 1e-6, 1e6

METHOD = Method(
    name="hqq",
    quantize=hqq,
    title="zero points by half-quadratic splitting, without data",
    source="Badri and Shaji 2023, https://mobiusml.github.io/hqq_blog/; mobiusml/hqq e0b1d00",
    variants={
        "paper": "a growing penalty, and the best zero points of all steps",
        "official": "a constant penalty, and the zero points after the first step without gain; blocks narrower than "
        "1e-4 have the factor 1, and no factor is above 20,000",
    },
    needs_activations=False,
    to="uint4.g64.asymmetric",
    own={
        "norm": Option("p of the p-norm of errors that is made small; 0.7 is usual", Numbers(0, 1, excluded=0)),
        "penalty": Option("what the distance from the errors counts, at first; 10 is usual", Numbers(*PENALTIES)),
        "growth": Option("by what the penalty grows from step to step; 1.01 is usual", Numbers(1)),
    },
    report={"errors": "the mean magnitude of the errors before each step"},
)
