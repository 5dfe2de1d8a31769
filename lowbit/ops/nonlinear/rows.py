"""Tables for rows of narrow codes as the look-up kernels take them, and the affine part of the layer normalisations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lowbit.errors import InputError
from lowbit.nonlinear.scheme import Parameters, Scheme
from lowbit.nonlinear.widths import Widths
from lowbit.ops.cast.paths import FAST_CHUNK
from lowbit.ops.chunks import in_chunks
from lowbit.ops.nonlinear.dispatch import Integers, Request, fast, limits_of, no_trap, prepared
from lowbit.ops.types import Array

Floats = npt.NDArray[np.float32]
PLANES = 4
"""The sum of a table reads four byte planes: entries of up to 32 bits."""


class ByteTable(NamedTuple):
    """256 entries, and ``planes[p, i]``: byte p of entry i."""

    entries: Integers
    planes: npt.NDArray[np.uint8]


def is_byte_sized(rows: Array) -> bool:
    """Whether the codes are 8-bit integers."""
    return rows.dtype.itemsize == 1


def centred_bytes(rows: Array) -> Array:
    """Codes as int8 with the same differences: uint8 codes less 128."""
    return rows if rows.dtype == np.int8 else (rows ^ np.uint8(128)).view(np.int8)


def fits_planes(table: Integers) -> bool:
    """Whether all entries are non-negative and below 2^32."""
    return bool(table.min() >= 0 and table.max() < 1 << (8 * PLANES))


def byte_planes(table: Integers) -> npt.NDArray[np.uint8]:
    """``planes[p, i]``: byte p of entry i."""
    return np.stack([(table >> (8 * plane)) & 255 for plane in range(PLANES)]).astype(np.uint8)


def of_distances(kernel: Callable[..., None], constants: Integers, widths: Widths, mode: int) -> ByteTable:
    """The table of a kernel of differences ``(rows, constants, limits, mode, out, trap)``: 0, -1, ..., -255."""
    differences = -np.arange(256, dtype=np.int64).reshape(1, -1)
    table = np.empty_like(differences)
    kernel(differences, constants, limits_of(widths), mode, table, no_trap())
    entries = table.reshape(-1)
    return ByteTable(entries, byte_planes(entries))


Run = Callable[[Request], Array]


Key = tuple[Scheme, str, float, int | None, tuple[tuple[str, Any], ...], str]
"""All that the results of an elementwise function depend on, beside the code."""


def _key(request: Request) -> Key:
    call = request.call
    return call.scheme, call.variant, request.scale, call.bits, tuple(call.options.items()), request.overflow


def _every_result(run: Run, key: Key) -> Array:
    """The results of all codes of the scheme's type, from the lowest up."""
    scheme, variant, scale, bits, options, overflow = key
    limits = np.iinfo(scheme.codes)
    codes = np.arange(limits.min, limits.max + 1).astype(scheme.codes).reshape(1, -1)
    return run(Request(codes, Parameters(scheme, variant, scale, bits, dict(options)), overflow)).reshape(-1)


@prepared
def _planes(run: Run, key: Key) -> npt.NDArray[np.uint8]:
    return byte_planes(_every_result(run, key)[::-1].astype(np.int64))


