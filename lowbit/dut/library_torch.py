"""PyTorch: ``.to(dtype)`` on the CPU."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lowbit.dut.libraries import NUMPY_FLOATS, NUMPY_INTEGERS, LibraryCast
from lowbit.format.registry import get_format
from lowbit.policy.cast import Policy, get_policy

OWN = ("bfloat16", "float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz", "float8_e8m0fnu")


def version() -> str:
    """The version of PyTorch."""
    return str(torch.__version__)


def casts() -> Iterator[LibraryCast]:
    """From every type that NumPy shares with PyTorch, and PyTorch's own, to each of its low-precision types."""
    torch.set_num_threads(1)
    for target in (*OWN, *NUMPY_FLOATS):
        for source in (*OWN, *NUMPY_FLOATS, *NUMPY_INTEGERS):
            if source == target or not _implemented(source, target):
                continue
            yield LibraryCast("torch", version(), source, target, "", _policy(target), _converter(source, target))


def _policy(target: str) -> Policy:
    return get_policy("torch", get_format(target)).without_defects()


def _implemented(source: str, target: str) -> bool:
    if not (hasattr(torch, source) and hasattr(torch, target)):
        return False
    try:
        torch.zeros(1, dtype=getattr(torch, source)).to(getattr(torch, target))
    except RuntimeError:  # also what torch raises for a conversion that it does not have
        return False
    return True


def _converter(source: str, target: str) -> Any:
    native, wanted = getattr(torch, source), getattr(torch, target)

    def convert(codes: NDArray[Any]) -> NDArray[Any]:
        given = np.ascontiguousarray(codes)
        tensor = torch.from_numpy(given.copy()).view(native) if given.size else torch.empty(0, dtype=native)
        width = 8 * torch.empty(0, dtype=wanted).element_size()
        return np.asarray(tensor.to(wanted).view(getattr(torch, f"uint{width}")).numpy())

    return convert
