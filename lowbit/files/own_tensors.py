"""Tensors in any block format as lowbit stores them: codes and scales side by side, and what they are in the metadata.

A tensor ``name`` becomes ``name.codes``, each row packed densely from the lowest bit on, or each code in whole bytes
where these are coded (:mod:`lowbit.files.coded`), and ``name.scales.FIELD`` with a code each; ``name.input_scale`` or
``name.input_order`` where its inputs were scaled or reordered before. The header's metadata has, under ``lowbit``, the
format and shape of every one, as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lowbit.errors import InputError, LowbitError
from lowbit.files.parts import CODES, INPUT_ORDER, INPUT_SCALE, Part, StoredTensor, word_shape
from lowbit.files.reading import records_of_tensors
from lowbit.files.safetensors import PACKED, TensorFile
from lowbit.format.block import BlockFormat, Shape
from lowbit.format.protocol import Element
from lowbit.format.registry import block_format_of, scalar_format
from lowbit.ops.block.stored import DENSE
from lowbit.printable import excerpt

KEY = "lowbit"
SCHEMA = "lowbit/checkpoint/1"

DTYPE_OF_FORMAT = {
    "float64": "F64",
    "float32": "F32",
    "float16": "F16",
    "bfloat16": "BF16",
    "float8_e5m2": "F8_E5M2",
    "float8_e4m3fn": "F8_E4M3",
    "float8_e5m2fnuz": "F8_E5M2FNUZ",
    "float8_e4m3fnuz": "F8_E4M3FNUZ",
    "float8_e8m0fnu": "F8_E8M0",
} | {np.dtype(dtype).name: name for name, dtype in PACKED.items()}
"""Dtypes of safetensors for formats; other codes are integers there."""


INPUTS = {INPUT_SCALE: "float64", INPUT_ORDER: "int64"}
"""What may be told of the inputs of a matrix -> its format."""


def stored(name: str, shape: Shape, fmt: BlockFormat, inputs: str = "", *, unpacked: bool = False) -> StoredTensor:
    """How a tensor is stored; ``inputs``: what is told of these, one of ``INPUTS``; ``unpacked``: codes in bytes."""
    parts = [_codes(f"{name}.codes", fmt.codes_shape(shape), fmt.element, unpacked)]
    for field in fmt.scales:
        grid = field.grid(shape)
        own = DTYPE_OF_FORMAT.get(field.format.id, "") if field.format.bits >= 8 else ""
        dtype = own or _integer(field.format)
        parts.append(Part(f"{name}.scales.{field.name}", field.name, field.format, grid, dtype, grid))
    if inputs:
        held = scalar_format(INPUTS[inputs])
        dtype = DTYPE_OF_FORMAT.get(held.id) or _integer(held)
        parts.append(Part(f"{name}.{inputs}", inputs, held, shape[-1:], dtype, shape[-1:]))
    return StoredTensor(name, shape, fmt, tuple(parts))


def _codes(name: str, shape: Shape, element: Element, unpacked: bool) -> Part:
    if unpacked:
        return Part(name, CODES, element, shape, _integer(element), shape)
    dtype = DTYPE_OF_FORMAT.get(element.id, "")
    if element.bits == 8 * np.dtype(element.code_dtype).itemsize:
        return Part(name, CODES, element, shape, dtype or _integer(element), shape)
    if dtype in PACKED and shape[-1] * element.bits % 8 == 0:
        return Part(name, CODES, element, shape, dtype, shape, DENSE)
    return Part(name, CODES, element, shape, "U8", word_shape(shape, element.bits, 8), DENSE)


def _integer(fmt: Element) -> str:
    dtype = np.dtype(fmt.code_dtype)
    return f"{dtype.kind.upper()}{8 * dtype.itemsize}"


def metadata(tensors: Sequence[StoredTensor], policy: str) -> dict[str, str]:
    """What the header says of them.

    Raises InputError: a format has no name by which it can be found again.
    """
    records: dict[str, Any] = {}
    for tensor in tensors:
        if block_format_of(tensor.format.id) != tensor.format:
            raise InputError(f"{tensor.format.id} is not the format of that name", hint="give your format a file")
        record: dict[str, Any] = {"format": tensor.format.id, "shape": list(tensor.shape)}
        told = [part.role for part in tensor.parts if part.role in INPUTS]
        record |= {"inputs": told[0]} if told else {}
        own = stored(tensor.name, tensor.shape, tensor.format, *told).parts[0]
        records[tensor.name] = record | ({"unpacked": True} if own != tensor.parts[0] else {})
    return {KEY: json.dumps({"schema": SCHEMA, "policy": policy, "tensors": records})}


def read(file: TensorFile) -> list[StoredTensor]:
    """The tensors that a file has in block formats; none where it is not such a file.

    Raises InputError: the metadata is not such a record, a format is unknown, or a part is missing or misshapen.
    """
    if KEY not in file.metadata:
        return []
    where = f"{file.path}: the metadata under {KEY!r}"
    records = records_of_tensors(file.metadata[KEY], SCHEMA, where, "what the tensors are", _record)
    tensors = []
    for name, (fmt, shape, inputs, unpacked) in records.items():
        try:
            block = block_format_of(fmt)
            block.check_shape(shape, short=True)
            tensors.append(stored(name, shape, block, inputs, unpacked=unpacked))
        except LowbitError as error:
            raise InputError(f"{file.path}: tensor {excerpt(name)}: {error.message}", hint=error.hint) from error
    for tensor in tensors:
        tensor.check(file)
    return tensors


def _record(record: Mapping[str, Any]) -> tuple[str, Shape, str, bool]:
    return record["format"], _shape(record), _inputs(record), record.get("unpacked") is True


def _shape(record: Mapping[str, Any]) -> Shape:
    shape = tuple(record["shape"])
    if not shape or any(type(length) is not int or length < 1 for length in shape):
        raise ValueError(f"shape {shape}")
    return shape


def _inputs(record: Mapping[str, Any]) -> str:
    inputs = record.get("inputs", "")
    if inputs not in ("", *INPUTS):
        raise ValueError(f"inputs {inputs!r}")
    return str(inputs)
