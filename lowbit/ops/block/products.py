"""Elements of at most 8 bits times their scales, plus an addend, in binary32: ``dequantize`` of most formats."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lowbit.errors import LowbitError
from lowbit.format.block import BlockFormat, ScaleField
from lowbit.format.protocol import Scalar
from lowbit.ops.arrays import Array
from lowbit.ops.block.runs import Runs, divides
from lowbit.ops.block.tensor import BlockTensor, axis_last, moved_back, moved_last
from lowbit.ops.cast.cast import decode
from lowbit.ops.cast.conversion import Step
from lowbit.ops.cast.decoding import decoding

BITS = 8
BINARY32 = np.dtype(np.float32)
BINARY32_BITS, BINARY32_LOWEST, BINARY32_HIGHEST = 24, -149, 127
CHUNK = 1 << 16
"""Values that are decoded and multiplied before they leave the cache."""


class Factors(NamedTuple):
    """How elements are decoded, and the scales: one for each block or two by sign, the tensor's, the zero points."""

    elements: Step
    finest: tuple[ScaleField, ...]
    whole: tuple[ScaleField, ...]
    zeros: tuple[ScaleField, ...]


class Terms(NamedTuple):
    """How elements are decoded, the factors of a block, and those of what is added; ``sign``: that of the latter."""

    elements: Step
    factors: tuple[ScaleField, ...]
    addends: tuple[ScaleField, ...]
    sign: int


def binary32_values(tensor: BlockTensor, threads: int) -> npt.NDArray[np.float32] | None:
    """The values; None where other steps than products of binary32 elements and their scales lead to them."""
    factors, shape = factors_of(tensor.format), axis_last(tensor.shape, tensor.axis)
    if factors is None or not tensor.codes.size or not divides(tensor.format.scales[0], shape):
        return None
    runs = Runs(np.empty(shape, np.float32), tensor.format.scales[0], threads)
    whole = np.float32(scale_numbers(tensor, factors.whole[0]) if factors.whole else 1)
    scales = [runs.each(scale_numbers(tensor, field)) for field in (*factors.finest, *factors.zeros)]
    if len(scales) < 2:
        scales.append(np.zeros(len(runs.words), np.float32))
    multiply = _kernel(runs.length, by_sign=tensor.format.by_sign)
    return _each_run(tensor, runs, factors.elements, scales, lambda *rows: multiply(*rows, whole))


def binary32_sums(tensor: BlockTensor, threads: int) -> npt.NDArray[np.float32] | None:
    """The values; None where other steps than an exact product and one sum lead to them."""
    terms, shape = terms_of(tensor.format), axis_last(tensor.shape, tensor.axis)
    if terms is None or not tensor.codes.size:
        return None
    if not all(divides(field, shape) for field in (*terms.factors, *terms.addends)):
        return None
    from lowbit.kernels.block import fast_products

    runs = Runs(np.empty(shape, np.float32), terms.factors[0], threads)
    factors = _product(tensor, terms.factors).reshape(-1)
    addends = np.full(factors.shape, np.float32(-0.0))  # which changes no number
    if terms.addends:
        addends = _product(tensor, terms.addends).reshape(-1) * np.float32(terms.sign)
    return _each_run(tensor, runs, terms.elements, [factors, addends], fast_products.MULTIPLY_ADD[runs.length])


def _each_run(
    tensor: BlockTensor, runs: Runs, elements: Step, numbers: list[Array], multiply: Callable[..., None]
) -> npt.NDArray[np.float32]:
    """The values: elements decoded into the runs, which ``multiply`` then changes by the numbers of each."""
    codes = np.ascontiguousarray(moved_last(tensor.codes, tensor.axis)).reshape(-1)
    rows = runs.words.view(np.float32)
    flat = rows.reshape(-1)

    def part(inside: slice) -> None:
        places = slice(inside.start * runs.length, inside.stop * runs.length)
        elements.run(codes[places], None, False, 1, flat[places].view(np.uint32))
        multiply(rows[inside], *(each[inside] for each in numbers))

    runs.in_chunks(part, CHUNK)
    return moved_back(flat.reshape(runs.shape), tensor.axis)


