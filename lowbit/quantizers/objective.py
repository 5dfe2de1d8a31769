"""Objectives: what a quantiser makes small, by the rows of a matrix of errors."""

from __future__ import annotations

from dataclasses import dataclass
from math import frexp, inf
from typing import Any, NamedTuple
from weakref import finalize

import numpy as np
import scipy.linalg

from lowbit.errors import InputError
from lowbit.metrics import relative_squared_error
from lowbit.quantizers.inputs import Doubles


@dataclass(frozen=True, eq=False)
class OutputError:
    """The squared error of a layer's outputs: ``|X E^T|^2 = sum of E G E^T`` with the Gram matrix ``G = X^T X``.

    Attributes
    ----------
    gram : ndarray, shape (inputs, inputs)
        The sum over the rows of activations; GPTQ's Hessian is ``2 G / rows``.
    """

    gram: Doubles

    @classmethod
    def of(cls, rows: Doubles, activations: Any = None) -> OutputError:
        """That of rows; ``activations``, the array that they are of, has it shared as :func:`scaled_gram` says."""
        if not _is_constant(activations):
            return cls(rows.T @ rows)
        gram, exponent = scaled_gram(rows, activations)
        return cls(np.ldexp(gram, 2 * exponent))

    def of_rows(self, errors: Doubles) -> Doubles:
        """The error of each output."""
        result: Doubles = np.einsum("ij,ij->i", errors @ self.gram, errors)
        return result

    def total(self, errors: Doubles) -> float:
        return float(self.of_rows(errors).sum())

    def relative(self, weights: Doubles, values: Doubles) -> float:
        """The error of values over the squared outputs of the weights."""
        left, whole = self.total(weights - values), self.total(weights)
        return left / whole if whole else inf if left else 0.0

    def of_groups(self, errors: Doubles, group: int) -> Doubles:
        """The error of each output as the inputs of one group alone make it, shape (outputs, groups)."""
        outputs, inputs = errors.shape
        parts = errors.reshape(outputs, inputs // group, group).swapaxes(0, 1)
        diagonal = np.einsum("gigj->gij", self.gram.reshape(inputs // group, group, inputs // group, group))
        result: Doubles = np.einsum("goi,goi->og", parts @ diagonal, parts)
        return result


KEPT = 1 << 30
"""Bytes of Gram matrices that are kept."""


class ScaledGram(NamedTuple):
    """The Gram matrix of rows over ``2^exponent``, below which all of them are: no square underflows beside others."""

    gram: Doubles
    exponent: int


_kept: dict[int, ScaledGram] = {}


def scaled_gram(rows: Doubles, activations: Any) -> ScaledGram:
    """The Gram matrix of the rows of an array, not to be written.

    Those of arrays that cannot be written are kept as long as these, so that methods and formats share them.
    """
    kept = _kept.get(id(activations))
    if kept is None:
        exponent = frexp(float(np.abs(rows).max()))[1]
        rows = np.ldexp(rows, -exponent)
        kept = ScaledGram(rows.T @ rows, exponent)
        size = sum(other.gram.nbytes for other in _kept.values()) + kept.gram.nbytes
        if _is_constant(activations) and size <= KEPT:
            _kept[id(activations)] = kept
            finalize(activations, _kept.pop, id(activations)).atexit = False
    return kept


def _is_constant(array: Any) -> bool:
    """Whether nothing can change it: it owns its numbers, and they cannot be written."""
    return isinstance(array, np.ndarray) and array.base is None and not array.flags.writeable


def relative_error(weights: Doubles, values: Doubles, activations: Doubles | None = None) -> float:
    """The squared error over the squared weights, or of the outputs over the squared outputs."""
    if activations is None:
        return relative_squared_error(weights, values)
    return relative_squared_error(activations @ weights.T, activations @ values.T)


def inverse_factor(gram: Doubles, damping: float) -> Doubles:
    """The upper Cholesky factor U of the inverse Hessian, ``U^T U = (G + damping * mean(diag G) I)^-1``.

    With ``J`` the reversal of the order, ``J H J = L L^T`` gives ``H = R R^T`` with the upper ``R = J L J``, and U is
    the inverse of R: one factorisation and one triangular inverse instead of two factorisations and an inverse.

    Raises InputError: the matrix is not positive definite.
    """
    damped = np.array(gram[::-1, ::-1], np.float64, order="F")
    damped[np.diag_indices_from(damped)] += damping * float(np.mean(np.diag(gram)))
    if not np.isfinite(damped).all():
        raise InputError("the Hessian of the activations is beyond binary64", hint="smaller activations or damping")
    lower, info = scipy.linalg.lapack.dpotrf(damped, lower=1, clean=1, overwrite_a=1)
    if info != 0 or not np.isfinite(lower).all():
        raise InputError(
            f"the Hessian of the activations is singular at input {min(gram.shape[0] - int(info), len(gram) - 1)}: "
            "rounding errors cannot be spread over the other inputs",
            hint="more rows than inputs, or a larger damping: damping=0.01 is usual",
        )
    upper, _ = scipy.linalg.lapack.dtrtri(np.asfortranarray(lower[::-1, ::-1]), lower=0, overwrite_c=1)
    result: Doubles = upper
    return result
