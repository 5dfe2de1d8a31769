"""The real kernels that may be installed beside lowbit, and which conversions and options each one offers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from numpy.typing import NDArray

from lowbit.policy.cast import Policy

LIBRARIES: Mapping[str, str] = {
    "numpy": "lowbit.dut.library_numpy",
    "ml_dtypes": "lowbit.dut.library_ml_dtypes",
    "onnxruntime": "lowbit.dut.library_onnxruntime",
    "torch": "lowbit.dut.library_torch",
}
"""Product -> the module of its adapter, which has ``version()`` and ``casts()``."""

NUMPY_FLOATS = ("float16", "float32", "float64")
NUMPY_INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")


@dataclass(frozen=True)
class LibraryCast:
    """One conversion of an installed library under one of its options, as a device.

    Attributes
    ----------
    product, version : str
        The library.
    source, target : str
        Ids of the formats.
    option : str
        The library's own option in its own words, "" where it offers none.
    policy : Policy
        The rules that the product is known or documented to follow, without defects.
    convert : callable
        Source codes to target codes.
    """

    product: str
    version: str
    source: str
    target: str
    option: str
    policy: Policy
    convert: Callable[[NDArray[Any]], NDArray[Any]]

    @property
    def name(self) -> str:
        """``product`` and its option."""
        return f"{self.product} {self.option}".rstrip()

    def run(self, codes: NDArray[Any]) -> NDArray[Any]:
        """The target codes for the source codes."""
        return self.convert(codes)


def library_version(product: str) -> str:
    """The version of an installed library; raises ImportError where it is missing."""
    return str(import_module(LIBRARIES[product]).version())


def library_casts(product: str) -> Iterator[LibraryCast]:
    """Every conversion that an installed library offers between formats that lowbit knows."""
    casts: Iterator[LibraryCast] = import_module(LIBRARIES[product]).casts()
    return casts
