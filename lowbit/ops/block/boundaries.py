"""binary32 into blocks of floats of at most 4 bits: by the boundaries between the elements, without a division."""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lowbit.exact import from_fraction
from lowbit.format.block import BlockFormat
from lowbit.format.protocol import Scalar
from lowbit.ops.arrays import Array
from lowbit.ops.block.scales import Coarse, Fine
from lowbit.ops.cast.exact import encode_exact
from lowbit.ops.chunks import in_chunks
from lowbit.policy.block import BlockPolicy
from lowbit.policy.cast import Policy

BITS = 4
TOTAL_BITS = 48
"""A boundary of few bits times a scale of that many is exact in binary64."""

CHUNK = 1 << 18
"""Values that one thread works on at once."""


class Boundaries(NamedTuple):
    """Where magnitudes begin to be rounded to the next element: the numbers, and whether a tie stays below."""

    numbers: npt.NDArray[np.float64]
    beyond: npt.NDArray[np.int32]
    sign_bit: np.int32


@lru_cache(maxsize=64)
def boundaries(fmt: BlockFormat, policy: BlockPolicy) -> Boundaries | None:
    """The boundaries of the elements of a format; None where another path encodes them."""
    finest, *coarser = fmt.scales[1:] if fmt.by_sign else fmt.scales
    if policy.arithmetic != "exact" or policy.nan != "propagate" or policy.infinity not in {"propagate", "nan"}:
        return None
    if len(finest.block) != 1 or not finest.block[0] or finest.role not in {"multiply", "by_sign"}:
        return None
    if len(coarser) > 1 or any(field.block or field.role != "multiply" for field in coarser):
        return None
    if sum(field.format.precision for field in (finest, *coarser)) > TOTAL_BITS or policy.zero_scale != "zero":
        return None
    return _of_element(fmt.element, policy.policy("element", fmt.element))


def _of_element(element: Scalar, policy: Policy) -> Boundaries | None:
    from lowbit.kernels.block.fast_boundaries import BOUNDARIES

    mirrored = not element.listed and not element.wraps and element.negative_zero and not element.has_infinity
    if element.bits > BITS or not mirrored or not policy.rounding.startswith("nearest_") or element.has_nan:
        return None
    usual = (policy.overflow, policy.flush_results, policy.flush_inputs, policy.negative_zero, policy.via)
    if usual != ("saturate", "never", "never", "keep", "") or policy.defects or policy.rounding[8:] in {"up", "down"}:
        return None
    count = element.largest_code()
    numbers, beyond = np.full(BOUNDARIES, np.inf), np.ones(BOUNDARIES, np.int32)
    for place in range(count):
        middle = _middle(element, place)
        exact = from_fraction(middle)
        code = int(encode_exact(exact.kind, exact.significand, exact.exponent, element, policy=policy))
        numbers[place], beyond[place] = float(middle), int(code == place)
    return Boundaries(numbers, beyond, np.int32(element.sign_bit))


def _middle(element: Scalar, place: int) -> Fraction:
    return (element.value_at(place).fraction() + element.value_at(place + 1).fraction()) / 2


def block_maxima(values: Array, fmt: BlockFormat) -> list[Array]:
    """Amax of each block, of the numbers of each sign where the format has scales by sign; the axis of blocks last."""
    from lowbit.kernels.block import fast_boundaries as fast

    length = fmt.block[0]
    grid = (*values.shape[:-1], values.shape[-1] // length)
    words = [np.empty(grid, np.int32) for _ in range(2 if fmt.by_sign else 1)]
    kernel = fast.maxima_by_sign if fmt.by_sign else fast.maxima
    kernel(_in_blocks(values, length), *(word.reshape(-1) for word in words))
    return [word.view(np.float32).astype(np.float64) for word in words]


def _in_blocks(values: Array, length: int) -> npt.NDArray[np.int32]:
    """The words, a row a block."""
    return np.ascontiguousarray(values).view(np.int32).reshape(-1, length)


def encode(way: Boundaries, values: Array, fine: list[Fine], above: Coarse | None, threads: int) -> Array | None:
    """The codes; None where a scale is not a number."""
    from lowbit.kernels.block import fast_boundaries as fast

    totals = [part.used if above is None else part.used * above.scale for part in fine]
    if not all(np.isfinite(total).all() for total in totals):
        return None
    blocks = _in_blocks(values, values.shape[-1] // totals[0].shape[-1])
    codes = np.empty(blocks.shape, np.uint8)
    count, length = blocks.shape
    flat = [total.reshape(-1) for total in totals]
    kernel = fast.encode_by_sign if len(fine) > 1 else fast.encode

    def part(start: int, stop: int) -> None:
        inside = slice(start, stop)
        of_part = [total[inside] for total in flat]
        kernel(blocks[inside], *of_part, way.numbers, way.beyond, way.sign_bit, codes[inside])

    in_chunks(part, count, threads, max(1, CHUNK // length))
    return codes.reshape(values.shape)
