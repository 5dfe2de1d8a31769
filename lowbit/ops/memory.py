"""Arrays that begin with a cache line, as vectors that straddle two lines cost two accesses to memory."""

from __future__ import annotations

import functools
import math
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

LINE_BYTES = 64
MOST_KEPT = 1 << 24
"""Bytes that a thread keeps for intermediates."""

_local = threading.local()


def aligned_empty(shape: tuple[int, ...], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """An array like ``numpy.empty(shape, dtype)``, a view of somewhat larger memory."""
    memory = np.empty(math.prod(shape) * dtype.itemsize + LINE_BYTES - 1, np.uint8)
    return np.ndarray(shape, dtype, memory, -_address()(memory) % LINE_BYTES)


def reused_empty(shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """An array for an intermediate, which is overwritten when the thread asks for the next one.

    New memory costs a page fault every 4096 bytes, which takes longer than to requantise what lies there.
    """
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if size > MOST_KEPT:
        return np.empty(shape, dtype)
    memory = getattr(_local, "memory", None)
    if memory is None or memory.nbytes < size:
        memory = _local.memory = aligned_empty((size,), np.dtype(np.uint8))
    return memory[:size].view(dtype).reshape(shape)


@functools.cache
def _address() -> Callable[[npt.NDArray[np.uint8]], int]:
    """A tenth of a microsecond a call, where NumPy takes a whole one."""
    from lowbit.kernels._jit import entry
    from lowbit.kernels.lib.memory import address_of
    from lowbit.kernels.lib.types import array_type

    return entry(address_of, array_type("uint8"))
