"""Table look-ups over rows of 8-bit codes: the processor's own where it has them, the portable ones elsewhere."""

from lowbit.kernels._jit import kernel
from lowbit.kernels.nonlinear import fast_lookup, simd_lookup

_home = simd_lookup if simd_lookup.is_available() else fast_lookup

row_maximum = _home.row_maximum
distance_doubles = _home.distance_doubles
distance_sum = _home.distance_sum
distance_bytes = _home.distance_bytes
distance_words = _home.distance_words
multiply_by_entry = _home.multiply_by_entry

LARGEST = 127


@kernel
def each_by_table(codes, planes, out):
    """An elementwise function of int8 codes to int32; the table is indexed by 127 - code, in four byte planes."""
    for row in range(codes.shape[0]):
        distance_doubles(codes[row], LARGEST, planes, out[row])
