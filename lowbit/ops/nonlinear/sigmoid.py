"""The logistic function and the hyperbolic tangent over integer codes, under integer-only schemes."""

from __future__ import annotations

import numpy.typing as npt

from lowbit.ops.nonlinear.dispatch import dispatch
from lowbit.ops.nonlinear.documentation import documented
from lowbit.ops.types import Array, Codes, Results, ScaleLike


@documented
def logistic(  # noqa: PLR0913 (all but one are keyword-only options)
    codes: Codes,
    *,
    scheme: str = "tflite_int8",
    variant: str | None = None,
    scale: ScaleLike | None = None,
    overflow: str = "wrap",
    bits: int | None = None,
    return_scale: bool = False,
    return_values: bool = False,
    out: Array | None = None,
    threads: int = 1,
    **options: npt.ArrayLike,
) -> Results:
    """Compute the logistic function 1 / (1 + exp(-x)) of integer codes, bit for bit as an integer-only scheme does.

    Parameters
    ----------
    codes : array_like of int
        Of any shape.

    Returns
    -------
    codes : ndarray
        Of the shape of ``codes``: int8 in 1/256 from -128 (the int8 schemes), int16 in 1/32768 (the int16 schemes),
        int32 or int16 in Q0 (gemmlowp), int32 (tosa).
    scale : float, if ``return_scale``
    values : ndarray of float64, if ``return_values``

    Notes
    -----
    Source: tensorflow/tflite-micro, ``tensorflow/lite/kernels/internal/reference/integer_ops/logistic.h``; gemmlowp,
    ``fixedpoint/fixedpoint.h``; TOSA specification 1.0, operator TABLE.

    Examples
    --------
    >>> logistic([-128, -20, 0, 20, 127], scale=0.05).tolist()
    [-128, -59, 0, 59, 127]
    """
    returns = (return_scale, return_values)
    return dispatch("logistic", codes, scheme, variant, scale, overflow, -1, bits, returns, out, threads, options)


@documented
def tanh(  # noqa: PLR0913 (all but one are keyword-only options)
    codes: Codes,
    *,
    scheme: str = "tflite_int8",
    variant: str | None = None,
    scale: ScaleLike | None = None,
    overflow: str = "wrap",
    bits: int | None = None,
    return_scale: bool = False,
    return_values: bool = False,
    out: Array | None = None,
    threads: int = 1,
    **options: npt.ArrayLike,
) -> Results:
    """Compute the hyperbolic tangent of integer codes, bit for bit as an integer-only scheme does.

    Parameters
    ----------
    codes : array_like of int
        Of any shape.

    Returns
    -------
    codes : ndarray
        Of the shape of ``codes``: int8 in 1/128 (the int8 schemes), int16 in 1/32768 (the int16 schemes), int32 or
        int16 in Q0 (gemmlowp), int32 (tosa).
    scale : float, if ``return_scale``
    values : ndarray of float64, if ``return_values``

    Notes
    -----
    Source: tensorflow/tflite-micro, ``tensorflow/lite/kernels/internal/reference/integer_ops/tanh.h``; gemmlowp,
    ``fixedpoint/fixedpoint.h``; TOSA specification 1.0, operator TABLE.

    Examples
    --------
    >>> tanh([-128, -20, 0, 20, 127], scale=0.05).tolist()
    [-128, -97, 0, 97, 127]
    """
    returns = (return_scale, return_values)
    return dispatch("tanh", codes, scheme, variant, scale, overflow, -1, bits, returns, out, threads, options)
