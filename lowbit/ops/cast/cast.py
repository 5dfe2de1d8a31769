"""encode, decode and convert: values and codes of scalar formats, bit for bit.

``encode`` makes codes of values, ``decode`` values of codes, ``convert`` codes of codes. Arrays in, arrays out;
scalars in, scalars out.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from lowbit.errors import InputError
from lowbit.format.scalar import Scalar
from lowbit.kernels.cast import layout as at
from lowbit.ops.arrays import (
    Array,
    Codes,
    FormatLike,
    check_out,
    checked_codes,
    checked_threads,
    scalar_format,
    values_to_codes,
)
from lowbit.ops.cast.conversion import cast_codes, conversion
from lowbit.ops.cast.counts import count, refuse
from lowbit.ops.cast.decoding import decoding
from lowbit.ops.cast.random_bits import checked_random
from lowbit.ops.types import Results
from lowbit.policy.cast import Policy, get_policy


def encode(
    values: npt.ArrayLike,
    fmt: FormatLike,
    *,
    policy: Policy | str | None = None,
    random_bits: npt.ArrayLike | None = None,
    out: Array | None = None,
    return_counts: bool = False,
    return_flags: bool = False,
    threads: int = 1,
) -> Results:
    """Encode values into a scalar format: round once, decide overflow on the rounded value, then code it.

    Parameters
    ----------
    values : array_like
        Floats (binary16, 32, 64), integers, or an ml_dtypes array, of any shape.
    fmt : str, Format or dtype
        The target.
    policy : Policy or str, optional
        How to round and what to do with overflow, infinities, NaN, zeros and negative values. The default is the
        format's own ``default_policy``.
    random_bits : array_like of int, optional
        R, 0 <= R < 2**policy.random_bits, broadcast to the shape of ``values``; stochastic modes need it, the others
        refuse it.
    out : ndarray, optional
        Where the codes go: C-contiguous, of the format's code dtype and of the shape of ``values``.
    return_counts : bool
        Also return a dict of how many results are saturated, NaN, infinite, inexact, overflowed, underflowed or
        invalid.
    return_flags : bool
        Also return a uint8 array of exception flags in RISC-V's order: invalid 16, overflow 4, underflow 2 (tiny
        after rounding and inexact), inexact 1.
    threads : int
        How many threads share the work; the bits are the same for any number.

    Returns
    -------
    codes : ndarray or scalar
        Raw codes: the smallest unsigned dtype for a float format, the signed values for integers and fixed point.
    counts : dict, if ``return_counts``
    flags : ndarray, if ``return_flags``

    Raises
    ------
    InputError
        A dtype or shape is wrong, or the policy refuses a value.
    PolicyError
        The policy is unknown, means nothing for the target, or random bits are missing or out of place.

    Notes
    -----
    Source: P3109 interim report v4.0 clause 4.7 (projection); IEEE 754-2019 clauses 4.3, 7.4 and 7.5.

    Examples
    --------
    >>> int(encode(464.0, "float8_e4m3fn"))  # the tie with the missing 480 goes to 448
    126
    """
    codes, source = values_to_codes(values)
    return _convert(codes, source, fmt, policy, random_bits, (out, return_counts, return_flags, threads))


def convert(  # noqa: PLR0913 (all but three are keyword-only options)
    codes: Codes,
    source: FormatLike,
    target: FormatLike,
    *,
    policy: Policy | str | None = None,
    random_bits: npt.ArrayLike | None = None,
    out: Array | None = None,
    return_counts: bool = False,
    return_flags: bool = False,
    threads: int = 1,
) -> Results:
    """Convert codes of one scalar format into codes of another.

    Parameters
    ----------
    codes : array_like of int
        Raw codes of ``source``, of any shape.
    source, target : str, Format or dtype
    policy, random_bits, out, return_counts, return_flags, threads
        As for :func:`encode`; the default policy is the target's.

    Returns
    -------
    codes : ndarray or scalar, and counts and flags as for :func:`encode`

    Raises
    ------
    InputError
        An element is not a code of ``source``, or the policy refuses its value.
    PolicyError
        As for :func:`encode`.

    Examples
    --------
    >>> convert([0x3C00, 0x3C01], "float16", "float8_e4m3fn").tolist()
    [56, 56]
    """
    origin = scalar_format(source)
    array = checked_codes(codes, origin)
    return _convert(array, origin, target, policy, random_bits, (out, return_counts, return_flags, threads))


_Wanted = tuple[Array | None, bool, bool, int]
"""The arguments ``out``, ``return_counts``, ``return_flags`` and ``threads``."""


def _convert(codes: Array, source: Scalar, fmt: FormatLike, policy: Any, random_bits: Any, wanted: _Wanted) -> Any:
    out, return_counts, return_flags, threads = wanted
    target = scalar_format(fmt)
    if policy is not None and not isinstance(policy, (str, Policy)):
        get_policy(policy)  # which says what a policy may be
    way = conversion(source, target, policy)
    flat = _flattened(codes)
    stochastic = random_bits is not None or way.cast.policy.stochastic
    random = checked_random(random_bits, way.cast.policy, codes.shape) if stochastic else None
    check_out(out, codes.shape, way.code_dtype)
    checked_threads(threads)
    direct = None if way.refuses else _direct(out, flat)
    result, flags = cast_codes(way, flat, random, return_flags or return_counts or way.refuses, threads, direct)
    extras: list[Any] = []
    if flags is not None:
        if way.refuses:
            refuse(flat, flags, codes.shape, *way.cast[:3])
        if return_counts:
            extras.append(count(result, flags, target))
        if return_flags:
            extras.append(_shaped(flags & np.uint8(at.EXCEPTIONS), codes.shape))
    if out is None:
        out = _shaped(result, codes.shape)
    elif direct is None:
        out[...] = result.reshape(codes.shape)
    return (out, *extras) if extras else out


def _flattened(array: Array) -> Array:
    """The elements one after the other in memory; a copy only where they are not."""
    if array.ndim == 1 and array.flags.c_contiguous and array.flags.aligned:
        return array
    return np.require(array, requirements=("C", "A")).reshape(-1)


def _shaped(flat: Array, shape: tuple[int, ...]) -> Any:
    """The elements in a shape; one element without axes as a scalar."""
    return flat if flat.shape == shape else flat.reshape(shape)[()]


def _direct(out: Array | None, source: Array) -> Array | None:
    """The caller's array, flat, where results can go straight into it.

    Not where it is not contiguous or shares memory with the source. A policy that may refuse a value gets no such
    array either: the error would leave it half-written.
    """
    if out is None or not out.flags.carray or np.may_share_memory(out, source):
        return None
    return out if out.ndim == 1 else out.reshape(-1)


def decode(
    codes: Codes, fmt: FormatLike, *, dtype: npt.DTypeLike = np.float32, out: Array | None = None, threads: int = 1
) -> Results:
    """Decode codes of a scalar format to values, exactly.

    Parameters
    ----------
    codes : array_like of int
        Raw codes, of any shape.
    fmt : str, Format or dtype
    dtype : dtype
        float16, float32, float64 or an ml_dtypes float; it must hold every value of the format.
    out : ndarray, optional
        Where the values go, of that dtype and of the shape of ``codes``.
    threads : int
        How many threads share the work.

    Returns
    -------
    values : ndarray or scalar
        NaNs keep their sign, and their payload where both formats have IEEE 754 NaNs.

    Raises
    ------
    InexactError
        The dtype cannot hold every value of the format.
    InputError
        An element is not a code of the format.

    Examples
    --------
    >>> float(decode(0x7E, "float8_e4m3fn"))
    448.0
    """
    source = scalar_format(fmt)
    array = checked_codes(codes, source)
    requested = numpy_dtype(dtype)
    wanted, step = decoding(source, requested)
    check_out(out, array.shape, requested)
    checked_threads(threads)
    flat = _flattened(array)
    native = requested is wanted or requested == wanted
    direct = _direct(out, flat) if native else None
    bits = None if direct is None else direct.view(step.code_dtype)
    values = step.run(flat, None, False, threads, bits)[0].view(wanted)
    if out is None:
        shaped = _shaped(values, array.shape)
        return shaped if native else shaped.astype(requested)
    if direct is None:
        out[...] = values.reshape(array.shape)
    return out


def numpy_dtype(dtype: npt.DTypeLike) -> np.dtype[Any]:
    """A dtype from what stands for one.

    Raises
    ------
    InputError
    """
    try:
        return np.dtype(dtype)
    except TypeError as error:
        raise InputError(f"dtype {dtype!r} is unknown to NumPy", hint="dtype=numpy.float32, for example") from error
