"""APTQ's sensitivity: the trace of the Gauss-Newton Hessian of a whole attention block, for each of its four matrices.

The block computes, for every head h and token t::

    q = X Wqᵀ   k = X Wkᵀ   v = X Wvᵀ       (each split into heads of width d)
    p = softmax(q_h k_hᵀ / sqrt(d))         (causal or not)
    y = concat_h(p v_h) Woᵀ

The Hessian of the squared change of y is approximated by ``2 JᵀJ`` (Levenberg-Marquardt without damping), J being the
derivative of y by one matrix. Its trace is twice the sum of the squared derivatives, which have a closed form for all
four matrices, the softmax included: nothing is sampled.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lowbit.errors import InputError

Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class AttentionTraces:
    """Traces of the Gauss-Newton Hessians, one a matrix, summed over the tokens that were given."""

    query: float
    key: float
    value: float
    output: float

    def averages(self, parameters: int) -> dict[str, float]:
        """The traces over the number of parameters of a matrix: what APTQ ranks layers by."""
        return {name: getattr(self, name) / parameters for name in ("query", "key", "value", "output")}


def attention_traces(
    inputs: ArrayLike,
    query: ArrayLike,
    key: ArrayLike,
    value: ArrayLike,
    output: ArrayLike,
    *,
    heads: int,
    causal: bool = False,
) -> AttentionTraces:
    """The trace of ``2 JᵀJ`` for each matrix of a multi-head attention block.

    Parameters
    ----------
    inputs : array_like, shape (tokens, width) or (sequences, tokens, width)
        What goes into the block, biases and positions included as the model adds them before the block.
    query, key, value : array_like, shape (heads * d, width)
    output : array_like, shape (width, heads * d)
    heads : int
    causal : bool
        Whether a token sees only itself and those before it.

    Raises
    ------
    InputError
        The shapes do not fit each other.

    Notes
    -----
    Source: Guan et al., "APTQ: Attention-aware Post-Training Mixed-Precision Quantization for Large Language Models",
    DAC 2024, section 3.2 (no public code). Rotary positions and grouped-query heads are not modelled.
    """
    samples = np.asarray(inputs, dtype=np.float64)
    matrices = [np.asarray(matrix, dtype=np.float64) for matrix in (query, key, value, output)]
    sequences = samples[None] if samples.ndim == 2 else samples
    _check(sequences, matrices, heads)
    totals = np.zeros(4)
    for sequence in sequences:
        for head in range(heads):
            totals += _head(sequence, matrices, head, heads, causal)
    return AttentionTraces(*(2.0 * float(total) for total in totals))


def _check(sequences: Float64, matrices: list[Float64], heads: int) -> None:
    query, key, value, output = matrices
    width = sequences.shape[-1] if sequences.ndim == 3 else -1
    inner = query.shape[0] if query.ndim == 2 else -1
    for name, matrix, shape in (
        ("inputs", sequences, (*sequences.shape[:2], width)),
        ("query", query, (inner, width)),
        ("key", key, (inner, width)),
        ("value", value, (inner, width)),
        ("output", output, (output.shape[0], inner)),
    ):
        if matrix.shape != shape or min(shape, default=0) < 1:
            raise InputError(f"{name} has shape {matrix.shape}, which does not fit the others (expected {shape})")
    if heads < 1 or inner % heads:
        raise InputError(f"{inner} rows of query cannot be split into heads = {heads}")


def _head(inputs: Float64, matrices: list[Float64], head: int, heads: int, causal: bool) -> Float64:
    """Sums of squared derivatives of one head: query, key, value, output."""
    query, key, value, output = matrices
    width = len(query) // heads
    part = slice(head * width, (head + 1) * width)
    queries, keys, values = (inputs @ matrix[part].T for matrix in (query, key, value))
    probabilities = _softmax(queries @ keys.T / sqrt(width), causal)
    projection = output[:, part]
    attended = probabilities @ inputs
    mixed = probabilities @ values
    # dy_t/dWv[i, j] = Wo[:, i] (p_t X)_j, and dy_t/dWo[o, i] = (p_t v)_i in row o alone
    by_value = float(np.sum(projection**2) * np.sum(attended**2))
    by_output = float(len(output) * np.sum(mixed**2))
    projected = values @ projection.T
    by_query = by_key = 0.0
    for token, row in enumerate(probabilities):
        # column s: dy_t / d(score of t and s) = Wo vᵀ (diag(p) - p pᵀ)
        slopes = projected.T * row - np.outer(projected.T @ row, row)
        # dy_t/dWq[i, j] = (slopes K)_i x_t,j / sqrt(d);   dy_t/dWk[i, j] = q_t,i (slopes X)_j / sqrt(d)
        by_query += float(np.sum((slopes @ keys) ** 2) * np.sum(inputs[token] ** 2)) / width
        by_key += float(np.sum((slopes @ inputs) ** 2) * np.sum(queries[token] ** 2)) / width
    return np.array([by_query, by_key, by_value, by_output])


def _softmax(scores: Float64, causal: bool) -> Float64:
    if causal:
        scores = np.where(np.tri(*scores.shape) == 1, scores, -np.inf)
    weights: Float64 = np.exp(scores - scores.max(axis=1, keepdims=True))
    shares: Float64 = weights / weights.sum(axis=1, keepdims=True)
    return shares
