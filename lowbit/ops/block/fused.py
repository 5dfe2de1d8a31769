"""Blocks of 32 and ternary ones, scale and elements in one pass, as ggml makes them: binary32, an unrounded scale."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from lowbit.format.block import BlockFormat
from lowbit.format.protocol import Scalar
from lowbit.ops.arrays import Array
from lowbit.ops.block.runs import Runs, divides
from lowbit.ops.block.scales import Coarse, Fine, Parts, fine_scales, scale_codes
from lowbit.ops.cast.cast import encode
from lowbit.policy.block import BlockPolicy, spelled

LENGTH, BITS = 32, 8
NOUGHT, ONE = np.float32(0), np.float32(1)
SMALLEST_NORMAL = np.float32(2.0**-126)
"""Scales from here on, and 0, have reciprocals that are neither infinite nor subnormal."""
LARGEST_USUAL = np.float32(2.0**126)
WHOSE_PRODUCTS_OVERFLOW = 253
"""The first code of a scale that is beyond binary32 times an element."""
FIELDS, MANTISSAS, NEAR = 256, 1 << 23, 1 << 7
"""Exponent fields of binary32, mantissas, and how many of these at most are rounded to the next power of two."""

Way = Callable[[Any, Any, Any, Any], None]
"""``way(words, codes, scales, offsets)`` for some blocks, a row each."""
TERNARY = ("amax", "none", "reciprocal", "nearest_away")
"""The steps to a quotient by the largest magnitude, and its rounding."""
USUAL = ("saturate", "saturate", "never", "never")


def faster(values: Array, fmt: BlockFormat, policy: BlockPolicy, threads: int) -> Parts | None:
    """Scales and codes of finite values, the axis of the blocks last; None where another path makes them."""
    field = fmt.scales[0]
    whole = len(field.block) == 1 and field.block[0] > 0 and field.block[0] % LENGTH == 0
    if values.dtype != np.float32 or not values.size or not whole or not divides(field, values.shape):
        return None
    carries = _carries(fmt, policy)
    if carries is not None:
        return _powers(values, fmt, carries, threads)
    way = _way(fmt, policy)
    if way is None:
        return None
    runs, grid = Runs(values, field, threads), field.grid(values.shape)
    codes = np.empty(runs.words.shape, fmt.number.code_dtype)
    scales, offsets = np.empty((2, len(codes)), np.float32)
    runs.in_chunks(lambda part: way(runs.words[part], codes[part], scales[part], offsets[part]))
    sizes = np.abs(scales)
    if not sizes.max() <= LARGEST_USUAL:
        return None
    if sizes.min() < SMALLEST_NORMAL and sizes[sizes < SMALLEST_NORMAL].any():
        return None
    numbers = scales.reshape(grid)
    fields: list[Fine | Coarse] = [Fine(field, scale_codes(numbers, numbers, field, policy, "scale"), numbers)]
    for other in fmt.of_role("offset"):
        of_blocks = offsets.reshape(grid)
        fields.append(Fine(other, np.asarray(encode(of_blocks, other.format, policy=spelled("ieee"))), of_blocks))
    return fields, codes.reshape(values.shape)


@lru_cache(maxsize=64)
def _way(fmt: BlockFormat, policy: BlockPolicy) -> Way | None:
    """The kernel of integers under one binary32 factor, and an offset perhaps; None where there is none."""
    from lowbit.kernels.block import fast_sums as fast

    element, roles = fmt.number, [field.role for field in fmt.scales]
    plain = (policy.arithmetic, policy.quotient_scale, policy.quotient_format) == ("binary32", "unrounded", "")
    zeros = (policy.zero_block, policy.smallest_scale, policy.zero_scale) == ("project", "any", "zero")
    if not (plain and zeros and element.bits <= BITS):
        return None
    rounding = policy.policy("element", element)
    ternary = (policy.scale_rule, policy.rounding_steps, policy.quotient_steps, rounding.rounding) == TERNARY
    code = _zero_of_signs(element) if ternary and roles == ["multiply"] else None
    if code is not None:
        zero = np.float32(code)
        return lambda words, codes, scales, _: fast.away_blocks(words, ONE, zero, codes, scales)
    if fmt.block != (LENGTH,) or not element.wraps or element.smallest_exponent:
        return None
    if (rounding.overflow, rounding.infinity, rounding.flush_results, rounding.flush_inputs) != USUAL:
        return None
    steps = (policy.scale_rule, policy.rounding_steps, policy.quotient_steps)
    lowest, last = np.float32(element.codes[0]), np.float32(element.codes[-1])
    if roles == ["multiply"] and steps == ("signed_amax", "sum", "reciprocal") and element.signed:
        return lambda words, codes, scales, _: fast.cut_blocks(words, lowest, last, codes, scales)
    if roles == ["multiply", "offset"] and steps[1:] == ("sum", "reciprocal") and not element.signed:
        ranged = (policy.value_range, policy.range_steps) == ("minmax", "divide")
        return (lambda words, *others: fast.cut_affine_blocks(words, last, *others)) if ranged else None
    kernels: dict[tuple[str, str], Way] = {
        ("reciprocal", "nearest_away"): lambda words, codes, scales, _: fast.away_blocks(
            words, last, NOUGHT, codes, scales
        ),
        ("maximum_over_amax", "nearest_even"): lambda words, codes, scales, _: fast.even_blocks(
            words, last, codes, scales
        ),
    }
    kernel = kernels.get((policy.quotient_steps, rounding.rounding))
    usual = steps[:2] == ("amax_over_max", "none") and policy.scale_steps == "divide"
    return kernel if roles == ["multiply"] and usual and element.signed else None


def _zero_of_signs(element: Scalar) -> int | None:
    """The code of 0 where those of -1 and 1 are beside it: a quotient by the largest magnitude is rounded to these."""
    exact = [element.decode(code) for code in element.codes]
    values = [None if value.kind else int(value.fraction()) if value.exponent >= 0 else None for value in exact]
    return next((element.codes[k] for k in range(1, len(values)) if values[k - 1 : k + 2] == [-1, 0, 1]), None)


@lru_cache(maxsize=8)
def _carries(fmt: BlockFormat, policy: BlockPolicy) -> Array | None:
    """Of MXFP4 as ggml has it, by exponent field the mantissa from which on the scale is the next power of two."""
    alike = fmt.element.id, fmt.scales[0].format.id, len(fmt.scales), policy.scale_rule, policy.rounding_steps
    if alike != ("ggml_e2m1", "ggml_e8m0", 1, "floor_log2", "least_error"):
        return None
    if (policy.zero_block, policy.smallest_scale, policy.scale) != ("project", "any", "ocp_sat"):
        return None
    words = (np.arange(1, FIELDS - 1)[:, None] << 23) + np.arange(MANTISSAS - NEAR, MANTISSAS)
    values = words.astype(np.int32).view(np.float32).astype(np.float64)
    codes = fine_scales(values, fmt.scales[0], fmt, None, policy, values.shape).codes.astype(np.int64)
    below = (codes == codes[:, :1]).sum(axis=1)
    return np.array([MANTISSAS, *(MANTISSAS - NEAR + below), MANTISSAS], np.int32)


def _powers(values: Array, fmt: BlockFormat, carries: Array, threads: int) -> Parts | None:
    from lowbit.kernels.block.fast_sums import listed_blocks

    field = fmt.scales[0]
    runs = Runs(values, field, threads)
    codes, scales = np.empty(runs.words.shape, np.uint8), np.empty(len(runs.words), np.uint8)
    failed = np.zeros(1, np.int32)
    runs.in_chunks(lambda part: listed_blocks(runs.words[part], carries, codes[part], scales[part], failed))
    if failed[0] or scales.max() >= WHOSE_PRODUCTS_OVERFLOW:
        return None
    numbers = np.empty(0)  # what values are divided by is not asked for any more
    return [Fine(field, scales.reshape(field.grid(values.shape)), numbers)], codes.reshape(values.shape)
