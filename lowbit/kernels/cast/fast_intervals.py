"""binary32 to a format that is known by the list of its values, by intervals: a declared exception to the int64 rule.

The codes of binary32 are divided into buckets by their leading bits, so finely that in none of them the answer changes
more than once. A bucket holds the first code from which the second answer is right, and both answers: two loads and a
comparison, in 32-bit lanes. ``tests/agree`` proves it equal to the comparison with all values.
"""

from __future__ import annotations

import numpy as np

from lowbit.kernels._jit import kernel, scalar
from lowbit.kernels.lib.bits import shift_right_32, shift_right_logical_32
from lowbit.kernels.lib.select import pick

SECOND = np.int32(8)
"""The second answer lies above the first one, which has 8 bits."""
FIRST = np.int32(0)
ANSWER = np.int32(0xFF)


@scalar
def answer(bits, shift, changes, answers):
    """The code that the bits of a binary32 number become."""
    bucket = shift_right_logical_32(bits, shift)
    place = pick(bits >= changes[bucket], SECOND, FIRST)
    return np.int32(shift_right_32(answers[bucket], place) & ANSWER)


@kernel
def encode(bits, shift, changes, answers, out):
    """``out[i] = answer(bits[i])``."""
    count = np.int32(shift)
    for i in range(bits.size):
        out[i] = answer(bits[i], count, changes, answers)
