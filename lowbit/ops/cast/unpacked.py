"""Casts of every kind that kernels know, through unpacked values: with flags, random bits and fixed-point targets.

A value is a state, a magnitude and an exponent, int64 arrays. What 64 bits do not hold goes to ``wide_integers``.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from lowbit.errors import InputError
from lowbit.exact import FINITE, NAN
from lowbit.format.scalar import Scalar
from lowbit.kernels.cast import layout as at
from lowbit.ops.arrays import Array, magnitudes
from lowbit.ops.cast.lowering import WIDEST_FIXED, Vector, lower
from lowbit.ops.cast.outcomes import Outcomes
from lowbit.ops.cast.wide_integers import Wide, fixed_from_integers
from lowbit.policy.cast import Policy

if TYPE_CHECKING:
    from lowbit.ops.cast.paths import Cast

LARGEST_MAGNITUDE_BITS = 55


class Unpacked(NamedTuple):
    """What the kernels take beside the values."""

    source: Scalar
    target: Scalar
    policy: Policy
    vector: Vector


def applies(cast: Cast) -> Unpacked:
    """The lowered vector, for every cast."""
    return Unpacked(*cast[:3], lower(*cast[:3]))


def run(
    ways: Unpacked,
    codes: Array,
    out: Array,
    flags: Array | None = None,
    random: Array | None = None,
    *_: object,
) -> None:
    """Unpack, project, and leave the flags too if they are wanted."""
    source, target, policy, vector = ways
    values = unpack(codes, source, vector)
    draws = values[0] if random is None else random.astype(np.int64)
    out[...], raised = project_unpacked(*values, draws, target, policy, vector)
    if flags is not None:
        flags[...] = raised


def unpack(codes: Array, source: Scalar, vector: Vector) -> tuple[Array, Array, Array]:
    """State (2 * state + negative), magnitude and exponent of each code, int64 arrays."""
    if source.wraps:
        magnitude, negative = magnitudes(codes, source)
        exponent = np.full(codes.size, source.smallest_exponent, dtype=np.int64)
        return negative.astype(np.int64), magnitude, exponent
    if source.listed:
        return tuple(column[codes] for column in _listed(source))
    from lowbit.kernels.cast import cast

    state, mantissa, exponent = (np.empty(codes.size, dtype=np.int64) for _ in range(3))
    cast.unpack(codes.astype(np.int64), vector, state, mantissa, exponent)
    return state, mantissa, exponent


@lru_cache(maxsize=64)
def _listed(source: Scalar) -> npt.NDArray[np.int64]:
    """State, magnitude and exponent of every code of a format that is known by its list of values."""
    rows = []
    for code in source.codes:
        value = source.decode(code)
        state = at.STATE_NAN if value.kind == NAN else at.STATE_INFINITE if value.kind != FINITE else 0
        value = value.reduced()
        rows.append((2 * state + value.negative, abs(value.significand), value.exponent))
    return np.array(rows, dtype=np.int64).T.copy()


def project_unpacked(
    state: Array, magnitude: Array, exponent: Array, random: Array, target: Scalar, policy: Policy, vector: Vector
) -> tuple[Array, Array]:
    """Codes and flags of unpacked values; a uint64 magnitude may have all its 64 bits."""
    from lowbit.kernels.cast import cast

    original, original_exponent = magnitude.copy(), exponent.copy()
    _require_room_for_random_bits(magnitude, target, policy)
    magnitude, exponent = _narrowed(magnitude, exponent)
    kernel = cast.encode_unpacked_fixed if target.wraps else cast.encode_unpacked_float
    narrowed = magnitude.copy()
    kernel(state, magnitude, exponent, random, vector)
    codes, flags = magnitude, exponent
    if not target.wraps:
        if not target.signed and policy.negative == "absolute":
            dropped = ((state == 1) & (narrowed != 0)) | (state == 2 * at.STATE_INFINITE + 1)
            flags |= np.where(dropped, at.INVALID, 0)
        return codes, flags
    wide = _needs_wide_path(state, original, original_exponent, target, policy)
    if target.bits > WIDEST_FIXED:
        codes, flags = _within_wide_target(codes, flags, target, policy)
    if wide.any():
        codes = codes.astype(target.code_dtype)
        values = Wide(state[wide] & 1, original[wide], original_exponent[wide], random[wide])
        codes[wide], flags[wide] = fixed_from_integers(values, target, policy)
    return codes, flags


def _require_room_for_random_bits(magnitude: Array, target: Scalar, policy: Policy) -> None:
    """Refuse what the sticky bit of a long integer would spoil: a fraction that reaches into it."""
    if target.wraps or not policy.stochastic or magnitude.dtype == np.int64:
        return
    longest = int(magnitude.max()).bit_length() if magnitude.size else 0
    room = LARGEST_MAGNITUDE_BITS - target.precision - 2
    if longest > LARGEST_MAGNITUDE_BITS and policy.random_bits > room:
        raise InputError(
            f"an integer of {longest} bits cannot be rounded to the {target.precision} bits of {target.id} with "
            f"{policy.random_bits} random bits: at most {max(room, 0)} are exact beyond {LARGEST_MAGNITUDE_BITS} bits",
            hint="use fewer random bits, or split the integers",
        )


def _within_wide_target(codes: Array, flags: Array, target: Scalar, policy: Policy) -> tuple[Array, Array]:
    """Codes of a wide target whose limits the kernel does not know: only values below its range are left to mend."""
    below = (codes < target.lowest_code) & (flags & (at.INVALID | at.REFUSED) == 0)
    if policy.overflow == "wrap":
        mask = (1 << min(target.bits, 63)) - 1 if target.bits < 64 else -1
        wrapped = codes if target.signed else codes & mask
        return wrapped.astype(target.code_dtype), np.where(below, at.INVALID, flags)
    code, flag = Outcomes(target, policy).overflow(1)
    mended = codes.astype(target.code_dtype)
    mended[below] = code
    return mended, np.where(below, flag, flags)


def _narrowed(magnitude: Array, exponent: Array) -> tuple[Array, Array]:
    """Magnitudes of at most 55 bits: longer ones are shifted right, and what falls off leaves a one (a sticky bit)."""
    if magnitude.dtype == np.int64:
        return magnitude, exponent
    long = magnitude >= np.uint64(1 << LARGEST_MAGNITUDE_BITS)
    if not long.any():
        return magnitude.astype(np.int64), exponent
    drop = np.zeros(magnitude.size, dtype=np.uint64)
    for bits in range(LARGEST_MAGNITUDE_BITS, 64):
        drop += magnitude >= np.uint64(1 << bits)
    kept = magnitude >> drop
    kept |= (kept << drop) != magnitude
    return kept.astype(np.int64), exponent + drop.astype(np.int64)


def _needs_wide_path(
    state: Array, magnitude: Array, exponent: Array, target: Scalar, policy: Policy
) -> npt.NDArray[np.bool_]:
    """Finite values that the kernel does not hold exactly, or whose code may lie beyond what it counts."""
    leading = np.frexp(magnitude.astype(np.float64))[1] + exponent - target.smallest_exponent  # never too small
    wide = (leading > LARGEST_MAGNITUDE_BITS) & (target.bits > WIDEST_FIXED)
    if magnitude.dtype == np.uint64:
        # a sticky bit is as good as what it stands for where the value is out of range and saturates
        disturbed = (exponent - target.smallest_exponent < 0) | (target.bits > LARGEST_MAGNITUDE_BITS)
        disturbed |= policy.overflow == "wrap"
        wide |= (magnitude >= np.uint64(1 << LARGEST_MAGNITUDE_BITS)) & disturbed
    return np.asarray((state < 2) & (magnitude != 0) & wide)
