"""An elementwise function of 8-bit codes with results of 32 bits: a table of 256 entries."""

from __future__ import annotations

from lowbit.kernels._jit import kernel
from lowbit.kernels.nonlinear.lookup import distance_doubles

LARGEST = 127


@kernel
def by_table(codes, planes, out):
    """``out`` is int32; the table is indexed by 127 - code, in four byte planes."""
    for row in range(codes.shape[0]):
        distance_doubles(codes[row], LARGEST, planes, out[row])