def _product(tensor: BlockTensor, fields: tuple[ScaleField, ...]) -> Array:
    """The numbers of the first field times those above them, one for each of its blocks."""
    numbers = scale_numbers(tensor, fields[0])
    for field in fields[1:]:
        numbers = numbers * np.repeat(scale_numbers(tensor, field), field.block[0] // fields[0].block[0], axis=-1)
    return np.asarray(numbers)


@lru_cache(maxsize=256)
def factors_of(fmt: BlockFormat) -> Factors | None:
    """The parts of the products, where a format has no other steps."""
    first, zeros = fmt.scales[0], fmt.of_role("zero_point")
    finest = tuple(field for field in fmt.of_role("multiply", "by_sign") if field.block == first.block)
    whole = tuple(field for field in fmt.of_role("multiply") if field.block != first.block and not field.block)
    plain = len(finest) == 1 + fmt.by_sign and len(whole) <= 1 and not (fmt.by_sign and zeros)
    count = len(finest) + len(whole) + len(zeros) + len(fmt.sums)
    if not plain or len(fmt.scales) != count or fmt.number.bits > BITS:
        return None
    integers = [fmt.number, *(field.format for field in zeros)] if zeros else []
    if any(not part.wraps or part.bits > BITS or part.smallest_exponent for part in integers):
        return None
    if any(field.block != first.block for field in zeros) or (whole and not is_exact(fmt.number, finest[0].format)):
        return None
    try:
        elements, *_ = (decoding(part, BINARY32) for part in (fmt.number, *(field.format for field in fmt.scales)))
    except LowbitError:
        return None
    return Factors(elements.step, finest, whole, zeros)


@lru_cache(maxsize=64)
def terms_of(fmt: BlockFormat) -> Terms | None:
    """The parts of the sum, where a format has no others and its products are binary32 numbers."""
    from lowbit.kernels.block.fast_products import MULTIPLY_ADD

    first, others = fmt.scales[0], fmt.of_role("offset", "subtract")
    factors, *addends = ((field, *fmt.on_scales(field.name)) for field in (first, *others))
    listed = [field for group in (factors, *addends) for field in group]
    usual = first.role == "multiply" and len(addends) <= 1 and (len(factors) > 1 or addends)
    if not usual or len(listed) + len(fmt.sums) != len(fmt.scales) or fmt.number.bits > BITS:
        return None
    if any(field.role == "offset" and field.of for field in listed):
        return None
    lengths = [field.block[0] if len(field.block) == 1 else 0 for field in listed]
    if lengths[0] not in MULTIPLY_ADD or any(length % lengths[0] or not length for length in lengths):
        return None
    if addends and addends[0][0].block != first.block:
        return None
    groups: list[list[Scalar]] = [[fmt.number, *(field.format for field in factors)]]
    groups += [[field.format for field in group] for group in addends]
    if not all(is_exact(*group) for group in groups):
        return None
    try:
        elements, *_ = (decoding(part, BINARY32) for group in groups for part in group)
    except LowbitError:
        return None
    sign = -1 if others and others[0].role == "subtract" else 1
    return Terms(elements.step, factors, addends[0] if addends else (), sign)


def is_exact(*factors: Scalar) -> bool:
    """Whether products of numbers of these formats are binary32 numbers."""
    bits, lowest = sum(part.precision for part in factors), sum(part.smallest_exponent for part in factors)
    highest = sum(part.max_exponent + 1 for part in factors)
    return bits <= BINARY32_BITS and lowest >= BINARY32_LOWEST and highest <= BINARY32_HIGHEST


def scale_numbers(tensor: BlockTensor, field: ScaleField) -> Array:
    """What the scales of a field are worth in binary32, the axis of the blocks last."""
    array = tensor.scales[field.name]
    values = array if array.dtype.kind == "f" else np.asarray(decode(array, field.format))
    narrow = values.astype(np.float32, copy=False)
    return moved_last(narrow, tensor.axis)


def _kernel(length: int, *, by_sign: bool) -> Any:
    """The kernel for blocks of a length."""
    from lowbit.kernels.block import fast_products, simd_products
    from lowbit.kernels.block.simd_reached import LANES

    if by_sign or length % LANES:
        return fast_products.multiply_by_sign if by_sign else fast_products.multiply
    return lambda rows, *others: simd_products.multiply(rows.reshape(-1), length, *others)
