"""Batch normalisation folded into the layer before it, and its statistics estimated again after quantisation.

Real arithmetic on weights, before there are codes: pure functions of arrays.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lowbit.errors import InputError

Reals = npt.NDArray[np.float64]


def fold_batch_norm(
    weight: npt.ArrayLike,
    bias: npt.ArrayLike | None,
    *,
    mean: npt.ArrayLike,
    variance: npt.ArrayLike,
    gamma: npt.ArrayLike = 1.0,
    beta: npt.ArrayLike = 0.0,
    epsilon: float = 1e-5,
) -> tuple[Reals, Reals]:
    """The weight and the bias that give what a layer and the batch normalisation after it give.

    Parameters
    ----------
    weight : array_like, shape (out, ...)
        Of a linear layer or a convolution, outputs first.
    bias : array_like, shape (out,), optional
    mean, variance : array_like, shape (out,)
        The running statistics.
    gamma, beta : array_like, shape (out,)
    epsilon : float
        Added to the variance.

    Returns
    -------
    weight, bias : ndarray of float64

    Raises
    ------
    InputError
        A variance plus epsilon is not positive, or a length is not that of the outputs.

    Notes
    -----
    Source: Jacob et al., arXiv 1712.05877, section 3.2.

    Examples
    --------
    >>> weight, bias = fold_batch_norm([[2.0]], [1.0], mean=[3.0], variance=[4.0], beta=[0.5], epsilon=0.0)
    >>> weight.tolist(), bias.tolist()
    ([[1.0]], [-0.5])
    """
    taps = np.asarray(weight, np.float64)
    means, variances, gammas, betas, biases = (
        _one_each(values, name, len(taps))
        for name, values in (
            ("mean", mean),
            ("variance", variance),
            ("gamma", gamma),
            ("beta", beta),
            ("bias", 0.0 if bias is None else bias),
        )
    )
    if not (variances + epsilon > 0).all():
        place = int(np.flatnonzero(~(variances + epsilon > 0))[0])
        raise InputError(f"variance[{place}] = {variances[place]} plus epsilon = {epsilon} is not positive")
    factors = gammas / np.sqrt(variances + epsilon)
    return _scaled(taps, factors), (biases - means) * factors + betas


def match_statistics(
    weight: npt.ArrayLike, bias: npt.ArrayLike | None, outputs: npt.ArrayLike, wanted: npt.ArrayLike
) -> tuple[Reals, Reals]:
    """The weight and the bias whose outputs have the mean and the deviation of wanted ones, channel by channel.

    Quantised weights shift and shrink what a folded batch normalisation had normalised. As if it were there still, its
    statistics are those of the quantised layer's outputs, its gamma and beta those of the outputs before.

    Parameters
    ----------
    weight : array_like, shape (out, ...)
    bias : array_like, shape (out,), optional
    outputs : array_like, shape (..., out)
        Of the quantised layer on calibration data.
    wanted : array_like, shape (..., out)
        Of the layer before.

    Returns
    -------
    weight, bias : ndarray of float64
        Channels whose outputs do not vary get another bias only.

    Raises
    ------
    InputError
        The outputs are empty, or are not of so many channels.

    Notes
    -----
    Source: Hubara et al., "Improving Post Training Neural Quantization", arXiv 2006.10518 (batch-norm tuning), whose
    code is CalibTIP.

    Examples
    --------
    >>> weight, bias = match_statistics([[1.0]], None, [[0.0], [2.0]], [[1.0], [5.0]])
    >>> weight.tolist(), bias.tolist()
    ([[2.0]], [1.0])
    """
    taps = np.asarray(weight, np.float64)
    biases = _one_each(0.0 if bias is None else bias, "bias", len(taps))
    found, before = (
        _statistics(values, name, len(taps)) for name, values in (("outputs", outputs), ("wanted", wanted))
    )
    varies = (found[1] > 0) & (before[1] > 0)
    factors = np.divide(before[1], found[1], out=np.ones(len(taps)), where=varies)
    return _scaled(taps, factors), (biases - found[0]) * factors + before[0]


def _scaled(weight: Reals, factors: Reals) -> Reals:
    return weight * factors.reshape(-1, *[1] * (weight.ndim - 1))


def _one_each(values: npt.ArrayLike, name: str, count: int) -> Reals:
    array = np.asarray(values, np.float64)
    if array.ndim > 1 or array.size not in (1, count):
        raise InputError(f"{name} has shape {array.shape}, and the weight {count} outputs")
    return np.broadcast_to(array.reshape(-1), (count,))


def _statistics(values: npt.ArrayLike, name: str, count: int) -> tuple[Reals, Reals]:
    array = np.asarray(values, np.float64)
    if array.ndim < 2 or array.shape[-1] != count or not array.size:
        raise InputError(f"{name} have shape {array.shape}, not (..., {count}) with an output at least")
    rows = array.reshape(-1, count)
    return rows.mean(axis=0), rows.std(axis=0)
