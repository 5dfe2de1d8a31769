"""The real kernels that may be installed beside lowbit, and which operations and options each one offers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from lowbit.vectors.case import Array, Case

LIBRARIES: Mapping[str, tuple[str, ...]] = {
    "numpy": ("convert",),
    "ml_dtypes": ("convert",),
    "onnxruntime": ("convert", "gemm", "quantize_linear"),
    "torch": ("convert", "gemm", "quantize_linear"),
}
"""Product -> the operations that it offers; ``library_<product>`` has its ``VERSION`` and ``offers(operation)``."""

NUMPY_FLOATS = ("float16", "float32", "float64")
NUMPY_INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")


@dataclass(frozen=True)
class Offer:
    """One operation of an installed library under one of its options, as a device."""

    # product, version: the library
    product: str
    version: str
    option: str  # the library's own option in its own words, "" where it offers none
    operation: str  # ``convert``, ``gemm`` or ``quantize_linear`` (the way back and by one's own range, too)
    # source, target: ids of the formats; ``uint8_int8`` for the two of a matrix product
    source: str
    target: str
    # What the product is known or documented to follow, without defects: a policy as recipes spell it, or the name of
    # an accumulator.
    rule: str
    answer: Callable[[Case], Array]  # a case to its results
    zero_points: bool = False  # whether a matrix product is given zero points

    @property
    def name(self) -> str:
        """How reports call it."""
        return self.product

    def run(self, case: Case) -> Array:
        """The results of a case."""
        return np.asarray(self.answer(case))


def conversion(
    product: str,
    version: str,
    source: str,
    target: str,
    rule: str,
    convert: Callable[[NDArray[np.integer]], Array],
    option: str = "",
) -> Offer:
    """The offer of a conversion of codes."""
    return Offer(product, version, option, "convert", source, target, rule, lambda case: convert(case.arrays["codes"]))


def library_version(product: str) -> str:
    """The version of an installed library; raises ImportError where it is missing."""
    return str(_adapter(product).VERSION)


def library_offers(product: str, operation: str) -> Iterator[Offer]:
    """All that an installed library offers of an operation, between formats that lowbit knows."""
    offers: Iterator[Offer] = _adapter(product).offers(operation)
    return offers


def _adapter(product: str) -> ModuleType:
    return import_module(f"lowbit.dut.library_{product}")
