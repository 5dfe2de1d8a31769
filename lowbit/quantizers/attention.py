"""What the output of an attention block minds: its Gauss-Newton Hessians for each of its four matrices.

The block computes, for every head h::

    q = X Wqᵀ + bq   k = X Wkᵀ + bk   v = X Wvᵀ + bv    (each split into heads of width d)
    p = softmax(q_h k_hᵀ / sqrt(d))                     (causal or not)
    y = concat_h(p v_h) Woᵀ

The Hessian of the squared change of y is approximated by ``2 JᵀJ`` (Levenberg-Marquardt without damping), J being the
derivative of y by one matrix. It has a closed form for all four, the softmax included: nothing is sampled.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import sqrt
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lowbit.errors import InputError
from lowbit.quantizers.inputs import Doubles, activation_rows, finite_matrix

MATRICES = ("query", "key", "value", "output")


@dataclass(frozen=True, eq=False)
class Attention:
    """The matrices of a multi-head attention block.

    Attributes
    ----------
    query, key, value : array_like, shape (heads * d, width)
    output : array_like, shape (outputs, heads * d)
    heads : int
    causal : bool
        Whether a token sees only itself and those before it.
    biases : array_like, shape (3, heads * d), optional
        Of query, key and value.

    Raises
    ------
    InputError
        The shapes do not fit each other, or a number is not finite.

    Notes
    -----
    Rotary positions and grouped-query heads are not modelled.
    """

    query: npt.ArrayLike
    key: npt.ArrayLike
    value: npt.ArrayLike
    output: npt.ArrayLike
    heads: int
    causal: bool = False
    biases: npt.ArrayLike | None = None

    def __post_init__(self) -> None:
        arrays = {name: finite_matrix(getattr(self, name), name, "(outputs, inputs)") for name in MATRICES}
        inner, width = arrays["query"].shape
        biases = np.zeros((3, inner)) if self.biases is None else self.biases
        arrays["biases"] = finite_matrix(biases, "biases", "(3, outputs): of query, key and value")
        shapes = {"output": (len(arrays["output"]), inner), "biases": (3, inner)}
        for name, array in arrays.items():
            shape = shapes.get(name, (inner, width))
            if array.shape != shape:
                raise InputError(f"{name} has shape {array.shape}, which does not fit the others (expected {shape})")
            object.__setattr__(self, name, array)
        if self.heads < 1 or inner % self.heads:
            raise InputError(f"{inner} rows of query cannot be split into heads = {self.heads}")

    def sequences(self, inputs: Any, method: str) -> list[Doubles]:
        """Inputs of the block as a list of sequences (tokens, width).

        ``inputs`` are one sequence, an array (sequences, tokens, width), or a list of sequences of any lengths.
        """
        listed = isinstance(inputs, (list, tuple)) and any(np.ndim(one) == 2 for one in inputs)
        width = np.shape(self.query)[1]
        if listed:
            return [activation_rows(one, width, method) for one in inputs]
        return list(activation_rows(inputs, width, method).reshape(-1, *np.shape(inputs)[-2:]))

    def outputs(self, sequence: Doubles) -> Doubles:
        """What the block makes of a sequence (tokens, width), without the bias of the output."""
        mixed = [head.shares @ head.values for head in self.split(sequence)]
        result: Doubles = np.concatenate(mixed, axis=1) @ np.asarray(self.output).T
        return result

    def split(self, sequence: Doubles) -> Iterator[Head]:
        """The heads of the block for a sequence."""
        query, key, value, biases = (np.asarray(getattr(self, name)) for name in (*MATRICES[:3], "biases"))
        width = len(query) // self.heads
        for part in (slice(start, start + width) for start in range(0, len(query), width)):
            pairs = zip((query, key, value), biases, strict=True)
            queries, keys, values = (sequence @ matrix[part].T + bias[part] for matrix, bias in pairs)
            yield Head(queries, keys, values, _softmax(queries @ keys.T / sqrt(width), causal=self.causal))


class Head(NamedTuple):
    """One head: queries, keys and values (tokens, d), and what each token takes of the others (tokens, tokens)."""

    queries: Doubles
    keys: Doubles
    values: Doubles
    shares: Doubles


class Derivatives(NamedTuple):
    """What the Hessians of one head are made of, for the tokens of one sequence X.

    Attributes
    ----------
    query, key, value : ndarray of float64, shape (tokens, tokens)
        The sum over the outputs of the head of the blocks of ``JᵀJ``, one an output, is ``Xᵀ M X`` with these M.
    output : ndarray of float64, shape (tokens, d)
        The inputs of the output matrix, whose Gram matrix is the block of each output.
    """

    query: Doubles
    key: Doubles
    value: Doubles
    output: Doubles


def derivatives(sequence: Doubles, block: Attention) -> Iterator[Derivatives]:
    """Of each head, for a sequence (tokens, width)."""
    projections = np.split(np.asarray(block.output), block.heads, axis=1)
    for (queries, keys, values, shares), projection in zip(block.split(sequence), projections, strict=True):
        width = queries.shape[1]
        # norms of Wo u are those of R u, with Wo = Q R
        triangle: Doubles = np.asarray(np.linalg.qr(projection, mode="r"))
        projected = values @ triangle.T
        # column s of slopes[t]: dy_t / d(score of t and s) = Wo vᵀ (diag(p) - p pᵀ)
        slopes = shares[:, None] * (projected.T[None] - (shares @ projected)[:, :, None])
        # dy_t/dWq[i, j] = (slopes K)_i x_t,j / sqrt(d);   dy_t/dWk[i, j] = q_t,i (slopes X)_j / sqrt(d)
        by_query = ((slopes @ keys) ** 2).sum(axis=(1, 2)) / width
        rows = (slopes * (np.linalg.norm(queries, axis=1) / sqrt(width))[:, None, None]).reshape(-1, len(sequence))
        # dy_t/dWv[i, j] = Wo[:, i] (p_t X)_j, and dy_t/dWo[o, i] = (p_t v)_i in row o alone
        by_value = (projection**2).sum() * (shares.T @ shares)
        yield Derivatives(np.diag(by_query), rows.T @ rows, by_value, shares @ values)


def hessians(sequences: Iterable[Doubles], block: Attention, matrix: str) -> Doubles:
    """The Hessian of each head for one of the matrices, up to a factor; one for the output, whose heads are inputs.

    Parameters
    ----------
    sequences : iterable of ndarray of float64, shape (tokens, width)
        What goes into the block, positions included as the model adds them before the block.
    block : Attention
    matrix : str
        "query", "key", "value" or "output".

    Returns
    -------
    hessians : ndarray of float64, shape (heads, inputs, inputs) or (1, inputs, inputs)
        The sum over the outputs of a head, or one of the outputs, of the blocks of ``JᵀJ`` on its diagonal.
    """
    total: Doubles = np.zeros(())
    for sequence in sequences:
        parts = list(derivatives(sequence, block))
        if matrix == "output":
            rows = np.concatenate([part.output for part in parts], axis=1)
            total = total + (rows.T @ rows)[None]
        else:
            total = total + np.stack([sequence.T @ getattr(part, matrix) @ sequence for part in parts])
    return total


def _softmax(scores: Doubles, *, causal: bool) -> Doubles:
    if causal:
        scores = np.where(np.tri(*scores.shape) == 1, scores, -np.inf)
    weights: Doubles = np.exp(scores - scores.max(axis=1, keepdims=True))
    shares: Doubles = weights / weights.sum(axis=1, keepdims=True)
    return shares
