"""Exponents of smaller blocks below a scale: each halves the quotients of its block as often as they need it."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np

from lowbit.format.block import BlockFormat, ScaleField
from lowbit.ops.arrays import Array
from lowbit.ops.block import boundaries
from lowbit.ops.block.blocks import reduced, spread
from lowbit.ops.block.runs import Runs, divides
from lowbit.ops.block.scales import Coarse, Fine, Parts
from lowbit.ops.block.stairs import many_fine_scales
from lowbit.policy.block import BlockPolicy


def lowered(quotients: Array, fmt: BlockFormat) -> tuple[list[Fine], Array]:
    """The exponents, from the largest blocks to the smallest, and what is left of the quotients.

    An exponent is that by which the largest quotient comes into the binade of the largest element, times what the
    exponents of still smaller blocks add to it; the lowest one for a block of zeros or with NaN, the highest one with
    an infinity.
    """
    fields, result, top = [], quotients, int(fmt.number.max_exponent) + fmt.headroom
    for field in fmt.lower_exponents:
        lowest, highest = field.format.codes[0], field.format.codes[-1]
        top -= highest
        sizes = reduced(np.abs(result), field)
        wanted = np.where(np.isinf(sizes), highest, np.frexp(sizes)[1] - 1 - top)
        wanted = np.where(np.isnan(sizes) | (sizes == 0), lowest, wanted)
        codes = np.clip(wanted, lowest, highest).astype(field.format.code_dtype)
        fields.append(Fine(field, codes, codes))
        result = np.ldexp(result, -spread(codes.astype(np.int32), field, result.shape))
    return fields, result


def faster(values: Array, fmt: BlockFormat, policy: BlockPolicy, threads: int) -> Parts | None:
    """Scales, exponents and codes of finite binary32 values by the boundaries between the elements.

    A block of the last exponents has one scale, the product of all. None where an exponent has more than one bit, or
    the elements are encoded otherwise.
    """
    field, *fields = fmt.scales
    one_bit = fields and all(part.role == "exponent" and part.format.codes == range(2) for part in fields)
    if not one_bit or field.role != "multiply" or values.dtype != np.float32 or not values.size:
        return None
    plain = replace(fmt, scales=(field,))
    way = boundaries.boundaries(plain, policy)
    blocks_fit = all(len(part.block) == 1 and part.block[0] and divides(part, values.shape) for part in fmt.scales)
    if not blocks_fit or policy.arithmetic != "exact" or not isinstance(way, boundaries.Magnitudes):
        return None
    lengths = [part.block[0] for part in fmt.scales]
    if any(above % length for above, length in pairwise(lengths)):
        return None
    runs, last = Runs(values, fields[-1], threads), fields[-1].block[0]
    (sizes,) = runs.maxima(by_sign=False)
    if not np.isfinite(sizes.max()):
        return None
    fine = many_fine_scales(_of_blocks(sizes, field, last), field, fmt, None, policy, values.shape)
    scale, top = fine.used.astype(np.float64), int(fmt.number.max_exponent) + fmt.headroom
    results: list[Fine | Coarse] = []
    for part, (above, length) in zip(fields, pairwise(lengths), strict=True):
        top -= 1
        scale = np.repeat(scale, above // length, axis=-1)
        doubled = (_of_blocks(sizes, part, last) >= scale * 2.0 ** (top + 1)) & (scale > 0)
        scale = np.where(doubled, scale * 2, scale)
        codes = doubled.astype(part.format.code_dtype)
        results.append(Fine(part, codes, codes))
    coded = boundaries.encode(way, runs, [Fine(fields[-1], results[-1].codes, scale)], None, policy)
    return None if coded is None else ([fine, *results], coded.view(fmt.number.code_dtype).reshape(values.shape))


def _of_blocks(sizes: Array, field: ScaleField, length: int) -> Array:
    """The largest of the magnitudes that each ``length`` neighbours have, for each block of a field."""
    return reduced(sizes, replace(field, block=(field.block[0] // length,)))
