"""Quotients by the scale of a block as integers, as ggml rounds them, in binary32: an exception to the int64 rule."""

import numpy as np

from lowbit.kernels._jit import kernel
from lowbit.kernels.block.fast_lanes import NOTHING, ONE, TO_WHOLE, WHOLE, ZERO_WORD
from lowbit.kernels.lib.bits import as_int32
from lowbit.kernels.lib.select import pick

SUMMED = 16
"""Codes that share a sum."""


@kernel
def encode(values, scales, minima, lowest, highest, codes):
    """Super-blocks, a row each, to ``(x + minimum) / scale``, limited; blocks whose scale is 0 keep their codes.

    A row of scales has one for each of as many neighbours, which are written out before the long loop.
    """
    bottom, top, length = (
        np.int32(ZERO_WORD + lowest),
        np.int32(ZERO_WORD + highest),
        values.shape[1] // scales.shape[1],
    )
    divisors, addends = np.empty(values.shape[1], np.float32), np.empty(values.shape[1], np.float32)
    for row in range(values.shape[0]):
        for block in range(scales.shape[1]):
            scale, minimum = scales[row, block], minima[row, block]
            for i in range(length):
                divisors[block * length + i] = scale
                addends[block * length + i] = minimum
        for i in range(values.shape[1]):
            quotient = np.float32(np.float32(values[row, i] + addends[i]) / divisors[i])
            word = np.int32(as_int32(np.float32(quotient + TO_WHOLE)) & WHOLE)
            code = np.int8(max(min(word, top), bottom) - ZERO_WORD)
            codes[row, i] = pick(divisors[i] == NOTHING, codes[row, i], code)


@kernel
def encode_by_peaks(values, element, scales, codes, sums):
    """Rows of values to integers of 8 bits, ``element`` being that of the value of the largest magnitude; and sums.

    ``quantize_row_q8_K_ref`` of ggml-quants.c: x times ``element`` over that value, to nearest, at most 127; what is
    far below -128 leaves its low 8 bits. A row of zeros has the scale 0.
    """
    for block in range(values.shape[0]):
        size, peak = NOTHING, NOTHING
        for i in range(values.shape[1]):
            number = values[block, i]
            peak = pick(abs(number) > size, number, peak)
            size = pick(abs(number) > size, abs(number), size)
        inverse = np.float32(element / peak)
        scales[block] = pick(size == NOTHING, NOTHING, np.float32(ONE / inverse))
        for i in range(values.shape[1]):
            word = np.int32(as_int32(np.float32(np.float32(inverse * values[block, i]) + TO_WHOLE)) & WHOLE)
            code = np.int8(min(np.int32(word - ZERO_WORD), np.int32(127)))
            codes[block, i] = pick(size == NOTHING, np.int8(0), code)
        for place in range(sums.shape[1]):
            total = np.int32(0)
            for i in range(SUMMED):
                total = np.int32(total + codes[block, place * SUMMED + i])
            sums[block, place] = total
