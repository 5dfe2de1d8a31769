"""From structs to binary32 in one pass: ``dequantize`` of a tensor whose codes are still in ggml's structs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lowbit.format.block import BlockFormat, ScaleField
from lowbit.format.protocol import Scalar
from lowbit.ops.block.products import factors_of, terms_of
from lowbit.ops.block.structs import lowest_stored, read_patterns, struct_of
from lowbit.ops.block.tensor import BlockTensor, axis_last, moved_back
from lowbit.ops.cast.cast import decode
from lowbit.ops.chunks import in_chunks
from lowbit.ops.memory import aligned_empty
from lowbit.ops.pack.struct_runs import LANES, available, numbers_of, runs_of
from lowbit.ops.pack.structs import Struct, struct_bytes

FLOAT32 = np.dtype(np.float32)
CHUNK = 1 << 18
"""Values that one thread works on at once."""
LISTED_BITS = 4
"""Elements of at most as many bits are looked up in a register."""
TO_WHOLE, TO_WHOLE_BITS = float(1 << 23), 0x4B000000
"""With bits of this number in front, a word of up to 23 bits is as many more as it says."""


class Plan(NamedTuple):
    """How values follow from structs: the kernel, the size of a struct, and the kernel's other arguments."""

    kernel: Callable[..., None]
    size: int
    arguments: tuple[Any, ...]


def values_of_structs(tensor: BlockTensor, threads: int) -> npt.NDArray[np.float32] | None:
    """The values; None where the codes are no longer in structs, or other steps than the kernel's lead to them."""
    data = tensor.held_structs
    how = plan(tensor.format) if data else None
    if data is None or how is None:
        return None
    octets, length = np.frombuffer(data, np.uint8), tensor.format.block[0]
    result = aligned_empty(axis_last(tensor.shape, tensor.axis), FLOAT32)
    flat = result.reshape(-1)

    def part(start: int, stop: int) -> None:
        out = flat[start * length : stop * length]
        how.kernel(octets[start * how.size : stop * how.size], how.size, *how.arguments, out)

    if threads > 1:
        in_chunks(part, flat.size // length, threads, max(CHUNK, length) // length)
    else:
        how.kernel(octets, how.size, *how.arguments, flat)
    return moved_back(result, tensor.axis)


@lru_cache(maxsize=64)
def plan(fmt: BlockFormat) -> Plan | None:
    """The plan, where values are elements times a scale or two, plus such a product perhaps."""
    if not available():
        return None
    struct, scales = struct_of(fmt), _scales(fmt)
    runs = runs_of(struct)
    if scales is None or runs is None:
        return None
    from lowbit.kernels.block import simd_struct_values as kernels

    factor, above, addend, addend_above = scales
    numbers = _numbers(struct, [factor, addend] if above is None else [above, addend_above])
    blocks = fmt.block[0] // fmt.scales[0].block[0]
    if numbers is None or blocks > LANES or (not numbers[1] and blocks > 1):
        return None
    way, *element = _elements(fmt.number, runs.kind)
    common, size = (way, runs.table, *element, *numbers), struct_bytes(struct)
    if above is None and fmt.block[0] == 2 * LANES:
        return Plan(kernels.values_of_pairs, size, common)
    if above is None:
        nothing = np.zeros(0, np.uint8), np.zeros(0, np.int64), np.zeros(0, np.float32)
        other = (kernels.LOOKED_UP if numbers[1] else kernels.PLAIN), *nothing, 1.0, blocks
        return None if addend is not None else Plan(kernels.values_of_blocks, size, (*common, *other))
    fields = [field for field in (factor, addend) if field is not None]
    tables = [runs_of(struct, field.name) for field in fields]
    tables_there = [table.table for table in tables if table is not None]
    integers = all(field.format.wraps and field.format.smallest_exponent == 0 for field in fields)
    if len(tables_there) < len(fields) or not integers:
        return None
    words, origins = zip(*(_whole(field.format) for field in fields), strict=True)
    wide = np.concatenate(tables_there), np.array(words, np.int64), np.array(origins, np.float32)
    kind, sign = (kernels.BOTH if addend else kernels.FACTORS), (-1.0 if fmt.of_role("subtract") else 1.0)
    return Plan(kernels.values_of_blocks, size, (*common, kind, *wide, sign, blocks))


def _scales(fmt: BlockFormat) -> list[ScaleField | None] | None:
    """The scale of the smallest blocks, the one above it, and the two of what is added; None for one that is not."""
    terms, factors = terms_of(fmt), factors_of(fmt)
    if terms is not None:
        groups = [terms.factors, terms.addends]
    elif factors is not None and not factors.whole and not factors.zeros and not fmt.by_sign:
        groups = [factors.finest, ()]
    else:
        return None
    if any(field.block != fmt.block for group in groups for field in group[1:]):
        return None
    return [group[place] if place < len(group) else None for group in groups for place in range(2)]


def _numbers(
    struct: Struct, fields: Sequence[ScaleField | None]
) -> tuple[npt.NDArray[np.int64], int, npt.NDArray[np.float32]] | None:
    """Where the numbers of one or two fields of one format are, their bits, and what each pattern of these is worth.

    Of binary32, which nobody looks up, no bits.
    """
    there = [field for field in fields if field is not None]
    places = [numbers_of(struct, field.name) for field in there]
    starts, bits = [part[0] for part in places if part], {part[1] for part in places if part}
    if len(starts) < len(there) or len(bits) > 1 or len({field.format for field in there}) > 1:
        return None
    if there[0].format.id == "float32":
        return np.concatenate(starts), 0, np.zeros(0, np.float32)
    count = 1 << bits.pop()
    return np.concatenate(starts), count - 1, _decoded(np.arange(count), there[0].format)


def _decoded(patterns: npt.NDArray[np.int64], fmt: Scalar) -> npt.NDArray[np.float32]:
    stored = patterns.astype(f"u{np.dtype(fmt.code_dtype).itemsize}")
    return np.asarray(decode(read_patterns(stored, fmt), fmt, dtype=np.float32))


def _elements(fmt: Scalar, kind: int) -> tuple[int, npt.NDArray[np.float32], int, float]:
    """The kernel's way, the values of 16 patterns, and what makes integers of patterns."""
    from lowbit.kernels.block.simd_struct_values import LISTED, WHOLE

    if fmt.bits <= LISTED_BITS and kind in LISTED:
        return LISTED[kind], _decoded(np.arange(LANES) % len(fmt.codes), fmt), 0, 0.0
    return WHOLE[kind], np.zeros(LANES, np.float32), *_whole(fmt)


def _whole(fmt: Scalar) -> tuple[int, float]:
    """What makes integers of patterns: a word that is put before them, and what that adds."""
    lowest = fmt.codes[0]
    # In two's complement the sign bit is turned over, and patterns are in the order of their numbers.
    turned = 0 if lowest_stored(fmt) == lowest else -lowest
    return TO_WHOLE_BITS ^ turned, TO_WHOLE - lowest
