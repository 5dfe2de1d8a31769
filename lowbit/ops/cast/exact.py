"""Exact triples (kind, significand, exponent), which hold every value of every scalar format, and back."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from lowbit.errors import InputError
from lowbit.exact import Exact
from lowbit.format.scalar import Scalar
from lowbit.kernels.cast import layout as at
from lowbit.ops.arrays import Array, Codes, FormatLike, as_array, checked_codes, magnitudes, scalar_format
from lowbit.ops.cast.comparison import encode_each
from lowbit.ops.cast.conversion import cast_codes, conversion
from lowbit.ops.cast.counts import refuse
from lowbit.ops.cast.lowering import lower
from lowbit.ops.cast.random_bits import checked_random
from lowbit.ops.cast.unpacked import project_unpacked, unpack
from lowbit.ops.types import Results
from lowbit.policy.cast import CAST_PRESETS, Policy, get_policy


def decode_exact(codes: Codes, fmt: FormatLike) -> tuple[Results, Results, Results]:
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

    Examples
    --------
    >>> kind, significand, exponent = decode_exact([0x39, 0x7F], "float8_e4m3fn")
    >>> kind.tolist(), significand.tolist(), exponent.tolist()  # 9 * 2**-3 and a NaN
    ([0, 3], [9, 0], [-3, 0])
    """
    source = scalar_format(fmt)
    array = checked_codes(codes, source)
    flat = np.ascontiguousarray(array).reshape(-1)
    vector = lower(source, scalar_format("float64"), CAST_PRESETS["ieee"])
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
    kind: npt.ArrayLike,
    significand: npt.ArrayLike,
    exponent: npt.ArrayLike,
    fmt: FormatLike,
    *,
    policy: Policy | str | None = None,
    random_bits: npt.ArrayLike | None = None,
) -> Results:
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

    Examples
    --------
    >>> encode_exact([0, 1], [9, 0], [-3, 0], "float8_e4m3fn").tolist()  # 9 * 2**-3 and infinity
    [57, 126]
    """
    target = scalar_format(fmt)
    chosen = get_policy(target.default_policy if policy is None else policy, target)
    names = ("kind", "significand", "exponent")
    parts = [_as_int64(part, name) for part, name in zip((kind, significand, exponent), names, strict=True)]
    try:
        kinds, significands, exponents = np.broadcast_arrays(*parts)
    except ValueError as error:
        shapes = ", ".join(f"{name} {part.shape}" for name, part in zip(names, parts, strict=True))
        raise InputError(f"the shapes do not go together: {shapes}") from error
    shape = kinds.shape
    random = checked_random(random_bits, chosen, shape)
    if kinds.size and not 0 <= int(kinds.min()) <= int(kinds.max()) <= 3:
        raise InputError("kind must be 0 (finite), 1 (+infinity), 2 (-infinity) or 3 (NaN)")
    if exponents.size and max(abs(int(exponents.min())), abs(int(exponents.max()))) > 1 << 40:
        raise InputError("an exponent is beyond ±2**40")
    return _encode_triples(kinds, significands, exponents, target, chosen, random).reshape(shape)[()]


def _as_int64(part: Any, name: str) -> Array:
    array = as_array(part, name)
    if array.size and array.dtype.kind not in "iu":
        raise InputError(f"{name} must be integers that fit int64, not {array.dtype}")
    if array.dtype == np.uint64 and array.size and int(array.max()) >> 63:
        raise InputError(f"{name}: {int(array.max())} does not fit int64")
    return array.astype(np.int64)


def _encode_triples(
    kinds: Array, significands: Array, exponents: Array, target: Scalar, policy: Policy, random: Array | None
) -> Array:
    flat_kinds, values, powers = (np.ascontiguousarray(part).reshape(-1) for part in (kinds, significands, exponents))
    state = np.array([0, 2 * at.STATE_INFINITE, 2 * at.STATE_INFINITE + 1, 2 * at.STATE_NAN])[flat_kinds]
    finite = flat_kinds == 0
    state |= finite & (values < 0)
    source = scalar_format("int64")
    first: Scalar = scalar_format(policy.via) if policy.via else target
    step = CAST_PRESETS["ieee"] if policy.via else policy
    if first.listed:
        triples = zip(flat_kinds.tolist(), values.tolist(), powers.tolist(), (state & 1).tolist(), strict=True)
        exact = (Exact(kind, number, power, bool(sign)) for kind, number, power, sign in triples)
        codes, flags = encode_each(exact, first, step, random)
    else:
        magnitude = np.where(finite, magnitudes(values, source)[0], np.uint64(0))
        drawn = state if random is None or policy.via else random.astype(np.int64)
        codes, flags = project_unpacked(state, magnitude, powers.copy(), drawn, first, step, lower(None, first, step))
    if policy.via:
        after = policy.choose(via="", defects=())
        way = conversion(first, target, after)
        codes, flags_after = cast_codes(way, codes.astype(first.code_dtype), random, bool(policy.refusing), 1)
        flags = np.zeros(codes.size) if flags_after is None else flags_after
    if policy.refusing:
        refuse(values, flags.astype(np.uint8), kinds.shape, source, target, policy)
    return codes.astype(target.code_dtype)
