"""Matrices as compressed-tensors stores them, which vLLM and transformers read, and their ``quantization_config``.

A module ``M`` has ``M.weight`` or, where codes are packed, ``M.weight_packed``, and beside it ``M.weight_scale``,
``M.weight_global_scale``, ``M.weight_zero_point`` and ``M.weight_shape``. The config has groups of modules, each with a
format and the arguments of its quantisation (https://github.com/vllm-project/compressed-tensors 0.20.0,
src/compressed_tensors: quantization/quant_args.py, quantization/quant_scheme.py, compressors/*/base.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from lowbit.errors import FormatError, InputError
from lowbit.files.own_tensors import DTYPE_OF_FORMAT
from lowbit.files.parts import CODES, SHAPE, Part, StoredTensor, word_shape
from lowbit.format.block import WHOLE, BlockFormat, Shape
from lowbit.format.block_name import block_format
from lowbit.format.registry import block_format_of, scalar_format
from lowbit.ops.arrays import Array
from lowbit.ops.block.blocks import spread
from lowbit.ops.block.dequantize import dequantize
from lowbit.ops.block.scales import field_values
from lowbit.ops.block.stored import DENSE
from lowbit.ops.block.tensor import BlockTensor
from lowbit.ops.cast.cast import decode
from lowbit.printable import excerpt

WEIGHT = ".weight"
GGML = "ggml_"
"""How the formats of ggml's blocks begin, whose files are GGUF."""
INTEGERS, OLD_INTEGERS = "compressed_tensors", "compressed_tensors_0_9"
"""Layouts of packed integers, now and in checkpoints of before 2026."""
PACK, INT, FLOAT = "pack-quantized", "int-quantized", "float-quantized"

NAMED: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "nvfp4_reciprocal": (
        "nvfp4-pack-quantized",
        {"num_bits": 4, "strategy": "tensor_group", "group_size": 16, "scale_dtype": "torch.float8_e4m3fn"},
    ),
    "mxfp4": (
        "mxfp4-pack-quantized",
        {"num_bits": 4, "strategy": "group", "group_size": 32, "scale_dtype": "torch.uint8"},
    ),
    "mxfp6_e2m3": (
        "mxfp6-pack-quantized",
        {"num_bits": 6, "strategy": "group", "group_size": 32, "scale_dtype": "torch.uint8"},
    ),
    "mxfp8_e4m3": (
        "mxfp8-quantized",
        {"num_bits": 8, "strategy": "group", "group_size": 32, "scale_dtype": "torch.uint8"},
    ),
}
"""Formats with a name of their own -> the format there, and its arguments."""
_SCALES = ("float16", "bfloat16", "float32")
_ROLES = {"block": "weight_scale", "tensor": "weight_global_scale", "zero_point": "weight_zero_point"}


def stored_as(fmt: BlockFormat) -> BlockFormat:
    """The format in which compressed-tensors has a format: its NVFP4 keeps the reciprocal of the tensor's scale."""
    return block_format_of("nvfp4_reciprocal") if fmt.id == "nvfp4" else fmt


def kind_of(fmt: BlockFormat) -> str | None:
    """What compressed-tensors calls a format; None where it does not have it."""
    pair = arguments_of(stored_as(fmt))
    return pair and pair[0]


def kind_as_stored(tensor: StoredTensor) -> str:
    """What it calls the way in which a tensor of a format that it has is stored."""
    return INT if tensor.parts[0].dtype == "I8" else kind_of(tensor.format) or ""


def arguments_of(fmt: BlockFormat) -> tuple[str, dict[str, Any]] | None:
    """The name of a format in compressed-tensors, and its arguments; None where it is not one of them."""
    if fmt.id in NAMED and block_format_of(fmt.id) == fmt:
        name, own = NAMED[fmt.id]
        return name, _arguments(type="float", **own)
    element, (scale, *others) = fmt.element, fmt.scales
    zeros = [field for field in others if field.role == "zero_point" and field.format == element]
    if fmt.id.startswith(GGML):
        return None  # it would come back by another name
    plain = scale.name == "block" and scale.role == "multiply" and scale.format.id in _SCALES
    same = {field.block for field in fmt.scales} == {fmt.block} and len(others) == len(zeros)
    if not plain or not same:
        return None
    how = _strategy(fmt.block)
    if element.id == "float8_e4m3fn" and not zeros:
        return FLOAT, _arguments(num_bits=8, type="float", **how)
    integer = element.wraps and fmt.number.smallest_exponent == 0 and element.bits <= 8
    if not integer or not (element.signed_codes or zeros) or how["strategy"] == "block":
        return None
    return PACK, _arguments(num_bits=element.bits, type="int", symmetric=not zeros, **how)


def _arguments(**own: Any) -> dict[str, Any]:
    return {"symmetric": True, "dynamic": False, "group_size": None, **own}


def _strategy(block: Shape) -> dict[str, Any]:
    if len(block) == 2:
        return {"strategy": "block", "block_structure": list(block)}
    if not block:
        return {"strategy": "tensor"}
    return {"strategy": "channel"} if block == (WHOLE,) else {"strategy": "group", "group_size": block[0]}


