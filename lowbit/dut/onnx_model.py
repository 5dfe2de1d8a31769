"""A one-node ONNX model as bytes, so that ONNX Runtime's Cast can be checked without the ``onnx`` package.

Field numbers are those of ``onnx/onnx.proto`` (onnx/onnx); the wire format is that of Protocol Buffers: a key
``field << 3 | type``, type 0 a varint, type 2 a length and bytes.
"""

from __future__ import annotations

from collections.abc import Mapping

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
    node = _text(1, "x") + _text(2, "y") + _text(4, "Cast")
    for name, value in {"to": ELEMENT_TYPES[target], **(attributes or {})}.items():
        node += _message(5, _attribute(name, value))
    graph = _message(1, node) + _text(2, "cast")
    graph += _message(11, _value_info("x", ELEMENT_TYPES[source]))
    graph += _message(12, _value_info("y", ELEMENT_TYPES[target]))
    return _integer(1, ir_version) + _message(7, graph) + _message(8, _integer(2, opset))


def _attribute(name: str, value: int | str) -> bytes:
    if isinstance(value, int):
        return _text(1, name) + _integer(3, value) + _integer(20, INTEGER_ATTRIBUTE)
    return _text(1, name) + _text(4, value) + _integer(20, STRING_ATTRIBUTE)


def _value_info(name: str, element_type: int) -> bytes:
    shape = _message(1, _text(2, "n"))
    tensor = _integer(1, element_type) + _message(2, shape)
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
