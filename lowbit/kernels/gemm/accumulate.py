"""Any accumulator over matrices, in 64-bit lanes: rows of ``a`` times columns of ``b``, every step as it overflows.

``a`` (m, k) and ``b`` (tiles, k, width) hold operands as int32, the columns in tiles of the registers' width, the last
one filled up; ``b_zeros``, ``b_sums`` and ``bias`` (tiles, width), ``a_zeros`` and ``a_sums`` (m,) and ``out``
(m, tiles, width) are int64. ``registers`` is scratch, a row a partial sum, and so is ``notes`` (2, width).
"""

from lowbit.kernels._jit import kernel
from lowbit.kernels.gemm.accumulate_tile import run_row


@kernel
def accumulate(a, b, a_zeros, a_sums, b_zeros, b_sums, bias, vector, place, registers, out):
    """Results of rows ``place[0]`` to ``place[1]`` and tiles ``place[2]`` to ``place[3]`` into ``out``."""
    zeros = (a_zeros, a_sums, b_zeros, b_sums)
    for tile in range(place[2], place[3]):
        for i in range(place[0], place[1]):
            run_row(a, b, i, tile, zeros, bias, vector, registers, None, out)


@kernel
def accumulate_counted(
    a, b, a_zeros, a_sums, b_zeros, b_sums, bias, vector, place, registers, notes, out, counts, times
):
    """The same, with the number of overflows and the time of the first one for each result."""
    zeros = (a_zeros, a_sums, b_zeros, b_sums)
    for tile in range(place[2], place[3]):
        for i in range(place[0], place[1]):
            run_row(a, b, i, tile, zeros, bias, vector, registers, notes, out)
            for j in range(registers.shape[1]):
                counts[i, tile, j] = notes[0, j]
                times[i, tile, j] = notes[1, j]
