"""Integer matrix products of installed libraries: PyTorch's ``_int_mm``, ONNX Runtime's MatMulInteger.

Each library is imported only when it is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from types import MappingProxyType
from typing import Any

import numpy as np

from lowbit.dut.onnx_model import Value, node_model
from lowbit.vectors.case import Array, Case

OPSET, IR_VERSION = 13, 8


@dataclass(frozen=True)
class LibraryProduct:
    """One matrix product of a library.

    Attributes
    ----------
    name, version, option : str
    a, b : str
        Ids of the formats.
    zero_points : bool
        Whether zero points are given.
    multiply : callable
        Case to results.
    """

    name: str
    version: str
    option: str
    a: str
    b: str
    zero_points: bool
    multiply: Callable[[Case], Array]

    def run(self, case: Case) -> Array:
        """The results of a case, as int64."""
        return np.asarray(self.multiply(case)).astype(np.int64)


def torch_products() -> Iterator[LibraryProduct]:
    """``torch._int_mm``: int8 times int8; raises ImportError where PyTorch is missing."""
    import torch

    torch.set_num_threads(1)

    def multiply(case: Case) -> Array:
        a, b = (torch.from_numpy(case.arrays[name].copy()) for name in ("a", "b"))
        return np.asarray(torch._int_mm(a, b).numpy())  # noqa: SLF001  has no public name

    yield LibraryProduct(
        "torch", str(torch.__version__), "_int_mm", "int8", "int8", zero_points=False, multiply=multiply
    )


def onnxruntime_products() -> Iterator[LibraryProduct]:
    """MatMulInteger on the CPU, every pair of 8-bit types, without and with zero points."""
    import onnxruntime

    for a, b, zero_points in product(("uint8", "int8"), ("int8", "uint8"), (False, True)):
        session = _session(onnxruntime, a, b, zero_points=zero_points)
        if session is not None:
            option = "MatMulInteger zero_points" if zero_points else "MatMulInteger"
            yield LibraryProduct(
                "onnxruntime", str(onnxruntime.__version__), option, a, b, zero_points, _multiplier(session, a, b)
            )


def _session(onnxruntime: Any, a: str, b: str, *, zero_points: bool) -> Any:
    inputs: list[Value] = [("a", a, ("m", "k")), ("b", b, ("k", "n"))]
    if zero_points:
        inputs += [("a_zero_point", a, ()), ("b_zero_point", b, ())]
    model = node_model("MatMulInteger", inputs, ("c", "int32", ("m", "n")), opset=OPSET, ir_version=IR_VERSION)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception:  # noqa: BLE001  the runtime raises classes of its own for what it does not implement
        return None


def _multiplier(session: Any, a: str, b: str) -> Callable[[Case], Array]:
    def multiply(case: Case) -> Array:
        given: dict[str, Array] = dict(case.arrays)
        for name, dtype in (("a_zero_point", a), ("b_zero_point", b)):
            if name in case.scalars:
                given[name] = np.array(case.scalars[name], dtype)
        return np.asarray(session.run(None, given)[0])

    return multiply


PRODUCTS: Mapping[str, Callable[[], Iterator[LibraryProduct]]] = MappingProxyType(
    {"torch": torch_products, "onnxruntime": onnxruntime_products}
)
"""Product -> its matrix products."""
