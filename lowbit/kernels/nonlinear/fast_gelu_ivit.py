"""ShiftGELU over rows of 8-bit codes: the sigmoid is a table of the row's maximum and the code.

Proved equal to ``gelu_ivit.py``, which makes the table.
"""

from __future__ import annotations

from lowbit.kernels._jit import kernel
from lowbit.kernels.nonlinear.lookup import multiply_by_entry, row_maximum


@kernel
def shiftgelu_rows(codes, table, out):
    """Results as int32; ``table`` holds bytes."""
    for row in range(codes.shape[0]):
        maximum = row_maximum(codes[row])
        multiply_by_entry(codes[row], table[maximum & 255], out[row])
