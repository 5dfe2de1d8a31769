"""Numba's types of arguments, for ``entry``: who calls a kernel need not know Numba."""

from numba import types

from lowbit.kernels._jit import array_type

__all__ = ["BOOLEAN", "INT64", "array_type"]

BOOLEAN = types.boolean
INT64 = types.int64
