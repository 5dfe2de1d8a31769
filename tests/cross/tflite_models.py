"""TFLite models of one operator, authored with the schema in the ai-edge-litert wheel, and run by LiteRT and TFLM."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

RESOLVERS = {
    "reference": "BUILTIN_REF",
    "optimized": "BUILTIN_WITHOUT_DEFAULT_DELEGATES",
    "default": "AUTO",
}
"""LiteRT's three sets of kernels; the default one hands what it can to XNNPACK."""

ARENA = 1 << 22
"""Bytes for TFLM; its own default is too small for some operators."""

SCHEMA_VERSION = 3


@dataclass
class Tensor:
    """One operand: a constant where it has data, else an input or output of the model.

    ``scale`` and ``zero_point`` are one number or one a channel along ``axis``; no scale, no quantisation.
    """

    shape: tuple[int, ...]
    dtype: str = "int8"
    scale: Any = None
    zero_point: Any = 0
    data: Any = None
    axis: int = 0
    name: str = field(default="", compare=False)


def schema():
    """The FlatBuffers schema of TFLite; skips the test where the wheel is not installed."""
    return pytest.importorskip("ai_edge_litert.schema_py_generated", reason="ai-edge-litert is not installed")


def model(operator, inputs, outputs, options=None, *, version=1):
    """The bytes of a model of one operator.

    ``operator`` is a name of BuiltinOperator; ``options`` a pair of a name of BuiltinOptions and its fields, as
    ("AddOptions", {"potScaleInt16": False}).
    """
    fb = schema()
    import flatbuffers

    made = fb.ModelT()
    made.version = SCHEMA_VERSION
    made.description = "one operator"
    code = fb.OperatorCodeT()
    code.builtinCode = getattr(fb.BuiltinOperator, operator)
    code.deprecatedBuiltinCode = min(code.builtinCode, 127)
    code.version = version
    made.operatorCodes = [code]
    made.buffers = [fb.BufferT()]
    graph = fb.SubGraphT()
    graph.tensors = [_tensor(fb, made, tensor, place) for place, tensor in enumerate([*inputs, *outputs])]
    graph.inputs = [place for place, tensor in enumerate(inputs) if tensor.data is None]
    graph.outputs = [len(inputs) + place for place in range(len(outputs))]
    node = fb.OperatorT()
    node.opcodeIndex = 0
    node.inputs, node.outputs = list(range(len(inputs))), list(graph.outputs)
    if options is not None:
        name, fields = options
        node.builtinOptionsType = getattr(fb.BuiltinOptions, name)
        node.builtinOptions = getattr(fb, f"{name}T")()
        for key, value in fields.items():
            setattr(node.builtinOptions, key, value)
    graph.operators = [node]
    made.subgraphs = [graph]
    builder = flatbuffers.Builder(1024)
    builder.Finish(made.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _tensor(fb, made, tensor, place):
    result = fb.TensorT()
    result.shape = list(tensor.shape)
    result.type = getattr(fb.TensorType, tensor.dtype.upper())
    result.name = tensor.name or f"tensor_{place}"
    result.buffer = 0
    if tensor.data is not None:
        buffer = fb.BufferT()
        buffer.data = np.frombuffer(np.ascontiguousarray(tensor.data, dtype=tensor.dtype).tobytes(), dtype=np.uint8)
        made.buffers.append(buffer)
        result.buffer = len(made.buffers) - 1
    if tensor.scale is not None:
        scales = np.atleast_1d(np.asarray(tensor.scale, dtype=np.float32))
        quantization = fb.QuantizationParametersT()
        quantization.scale = scales
        quantization.zeroPoint = np.broadcast_to(np.asarray(tensor.zero_point, dtype=np.int64), scales.shape).copy()
        quantization.quantizedDimension = tensor.axis
        result.quantization = quantization
    return result


def open_litert(blob, resolver="reference"):
    """An interpreter of a model under one of LiteRT's resolvers, its tensors allocated; one thread."""
    interpreter = pytest.importorskip("ai_edge_litert.interpreter", reason="ai-edge-litert is not installed")
    kind = getattr(interpreter.OpResolverType, RESOLVERS[resolver])
    session = interpreter.Interpreter(model_content=blob, experimental_op_resolver_type=kind, num_threads=1)
    session.allocate_tensors()
    return session


def run_litert(blob, arrays, resolver="reference"):
    """The outputs of a model under one of LiteRT's resolvers."""
    session = open_litert(blob, resolver)
    for details, array in zip(session.get_input_details(), arrays, strict=True):
        session.set_tensor(details["index"], array)
    session.invoke()
    return [session.get_tensor(details["index"]) for details in session.get_output_details()]


def run_tflm(blob, arrays, outputs=1):
    """The outputs of a model under TensorFlow Lite Micro."""
    runtime = pytest.importorskip(
        "tflite_micro.python.tflite_micro.runtime", reason="tflite-micro is not installed", exc_type=ImportError
    )
    session = runtime.Interpreter.from_bytes(blob, arena_size=ARENA)
    for place, array in enumerate(arrays):
        session.set_input(array, place)
    session.invoke()
    return [session.get_output(place) for place in range(outputs)]
