"""ONNX Runtime on the CPU: Cast with saturation on and off and every rounding mode it has, MatMulInteger, and the
three operators of affine quantisation.

Inputs and outputs are bound as raw memory, because NumPy has no array of the 8-bit floats and ``onnx`` need not be
installed. ``saturate`` belongs to the float8 targets (operator set 19), ``round_mode`` to float8_e8m0fnu (24).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from itertools import product
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from lowbit.dut.library import NUMPY_FLOATS, NUMPY_INTEGERS, Offer, conversion
from lowbit.files.onnx_model import ELEMENT_TYPES, Value, cast_model, node_model
from lowbit.vectors.case import Array, Case

VERSION = onnxruntime.__version__
FLOAT8 = ("float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz")
SCALE = "float8_e8m0fnu"
SMALL_INTEGERS = ("int4", "uint4", "int2", "uint2")
SOURCES = (*NUMPY_FLOATS, "bfloat16", *FLOAT8, SCALE, *NUMPY_INTEGERS)
TARGETS = (*NUMPY_FLOATS, "bfloat16", *FLOAT8, SCALE, "float4_e2m1fn", *SMALL_INTEGERS)
OPSETS = ((25, 12), (24, 12), (21, 10))
"""Operator set and file version, the newest that the installed runtime takes."""
PRODUCT_OPSET = (13, 8)
AFFINE_OPSET = (21, 10)
AFFINE_TYPES = ("uint8", "int8", "uint16", "int16")
ROUND_MODES = {"up": "away_from_zero", "down": "toward_zero", "nearest": "nearest_even"}
"""onnx/onnx, docs/Operators.md, Cast: the attribute ``round_mode`` speaks of magnitudes."""

Attributes = dict[str, int | str]


def offers(operation: str) -> Iterator[Offer]:
    """All that the CPU provider implements of an operation, under every option."""
    makers = {"convert": _casts, "gemm": _products, "quantize_linear": _affine}
    return makers[operation]() if operation in makers else iter(())


def _casts() -> Iterator[Offer]:
    for target in TARGETS:
        for source in SOURCES:
            if source == target or (source in NUMPY_INTEGERS and target in NUMPY_FLOATS):
                continue  # NumPy's own territory, which ONNX Runtime's Cast compiles to the same C conversion
            for attributes, rule in _options(target):
                session = _session(source, target, attributes)
                if session is not None:
                    option = " ".join(f"{name}={value}" for name, value in attributes.items())
                    convert = _converter(session, source, target)
                    yield conversion("onnxruntime", VERSION, source, target, rule, convert, option)


def _options(target: str) -> Iterator[tuple[Attributes, str]]:
    presets = {1: "onnxruntime", 0: "onnxruntime_nosat"}
    if target in FLOAT8:
        for saturate, preset in presets.items():
            yield {"saturate": saturate}, preset
    elif target == SCALE:
        for saturate, mode in product(presets, ROUND_MODES):
            yield {"saturate": saturate, "round_mode": mode}, f"{presets[saturate]}+rounding={ROUND_MODES[mode]}"
    else:
        yield {}, presets[1]


def _products() -> Iterator[Offer]:
    """MatMulInteger of every pair of 8-bit types, without and with zero points."""
    for a, b, zero_points in product(("uint8", "int8"), ("int8", "uint8"), (False, True)):
        inputs: list[Value] = [("a", a, ("m", "k")), ("b", b, ("k", "n"))]
        if zero_points:
            inputs += [("a_zero_point", a, ()), ("b_zero_point", b, ())]
        opset, ir_version = PRODUCT_OPSET
        model = node_model("MatMulInteger", inputs, ("c", "int32", ("m", "n")), opset=opset, ir_version=ir_version)
        session = _loaded(model)
        if session is not None:
            option = "MatMulInteger zero_points" if zero_points else "MatMulInteger"
            operands, answer = f"{a}_{b}", _multiplier(session, a, b)
            yield Offer("onnxruntime", VERSION, option, "gemm", operands, "int32", "int32", answer, zero_points)


def _affine() -> Iterator[Offer]:
    """QuantizeLinear and DequantizeLinear by one scale and zero point, and DynamicQuantizeLinear."""
    opset, ir_version = AFFINE_OPSET
    for codes in AFFINE_TYPES:
        for operator, source, target in (("Quantize", "float32", codes), ("Dequantize", codes, "float32")):
            inputs: list[Value] = [("x", source, ("n",)), ("scale", "float32", ()), ("zero_point", codes, ())]
            name = f"{operator}Linear"
            model = node_model(name, inputs, ("y", target, ("n",)), opset=opset, ir_version=ir_version)
            if session := _loaded(model):
                answer = _by_scale(session, codes)
                yield Offer("onnxruntime", VERSION, name, "quantize_linear", source, target, "onnx", answer)
    outputs: list[Value] = [("scale", "float32", ()), ("zero_point", "uint8", ())]
    name, output = "DynamicQuantizeLinear", ("y", "uint8", ("n",))
    model = node_model(
        name, [("x", "float32", ("n",))], output, opset=opset, ir_version=ir_version, more_outputs=outputs
    )
    if session := _loaded(model):
        yield Offer("onnxruntime", VERSION, name, "quantize_linear", "float32", "uint8", "onnx", _by_range(session))


def _by_scale(session: Any, codes: str) -> Callable[[Case], Array]:
    def run(case: Case) -> Array:
        (values,) = case.arrays.values()
        scale, place = np.array(case.scalars["scale"], np.float32), np.array(case.scalars["zero_point"], codes)
        result = session.run(None, {"x": values, "scale": scale, "zero_point": place})[0]
        return np.asarray(result.view(np.uint32) if result.dtype == np.float32 else result)

    return run


def _by_range(session: Any) -> Callable[[Case], Array]:
    def run(case: Case) -> Array:
        codes, scale, place = session.run(None, {"x": case.arrays["values"]})
        bits = np.asarray(scale, np.float32).reshape(1).view(np.uint32)
        return np.concatenate([codes.astype(np.int64), bits.astype(np.int64), [int(place)]])

    return run


def _multiplier(session: Any, a: str, b: str) -> Callable[[Case], Array]:
    def multiply(case: Case) -> Array:
        operands: dict[str, Array] = dict(case.arrays)
        for name, dtype in (("a_zero_point", a), ("b_zero_point", b)):
            if name in case.scalars:
                operands[name] = np.array(case.scalars[name], dtype)
        return np.asarray(session.run(None, operands)[0])

    return multiply


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
    return _loaded(cast_model(source, target, opset=opset, ir_version=ir_version, attributes=attributes))


def _loaded(model: bytes) -> Any:
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
