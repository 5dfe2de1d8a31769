"""Tables of 256 entries for rows of 8-bit codes, as the look-up kernels take them."""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from lowbit.errors import InputError
from lowbit.nonlinear.widths import Widths
from lowbit.ops.nonlinear.dispatch import Request, run_fast

Array = npt.NDArray[Any]
PLANES = 4
"""The sum of a table reads four byte planes: entries of up to 32 bits."""


def is_byte_sized(rows: Array) -> bool:
    """Whether the codes are 8-bit integers."""
    return rows.dtype.itemsize == 1


def centred_bytes(rows: Array) -> Array:
    """Codes as int8 with the same differences: uint8 codes less 128."""
    return rows if rows.dtype == np.int8 else (rows ^ np.uint8(128)).view(np.int8)


def fits_planes(table: npt.NDArray[np.int64]) -> bool:
    """Whether all entries are non-negative and below 2^32."""
    return bool(table.min() >= 0 and table.max() < 1 << (8 * PLANES))


def byte_planes(table: npt.NDArray[np.int64], planes: int = PLANES) -> npt.NDArray[np.uint8]:
    """``planes[p, i]``: byte p of entry i."""
    return np.stack([(table >> (8 * plane)) & 255 for plane in range(planes)]).astype(np.uint8)


def raise_zero_sum(widths: Widths) -> NoReturn:
    """For a sum that wrapped to 0 in a kernel that cannot say more."""
    raise InputError(
        f"the sum of a row wrapped to 0 ({widths['sum'].bits} bits), and {widths.operation} divides by it",
        hint="overflow='trap' names the first overflow, overflow='saturate' avoids the wrap",
    )


def elementwise_by_table(request: Request, table: npt.NDArray[np.int64]) -> Array:
    """An elementwise function of int8 codes with int32 results, from its results for 127, 126, ..., -128."""
    from lowbit.kernels.nonlinear.fast_elementwise import by_table

    planes = byte_planes(table)
    return run_fast(request, np.int32, lambda rows, out: by_table(rows, planes, out))


Floats = npt.NDArray[np.float32]


def affine(options: Any, length: int) -> tuple[Floats, Floats]:
    """Gamma (1 if not given) and beta (0) as binary32 numbers, checked."""
    gamma = _one_each(options.get("gamma"), "gamma", length, 1.0)
    beta = _one_each(options.get("beta"), "beta", length, 0.0)
    return gamma, beta


def norm_biases(gamma: Floats, beta: Floats, unit: float, scheme: str) -> npt.NDArray[np.int64]:
    """floor((beta / gamma) / unit), each step in binary32: the twin of ``nonlinear.ivit.norm_bias``.

    Raises
    ------
    InputError
        A gamma is 0, or a bias is beyond what can be added in 64 bits.
    """
    _require_nonzero(gamma, scheme)
    with np.errstate(over="ignore", under="ignore"):
        biases = np.floor((beta / gamma) / np.float32(unit))
    return _whole(biases, beta, gamma)


def rounded_biases(gamma: Floats, beta: Floats, fraction_bits: int) -> npt.NDArray[np.int64]:
    """Beta / gamma times a power of two, by one binary64 division, to nearest, ties up; errors as above."""
    _require_nonzero(gamma, "the scheme lowbit")
    with np.errstate(over="ignore", under="ignore"):
        ratio = beta.astype(np.float64) / gamma.astype(np.float64)
        return _whole(np.floor(ratio * 2.0**fraction_bits + 0.5), beta, gamma)


def _require_nonzero(gamma: Floats, scheme: str) -> None:
    if not gamma.all():
        place = int(np.flatnonzero(gamma == 0)[0])
        raise InputError(
            f"gamma[{place}] = 0: {scheme} divides beta by gamma",
            hint="prune the channel, or give gamma a tiny value as the training code would",
        )


def _whole(biases: npt.NDArray[Any], beta: Floats, gamma: Floats) -> npt.NDArray[np.int64]:
    beyond = np.flatnonzero(~(np.abs(biases) < 2.0**62))
    if beyond.size:
        place = int(beyond[0])
        ratio = f"beta[{place}] / gamma[{place}] = {beta[place]} / {gamma[place]}"
        raise InputError(f"{ratio} is {biases[place]} units of the result, beyond 2^62")
    whole: npt.NDArray[np.int64] = biases.astype(np.int64)
    return whole


def _one_each(values: Any, name: str, length: int, default: float) -> Floats:
    try:
        array = np.asarray(default if values is None else values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} is no array of numbers") from error
    if array.ndim > 1 or (array.ndim == 1 and array.size != length):
        raise InputError(f"{name} has shape {array.shape}; rows have {length} elements", hint="one number an element")
    with np.errstate(over="ignore", under="ignore"):
        rounded = np.broadcast_to(array.astype(np.float32), (length,))
    if not np.isfinite(rounded).all():
        place = int(np.flatnonzero(~np.isfinite(rounded))[0])
        raise InputError(f"{name}[{place}] is not a finite binary32 number")
    return rounded


FAST_BITS = 31
"""What the 32-bit lanes hold: sums, and sums of squares of 8-bit codes."""


def cannot_overflow(rows: npt.NDArray[Any], bias: npt.NDArray[np.int64]) -> bool:
    """Whether every intermediate provably fits, whatever the codes; for 16 bits, all but the sum of squares."""
    if rows.dtype not in (np.int8, np.int16):
        return False
    length, width = rows.shape[1], rows.dtype.itemsize * 8
    if length << (width - 1) >> FAST_BITS:
        return False
    if width == 8 and length * 255**2 >> FAST_BITS:
        return False
    return int(np.abs(bias).max()) < 1 << 29


def run_rows(request: Request, bias: npt.NDArray[np.int64], constants: npt.NDArray[np.int64]) -> Any:
    """All rows; ``constants`` are numerator, first iterate and number of iterations (0: the exact floor)."""
    from lowbit.kernels.nonlinear.fast_layernorm import layernorm_rows

    narrow = bias.astype(np.int32)
    return run_fast(request, np.int32, lambda rows, out: layernorm_rows(rows, narrow, constants, out))