@prepared
def _entries(run: Run, key: Key) -> Array:
    table = _every_result(run, key)
    return np.roll(table, -(table.size // 2)).view(f"u{table.itemsize}")  # by bits: 0, 1, ..., -2, -1


def wide_by_table(request: Request, run: Run) -> Array:
    """An elementwise function of int8 codes with results of 32 bits, through the results of all codes."""
    from lowbit.kernels.nonlinear.lookup import each_by_table

    return fast(request, request.rows, each_by_table, _planes(run, _key(request)))


def narrow_by_table(request: Request, run: Run) -> Array:
    """An elementwise function whose results are as wide as the codes, through a table where there are more codes."""
    from lowbit.kernels.cast.gather import gather

    dtype = np.dtype(request.call.scheme.codes)
    if request.rows.size <= 1 << (8 * dtype.itemsize) or request.overflow == "trap":
        return run(request)
    entries = _entries(run, _key(request))
    codes = request.rows.astype(dtype, copy=False).reshape(-1).view(entries.dtype)
    out = np.empty_like(codes)
    in_chunks(lambda i, j: gather(codes[i:j], entries, out[i:j]), codes.size, request.threads, FAST_CHUNK)
    return out.view(dtype).reshape(request.rows.shape)


def affine(options: Mapping[str, Any], length: int) -> tuple[Floats, Floats]:
    """Gamma (1 if not given) and beta (0) as binary32 numbers, checked."""
    if not {"gamma", "beta"} & options.keys():
        return _identity(length)
    gamma = _one_each(options.get("gamma"), "gamma", length, 1.0)
    beta = _one_each(options.get("beta"), "beta", length, 0.0)
    return gamma, beta


@lru_cache(maxsize=64)
def _identity(length: int) -> tuple[Floats, Floats]:
    """What is taken where neither is given, as layers do that have both in the requantisation that follows."""
    gamma, beta = np.ones(length, np.float32), np.zeros(length, np.float32)
    gamma.flags.writeable = beta.flags.writeable = False
    return gamma, beta


def norm_biases(gamma: Floats, beta: Floats, unit: float) -> Integers:
    """floor((beta / gamma) / unit), each step in binary32.

    Raises InputError: a gamma is 0, or a bias is beyond what can be added in 64 bits.
    """
    _require_nonzero(gamma)
    with np.errstate(over="ignore", under="ignore"):
        biases = np.floor((beta / gamma) / np.float32(unit))
    return _whole(biases, beta, gamma)


def rounded_biases(gamma: Floats, beta: Floats, fraction_bits: int) -> Integers:
    """Beta / gamma times a power of two, by one binary64 division, to nearest, ties up; errors as above."""
    _require_nonzero(gamma)
    with np.errstate(over="ignore", under="ignore"):
        ratio = beta.astype(np.float64) / gamma.astype(np.float64)
        return _whole(np.floor(ratio * 2.0**fraction_bits + 0.5), beta, gamma)


def _require_nonzero(gamma: Floats) -> None:
    if not gamma.all():
        place = int(np.flatnonzero(gamma == 0)[0])
        raise InputError(
            f"gamma[{place}] = 0: the scheme divides beta by gamma",
            hint="prune the channel, or give gamma a tiny value as the training code would",
        )


def _whole(biases: npt.NDArray[Any], beta: Floats, gamma: Floats) -> Integers:
    beyond = np.flatnonzero(~(np.abs(biases) < 2.0**62))
    if beyond.size:
        place = int(beyond[0])
        ratio = f"beta[{place}] / gamma[{place}] = {beta[place]} / {gamma[place]}"
        raise InputError(f"{ratio} is {biases[place]} units of the result, beyond 2^62")
    return biases.astype(np.int64)


def _one_each(values: Any, name: str, length: int, default: float) -> Floats:
    try:
        array = np.asarray(default if values is None else values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} is not an array of numbers") from error
    if array.ndim > 1 or (array.ndim == 1 and array.size != length):
        raise InputError(f"{name} has shape {array.shape}; rows have {length} elements", hint="one number an element")
    with np.errstate(over="ignore", under="ignore"):
        rounded = np.broadcast_to(array.astype(np.float32), (length,))
    if not np.isfinite(rounded).all():
        place = int(np.flatnonzero(~np.isfinite(rounded))[0])
        raise InputError(f"{name}[{place}] is not a finite binary32 number")
    return rounded


LANE_BITS = 31
"""What the 32-bit lanes hold: sums, and sums of squares of 8-bit codes."""


def cannot_overflow(rows: Array, bias: Integers) -> bool:
    """Whether every intermediate provably fits, whatever the codes; for 16 bits, all but the sum of squares."""
    if rows.dtype not in (np.int8, np.int16):
        return False
    length, width = rows.shape[1], rows.dtype.itemsize * 8
    if length << (width - 1) >> LANE_BITS:
        return False
    if width == 8 and length * 255**2 >> LANE_BITS:
        return False
    return int(np.abs(bias).max()) < 1 << 29


def norm_in_lanes(request: Request, bias: Integers, constants: Integers) -> Array:
    """I-LayerNorm that cannot overflow; ``constants`` are numerator, first iterate, iterations (0: the exact floor)."""
    from lowbit.kernels.nonlinear.fast_layernorm import layernorm_rows

    return fast(request, request.rows, layernorm_rows, bias.astype(np.int32), constants)
