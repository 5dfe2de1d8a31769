"""Hutchinson's estimate of a trace from products with a matrix that nobody has to write down."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lowbit.errors import InputError
from lowbit.vectors.splitmix import splitmix64


@dataclass(frozen=True)
class TraceEstimate:
    """A trace, as estimated.

    Attributes
    ----------
    trace : float
        The mean over the samples.
    standard_error : float
        Of that mean; NaN for a single sample.
    samples : int
    """

    trace: float
    standard_error: float
    samples: int

    def average(self, parameters: int) -> float:
        """The trace over the number of parameters, which HAWQ multiplies with the squared error."""
        return self.trace / parameters


def hutchinson_trace(
    product: Callable[[NDArray[np.float64]], ArrayLike],
    size: int,
    *,
    samples: int = 64,
    seed: int = 0,
    relative_tolerance: float = 0.0,
) -> TraceEstimate:
    """Estimate the trace of a square matrix H from products ``H @ v`` with random signs v.

    The mean of ``vᵀHv`` over vectors of independent signs is the trace, and a diagonal H gives it with one sample.

    Parameters
    ----------
    product : callable
        Takes v, shape (size,), and returns ``H @ v``: a Hessian-vector product, for example.
    size : int
        Rows of H.
    samples : int
        At most that many products.
    seed : int
        The same seed gives the same vectors everywhere.
    relative_tolerance : float
        Stop once the standard error is below this share of the trace; 0 takes all samples.

    Raises
    ------
    InputError
        A product has the wrong shape or is not finite.

    Notes
    -----
    Source: Hutchinson, "A stochastic estimator of the trace of the influence matrix for Laplacian smoothing splines",
    Communications in Statistics 19(2), 1990; used for bit allocation by HAWQ-V2 (Dong et al., NeurIPS 2020).
    """
    if size < 1 or samples < 1:
        raise InputError(f"size = {size} and samples = {samples}: both must be at least 1")
    values: list[float] = []
    words = -(-size // 64)
    for sample in range(samples):
        bits = splitmix64(seed, words, start=sample * words)
        coins = np.unpackbits(bits.astype("<u8").view(np.uint8), bitorder="little")[:size]
        signs = np.where(coins == 1, np.float64(1), np.float64(-1))
        answer = np.asarray(product(signs), dtype=np.float64)
        if answer.shape != (size,):
            raise InputError(f"the product has shape {answer.shape}, not ({size},)")
        if not np.isfinite(answer).all():
            raise InputError(f"the product of sample {sample} is not finite at {int(np.argmin(np.isfinite(answer)))}")
        values.append(float(signs @ answer))
        estimate = _estimate(values)
        if estimate.standard_error < relative_tolerance * abs(estimate.trace):
            break
    return _estimate(values)


def _estimate(values: list[float]) -> TraceEstimate:
    count = len(values)
    deviation = float(np.std(values, ddof=1)) / sqrt(count) if count > 1 else float("nan")
    return TraceEstimate(float(np.mean(values)), deviation, count)
