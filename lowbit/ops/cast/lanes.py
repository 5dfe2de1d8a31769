"""Float targets without flags: one kernel over one chunk, widened to the lanes that it computes in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lowbit.ops.arrays import Array
from lowbit.ops.cast.binary32 import is_binary32
from lowbit.ops.cast.lowering import lower, narrow

if TYPE_CHECKING:
    from lowbit.ops.cast.paths import Cast

MOST_RANDOM_BITS_32 = 24


class Lanes(NamedTuple):
    """A kernel, the integers that it computes with, and its parameters."""

    kernel: Any
    lane: Any
    vector: Array


def applies_32(cast: Cast) -> Lanes | None:
    """From binary32 to at most 16 bits under any policy."""
    source, target, policy = cast[:3]
    narrow_target = not target.wraps and target.bits <= 16 and policy.random_bits <= MOST_RANDOM_BITS_32
    if cast.flags or not narrow_target or not is_binary32(source):
        return None
    from lowbit.kernels.cast import fast_any_policy

    kernel = fast_any_policy.encode_random if policy.stochastic else fast_any_policy.encode
    return Lanes(kernel, np.int32, narrow(lower(source, target, policy)))


def applies_float(cast: Cast) -> Lanes | None:
    """From any float to any float."""
    source, target, policy = cast[:3]
    if cast.flags or target.wraps or source.wraps or source.listed:
        return None
    from lowbit.kernels.cast import cast as kernels

    kernel = kernels.encode_float_random if policy.stochastic else kernels.encode_float
    return Lanes(kernel, np.int64, lower(source, target, policy))


def applies_integer(cast: Cast) -> Lanes | None:
    """From integers and fixed point of less than 64 bits to any float."""
    source, target, policy = cast[:3]
    if cast.flags or target.wraps or not source.wraps or source.bits == 64 or policy.stochastic:
        return None
    from lowbit.kernels.cast import cast as kernels

    return Lanes(kernels.encode_integer, np.int64, lower(source, target, policy))


def run(
    lanes: Lanes, codes: Array, out: Array, _flags: Array | None = None, random: Array | None = None, *_: object
) -> None:
    """Run the kernel on a widened copy; not in place, since overlap would take the scalar loop."""
    kernel, lane, vector = lanes
    widened = codes.view(lane) if codes.dtype.itemsize == np.dtype(lane).itemsize else codes.astype(lane)
    result = np.empty(codes.size, dtype=lane)
    if random is None:
        kernel(widened, vector, result)
    else:
        kernel(widened, random.astype(lane), vector, result)
    out[...] = result.astype(out.dtype)
