"""Errors of quantised values against the values themselves."""

from __future__ import annotations

from math import frexp, inf, log10

import numpy as np
import numpy.typing as npt
from numpy.typing import NDArray

from lowbit.errors import InputError

Float64 = NDArray[np.float64]

SMALL_PEAK, LARGE_PEAK = 2.0**-400, 2.0**400
"""Between these, squares and their sums are normal numbers of binary64."""


def pair(values: npt.ArrayLike, quantized: npt.ArrayLike) -> tuple[Float64, Float64]:
    """Both in binary64.

    Raises
    ------
    InputError
        They are not numbers, or of different shapes.
    """
    try:
        one, other = np.asarray(values, np.float64), np.asarray(quantized, np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"values are not numbers: {error}", hint="lowbit.dequantize and lowbit.decode give some"
        ) from None
    if one.shape != other.shape:
        raise InputError(f"values have shape {one.shape}, their quantised form {other.shape}")
    return one, other


def normalized(values: Float64, quantized: Float64) -> tuple[Float64, Float64]:
    """Both over one power of two, where squares could underflow or overflow; others stay as they are."""
    peak = float(np.abs(values).max(initial=0.0))
    if SMALL_PEAK <= peak <= LARGE_PEAK or not 0 < peak < inf:
        return values, quantized
    exponent = frexp(peak)[1]
    return np.ldexp(values, -exponent), np.ldexp(quantized, -exponent)


def _error_and_power(values: npt.ArrayLike, quantized: npt.ArrayLike) -> tuple[float, float, int]:
    """The sum of squared errors and that of squares, the first still to be multiplied by two to a power.

    Errors have a power of two of their own: none is lost beside larger values.
    """
    with np.errstate(all="ignore"):
        one, other = normalized(*pair(values, quantized))
        difference, power = (one - other).ravel(), float(one.ravel() @ one.ravel())
        peak = float(np.abs(difference).max(initial=0.0))
        exponent = frexp(peak)[1] if 0 < peak < SMALL_PEAK else 0
        scaled = np.ldexp(difference, -exponent)
        return float(scaled @ scaled), power, 2 * exponent


def squared_error(values: npt.ArrayLike, quantized: npt.ArrayLike) -> float:
    """Sum of the squared errors, ``‖x - q‖²``.

    Parameters
    ----------
    values, quantized : array_like
        Of one shape.

    Returns
    -------
    float
        NaN where a value is NaN, or infinite on both sides.

    Raises
    ------
    InputError
        The shapes differ, or something is not a number.
    """
    one, other = pair(values, quantized)
    with np.errstate(all="ignore"):
        difference = (one - other).ravel()
        return float(difference @ difference)


def relative_squared_error(values: npt.ArrayLike, quantized: npt.ArrayLike) -> float:
    """Relative mean squared error, ``‖x - q‖² / ‖x‖²``: the inverse of the signal-to-quantisation-noise ratio.

    Parameters
    ----------
    values, quantized : array_like
        Of one shape; the number of values, over which both means are taken, cancels.

    Returns
    -------
    float
        0 where nothing differs, infinite where values that are all 0 became others, NaN where a value is NaN.

    Raises
    ------
    InputError
        The shapes differ, or something is not a number.

    Examples
    --------
    >>> relative_squared_error([3.0, 4.0], [3.0, 3.5])
    0.01
    """
    error, power, exponent = _error_and_power(values, quantized)
    if not power:
        return inf if error else 0.0
    with np.errstate(all="ignore"):
        return float(np.ldexp(error / power, exponent))


def signal_to_quantization_noise(values: npt.ArrayLike, quantized: npt.ArrayLike) -> float:
    """Signal-to-quantisation-noise ratio (SQNR) in decibels, ``10 log10(‖x‖² / ‖x - q‖²)``.

    Parameters
    ----------
    values, quantized : array_like
        Of one shape.

    Returns
    -------
    float
        Infinite where nothing differs; one more bit of a uniform quantiser adds 6.02.

    Raises
    ------
    InputError
        The shapes differ, or something is not a number.

    Notes
    -----
    Source: Bennett, "Spectra of Quantized Signals", Bell System Technical Journal 27, 1948.

    Examples
    --------
    >>> round(signal_to_quantization_noise([3.0, 4.0], [3.0, 3.5]), 6)
    20.0
    """
    error, power, exponent = _error_and_power(values, quantized)
    if not error or not power:
        return -inf if error else inf
    relative = error / power
    if relative in (0, inf):
        return -inf if relative else inf
    return -10 * (log10(relative) + exponent * log10(2))


def largest_error(values: npt.ArrayLike, quantized: npt.ArrayLike) -> float:
    """The largest magnitude of an error, ``max |x - q|``; 0 of nothing, NaN where an error is.

    Parameters
    ----------
    values, quantized : array_like
        Of one shape.

    Raises
    ------
    InputError
        The shapes differ, or something is not a number.
    """
    one, other = pair(values, quantized)
    with np.errstate(all="ignore"):
        return float(np.abs(one - other).max(initial=0.0))


def cosine_similarity(values: npt.ArrayLike, quantized: npt.ArrayLike) -> float:
    """The cosine of the angle between two arrays as vectors, ``x·q / (‖x‖ ‖q‖)``.

    Parameters
    ----------
    values, quantized : array_like
        Of one shape.

    Returns
    -------
    float
        In [-1, 1]; it does not depend on how the two are scaled.

    Raises
    ------
    InputError
        The shapes differ, something is not a number, or one of the two is 0 everywhere and has no direction.
    """
    one, other = pair(values, quantized)
    one, other = (normalized(array, array)[0].ravel() for array in (one, other))
    with np.errstate(all="ignore"):
        norms = float(np.linalg.norm(one) * np.linalg.norm(other))
        if norms == 0:
            raise InputError("one of the arrays is zero everywhere: it has no direction, and so no cosine with another")
        return float(np.clip(one @ other / norms, -1, 1))


def quantization_kernel(quantized: npt.ArrayLike) -> float:
    """The share of values that became zero: how large a quantiser's kernel is.

    Parameters
    ----------
    quantized : array_like
        Values, or codes of integers that stand for themselves over a step.

    Returns
    -------
    float
        0 to 1; 0 of nothing.

    Raises
    ------
    InputError
        They are not numbers.

    Notes
    -----
    Under a step these are the values of at most half of it. Source: Liu et al., "CrossQuant" (arXiv 2410.07505),
    definition 1.

    Examples
    --------
    >>> quantization_kernel([0, 3, 0, -1])
    0.5
    """
    values, _ = pair(quantized, quantized)
    return float((values == 0).mean()) if values.size else 0.0
