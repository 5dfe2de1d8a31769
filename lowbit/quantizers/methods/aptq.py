"""APTQ: GPTQ with the Hessian of the whole attention block's output, softmax included."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from lowbit.errors import InputError
from lowbit.format.types import FormatLike
from lowbit.policy.block import BlockPolicy
from lowbit.quantizers.attention import MATRICES, Attention, hessians
from lowbit.quantizers.hessian import REPORT
from lowbit.quantizers.inputs import weight_format, weight_matrix
from lowbit.quantizers.method import Method
from lowbit.quantizers.methods.gptq import gptq
from lowbit.quantizers.options import Option, ordered
from lowbit.quantizers.solver import joined
from lowbit.quantizers.weight import QuantizedWeight


def aptq(  # noqa: PLR0913 (all but two are keyword-only options)
    weights: npt.ArrayLike,
    activations: npt.ArrayLike | None = None,
    *,
    to: FormatLike = "int4.g128",
    variant: str = "heads",
    attention: Attention | None = None,
    matrix: str = "query",
    order: str = "none",
    damping: float = 0.01,
    policy: BlockPolicy | str | None = None,
    threads: int = 1,
) -> QuantizedWeight:
    """Quantise a matrix of an attention block so that the block's output changes as little as GPTQ can achieve.

    Parameters
    ----------
    activations : array_like, shape (rows, inputs)
        What goes into the layer; with an attention block what goes into the block: (tokens, inputs), (sequences,
        tokens, inputs), or a list of sequences of any lengths.
    to : str or BlockFormat
        Elements of at most 8 bits.
    attention : Attention, optional
        The block that the matrix belongs to; ``lowbit.quantizers.attention.Attention`` makes one. Without it the layer
        is one of the feed-forward part, whose Hessian is GPTQ's.

    Returns
    -------
    QuantizedWeight

    Raises
    ------
    InputError
        The matrix has another shape than the block's, a scale reaches over the outputs of several heads, or as for
        gptq.

    Notes
    -----
    The Hessian of an output is its block on the diagonal of ``JᵀJ``, J being the derivative of the block's output; the
    mean over the outputs of a head stands for each. For the value it is that of inputs weighted by the attention
    (times the norm of the head's output matrix), for the output matrix GPTQ's own. Which layers get 4 and which 2 bits
    is :func:`lowbit.allocate.sensitivity.two_level_plan` of the traces.
    Source: Guan et al., "APTQ", DAC 2024 (arXiv 2402.14866), section 3; there is no public code.

    Examples
    --------
    >>> random = np.random.default_rng(0)
    >>> query, key, value, output = random.normal(size=(4, 8, 8))
    >>> block = Attention(query, key, value, output, heads=2)
    >>> tokens = random.normal(size=(64, 8))
    >>> aptq(value, tokens, to="int4.channel", attention=block, matrix="value").shape
    (8, 8)
    """
    if attention is None:
        return gptq(weights, activations, to=to, order=order, damping=damping, policy=policy, threads=threads)
    if not isinstance(attention, Attention):
        raise InputError(f"attention is a {type(attention).__name__}", hint="lowbit.quantizers.attention.Attention")
    values = weight_matrix(weights)
    own = np.shape(getattr(attention, matrix))
    if values.shape != own:
        raise InputError(f"weights have the shape {values.shape}, but the block's {matrix} is {own}")
    fmt = weight_format(to, values.shape[1], METHOD.name)
    each = hessians(attention.sequences(activations, METHOD.name), attention, matrix)
    if variant == "matrix":
        each = each.sum(axis=0, keepdims=True)
    if len(each) > 1 and any(not field.block for field in fmt.scales):
        raise InputError(
            f"{fmt.id} has a scale for all heads, and each is quantised by itself", hint="variant='matrix'"
        )
    parts = [
        gptq(part, hessian=hessian, to=fmt, order=order, damping=damping, policy=policy, threads=threads)
        for part, hessian in zip(np.split(values, len(each)), each, strict=True)
    ]
    report = {
        "tie_margin": min(part.report["tie_margin"] for part in parts),
        "dead_inputs": max(part.report["dead_inputs"] for part in parts),
    }
    tensors: list[Any] = [part.tensor for part in parts]
    return QuantizedWeight(joined(tensors, axis=0), report=report)


METHOD = Method(
    name="aptq",
    quantize=aptq,
    title="GPTQ with the Hessian of the whole attention block's output, softmax included",
    source="Guan et al., DAC 2024 (arXiv 2402.14866)",
    variants={
        "heads": "a Hessian for the outputs of each head",
        "matrix": "one Hessian for all outputs, the sum over the heads",
    },
    needs_activations=True,
    to="int4.g128",
    own={
        "attention": Option("the attention block; without it the method is GPTQ"),
        "matrix": Option("which of its matrices the weights are", choices=dict.fromkeys(MATRICES, "of that name")),
        "order": ordered("none", "static"),
    },
    report=REPORT,
    layer_alone="no attention block is given, and without one it is gptq",
)
