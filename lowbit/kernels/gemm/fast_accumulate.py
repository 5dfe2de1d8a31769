"""Any accumulator of at most 32 bits over matrices, in 32-bit lanes: a declared exception to the int64 rule.

The same program as ``kernels/gemm/accumulate.py``, for operands in int16 whose exact terms fit 32 bits;
``tests/agree`` proves the two equal.
"""

from lowbit.kernels._jit import kernel
from lowbit.kernels.gemm.accumulate_tile import run_row


@kernel
def accumulate_32(a, b, a_zeros, a_sums, b_zeros, b_sums, bias, vector, place, registers, out):
    """Results of rows ``place[0]`` to ``place[1]`` and tiles ``place[2]`` to ``place[3]`` into ``out``."""
    zeros = (a_zeros, a_sums, b_zeros, b_sums)
    for tile in range(place[2], place[3]):
        for i in range(place[0], place[1]):
            run_row(a, b, i, tile, zeros, bias, vector, registers, None, out)
