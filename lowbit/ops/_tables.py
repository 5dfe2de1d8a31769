"""Tables of 256 entries for rows of 8-bit codes, as the look-up kernels take them."""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from lowbit.errors import InputError
from lowbit.nonlinear.widths import Widths
from lowbit.ops._nonlinear import Request, run_fast

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
    from lowbit.kernels.fast_elementwise import by_table

    planes = byte_planes(table)
    return run_fast(request, np.int32, lambda rows, out: by_table(rows, planes, out))
