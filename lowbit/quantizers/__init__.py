"""Published quantisers of weights, one function each: ``lowbit.quantizers.gptq(weights, activations, to="int4.g128")``.

``METHODS`` has them all by name. They return a :class:`QuantizedWeight`: codes and scales that kernels are checked
with, and what else the values of the weights are made of.
"""

from __future__ import annotations

import importlib
from typing import Any

from lowbit.quantizers.pyramid import PyramidVectors
from lowbit.quantizers.weight import Bilevel, Products, QuantizedWeight, RowTables, Sparse, VectorTable

__all__ = ["METHODS", "Bilevel", "Products", "PyramidVectors", "QuantizedWeight", "RowTables", "Sparse", "VectorTable"]


def __getattr__(name: str) -> Any:
    from lowbit.quantizers.method import methods

    if name == "METHODS":
        return methods()
    if not name.startswith("_") and name in methods():
        return methods()[name].quantize
    try:
        return importlib.import_module(f"lowbit.quantizers.{name}")
    except ModuleNotFoundError as error:
        raise AttributeError(f"module 'lowbit.quantizers' has no attribute {name!r}") from error


def __dir__() -> list[str]:
    from lowbit.quantizers.method import methods

    return sorted({*__all__, *methods()})
