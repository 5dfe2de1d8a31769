"""Requantise: accumulators of an integer product to codes of few bits, as a named scheme does it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from lowbit.errors import InputError
from lowbit.kernels.requantize import layout as at
from lowbit.ops.arrays import Array, FormatLike, as_array, check_out, checked_threads
from lowbit.ops.requantize.arguments import (
    checked_accumulators,
    checked_multipliers,
    checked_range,
    checked_result,
    derived_pairs,
    within_domain,
)
from lowbit.ops.requantize.run import Task, requantize_array
from lowbit.ops.types import Results
from lowbit.policy.requantize import RequantizeScheme, get_requantize_scheme


def requantize(  # noqa: PLR0913 (all but the first are keyword-only options)
    accumulators: npt.ArrayLike,
    *,
    scheme: RequantizeScheme | str,
    multiplier: npt.ArrayLike | None = None,
    shift: npt.ArrayLike | None = None,
    scale: npt.ArrayLike | None = None,
    zero_point: int = 0,
    result: FormatLike = "int8",
    minimum: int | None = None,
    maximum: int | None = None,
    axis: int = -1,
    out: Array | None = None,
    return_counts: bool = False,
    threads: int = 1,
) -> Results:
    """Requantise integer accumulators: times a scale, rounded as the scheme says, plus the zero point, clamped.

    Parameters
    ----------
    accumulators : array_like of int
        Of any shape; 32 bits, 48 for the schemes whose ``accumulator_bits`` says so.
    scheme : RequantizeScheme or str
        ``lowbit.REQUANTIZE_SCHEMES`` lists the names.
    multiplier, shift : int or 1-D array_like of int, optional
        In the scheme's own convention: TFLite's shift is positive to the left (``multiplier * 2**(shift - 31)``),
        TOSA's to the right (``multiplier * 2**-shift``). An array has one entry a channel along ``axis``.
    scale : float or 1-D array_like of float, optional
        Instead of them: the scheme's ``derivation`` makes multiplier and shift of it, or the scheme multiplies by it.
    zero_point : int
        Added to the result, in its codes; NVDLA subtracts it from the accumulators.
    result : str, Format or dtype
        An integer format of at most 32 bits.
    minimum, maximum : int, optional
        The range that results are clamped to, in codes (an activation's); default: the whole format.
    axis : int
        The axis of the channels, where there is more than one.
    out : ndarray, optional
        Where the codes go: of the format's code dtype and of the shape of ``accumulators``.
    return_counts : bool
        Also return a dict: how many results were ``saturated`` by the last clamp, and in how many an intermediate
        value left its width (``wrapped``).
    threads : int
        How many threads share the work; the bits are the same for any number.

    Returns
    -------
    codes : ndarray or scalar
    counts : dict, if ``return_counts``

    Raises
    ------
    InputError
        A scale is zero, negative or NaN, a multiplier or shift is out of the scheme's range, an accumulator outside
        the range for which the scheme defines a result, or an array of a wrong dtype or shape.
    PolicyError
        The scheme is unknown.

    Notes
    -----
    Source: each scheme names its own (``lowbit.get_requantize_scheme("tflm").source``).

    Examples
    --------
    >>> [int(requantize(7984, scheme=name, multiplier=1583594044, shift=-9)) for name in ("tflite_double", "tflite_single")]
    [12, 11]
    >>> int(requantize(-3279, scheme="xnnpack_fp32", scale=0.03827386349439621))
    -126
    """  # noqa: E501 (the example is one call)
    rules, target = get_requantize_scheme(scheme), checked_result(result)
    multipliers = checked_multipliers(rules, multiplier, shift, scale)
    within = checked_range(rules, target, zero_point, minimum, maximum)
    array = checked_accumulators(accumulators)
    place = _checked_axis(axis, array, multipliers.multiplier.size)
    array = within_domain(array, rules, multipliers, within, place)
    shape = np.shape(accumulators)
    codes = checked_out(out, shape, np.dtype(target.code_dtype), array)
    flags = np.empty(array.shape, dtype=np.uint8) if return_counts else None
    requantize_array(
        Task(rules, multipliers, within, target), array, place, codes, flags=flags, threads=checked_threads(threads)
    )
    results: Any = codes.reshape(shape)[()]
    if out is not None:
        if codes is not out:
            out[...] = results
        results = out
    if flags is None:
        return results
    counts = {
        "saturated": int(np.count_nonzero(flags & at.FLAG_SATURATED)),
        "wrapped": int(np.count_nonzero(flags & at.FLAG_WRAPPED)),
    }
    return results, counts


def quantize_multiplier(scale: npt.ArrayLike, *, scheme: RequantizeScheme | str) -> tuple[Results, Results]:
    """The multiplier and the shift that a scheme's product derives from a scale, in the scheme's own convention.

    Parameters
    ----------
    scale : float or array_like of float
        Positive. ``lowbit.effective_scale`` makes it of the scales of input, weight and output.
    scheme : RequantizeScheme or str

    Returns
    -------
    multiplier, shift : int, or int64 arrays of the shape of ``scale``
        For a scheme that multiplies by the scale itself: its significand, and the shift to the right that goes with it.

    Raises
    ------
    InputError
        A scale is zero, negative, infinite or NaN, or beyond what the scheme can express.

    Notes
    -----
    Source: as for ``lowbit.policy.multiplier.derive_multiplier``.

    Examples
    --------
    >>> quantize_multiplier(0.0123, scheme="tflite_double")
    (1690499128, -6)
    """
    scales = as_array(scale, "scale")
    if scales.dtype.kind not in "fiu":
        raise InputError(f"scale has dtype {scales.dtype}, not a floating-point one")
    pairs = derived_pairs(scheme, scales)
    if scales.ndim == 0:
        return pairs[0]
    columns = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return columns[:, 0].reshape(scales.shape).copy(), columns[:, 1].reshape(scales.shape).copy()


def _checked_axis(axis: Any, array: Array, channels: int) -> int:
    if channels == 1:
        return 0
    if not isinstance(axis, int | np.integer) or not -array.ndim <= axis < array.ndim:
        raise InputError(f"axis = {axis!r} is not an axis of accumulators of {array.ndim} dimensions")
    place = int(axis) % array.ndim
    if array.shape[place] != channels:
        raise InputError(
            f"{channels} scales for {array.shape[place]} channels along axis {axis} of shape {array.shape}",
            hint="axis= names the axis of the channels; the last one is the default",
        )
    return place


def checked_out(out: Any, shape: tuple[int, ...], dtype: np.dtype[Any], *inputs: Array) -> Array:
    """A C-contiguous array for results: the caller's, or a new one where his does not suit or shares memory."""
    if out is None:
        return np.empty(shape, dtype=dtype)
    check_out(out, shape, dtype)
    suits = out.flags.c_contiguous and not any(np.may_share_memory(out, array) for array in inputs)
    return out if suits else np.empty(shape, dtype=dtype)
