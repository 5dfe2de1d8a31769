"""PyTorch on the CPU: ``.to(dtype)``, and ``torch._int_mm`` of int8 matrices."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lowbit.dut.library import NUMPY_FLOATS, NUMPY_INTEGERS, Offer, conversion
from lowbit.vectors.case import Array, Case

OWN = ("bfloat16", "float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz", "float8_e8m0fnu")


def version() -> str:
    """The version of PyTorch."""
    return str(torch.__version__)


def offers(operation: str) -> Iterator[Offer]:
    """Conversions from every type shared with NumPy, and PyTorch's own, to each of its low-precision types."""
    torch.set_num_threads(1)
    if operation == "gemm":
        yield Offer("torch", version(), "_int_mm", "gemm", "int8_int8", "int32", "int32", _multiply)
    for target in (*OWN, *NUMPY_FLOATS) if operation == "convert" else ():
        for source in (*OWN, *NUMPY_FLOATS, *NUMPY_INTEGERS):
            if source != target and _implemented(source, target):
                yield conversion("torch", version(), source, target, "torch", _converter(source, target))


def _multiply(case: Case) -> Array:
    a, b = (torch.from_numpy(case.arrays[name].copy()) for name in ("a", "b"))
    return np.asarray(torch._int_mm(a, b).numpy())  # noqa: SLF001  has no public name


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
