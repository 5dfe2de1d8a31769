"""Digests of a large tensor in block formats: its codes and scales hashed, so that they need not be shipped.

The tensor is of binary32, 256 rows of 1024 values about N(0, 1) from SplitMix64, row r times 2^(r mod 21 - 10). Hashed
are the codes in C order, then the scales of each field, each in a little-endian container.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from lowbit.format.registry import block_format_of, formats, scalar_format
from lowbit.ops.arrays import Array
from lowbit.vectors.patterns import to_patterns
from lowbit.vectors.splitmix import random_patterns

SOURCE = "float32"
ROWS, COLUMNS, SEED, BINADES = 256, 1024, 1, 21

HEAD = """\
# Digests of one tensor of 256 x 1024 binary32 values in each block format, under the policy named; golden/README.md has
# the values. sha256 is of the codes in C order and then of the scales of each field, each in a little-endian
# container of 1, 2, 4 or 8 bytes; blocks holds the first 4 hexadecimal digits of the sha256 of each sixteenth of them.
# Written by `lowbit golden regen`; do not edit.
"""


@lru_cache(maxsize=1)
def large_tensor() -> Array:
    """The values."""
    patterns = random_patterns(scalar_format(SOURCE), ROWS * COLUMNS, SEED, "normal")
    values = patterns.astype(np.uint32).view(np.float32).reshape(ROWS, COLUMNS)
    return np.ldexp(values, (np.arange(ROWS, dtype=np.int32) % BINADES - BINADES // 2)[:, None])


def tensors(named: list[str]) -> list[tuple[str, str, str]]:
    """(source, target, policy) of every digest: all block formats that have a file and are made, and others by name."""
    from lowbit.ops.block.quantize import is_made

    targets = [name for name in dict.fromkeys((*formats(kind="block"), *named)) if is_made(block_format_of(name))]
    return [(SOURCE, target, block_format_of(target).default_policy) for target in targets]


def tensor_bytes(target: str, policy: str) -> bytes:
    """What is hashed."""
    from lowbit.ops.block.quantize import quantize

    fmt = block_format_of(target)
    tensor = quantize(large_tensor(), fmt, policy=policy)
    parts = [(tensor.codes, fmt.element), *((tensor.scale_codes(field.name), field.format) for field in fmt.scales)]
    return b"".join(
        to_patterns(np.asarray(codes).ravel(), part).astype(f"<u{part.container_bits // 8}").tobytes()
        for codes, part in parts
    )
