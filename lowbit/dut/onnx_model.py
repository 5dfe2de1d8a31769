"""A one-node ONNX model as bytes, so that ONNX Runtime can be checked without the ``onnx`` package.

Field numbers are those of ``onnx/onnx.proto`` (onnx/onnx); the wire format is that of Protocol Buffers: a key
``field << 3 | type``, type 0 a varint, type 2 a length and bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

VARINT, BYTES = 0, 2
INTEGER_ATTRIBUTE, STRING_ATTRIBUTE = 2, 3

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


def cast_model(
    source: str, target: str, *, opset: int, ir_version: int, attributes: Mapping[str, int | str] | None = None
) -> bytes:
    """The bytes of a model ``y = Cast(x)`` over a vector of any length."""
    given = {"to": ELEMENT_TYPES[target], **(attributes or {})}
    vector = ("n",)
    return node_model(
        "Cast", [("x", source, vector)], ("y", target, vector), opset=opset, ir_version=ir_version, attributes=given
    )


Value = tuple[str, str, tuple[str, ...]]
"""Name, format and the names of the axes of a tensor; no axes for a scalar."""


def node_model(
    operator: str,
    inputs: Sequence[Value],
    output: Value,
    *,
    opset: int,
    ir_version: int,
    attributes: Mapping[str, int | str] | None = None,
    more_outputs: Sequence[Value] = (),
    unread: Sequence[str] = (),
) -> bytes:
    """The bytes of a model of one node; ``unread`` are further outputs of it that the model does not give."""
    outputs = b"".join(_text(2, name) for name in (output[0], *(name for name, _, _ in more_outputs), *unread))
    node = b"".join(_text(1, name) for name, _, _ in inputs) + outputs + _text(4, operator)
    for name, value in (attributes or {}).items():
        node += _message(5, _attribute(name, value))
    graph = _message(1, node) + _text(2, operator.lower())
    graph += b"".join(_message(11, _value_info(*value)) for value in inputs)
    graph += b"".join(_message(12, _value_info(*value)) for value in (output, *more_outputs))
    return _integer(1, ir_version) + _message(7, graph) + _message(8, _integer(2, opset))


def _attribute(name: str, value: int | str) -> bytes:
    if isinstance(value, int):
        return _text(1, name) + _integer(3, value) + _integer(20, INTEGER_ATTRIBUTE)
    return _text(1, name) + _text(4, value) + _integer(20, STRING_ATTRIBUTE)


def _value_info(name: str, fmt: str, axes: tuple[str, ...]) -> bytes:
    shape = b"".join(_message(1, _text(2, axis)) for axis in axes)
    tensor = _integer(1, ELEMENT_TYPES[fmt]) + _message(2, shape)
    return _text(1, name) + _message(2, _message(1, tensor))


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
