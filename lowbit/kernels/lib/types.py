"""Numba's types of arguments, for ``entry``: who calls a kernel need not know Numba."""

from __future__ import annotations

from typing import Any

from numba import types

BOOLEAN = types.boolean
INT64 = types.int64


def array_type(element: str, axes: int = 1, layout: str = "C") -> Any:
    """An array of ``element`` ("int32", say); the layout "A" is any strides."""
    return types.Array(getattr(types, element), axes, layout)
