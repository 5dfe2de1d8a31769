"""NumPy's own floating types: ``astype`` between them and from its integers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lowbit.dut.library import NUMPY_FLOATS, NUMPY_INTEGERS, Offer, conversion

VERSION = np.__version__


def offers(operation: str) -> Iterator[Offer]:
    """Conversions from every NumPy number to each of its floating types."""
    for target in NUMPY_FLOATS if operation == "convert" else ():
        for source in (*NUMPY_FLOATS, *NUMPY_INTEGERS):
            if source != target:
                yield conversion("numpy", VERSION, source, target, "numpy", _converter(source, target))


def _converter(source: str, target: str) -> Any:
    native, code_dtype = np.dtype(source), f"uint{np.dtype(target).itemsize * 8}"

    def convert(codes: NDArray[Any]) -> NDArray[Any]:
        with np.errstate(all="ignore"):
            return codes.view(native).astype(target).view(code_dtype)

    return convert
