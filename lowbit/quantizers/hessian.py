"""What error feedback knows of a layer: its weights, and the factor of the inverse Hessian of its outputs."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lowbit.errors import InputError
from lowbit.quantizers.inputs import Doubles, activation_rows, finite_matrix
from lowbit.quantizers.objective import inverse_factor, scaled_gram

SYMMETRY = 1e-9
"""How far a Hessian may be from a symmetric matrix, over its largest entry: products in another order."""

PART = 128
"""Rows of a large matrix that are looked at together."""

REPORT = {
    "tie_margin": "the smallest distance of a weight from a tie, over the distance of the two levels",
    "dead_inputs": "how many inputs are always zero",
}
"""What methods with error feedback report."""


class Layer(NamedTuple):
    """A layer before its columns are rounded one by one.

    Attributes
    ----------
    weights : ndarray of float64, shape (outputs, inputs)
        In their own order; 0 for inputs that are always zero.
    order : ndarray of int64, shape (inputs,)
        In which columns are rounded.
    factor : ndarray of float64, shape (inputs, inputs)
        The upper Cholesky factor of the inverse Hessian, in this order.
    dead : int
        How many inputs are always zero.
    """

    weights: Doubles
    order: npt.NDArray[np.int64]
    factor: Doubles
    dead: int


def prepared(
    weights: Doubles,
    activations: npt.ArrayLike | None,
    hessian: npt.ArrayLike | None,
    *,
    ordered: bool,
    damping: float,
    method: str,
) -> Layer:
    """A layer for error feedback, from activations (rows, inputs) or a Hessian (inputs, inputs).

    Parameters
    ----------
    weights : ndarray of float64, shape (outputs, inputs)
    activations : array_like, shape (rows, inputs), optional
    hessian : array_like, shape (inputs, inputs), optional
        In place of activations.
    ordered : bool
        Whether inputs of large activations come first.
    damping : float
        This share of the mean of the Hessian's diagonal is added to it.
    method : str
        For messages.

    Raises InputError: neither or both are there, they are not finite or do not fit, or the Hessian is singular.
    """
    matrix, inputs = weights.copy(), weights.shape[1]
    gram = _gram(activations, hessian, inputs, method)
    dead = np.diag(gram) == 0
    gram[dead, dead] = 1
    matrix[:, dead] = 0
    order = np.arange(inputs)
    if ordered:
        order = np.argsort(-np.diag(gram), kind="stable")
        gram = gram[np.ix_(order, order)]
    return Layer(matrix, order, inverse_factor(gram, damping), int(dead.sum()))


def _gram(activations: npt.ArrayLike | None, hessian: npt.ArrayLike | None, inputs: int, method: str) -> Doubles:
    if hessian is None:
        # codes do not depend on the size of all activations together
        return scaled_gram(activation_rows(activations, inputs, method), activations).gram.copy()
    if activations is not None:
        raise InputError("activations and a Hessian are two sources of one matrix", hint="pass one of them")
    return hessian_matrix(hessian, inputs)


def hessian_matrix(hessian: npt.ArrayLike, inputs: int) -> Doubles:
    """A Hessian (inputs, inputs) in binary64.

    Raises InputError: it is not finite, or not a symmetric matrix of that shape.
    """
    gram = finite_matrix(hessian, "hessian", f"({inputs}, {inputs})")
    if gram.shape != (inputs, inputs) or _asymmetry(gram) > SYMMETRY * np.abs(gram).max():
        raise InputError(
            f"the Hessian, of shape {gram.shape}, is not a symmetric matrix of shape ({inputs}, {inputs})",
            hint="activations.T @ activations",
        )
    return gram


def _asymmetry(gram: Doubles) -> float:
    """The largest distance of an entry from its mirror image, over parts that a cache holds."""
    starts = range(0, len(gram), PART)
    parts = (np.abs(gram[at : at + PART, : at + PART] - gram[: at + PART, at : at + PART].T).max() for at in starts)
    return float(max(parts))
