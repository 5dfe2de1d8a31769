"""TOSA's integer elementwise arithmetic on int64: the twin of ``oracle/fixed_point/tosa.py``."""

from lowbit.kernels._jit import kernel
from lowbit.kernels.fixed_point.gemmlowp import wrap


@kernel
def arithmetic_right_shift_each(values, shifts, round_half_up, out):
    """Values over 2**shift: the last bit shifted out is added where that is asked for."""
    for i in range(values.size):
        shift = shifts[i]
        last = (values[i] >> max(shift - 1, 0)) & 1 if shift > 0 and round_half_up else 0
        out[i] = (values[i] >> shift) + last


@kernel
def multiply_each(a, b, shift, out):
    """Products over 2**shift, ties upward; a half of 2**62 on a product of 2**62 still fits."""
    for i in range(a.size):
        product = a[i] * b[i]
        out[i] = wrap(product, 32) if shift == 0 else (product + (1 << (shift - 1))) >> shift


@kernel
def integer_divide_each(a, b, out):
    """Quotients toward zero."""
    for i in range(a.size):
        quotient = abs(a[i]) // abs(b[i])
        out[i] = quotient if (a[i] < 0) == (b[i] < 0) else -quotient
