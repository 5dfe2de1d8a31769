"""Codes and scales at other places than they belong to: pairs the other way round, cuBLAS's tiles of block scales."""

from __future__ import annotations

from lowbit.format.block import ScaleField
from lowbit.ops.pack.pack import pack, unpack
from lowbit.ops.pack.placement import SCALE_COLUMNS, SCALE_ROWS
from lowbit.vectors.case import Array

LAYOUT = "scales_128x4"


def swapped(codes: Array) -> Array:
    """Codes of which each pair is in the other order."""
    flat = codes.reshape(-1).copy()
    even = flat.size // 2 * 2
    flat[:even] = flat[:even].reshape(-1, 2)[:, ::-1].reshape(-1)
    return flat.reshape(codes.shape)


def to_tiles(scales: Array, field: ScaleField) -> Array:
    """Scales in the order of cuBLAS's tiles; as they are where they are not whole tiles of bytes."""
    return pack(scales, 8, layout=LAYOUT).reshape(scales.shape) if _tiled(scales, field) else scales


def from_tiles(scales: Array, field: ScaleField) -> Array:
    """Scales of cuBLAS's tiles in the order of their blocks; as they are where they are not whole tiles of bytes."""
    if not _tiled(scales, field):
        return scales
    rows, columns = scales.shape
    tiles = scales.reshape(rows // SCALE_ROWS, columns // SCALE_COLUMNS, SCALE_ROWS * SCALE_COLUMNS)
    return unpack(tiles, 8, count=columns, layout=LAYOUT).astype(scales.dtype)


def _tiled(scales: Array, field: ScaleField) -> bool:
    whole = scales.ndim == 2 and not scales.shape[0] % SCALE_ROWS and not scales.shape[1] % SCALE_COLUMNS
    return whole and field.format.bits == 8
