"""encode, decode and convert: values and codes of scalar formats, bit for bit.

``encode`` makes codes of values, ``decode`` values of codes, ``convert`` codes of codes. Arrays in, arrays out;
scalars in, scalars out.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lowbit.errors import InexactError, InputError
from lowbit.ops._engine import TABLE_BITS, cast_codes, conversion_table, in_chunks, look_up, refuses
from lowbit.ops._fast import fast_decoder, is_binary32
from lowbit.ops._random import checked_random
from lowbit.ops._report import count, refuse
from lowbit.ops._runners import FAST_CHUNK, Cast
from lowbit.ops._source import checked_codes, values_to_codes
from lowbit.ops.codes import scalar_format
from lowbit.policy import PRESETS, Policy, get_policy
from lowbit.spec import FixedFormat, FloatFormat, Scalar

Array = npt.NDArray[Any]


def encode(
    values: Any,
    fmt: Any,
    *,
    policy: Policy | str | None = None,
    random_bits: Any = None,
    out: Array | None = None,
    return_counts: bool = False,
    return_flags: bool = False,
    threads: int = 1,
) -> Any:
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
    return _convert(codes, source, fmt, policy, random_bits, _Wanted(out, return_counts, return_flags, threads))


def convert(  # noqa: PLR0913 (all but three are keyword-only options)
    codes: Any,
    source: Any,
    target: Any,
    *,
    policy: Policy | str | None = None,
    random_bits: Any = None,
    out: Array | None = None,
    return_counts: bool = False,
    return_flags: bool = False,
    threads: int = 1,
) -> Any:
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
    """
    found = scalar_format(source)
    array = checked_codes(codes, found)
    return _convert(array, found, target, policy, random_bits, _Wanted(out, return_counts, return_flags, threads))


class _Wanted(NamedTuple):
    """What the caller wants back, and how."""

    out: Array | None
    counts: bool
    flags: bool
    threads: int


def _convert(
    codes: Array, source: Scalar, fmt: Any, policy: Policy | str | None, random_bits: Any, wanted: _Wanted
) -> Any:
    target = scalar_format(fmt)
    chosen = get_policy(target.default_policy if policy is None else policy, target)
    flat = np.ascontiguousarray(codes).reshape(-1)
    random = checked_random(random_bits, chosen, codes.shape)
    _check_out(wanted.out, codes.shape, np.dtype(target.code_dtype))
    _check_threads(wanted.threads)
    needs_flags = wanted.flags or wanted.counts or refuses(chosen)
    out = None if refuses(chosen) else _direct(wanted.out, flat)
    cast = Cast(source, target, chosen)
    result, flags = cast_codes(cast, flat, random, needs_flags, wanted.threads, out)
    if flags is not None and refuses(chosen):
        refuse(flat, flags, codes.shape, source, target, chosen)
    extras: list[Any] = []
    if wanted.counts and flags is not None:
        extras.append(count(flat, result, flags, source, target))  # before the input may be overwritten
    if wanted.flags and flags is not None:
        extras.append(flags.reshape(codes.shape)[()])
    made = result.reshape(codes.shape)[()]
    if wanted.out is not None:
        if out is None:
            wanted.out[...] = made
        made = wanted.out
    return (made, *extras) if extras else made


def _direct(out: Array | None, *inputs: Array) -> Array | None:
    """The caller's array, flat, where results can go straight into it.

    Not where it is not contiguous or shares memory with an input. A policy that may refuse a value gets no such
    array either: the error would leave it half-written.
    """
    if out is None or not out.flags.c_contiguous or any(np.may_share_memory(out, array) for array in inputs):
        return None
    return out.reshape(-1)


def _check_out(out: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    if out is None:
        return
    if not isinstance(out, np.ndarray) or out.dtype != dtype or out.shape != shape:
        found = f"{out.dtype} of shape {out.shape}" if isinstance(out, np.ndarray) else type(out).__name__
        raise InputError(f"out must be a {dtype} array of shape {shape}, not {found}")
    if not out.flags.writeable:
        raise InputError("out is read-only")


def _check_threads(threads: Any) -> None:
    if not isinstance(threads, int | np.integer) or isinstance(threads, bool) or threads < 1:
        raise InputError(f"threads = {threads!r} is not a positive whole number")


def decode(codes: Any, fmt: Any, *, dtype: Any = np.float32, out: Array | None = None, threads: int = 1) -> Any:
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
    try:
        requested = np.dtype(dtype)
    except TypeError as error:
        raise InputError(f"dtype {dtype!r} is unknown to NumPy", hint="dtype=numpy.float32, for example") from error
    wanted = requested.newbyteorder("=")
    target = scalar_format(wanted)
    if not isinstance(target, FloatFormat):
        raise InputError(f"dtype {wanted} is not a float", hint="dtype=numpy.float64, or decode_exact for integers")
    _check_out(out, array.shape, requested)
    _check_threads(threads)
    _require_exact(source, target)
    flat = np.ascontiguousarray(array).reshape(-1)
    direct = _direct(out, flat) if requested == wanted else None
    values = np.empty(flat.size, dtype=wanted) if direct is None else direct
    _decode_into(values, flat, source, target, threads)
    if out is None:
        return values.reshape(array.shape).astype(requested, copy=False)[()]
    if direct is None:
        out[...] = values.reshape(array.shape)
    return out


def _decode_into(values: Array, codes: Array, source: Scalar, target: FloatFormat, threads: int) -> None:
    """Decode flat codes into a flat array of the target's values."""
    fast = fast_decoder(source) if is_binary32(target) and codes.dtype == np.uint8 else None
    if fast is not None:
        in_chunks(lambda i, j: fast(codes[i:j], values[i:j]), codes.size, threads, FAST_CHUNK)
    elif source.bits <= TABLE_BITS and codes.size > 1 << max(source.bits - 2, 4):
        table = conversion_table(source, target, PRESETS["ieee"], False).codes
        look_up(codes, source, table, threads, values)
    else:
        bits = values.view(np.dtype(target.code_dtype))
        cast_codes(Cast(source, target, PRESETS["ieee"]), codes, None, False, threads, bits)


@lru_cache(maxsize=1024)
def _require_exact(source: Scalar, target: FloatFormat) -> None:
    """Whether the target holds every value of the source, infinities and NaN included."""
    largest = max(source.max.reduced(), source.min.reduced(), key=lambda value: abs(value.fraction()))
    precise = _precision(source) <= target.precision
    wide = abs(largest.fraction()) <= target.max.fraction()
    smallest = source.smallest.reduced()
    fine = smallest.exponent >= target.smallest_exponent
    special = isinstance(source, FixedFormat) or (
        (source.infinity is None or target.infinity is not None) and (not source.has_nan or target.has_nan)
    )
    if precise and wide and fine and special:
        return
    raise InexactError(
        f"{target.id} cannot hold every value of {source.id}",
        hint="decode with dtype=numpy.float64, or decode_exact(codes, fmt) for integers that hold everything",
    )


def _precision(fmt: Scalar) -> int:
    return fmt.precision if isinstance(fmt, FloatFormat) else fmt.bits - int(fmt.signed)
