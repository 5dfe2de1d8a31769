"""Any accumulator over matrices, in 64-bit lanes: rows of ``a`` times columns of ``b``, every step as it overflows.

``a`` (m, k) and ``b`` (k, n) hold operands as int32; ``zeros`` and ``bias`` are int64 vectors. The columns from
``first`` to ``last`` are a multiple of the registers' width apart; ``b``, ``bias`` and ``out`` are padded to it.
``registers`` is scratch, a row a partial sum; ``notes`` (2, width) is scratch for the counts.
"""

from __future__ import annotations

import numpy as np

from lowbit.kernels._accumulate import program
from lowbit.kernels._jit import kernel

_run = program(np.int64, False)
_run_counted = program(np.int64, True)


@kernel
def accumulate(a, b, a_zeros, a_sums, b_zeros, b_sums, bias, vector, place, registers, notes, out):
    """Results of rows ``place[0]`` to ``place[1]`` and tiles ``place[2]`` to ``place[3]`` into ``out``."""
    zeros = (a_zeros, a_sums, b_zeros, b_sums)
    for tile in range(place[2], place[3]):
        for i in range(place[0], place[1]):
            _run(a, b, i, tile, zeros, bias, vector, registers, notes, out)


@kernel
def accumulate_counted(
    a, b, a_zeros, a_sums, b_zeros, b_sums, bias, vector, place, registers, notes, out, counts, times
):
    """The same, with the number of overflows and the time of the first one for each result."""
    zeros = (a_zeros, a_sums, b_zeros, b_sums)
    for tile in range(place[2], place[3]):
        for i in range(place[0], place[1]):
            _run_counted(a, b, i, tile, zeros, bias, vector, registers, notes, out)
            for j in range(registers.shape[1]):
                counts[i, tile, j] = notes[0, j]
                times[i, tile, j] = notes[1, j]
