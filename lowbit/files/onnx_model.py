"""ONNX models as bytes, written without the ``onnx`` package: of one node to check ONNX Runtime, of many to export.

Field numbers are those of ``onnx/onnx.proto`` (onnx/onnx); the wire format is that of Protocol Buffers: a key
``field << 3 | type``, type 0 a varint, type 2 a length and bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

VARINT, BYTES = 0, 2
INTEGER_ATTRIBUTE, STRING_ATTRIBUTE, INTEGERS_ATTRIBUTE = 2, 3, 7

ELEMENT_TYPES: Mapping[str, int] = {
    "float32": 1,
    "uint8": 2,
    "int8": 3,
    "uint16": 4,
    "int16": 5,
    "int32": 6,
    "int64": 7,
    "float16": 10,
    "float64": 11,
    "uint32": 12,
    "uint64": 13,
    "bfloat16": 16,
    "float8_e4m3fn": 17,
    "float8_e4m3fnuz": 18,
    "float8_e5m2": 19,
    "float8_e5m2fnuz": 20,
    "uint4": 21,
    "int4": 22,
    "float4_e2m1fn": 23,
    "float8_e8m0fnu": 24,
    "uint2": 25,
    "int2": 26,
}
"""``TensorProto.DataType`` of onnx.proto, by the id of the format."""


Value = tuple[str, str, tuple[str | int, ...]]
"""Name, format and the axes of a tensor, each a name or a length; no axes for a scalar."""
Attributes = Mapping[str, int | str | Sequence[int]]


def cast_model(
    source: str, target: str, *, opset: int, ir_version: int, attributes: Mapping[str, int | str] | None = None
) -> bytes:
    """The bytes of a model ``y = Cast(x)`` over a vector of any length."""
    given = {"to": ELEMENT_TYPES[target], **(attributes or {})}
    vector = ("n",)
    return node_model(
        "Cast", [("x", source, vector)], ("y", target, vector), opset=opset, ir_version=ir_version, attributes=given
    )


def node_model(
    operator: str,
    inputs: Sequence[Value],
    output: Value,
    *,
    opset: int,
    ir_version: int,
    attributes: Attributes | None = None,
    more_outputs: Sequence[Value] = (),
    unread: Sequence[str] = (),
) -> bytes:
    """The bytes of a model of one node; ``unread`` are further outputs of it that the model does not give."""
    outputs = (output, *more_outputs)
    names = [name for name, _, _ in outputs]
    one = node(operator, [name for name, _, _ in inputs], [*names, *unread], attributes)
    return graph_model(operator.lower(), [one], inputs, outputs, opset=opset, ir_version=ir_version)


def node(
    operator: str,
    inputs: Sequence[str],
    outputs: Sequence[str],
    attributes: Attributes | None = None,
    name: str = "",
    sentence: str = "",
) -> bytes:
    """The bytes of a node; ``sentence`` is its documentation."""
    content = b"".join(_text(1, one) for one in inputs) + b"".join(_text(2, one) for one in outputs)
    content += (_text(3, name) if name else b"") + _text(4, operator)
    content += b"".join(_message(5, _attribute(key, value)) for key, value in (attributes or {}).items())
    return content + (_text(6, sentence) if sentence else b"")


def tensor(name: str, fmt: str, shape: Sequence[int], content: bytes) -> bytes:
    """The bytes of a constant, whose numbers are little-endian."""
    dims = b"".join(_integer(1, length) for length in shape)
    return dims + _integer(2, ELEMENT_TYPES[fmt]) + _text(8, name) + _message(9, content)


def graph_model(
    name: str,
    nodes: Sequence[bytes],
    inputs: Sequence[Value],
    outputs: Sequence[Value],
    *,
    opset: int,
    ir_version: int,
    constants: Sequence[bytes] = (),
) -> bytes:
    """The bytes of a model of several nodes."""
    graph = b"".join(_message(1, one) for one in nodes) + _text(2, name)
    graph += b"".join(_message(5, one) for one in constants)
    graph += b"".join(_message(11, _value_info(*value)) for value in inputs)
    graph += b"".join(_message(12, _value_info(*value)) for value in outputs)
    return _integer(1, ir_version) + _message(7, graph) + _message(8, _integer(2, opset))


def _attribute(name: str, value: int | str | Sequence[int]) -> bytes:
    if isinstance(value, int):
        return _text(1, name) + _integer(3, value) + _integer(20, INTEGER_ATTRIBUTE)
    if isinstance(value, str):
        return _text(1, name) + _text(4, value) + _integer(20, STRING_ATTRIBUTE)
    return _text(1, name) + b"".join(_integer(8, one) for one in value) + _integer(20, INTEGERS_ATTRIBUTE)


def _value_info(name: str, fmt: str, axes: tuple[str | int, ...]) -> bytes:
    shape = b"".join(_message(1, _text(2, axis) if isinstance(axis, str) else _integer(1, axis)) for axis in axes)
    tensor_type = _integer(1, ELEMENT_TYPES[fmt]) + _message(2, shape)
    return _text(1, name) + _message(2, _message(1, tensor_type))


def _varint(value: int) -> bytes:
    groups = bytearray()
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    groups.append(value)
    return bytes(groups)


def _integer(field: int, value: int) -> bytes:
    return _varint(field << 3 | VARINT) + _varint(value)


def _message(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | BYTES) + _varint(len(content)) + content


def _text(field: int, text: str) -> bytes:
    return _message(field, text.encode())
