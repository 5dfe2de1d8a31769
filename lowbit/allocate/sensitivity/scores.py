"""What a change of weights costs, as a number: the losses that an allocation adds up.

Every function takes the weights and what they became. Sums are over all weights, in binary64.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from lowbit.errors import InputError
from lowbit.metrics.error import Float64, normalized, pair, squared_error

SMALLEST_LOSS_CHANGE = 1e-6
"""CalibTIP, mpip_compression_pytorch_multi.py: a measured loss change counts as at least this."""


def hessian_trace_loss(weights: ArrayLike, quantized: ArrayLike, trace: float) -> float:
    """HAWQ's sensitivity: the average Hessian trace of the layer times the squared error.

    Parameters
    ----------
    weights, quantized : array_like
    trace : float
        Trace of the layer's Hessian over its number of parameters (:func:`lowbit.allocate.sensitivity.
        hutchinson_trace` estimates it).

    Notes
    -----
    Source: Dong et al., "HAWQ-V2", NeurIPS 2020, equation 6; Yao et al., "HAWQ-V3", ICML 2021, section 3.4.
    """
    if not np.isfinite(trace):
        raise InputError(f"trace = {trace} is not a finite number")
    return float(trace) * squared_error(weights, quantized)


def output_error(weights: ArrayLike, quantized: ArrayLike, second_moment: ArrayLike) -> float:
    """Squared error of a linear layer's output, summed over its inputs: ``tr(D C Dᵀ)`` with ``D = W - Q(W)``.

    Parameters
    ----------
    weights, quantized : array_like, shape (outputs, inputs)
    second_moment : array_like, shape (inputs, inputs)
        ``XᵀX`` of the layer's inputs X (samples, inputs); see :func:`second_moment`.
    """
    one, other = pair(weights, quantized)
    moment = _moment(second_moment, one.shape)
    difference = one - other
    return float(np.einsum("oi,oi->", difference @ moment, difference))


def relative_output_error(weights: ArrayLike, quantized: ArrayLike, second_moment: ArrayLike) -> float:
    """:func:`output_error` over the squared norm of the output itself."""
    one, other = normalized(*pair(weights, quantized))
    power = float(np.einsum("oi,oi->", one @ _moment(second_moment, one.shape), one))
    error = output_error(one, other, second_moment)
    if not power:
        return 0.0 if not error else float("inf")
    return error / power


def second_moment(inputs: ArrayLike) -> Float64:
    """``XᵀX`` of layer inputs, samples first: all that output errors need to know of them."""
    samples = np.asarray(inputs, dtype=np.float64)
    if samples.ndim < 2:
        raise InputError(f"inputs have shape {samples.shape}; (samples, inputs) is needed")
    flat = samples.reshape(-1, samples.shape[-1])
    return flat.T @ flat


def _moment(second_moment: ArrayLike, shape: tuple[int, ...]) -> Float64:
    moment = np.asarray(second_moment, dtype=np.float64)
    if len(shape) != 2 or moment.shape != (shape[1], shape[1]):
        raise InputError(
            f"weights of shape {shape} need a second moment of shape (inputs, inputs), got {moment.shape}",
            hint="second_moment(inputs) makes it from inputs of shape (samples, inputs)",
        )
    return moment


def loss_change(loss: float, baseline: float, *, smallest: float = SMALLEST_LOSS_CHANGE) -> float:
    """CalibTIP's loss of a choice: the measured change of the network's loss, at least ``smallest``.

    Notes
    -----
    Source: Hubara et al., "Accurate Post Training Quantization with Small Calibration Sets", ICML 2021, section 4;
    the floor is that of the published ``mpip_compression_pytorch_multi.py``.
    """
    for name, value in (("loss", loss), ("baseline", baseline)):
        if not np.isfinite(value):
            raise InputError(f"{name} = {value} is not a finite number")
    return max(float(loss) - float(baseline), smallest)


def layer_input_modification(inputs: ArrayLike, outputs: ArrayLike) -> float:
    """LIM, a layer's importance by how much it turns its input: minus the cosine of input and output, in [-1, 1].

    Parameters
    ----------
    inputs, outputs : array_like, shape (..., width)
        Hidden states that go into and come out of the layer; the cosines of all tokens are averaged.

    Notes
    -----
    Source: Dumitru et al., "Layer-Wise Quantization: A Pragmatic and Effective Method for Quantizing LLMs Beyond
    Integer Bit-Levels", 2024, section 3.1. Higher is more important.
    """
    one, other = pair(inputs, outputs)
    norms = np.linalg.norm(one, axis=-1) * np.linalg.norm(other, axis=-1)
    if not norms.size or not np.all(norms > 0):
        raise InputError("a hidden state is zero or missing: its direction, and so the cosine, is undefined")
    return float(-np.mean(np.sum(one * other, axis=-1) / norms))


def z_score_distribution(weights: ArrayLike) -> float:
    """ZD, a layer's importance by its weights alone: the share whose z-score is above 1.

    Notes
    -----
    Source: Dumitru et al. 2024, section 3.2. Smaller is more important; 0.1587 for normally distributed weights, and
    the same after any scaling by a positive number and any shift.
    """
    flat = np.asarray(weights, dtype=np.float64).ravel()
    if not flat.size:
        raise InputError("there are no weights")
    deviation = float(flat.std())
    if not deviation:
        return 0.0
    return float(np.mean((flat - flat.mean()) / deviation > 1))
