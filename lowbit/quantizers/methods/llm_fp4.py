"""LLM-FP4 and low-bitwidth floats for diffusion models: how many exponent bits, and which real-valued bias."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from lowbit.errors import InputError
from lowbit.format.block import BlockFormat
from lowbit.format.block_name import block_format
from lowbit.format.build import float_format
from lowbit.ops.block.dequantize import dequantize
from lowbit.ops.block.tensor import BlockTensor
from lowbit.ops.cast.cast import encode
from lowbit.quantizers.inputs import Doubles, activation_rows, weight_matrix
from lowbit.quantizers.method import Method
from lowbit.quantizers.objective import OutputError
from lowbit.quantizers.weight import QuantizedWeight

SHARES = tuple(0.01 + 0.0119 * step for step in range(100))
"""Of the bias: the official code builds 101 and uses 100."""
LARGEST = (1.0, *(round(0.01 + 1.09 * step / 110, 6) for step in range(111)))
"""Largest values over the largest weight; 1 comes first, so that the search is never worse than no search."""
Loss = Callable[[Doubles], Doubles]
"""From the errors of the weights to a number for each block."""


def llm_fp4(
    weights: npt.ArrayLike,
    activations: npt.ArrayLike | None = None,
    *,
    to: str = "float4.channel",
    variant: str = "paper",
) -> QuantizedWeight:
    """Search the exponent bits of a small float and the real-valued bias that serves as its scale.

    Parameters
    ----------
    activations : array_like, shape (rows, inputs), optional
        The error of the outputs is made small; without activations, that of the weights.
    to : str
        ``"float4.channel"``: floats of 3 to 8 bits, a bias for each output; ``"float6.tensor"``: one for the matrix.

    Returns
    -------
    QuantizedWeight
        ``report["exponent_bits"]`` is the choice, ``report["errors"]`` the error of each over the squared outputs (or
        weights), ``report["bias"]`` the real-valued biases.

    Raises
    ------
    InputError
        ``to`` is not such a format.

    Notes
    -----
    With E exponent and M mantissa bits and the bias b, all codes finite, values are ``(-1)^s 2^(e - b) (1 + m / 2^M)``
    and ``(-1)^s 2^(1 - b) m / 2^M`` for e = 0. A bias of any real number is the format with an integer bias times a
    scale, here in float32. Source: Liu et al., "LLM-FP4", EMNLP 2023 (arXiv 2310.16836), section 4.1; nbasyl/LLM-FP4
    0598c95; "diffusion": Chen et al., "Low-Bitwidth Floating Point Quantization for Efficient High-Quality Diffusion
    Models" (arXiv 2408.06995). The search of activations' biases and their pre-shifted exponents is not here.

    Examples
    --------
    >>> result = llm_fp4([[6.0, 4.0, 3.0, 0.5]], to="float4.channel")
    >>> result.report["exponent_bits"], result.error([[6.0, 4.0, 3.0, 0.5]]) < 0.01
    (2, True)
    """
    bits, block = _parsed(to)
    matrix = weight_matrix(weights)
    rows = None if activations is None else activation_rows(activations, matrix.shape[1], METHOD.name)
    error = None if rows is None else OutputError.of(rows, activations)

    def loss(differences: Doubles) -> Doubles:
        each: Doubles = (differences**2).sum(axis=1) if error is None else error.of_rows(differences)
        return each if block == "channel" else each.sum(keepdims=True)

    results, errors = {}, {}
    for exponent_bits in range(1, bits):
        element = float_format(exponent_bits, bits - 1 - exponent_bits, bias=_middle(exponent_bits), specials="none")
        fmt = block_format(element, block=block, scale="float32")
        results[exponent_bits] = tensor = _search(matrix, fmt, _middle(exponent_bits), variant, loss)
        left = loss(matrix - dequantize(tensor, dtype=np.float64)).sum()
        errors[exponent_bits] = float(left) / (float(loss(matrix).sum()) or 1.0)
    best = min(errors, key=errors.__getitem__)
    scale = results[best].scales["block"].astype(np.float64).reshape(-1)
    bias = _middle(best) - np.log2(scale)
    report = {"exponent_bits": best, "errors": errors, "bias": bias}
    return QuantizedWeight(results[best], report=report)


def _middle(exponent_bits: int) -> int:
    """The integer bias, to which a scale adds the rest."""
    return (1 << exponent_bits - 1) - 1


def _search(matrix: Doubles, fmt: BlockFormat, middle: int, variant: str, loss: Loss) -> BlockTensor:
    """The tensor whose scales make the loss of each block the smallest, the first of equal ones."""
    grid = (1, 1) if not fmt.block else (len(matrix), 1)
    largest = np.abs(matrix).max(axis=1 if fmt.block else None, keepdims=True).reshape(grid)
    largest = np.where(largest > 0, largest, 1)
    top = float(fmt.number.max.fraction())
    best: npt.NDArray[np.float32] = np.ones(grid, np.float32)
    least = np.full(grid, np.inf)
    for share in SHARES if variant == "paper" else LARGEST:
        # the bias is log2(top / largest) above the integer one where the largest value is the largest weight
        bias = share * (middle + np.log2(top / largest)) - middle
        wide = np.exp2(-bias) if variant == "paper" else share * largest / top
        scale = np.maximum(wide.astype(np.float32), np.finfo(np.float32).tiny)
        now = loss(matrix - dequantize(_with_scales(matrix, scale, fmt), dtype=np.float64)).reshape(grid)
        best = np.where(now < least, scale, best).astype(np.float32)
        least = np.minimum(now, least)
    return _with_scales(matrix, best, fmt)


def _with_scales(matrix: Doubles, scale: npt.NDArray[np.float32], fmt: BlockFormat) -> BlockTensor:
    codes = encode(matrix / scale.astype(np.float64), fmt.element, policy="ocp_sat")
    return BlockTensor(fmt, matrix.shape, 1, codes, {"block": scale if fmt.block else scale.reshape(())})


def _parsed(to: object) -> tuple[int, str]:
    match = re.fullmatch(r"float([3-8])\.(channel|tensor)", to) if isinstance(to, str) else None
    if match is None:
        raise InputError(
            f"llm_fp4 searches how many bits the exponent has, and {to!r} does not say of how many in all",
            hint="float4.channel, float6.tensor",
        )
    return int(match.group(1)), match.group(2)


METHOD = Method(
    name="llm_fp4",
    quantize=llm_fp4,
    title="exponent bits and a real-valued bias of small floats, searched",
    source="Liu et al., EMNLP 2023 (arXiv 2310.16836); nbasyl/LLM-FP4 0598c95; Chen et al. (arXiv 2408.06995)",
    variants={
        "paper": "the bias is 0.01 to 1.19 times the one that the largest weight asks for, in steps of 0.0119",
        "diffusion": "the largest value is 1 or 0.01 to 1.1 times the largest weight, in 111 steps",
    },
    needs_activations=False,
    to="float4.channel",
    report={
        "exponent_bits": "how many exponent bits were best",
        "errors": "the error under each number of exponent bits, over the squared outputs or weights",
        "bias": "the real-valued bias of each block",
    },
)
