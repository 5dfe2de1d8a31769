"""ONNX Runtime's Cast on the CPU, with saturation on and off and every rounding mode it has.

Inputs and outputs are bound as raw memory, because NumPy has no array of the 8-bit floats and ``onnx`` need not be
installed. ``saturate`` belongs to the float8 targets (operator set 19), ``round_mode`` to float8_e8m0fnu (24).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import product
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from lowbit.dut.libraries import NUMPY_FLOATS, NUMPY_INTEGERS, LibraryCast
from lowbit.dut.onnx_model import ELEMENT_TYPES, cast_model
from lowbit.format.registry import get_format
from lowbit.policy.cast import Policy, get_policy

FLOAT8 = ("float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz")
SCALE = "float8_e8m0fnu"
SMALL_INTEGERS = ("int4", "uint4", "int2", "uint2")
SOURCES = (*NUMPY_FLOATS, "bfloat16", *FLOAT8, SCALE, *NUMPY_INTEGERS)
TARGETS = (*NUMPY_FLOATS, "bfloat16", *FLOAT8, SCALE, "float4_e2m1fn", *SMALL_INTEGERS)
OPSETS = ((25, 12), (24, 12), (21, 10))
"""Operator set and file version, the newest that the installed runtime takes."""
ROUND_MODES = {"up": "away_from_zero", "down": "toward_zero", "nearest": "nearest_even"}
"""onnx/onnx, docs/Operators.md, Cast: the attribute ``round_mode`` speaks of magnitudes."""

Attributes = dict[str, int | str]


def version() -> str:
    """The version of ONNX Runtime."""
    return str(onnxruntime.__version__)


def casts() -> Iterator[LibraryCast]:
    """Every pair that the CPU provider implements, under every option."""
    for target in TARGETS:
        for source in SOURCES:
            if source == target or (source in NUMPY_INTEGERS and target in NUMPY_FLOATS):
                continue  # NumPy's own territory, which ONNX Runtime's Cast compiles to the same C conversion
            for attributes, policy in _options(target):
                session = _session(source, target, attributes)
                if session is not None:
                    option = " ".join(f"{name}={value}" for name, value in attributes.items())
                    yield LibraryCast(
                        "onnxruntime", version(), source, target, option, policy, _converter(session, source, target)
                    )


def _options(target: str) -> Iterator[tuple[Attributes, Policy]]:
    if target in FLOAT8:
        for saturate in (1, 0):
            yield {"saturate": saturate}, _policy(target, saturate)
    elif target == SCALE:
        for saturate, mode in product((1, 0), ROUND_MODES):
            policy = _policy(target, saturate).choose(rounding=ROUND_MODES[mode])
            yield {"saturate": saturate, "round_mode": mode}, policy
    else:
        yield {}, _policy(target, 1)


def _policy(target: str, saturate: int) -> Policy:
    preset = "onnxruntime" if saturate else "onnxruntime_nosat"
    return get_policy(preset, get_format(target)).without_defects()


@cache
def _session_options() -> Any:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    return options


@cache
def _version_pair() -> tuple[int, int]:
    for opset, ir_version in OPSETS:
        if _build("float32", "float16", {}, opset, ir_version) is not None:
            return opset, ir_version
    return OPSETS[-1]


def _session(source: str, target: str, attributes: Attributes) -> Any:
    """A session, or None where the runtime does not implement the conversion."""
    opset, ir_version = _version_pair()
    return _build(source, target, attributes, opset, ir_version)


def _build(source: str, target: str, attributes: Attributes, opset: int, ir_version: int) -> Any:
    model = cast_model(source, target, opset=opset, ir_version=ir_version, attributes=attributes)
    try:
        return onnxruntime.InferenceSession(model, _session_options(), providers=["CPUExecutionProvider"])
    except Exception:  # noqa: BLE001  the runtime raises classes of its own for what it does not implement
        return None


def _converter(session: Any, source: str, target: str) -> Any:
    bits = {"int4": 4, "uint4": 4, "int2": 2, "uint2": 2}.get(target, 0)
    width = np.dtype(target).itemsize if target in NUMPY_FLOATS else 2 if target == "bfloat16" else 1

    def convert(codes: NDArray[Any]) -> NDArray[Any]:
        codes = np.ascontiguousarray(codes)
        rows = codes.size
        results = np.zeros(-(-rows * bits // 8) if bits else rows, f"uint{8 * width}")
        binding = session.io_binding()
        binding.bind_input("x", "cpu", 0, ELEMENT_TYPES[source], [rows], codes.ctypes.data)
        binding.bind_output("y", "cpu", 0, ELEMENT_TYPES[target], [rows], results.ctypes.data)
        session.run_with_iobinding(binding)
        return _unpack(results, bits, rows, signed=target.startswith("int")) if bits else results

    return convert


def _unpack(packed: NDArray[Any], bits: int, rows: int, *, signed: bool) -> NDArray[Any]:
    """ONNX packs 4-bit and 2-bit elements into bytes, the first in the low bits (onnx/onnx, docs/IR.md)."""
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    codes = (packed[:, None] >> shifts & ((1 << bits) - 1)).reshape(-1)[:rows]
    if not signed:
        return codes.astype(np.uint8)
    half = 1 << (bits - 1)
    return ((codes.astype(np.int16) ^ half) - half).astype(np.int8)
