"""ml_dtypes: ``astype`` from every NumPy number and each of its own types."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from lowbit.dut.library import NUMPY_FLOATS, NUMPY_INTEGERS, Offer, conversion

VERSION = ml_dtypes.__version__
FLOATS = (
    "bfloat16",
    "float8_e3m4",
    "float8_e4m3",
    "float8_e4m3b11fnuz",
    "float8_e4m3fn",
    "float8_e4m3fnuz",
    "float8_e5m2",
    "float8_e5m2fnuz",
    "float8_e8m0fnu",
    "float6_e2m3fn",
    "float6_e3m2fn",
    "float4_e2m1fn",
)
INTEGERS = ("int1", "int2", "int4", "uint1", "uint2", "uint4")


def offers(operation: str) -> Iterator[Offer]:
    """Conversions between every pair of types of which at least one is ml_dtypes' own."""
    own = tuple(name for name in (*FLOATS, *INTEGERS) if hasattr(ml_dtypes, name))
    for target in (*own, *NUMPY_FLOATS) if operation == "convert" else ():
        for source in (*own, *NUMPY_FLOATS, *NUMPY_INTEGERS):
            if source != target and (target in own or source in own) and _implemented(source, target):
                yield conversion("ml_dtypes", VERSION, source, target, "ml_dtypes", _converter(source, target))


def _implemented(source: str, target: str) -> bool:
    return np.can_cast(_dtype(source), _dtype(target), "unsafe")


def _dtype(name: str) -> np.dtype[Any]:
    return np.dtype(getattr(ml_dtypes, name, name))


def _converter(source: str, target: str) -> Any:
    native, wanted = _dtype(source), _dtype(target)
    code_dtype = f"uint{wanted.itemsize * 8}"
    container = np.int8 if target.startswith("int") else np.uint8

    def convert(codes: NDArray[Any]) -> NDArray[Any]:
        with np.errstate(all="ignore"):
            result = codes.view(native).astype(wanted)
            return result.astype(container) if target in INTEGERS else result.view(code_dtype)

    return convert
