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
from lowbit.ops.block.tensor import BlockTensor, axis_last
from lowbit.ops.cast.cast import decode
from lowbit.ops.chunks import in_chunks
from lowbit.ops.pack.struct_runs import LANES, available, runs_of, windows_of
from lowbit.ops.pack.structs import struct_bytes

CHUNK = 1 << 18
"""Values that one thread works on at once."""
LISTED_BITS = 4
"""Elements of at most as many bits are looked up in a register."""
TO_WHOLE, TO_WHOLE_BITS = float(1 << 23), 0x4B000000
"""With bits of this number in front, a word of up to 23 bits is as many more as it says."""

NOTHING, EMPTY = np.zeros(0, np.float32), np.zeros((0, 5), np.int64)
"""Numbers and pieces of a scale that a format lacks."""


NO_ADDEND = np.array([-0.0], np.float32)
"""Which changes no number."""


class Plan(NamedTuple):
    """How values follow from structs: the kernel, the size of a struct, and the kernel's other arguments."""

    kernel: Callable[..., None]
    size: int
    arguments: tuple[Any, ...]


def values_of_structs(tensor: BlockTensor, threads: int) -> npt.NDArray[np.float32] | None:
    """The values; None where the codes are no longer in structs, or other steps than the kernel's lead to them."""
    data = tensor.held_structs
    plan = _plan(tensor.format) if data and available() else None
    if data is None or plan is None:
        return None
    octets, length = np.frombuffer(data, np.uint8), tensor.format.block[0]
    result = np.empty(axis_last(tensor.shape, tensor.axis), np.float32)
    flat = result.reshape(-1)

    def part(start: int, stop: int) -> None:
        out = flat[start * length : stop * length]
        plan.kernel(octets[start * plan.size : stop * plan.size], plan.size, *plan.arguments, out)

    in_chunks(part, flat.size // length, threads, max(CHUNK if threads > 1 else flat.size, length) // length)
    return result if tensor.axis == result.ndim - 1 else np.ascontiguousarray(np.moveaxis(result, -1, tensor.axis))


@lru_cache(maxsize=64)
def _plan(fmt: BlockFormat) -> Plan | None:
    """The plan, where values are elements times a scale or two, plus such a product perhaps."""
    struct, scales = struct_of(fmt), _scales(fmt)
    if scales is None:
        return None
    windows = [windows_of(struct, field.name) if field else EMPTY for field in scales]
    pieces = [rows for rows in windows if rows is not None]
    if len(pieces) < len(windows):
        return None
    numbers = [_numbers(field, rows) if field else NOTHING for field, rows in zip(scales, pieces, strict=True)]
    if fmt.of_role("subtract"):
        numbers[2] = -numbers[2]
    runs = runs_of(struct)
    way, *element = _elements(fmt.number, runs.kind)
    arguments = way, *runs[1:], *element
    blocks = fmt.block[0] // fmt.scales[0].block[0]
    from lowbit.kernels.block import simd_struct_values as kernels

    if _single(pieces, blocks):
        addends = (pieces[2], numbers[2]) if scales[2] else (np.zeros((blocks, 5), np.int64), NO_ADDEND)
        both = np.stack([pieces[0], addends[0]])
        table = np.concatenate([numbers[0], addends[1]])
        arguments += both[..., 1].flatten(), both[:, 0, 3].copy(), table, len(numbers[0])
        return Plan(kernels.values, struct_bytes(struct), arguments)
    counts = [fmt.block[0] // field.block[0] if field else 0 for field in scales]
    ends, bases = (np.cumsum([0, *map(len, parts)]) for parts in (pieces, numbers))
    fields = np.stack([counts, ends[:-1], ends[1:], bases[:-1]], axis=1)
    arguments += fields, np.concatenate(pieces), np.concatenate(numbers)
    return Plan(kernels.values_of_products, struct_bytes(struct), arguments)


def _single(pieces: Sequence[npt.NDArray[np.int64]], blocks: int) -> bool:
    """Whether there are no scales of scales, and every scale is all of its bytes."""
    one, above, other, other_above = pieces
    return len(above) + len(other_above) == 0 and all(
        len(rows) in {0, blocks} and not rows[:, [2, 4]].any() and len(np.unique(rows[:, 3])) <= 1
        for rows in (one, other)
    )


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


def _numbers(field: ScaleField, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """What each pattern of a scale is worth."""
    bits = max((mask << low).bit_length() for *_, mask, low in rows.tolist())
    return _decoded(np.arange(1 << bits), field.format)


def _decoded(patterns: npt.NDArray[np.int64], fmt: Scalar) -> npt.NDArray[np.float32]:
    stored = patterns.astype(f"u{np.dtype(fmt.code_dtype).itemsize}")
    return np.asarray(decode(read_patterns(stored, fmt), fmt, dtype=np.float32))


def _elements(fmt: Scalar, kind: int) -> tuple[int, npt.NDArray[np.float32], int, float]:
    """The kernel's way, the values of 16 patterns, and what makes integers of patterns: a word, and what it adds."""
    from lowbit.kernels.block.simd_struct_values import LISTED, WHOLE

    if fmt.bits <= LISTED_BITS and kind in LISTED:
        return LISTED[kind], _decoded(np.arange(LANES) % len(fmt.codes), fmt), 0, 0.0
    lowest = fmt.codes[0]
    # In two's complement the sign bit is turned over, and patterns are in the order of their numbers.
    turned = 0 if lowest_stored(fmt) == lowest else -lowest
    return WHOLE[kind], np.zeros(LANES, np.float32), TO_WHOLE_BITS ^ turned, TO_WHOLE - lowest
