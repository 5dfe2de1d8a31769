"""Tensors of GGUF files, from ggml's blocks: codes and scales, or the values that ggml itself gives them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lowbit.errors import InputError
from lowbit.files.gguf import GgufFile
from lowbit.files.safetensors import DTYPES
from lowbit.format.registry import formats
from lowbit.ops.block.dequantize import dequantize
from lowbit.ops.block.tensor import BlockTensor
from lowbit.printable import excerpt


def block_tensor_of(file: GgufFile, name: str) -> BlockTensor:
    """The codes and scales of a tensor in ggml's blocks.

    Raises InputError: there is no such tensor, or its type is not one of blocks that a format here stands for.
    """
    raw = file.raw(name)  # which tells of a name that is not there
    entry = file.entries[name]
    fmt = f"ggml_{entry.dtype.lower()}"
    if fmt not in formats(kind="block"):
        raise InputError(f"{file.path}: tensor {excerpt(name)} is in {entry.dtype}, which cannot be decoded")
    return BlockTensor.from_bytes(raw.tobytes(), fmt, entry.shape, layout="ggml")


def values_of(file: GgufFile, name: str) -> NDArray[np.float32]:
    """A tensor in binary32: numbers as they are, and of ggml's blocks what ggml itself makes of them.

    Raises InputError: as for :func:`block_tensor_of`.
    """
    if name in file.entries and file.entries[name].dtype in DTYPES:
        return np.asarray(file.tensor(name), np.float32)
    values: NDArray[np.float32] = dequantize(block_tensor_of(file, name), dtype=np.float32)
    return values