def format_of(arguments: Mapping[str, Any], scale: str) -> BlockFormat:
    """The format that arguments describe, with scales of a dtype of safetensors.

    Raises
    ------
    InputError
        It is not one that is read here.
    """
    defaults = {"num_bits": 8, "type": "int", "symmetric": True, "group_size": None, "strategy": None}
    bits, kind, symmetric, group, strategy = (arguments.get(key, value) for key, value in defaults.items())
    if strategy is None:
        strategy = "tensor" if group is None else "channel" if group == -1 else "group"
    power = scale in ("U8", "F8_E8M0")
    for name, (_, own) in NAMED.items():
        exponents = own["scale_dtype"] == "torch.uint8"
        if kind == "float" and power == exponents and bits == own["num_bits"] and group == own["group_size"]:
            return block_format_of(name)
    blocks = {"tensor": "tensor", "channel": "channel", "group": group, "block": arguments.get("block_structure")}
    if strategy == "block" and (not isinstance(blocks["block"], list) or len(blocks["block"]) != 2):
        raise InputError(f"block_structure {excerpt(str(blocks['block']))} is not a list of two lengths: not read here")

    of_scale = next((fmt for fmt in _SCALES if DTYPE_OF_FORMAT[fmt] == scale), None)
    integer = kind == "int" and type(bits) is int and 1 <= bits <= 8
    known = integer or (kind == "float" and bits == 8 and symmetric)
    what = f"{kind} of {bits} bits, strategy {strategy}, group {group}, scales of dtype {scale}"
    if not known or strategy not in [*blocks] or of_scale is None:
        raise InputError(f"weights quantised as {what} are not read here")
    block = blocks[strategy]
    try:
        return block_format(
            f"int{bits}" if integer else "float8_e4m3fn",
            block=tuple(block) if isinstance(block, list) else block,
            scale=of_scale,
            asymmetric=not symmetric,
        )
    except FormatError as error:
        raise InputError(f"weights quantised as {what} are not read here: {error}") from error


def stored(
    name: str,
    shape: Shape,
    fmt: BlockFormat,
    kind: str | None = None,
    *,
    exponents: str = "U8",
    layout: str = INTEGERS,
) -> StoredTensor:
    """How a matrix ``M.weight`` is stored under a format of compressed-tensors.

    Parameters
    ----------
    kind : str
        What that calls the format; by default as lowbit writes it.
    exponents : str
        The dtype of E8M0 scales.
    layout : str
        Of packed integers.
    """
    module, element = name.removesuffix(WEIGHT), fmt.element
    kind = kind or kind_of(fmt)
    packed = kind == PACK
    if packed:
        shape_of_words = (shape[0], _words(shape[1], element.bits, layout))
        part = Part(f"{name}_packed", CODES, element, shape, "I32", shape_of_words, layout)
    elif element.bits < 8:
        part = Part(f"{name}_packed", CODES, element, shape, "U8", word_shape(shape, element.bits, 8), DENSE)
    else:
        part = Part(name, CODES, element, shape, "I8" if kind == INT else "F8_E4M3", shape)
    parts = [part]
    for field in fmt.scales:
        grid, label = field.grid(shape), f"{module}.{_ROLES[field.name]}"
        if field.role != "zero_point":
            dtype = DTYPE_OF_FORMAT[field.format.id] if field.format.id != "float8_e8m0fnu" else exponents
            parts.append(Part(label, field.name, field.format, grid, dtype, grid or (1,)))
        elif packed and grid:
            turned = (_words(grid[0], element.bits, layout), grid[1])
            parts.append(Part(label, field.name, field.format, grid, "I32", turned, layout, columns=True))
        else:
            parts.append(Part(label, field.name, field.format, grid, "I8", grid or (1,)))
    if packed:
        parts.append(Part(f"{name}_shape", SHAPE, scalar_format("int64"), (2,), "I64", (2,)))
    return StoredTensor(name, shape, fmt, tuple(parts))


def _words(count: int, bits: int, layout: str) -> int:
    """How many words of 32 bits a row of codes takes."""
    return -(-count * bits // 32) if layout == INTEGERS else -(-count // (32 // bits))


def why_not(name: str, shape: Shape) -> str:
    """Why a tensor has no place in such a checkpoint; "" where it has one."""
    if len(shape) != 2 or not name.endswith(WEIGHT):
        return "compressed-tensors quantises matrices named .weight; --container lowbit takes it"
    return ""


def decoded(tensor: BlockTensor, dtype: Any) -> Array:
    """The values in the steps of compressed-tensors; only for NVFP4 are there more than one.

    There the block's scale over the tensor's, and its product with the element, are rounded to binary32 before the
    result is rounded to the dtype. Source: quantization/lifecycle/forward_helpers.py, ``_dequantize``.
    """
    above = tensor.format.of_role("divide")
    if not above:
        return dequantize(tensor, dtype=dtype)
    (field,) = tensor.format.of_role("multiply")
    fine = field_values(tensor.scale_codes(field.name), field).astype(np.float32)
    with np.errstate(all="ignore"):
        scale = fine / field_values(tensor.scale_codes(above[0].name), above[0]).astype(np.float32)
        values = np.asarray(decode(tensor.codes, tensor.format.element, dtype=np.float32))
        values *= spread(scale, field, tensor.shape)
        values[np.isnan(values)] = np.nan
        return values.astype(dtype)
