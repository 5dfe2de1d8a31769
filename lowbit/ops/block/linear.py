"""Affine quantisation with given scales and zero points: QuantizeLinear and its kin, bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from lowbit.errors import InputError, PolicyError
from lowbit.format.protocol import Scalar
from lowbit.format.registry import scalar_format
from lowbit.format.types import FormatLike
from lowbit.ops.arithmetic.exact_rounding import add_to_odd
from lowbit.ops.arrays import Array, as_array, check_range, checked_codes, integer_array
from lowbit.ops.block.scales import Steps
from lowbit.ops.block.values import plain_values
from lowbit.ops.cast.cast import decode, encode, numpy_dtype
from lowbit.ops.types import Results
from lowbit.policy.block import BlockPolicy, get_block_policy

WIDEST = 16
"""Bits of the integers that the zero point is subtracted from: the difference times a binary32 scale is exact."""


def quantize_linear(
    values: npt.ArrayLike,
    scale: npt.ArrayLike,
    zero_point: npt.ArrayLike = 0,
    *,
    to: FormatLike = "uint8",
    axis: int | None = None,
    block: int | None = None,
    policy: BlockPolicy | str = "onnx",
) -> Results:
    """Quantise by given scales: ``saturate(round(x / scale) + zero_point)``, as ONNX's QuantizeLinear says.

    Parameters
    ----------
    values : array_like
        Floats.
    scale : array_like
        Positive: one number, one for each index of ``axis``, or one for each ``block`` of neighbours along it.
    zero_point : array_like of int
        Codes of ``to``, of the shape of ``scale`` or one for all; 0 for a float format.
    to : str, Format or dtype
        An integer format of at most 16 bits, or a float format of at most 8.
    axis : int, optional
        The axis that scales differ along; needed unless there is one scale.
    block : int, optional
        Neighbours along the axis that share a scale.
    policy : BlockPolicy or str
        "onnx", "onnxruntime", "tflite", "torch", "torchao", "compressed_tensors", ..., or one's own: its
        ``arithmetic``, ``quotient_steps``, ``zero_point_place`` and ``element`` count here. With rounded steps the
        values and scales are rounded first.

    Returns
    -------
    codes : ndarray or scalar
        A NaN is what the policy of the elements says, 0 for integers, before the zero point is added.

    Raises
    ------
    InputError
        A scale is not positive, a zero point is not a code, or a shape does not fit.
    PolicyError
        The policy is unknown, or its elements do not saturate.

    Notes
    -----
    Source: ONNX operators, QuantizeLinear-23.

    Examples
    --------
    >>> quantize_linear([-1.0, 0.0, 0.25, 3.0], 0.1, 128).tolist()
    [118, 128, 130, 158]
    """
    target, chosen = _integer_or_float(to), get_block_policy(policy)
    numbers = plain_values(values)
    scales, zeros = _parameters(scale, zero_point, target, numbers.shape, axis, block)
    steps = Steps(chosen)
    codes = linear_codes(steps.enter(numbers), steps.enter(scales), zeros, target, chosen)
    return codes if codes.ndim else codes[()]


def linear_codes(
    values: Array,
    scales: Array,
    zeros: Array,
    target: Scalar,
    policy: BlockPolicy,
    random: Array | None = None,
    *,
    factors: Array | None = None,
) -> Array:
    """The codes of values, by scales and zero points that go with them, all as the first step finds them.

    With ``factors`` values are multiplied by these instead.
    """
    steps, element = Steps(policy), policy.policy("element", target)
    cuts = policy.rounding_steps.endswith("sum")
    with np.errstate(all="ignore"):
        if factors is None and policy.quotient_steps == "reciprocal" and not steps.exact:
            factors = steps.divide(steps.dtype(1), scales)
            factors = steps.limited(factors) if cuts else factors
            if policy.zero_scale == "zero" and policy.zero_block == "project":
                factors = np.where(scales == 0, steps.dtype(0), factors)
        quotients = steps.divide(values, scales) if factors is None else steps.multiply(values, factors)
        signs = np.where(np.isnan(values), values, 1)
        quotients = np.where(np.isnan(quotients), np.copysign(np.nan, signs), quotients).astype(steps.dtype)
        if cuts:
            multiplied = None if factors is None else (values, factors)
            quotients = cut_sums(quotients, multiplied, float(target.codes[0]), policy)
        if target.wraps and policy.zero_point_place != "after_rounding":
            odd = steps.exact
            if policy.zero_point_place == "fused" and factors is not None:
                quotients, odd = values.astype(np.float64) * factors, True  # exact: binary64 has twice as many bits
            pair = np.broadcast_arrays(quotients, zeros.astype(quotients.dtype))
            total = add_to_odd(*pair) if odd else np.add(*pair, dtype=steps.dtype)
            quotients = (total if steps.exact else steps.rounded(total)).astype(steps.dtype)
    if not target.wraps or policy.zero_point_place != "after_rounding":
        return np.asarray(encode(quotients, target, policy=element, random_bits=random))
    if element.overflow != "saturate":
        raise PolicyError(
            f"element: overflow = {element.overflow!r}, but codes saturate here", hint="element='integer'"
        )
    wide = np.asarray(encode(quotients, "int32", policy=element, random_bits=random)).astype(np.int64) + zeros
    return np.clip(wide, target.codes[0], target.codes[-1]).astype(target.code_dtype)


def cut_sums(quotients: Array, factors: tuple[Array, Array] | None, lowest: float, policy: BlockPolicy) -> Array:
    """Integers from binary32 quotients, or from the factors whose products they are, for ``policy.rounding_steps``."""
    half = np.float32(0.5 - lowest)
    if policy.rounding_steps == "fused_sum" and factors is not None:
        exact = np.multiply(*factors, dtype=np.float64)  # binary64 has more than twice as many bits
        total = add_to_odd(exact, np.broadcast_to(np.float64(half), exact.shape)).astype(np.float32)
    else:
        total = quotients + half
    return np.asarray(np.trunc(total) + np.float32(lowest))


def dequantize_linear(
    codes: npt.ArrayLike,
    scale: npt.ArrayLike,
    zero_point: npt.ArrayLike = 0,
    *,
    fmt: FormatLike = "uint8",
    axis: int | None = None,
    block: int | None = None,
    dtype: npt.DTypeLike = np.float32,
) -> Results:
    """What codes are worth: ``(code - zero_point) * scale``, rounded once into the dtype.

    Parameters
    ----------
    codes : array_like of int
        Codes of ``fmt``.
    scale, zero_point, axis, block
        As for :func:`quantize_linear`; the scale is rounded to binary32 unless the dtype is float64.
    fmt : str, Format or dtype
    dtype : dtype
        float32 or float64.

    Returns
    -------
    values : ndarray or scalar

    Raises
    ------
    InputError
        As for :func:`quantize_linear`, or an element is not a code.

    Examples
    --------
    >>> dequantize_linear([128, 130], 0.5, 128).tolist()
    [0.0, 1.0]
    """
    source = _integer_or_float(fmt)
    array = checked_codes(codes, source)
    wanted = numpy_dtype(dtype)
    if wanted not in (np.float32, np.float64):
        raise InputError(f"dtype {wanted} is not float32 or float64", hint="dtype=numpy.float32")
    scales, zeros = _parameters(scale, zero_point, source, array.shape, axis, block)
    numbers = array.astype(np.int64) - zeros if source.wraps else decode(array, source, dtype=np.float64)
    with np.errstate(all="ignore"):
        values = np.asarray(numbers * scales.astype(wanted).astype(np.float64)).astype(wanted)
    return values if values.ndim else values[()]


def fake_quantize(
    values: npt.ArrayLike,
    scale: npt.ArrayLike,
    zero_point: npt.ArrayLike = 0,
    *,
    to: FormatLike = "uint8",
    axis: int | None = None,
    block: int | None = None,
    policy: BlockPolicy | str = "onnx",
) -> Results:
    """What values are worth after :func:`quantize_linear`: the two functions one after the other, in float32.

    Parameters
    ----------
    values, scale, zero_point, to, axis, block, policy
        As for :func:`quantize_linear`.

    Examples
    --------
    >>> fake_quantize([0.3, 1.0], 0.5, 128).tolist()
    [0.5, 1.0]
    """
    codes = quantize_linear(values, scale, zero_point, to=to, axis=axis, block=block, policy=policy)
    return dequantize_linear(codes, scale, zero_point, fmt=to, axis=axis, block=block)


def dynamic_quantize_linear(values: npt.ArrayLike, *, to: FormatLike = "uint8") -> tuple[Array, np.float32, int]:
    """Quantise a tensor by its own range, which has 0 in it, as ONNX's DynamicQuantizeLinear says.

    Every step is one of binary32: ``scale = (max - min) / (highest - lowest code)``, 1 for a tensor of zeros, and
    ``zero_point = saturate(round(lowest - min / scale))``.

    Parameters
    ----------
    values : array_like
        Finite floats, at least one; rounded to binary32 first.
    to : str, Format or dtype
        An integer format of at most 16 bits.

    Returns
    -------
    codes : ndarray
    scale : float32
    zero_point : int

    Raises
    ------
    InputError
        A value is NaN or infinite, or there is none.

    Examples
    --------
    >>> codes, scale, zero_point = dynamic_quantize_linear([-1.0, 0.0, 1.55])
    >>> codes.tolist(), zero_point
    ([0, 100, 255], 100)
    """
    target = _integer_or_float(to)
    if not target.wraps:
        raise InputError(f"{target.id} is not an integer format", hint="uint8, int8, uint4, int16, ...")
    numbers = plain_values(values).astype(np.float32)
    if not numbers.size or not np.isfinite(numbers).all():
        raise InputError("the values have no range: there is none, or one is NaN or infinite")
    one = np.float32(1)
    low, high = min(np.float32(0), numbers.min()), max(np.float32(0), numbers.max())
    first, last = target.codes[0], target.codes[-1]
    with np.errstate(all="ignore"):
        scale = np.float32(np.float32(high - low) / np.float32(last - first)) or one
        place = np.float32(np.float32(first) - np.float32(low / scale))
    if not np.isfinite(scale):
        raise InputError(f"the range from {low} to {high} is beyond binary32", hint="scale the values down")
    zero_point = int(np.clip(np.rint(place), first, last))
    return np.asarray(quantize_linear(numbers, scale, zero_point, to=target)), np.float32(scale), zero_point


def _integer_or_float(fmt: FormatLike) -> Scalar:
    target = scalar_format(fmt)
    if target.wraps and (target.bits > WIDEST or target.smallest_exponent):
        raise InputError(
            f"{target.id} is not an integer format of at most {WIDEST} bits", hint="int8, uint8, int4, ..."
        )
    if not target.wraps and target.bits > 8:
        raise InputError(f"{target.id} has more than 8 bits", hint="float8_e4m3fn, for example")
    return target


def _parameters(
    scale: Any, zero_point: Any, fmt: Scalar, shape: tuple[int, ...], axis: int | None, block: int | None
) -> tuple[Array, Array]:
    """Scales and zero points in shapes that go with the values."""
    scales, zeros = as_array(scale, "scale").astype(np.float64), integer_array(zero_point, "zero_point")
    if not (np.isfinite(scales) & (scales > 0)).all():
        raise InputError("a scale is not a positive number")
    if zeros.dtype.kind not in "iu":
        raise InputError(f"zero_point is of dtype {zeros.dtype}, not of integers")
    if fmt.wraps:
        check_range(zeros, fmt.codes[0], fmt.codes[-1], f"{fmt.id}, as a zero point is")
    elif zeros.any():
        raise InputError(f"{fmt.id} is a float format, whose zero point is 0")
    if zeros.ndim and zeros.shape != scales.shape:
        raise InputError(f"zero_point has the shape {zeros.shape}, but scale {scales.shape}")
    parts = (_placed(array, shape, axis, block) for array in (scales, zeros.astype(np.int64)))
    return next(parts), next(parts)


def _placed(array: Array, shape: tuple[int, ...], axis: int | None, block: int | None) -> Array:
    """One number, one for each index of an axis, or one for each block, so that it broadcasts to the values."""
    if array.size == 1 and block is None:
        return array.reshape(())
    if array.ndim == 0:
        return array
    if axis is None or not -len(shape) <= axis < len(shape):
        raise InputError(f"axis = {axis!r}, but scales of shape {array.shape} differ along one", hint="axis=0, say")
    place = axis % len(shape)
    if block is None:
        if array.shape != (shape[place],):
            raise InputError(f"scale has the shape {array.shape}, but axis {axis} has {shape[place]} elements")
        return array.reshape([-1 if at == place else 1 for at in range(len(shape))])
    blocks = (*shape[:place], -(-shape[place] // block) if block > 0 else 0, *shape[place + 1 :])
    if array.shape != blocks:
        raise InputError(f"scale has the shape {array.shape}, not {blocks} as blocks of {block} need")
    return np.repeat(array, block, axis=place)[tuple(map(slice, shape))]
