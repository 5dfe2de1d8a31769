"""Exponents of smaller blocks below a scale: each halves the quotients of its block as often as they need it."""

from __future__ import annotations

import numpy as np

from lowbit.format.block import BlockFormat
from lowbit.ops.arrays import Array
from lowbit.ops.block.blocks import reduced, spread
from lowbit.ops.block.scales import Fine


def lowered(quotients: Array, fmt: BlockFormat) -> tuple[list[Fine], Array]:
    """The exponents, from the largest blocks to the smallest, and what is left of the quotients.

    An exponent is that by which the largest quotient comes into the binade of the largest element, times what the
    exponents of still smaller blocks add to it; the lowest one for a block of zeros or with NaN, the highest one with
    an infinity.
    """
    fields, result, top = [], quotients, int(fmt.element.max_exponent) + fmt.headroom
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
