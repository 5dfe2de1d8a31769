"""encode, decode and convert: values and codes of scalar formats, bit for bit.

``encode`` makes codes of values, ``decode`` values of codes, ``convert`` codes of codes; the ``_exact`` pair speaks
in triples (kind, significand, exponent) that hold every value of every format. Arrays in, arrays out; scalars in,
scalars out.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from lowbit.errors import InexactError, InputError, PolicyError
from lowbit.kernels import layout as at
from lowbit.lowering import lower
from lowbit.ops._engine import all_codes, cast_codes, conversion_table, project_unpacked, refuses, unpack
from lowbit.ops._report import count, refuse
from lowbit.ops._source import checked_codes, scalar_format, values_to_codes
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
    return _convert(codes, source, fmt, policy, random_bits, out, return_counts, return_flags, threads)


def convert(
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
    found = scalar_format(source, "source")
    array = checked_codes(codes, found)
    return _convert(array, found, target, policy, random_bits, out, return_counts, return_flags, threads)


def _convert(
    codes: Array,
    source: Scalar,
    fmt: Any,
    policy: Policy | str | None,
    random_bits: Any,
    out: Array | None,
    return_counts: bool,
    return_flags: bool,
    threads: int,
) -> Any:
    target = scalar_format(fmt)
    chosen = get_policy(target.default_policy if policy is None else policy, target)
    flat = np.ascontiguousarray(codes).reshape(-1)
    random = _checked_random(random_bits, chosen, codes.shape)
    _check_out(out, codes.shape, target)
    needs_flags = return_flags or return_counts or refuses(chosen)
    result, flags = cast_codes(flat, source, target, chosen, random, needs_flags, threads)
    if flags is not None and refuses(chosen):
        refuse(flat, flags, codes.shape, source, target, chosen)
    shaped: Any = result.reshape(codes.shape)
    if out is not None:
        out[...] = shaped
        shaped = out
    answer = [shaped if out is not None else shaped[()]]
    if return_counts:
        assert flags is not None
        answer.append(count(flat, result, flags, source, target))
    if return_flags:
        assert flags is not None
        answer.append(flags.reshape(codes.shape)[()])
    return answer[0] if len(answer) == 1 else tuple(answer)


def _checked_random(random_bits: Any, policy: Policy, shape: tuple[int, ...]) -> Array | None:
    if not policy.stochastic:
        if random_bits is not None:
            raise PolicyError(
                f"random_bits are given, but rounding {policy.rounding!r} uses none",
                hint="drop them, or choose rounding='stochastic_a' with random_bits=N in the policy",
            )
        return None
    if random_bits is None:
        raise PolicyError(
            f"rounding {policy.rounding!r} needs random_bits, an integer 0 <= R < 2**{policy.random_bits} a value",
            hint=f"random_bits=numpy.random.default_rng(seed).integers(2**{policy.random_bits}, size=values.shape)",
        )
    random = np.asarray(random_bits)
    if random.dtype.kind not in "iu":
        raise InputError(f"random_bits must be integers, not {random.dtype}")
    if random.size and not 0 <= int(random.min()) <= int(random.max()) < 1 << policy.random_bits:
        wrong = int(random.min()) if random.min() < 0 else int(random.max())
        raise InputError(f"random_bits: {wrong} is outside 0 <= R < 2**{policy.random_bits}")
    try:
        spread = np.broadcast_to(random.astype(np.int64), shape)
    except ValueError as error:
        raise InputError(f"random_bits of shape {random.shape} do not broadcast to {shape}") from error
    return np.ascontiguousarray(spread).reshape(-1)


def _check_out(out: Any, shape: tuple[int, ...], target: Scalar) -> None:
    if out is None:
        return
    if not isinstance(out, np.ndarray) or out.dtype != np.dtype(target.code_dtype) or out.shape != shape:
        found = f"{out.dtype} of shape {out.shape}" if isinstance(out, np.ndarray) else type(out).__name__
        raise InputError(f"out must be a {target.code_dtype} array of shape {shape}, not {found}")
    if not out.flags.writeable:
        raise InputError("out is read-only")


def decode(codes: Any, fmt: Any, *, dtype: Any = np.float32, out: Array | None = None) -> Any:
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
    wanted = np.dtype(dtype)
    target = scalar_format(wanted, "dtype")
    if not isinstance(target, FloatFormat):
        raise InputError(f"dtype {wanted} is not a float", hint="dtype=numpy.float64, or decode_exact for integers")
    if out is not None and (not isinstance(out, np.ndarray) or out.dtype != wanted or out.shape != array.shape):
        raise InputError(f"out must be a {wanted} array of shape {array.shape}")
    _require_exact(source, target)
    policy = PRESETS["ieee"]
    result = cast_codes(np.ascontiguousarray(array).reshape(-1), source, target, policy, None, False, 1).codes
    values = result.view(wanted).reshape(array.shape)
    if out is None:
        return values[()]
    out[...] = values
    return out


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
    normal = source.bits > 16 or fine
    if precise and wide and fine and normal and special:
        return
    raise InexactError(
        f"{target.id} cannot hold every value of {source.id}",
        hint="decode with dtype=numpy.float64, or decode_exact(codes, fmt) for integers that hold everything",
    )


def _precision(fmt: Scalar) -> int:
    return fmt.precision if isinstance(fmt, FloatFormat) else fmt.bits - int(fmt.signed)


def decode_exact(codes: Any, fmt: Any) -> tuple[Any, Any, Any]:
    """Decode codes to exact triples, which hold every value of every format.

    Parameters
    ----------
    codes : array_like of int
    fmt : str, Format or dtype

    Returns
    -------
    kind : int64 array
        0 finite, 1 +infinity, 2 -infinity, 3 NaN.
    significand : int64 array
        Signed, odd or 0; -0 reads as 0.
    exponent : int64 array
        The value is ``significand * 2**exponent``; 0 where the significand is 0.

    Raises
    ------
    InputError
        An element is not a code of the format, or a uint64 value has 64 significant bits.
    """
    source = scalar_format(fmt)
    array = checked_codes(codes, source)
    flat = np.ascontiguousarray(array).reshape(-1)
    vector = lower(source, scalar_format("float64"), PRESETS["ieee"]) if isinstance(source, FloatFormat) else None
    state, magnitude, exponent = unpack(flat, source, vector)
    negative = (state & 1) != 0
    kind = np.where(state >> 1 == at.STATE_INFINITE, 1 + (state & 1), np.where(state >> 1 == at.STATE_NAN, 3, 0))
    wide = magnitude.astype(np.uint64)
    zero = (kind != 0) | (wide == 0)
    lowest = np.where(zero, np.uint64(1), wide & (~wide + np.uint64(1)))
    twos = np.frexp(lowest.astype(np.float64))[1].astype(np.int64) - 1
    reduced = wide >> twos.astype(np.uint64)
    if (reduced >> np.uint64(63)).any():
        raise InputError("a uint64 value has 64 significant bits, one more than a signed significand holds")
    significand = np.where(zero, 0, np.where(negative, -reduced.astype(np.int64), reduced.astype(np.int64)))
    triple = (kind, significand, np.where(zero, 0, exponent + twos))
    return tuple(part.astype(np.int64).reshape(array.shape)[()] for part in triple)  # type: ignore[return-value]


def encode_exact(
    kind: Any,
    significand: Any,
    exponent: Any,
    fmt: Any,
    *,
    policy: Policy | str | None = None,
    random_bits: Any = None,
) -> Any:
    """Encode exact triples, the inverse of :func:`decode_exact` with a policy.

    Parameters
    ----------
    kind, significand, exponent : array_like of int
        As :func:`decode_exact` returns them (the significand may be even); broadcast together.
    fmt : str, Format or dtype
    policy, random_bits
        As for :func:`encode`. ``flush_inputs`` and the defects of a preset do not apply: the value has no source.

    Returns
    -------
    codes : ndarray or scalar

    Raises
    ------
    InputError
        A kind is not 0 to 3, an exponent is beyond ±2**40, or the policy refuses a value.
    """
    target = scalar_format(fmt)
    chosen = get_policy(target.default_policy if policy is None else policy, target)
    parts = [np.asarray(part) for part in (kind, significand, exponent)]
    for name, part in zip(("kind", "significand", "exponent"), parts, strict=True):
        if part.dtype.kind not in "iu" and part.size:
            raise InputError(f"{name} must be integers that fit int64, not {part.dtype}")
    kinds, significands, exponents = np.broadcast_arrays(*(part.astype(np.int64) for part in parts))
    shape = kinds.shape
    random = _checked_random(random_bits, chosen, shape)
    if kinds.size and not 0 <= int(kinds.min()) <= int(kinds.max()) <= 3:
        raise InputError("kind must be 0 (finite), 1 (+infinity), 2 (-infinity) or 3 (NaN)")
    if exponents.size and max(abs(int(exponents.min())), abs(int(exponents.max()))) > 1 << 40:
        raise InputError("an exponent is beyond ±2**40")
    return _encode_triples(kinds, significands, exponents, target, chosen, random).reshape(shape)[()]


def _encode_triples(
    kinds: Array, significands: Array, exponents: Array, target: Scalar, policy: Policy, random: Array | None
) -> Array:
    flat_kinds, values, powers = (np.ascontiguousarray(part).reshape(-1) for part in (kinds, significands, exponents))
    state = np.array([0, 2 * at.STATE_INFINITE, 2 * at.STATE_INFINITE + 1, 2 * at.STATE_NAN])[flat_kinds]
    finite = flat_kinds == 0
    state |= finite & (values < 0)
    magnitude = np.where(finite, np.where(values < 0, ~values.view(np.uint64) + np.uint64(1), values.view(np.uint64)), 0)
    source = scalar_format("int64")
    first: Scalar = scalar_format(policy.via) if policy.via else target
    step = PRESETS["ieee"] if policy.via else policy
    vector = lower(None, first, step)
    bits = state if random is None or policy.via else random
    codes, flags = project_unpacked(state, magnitude.astype(np.uint64), powers.copy(), bits, first, step, vector)
    if policy.via:
        after = policy.choose(via="", defects=())
        return cast_codes(codes.astype(first.code_dtype), first, target, after, random, False, 1).codes
    if refuses(policy):
        refuse(values, flags.astype(np.uint8), kinds.shape, source, target, policy)
    return codes.astype(target.code_dtype)


__all__ = ["all_codes", "conversion_table", "convert", "decode", "decode_exact", "encode", "encode_exact"]
