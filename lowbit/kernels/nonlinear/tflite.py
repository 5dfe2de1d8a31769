"""TFLite's MultiplyByQuantizedMultiplier in both builds, in int64: the twin of the oracle."""

from lowbit.kernels._jit import scalar
from lowbit.kernels.fixed_point.gemmlowp import doubling_high_multiply, rounding_divide
from lowbit.kernels.nonlinear.steps import step

# Where the parameters stand at the front of every vector of constants.
MULTIPLIER, SHIFT, SINGLE = range(3)


@scalar
def multiply(value, multiplier, shift, single, place, limits, mode, trap, row, element):
    """The value times multiplier * 2**(shift - 31); ``place`` is the left-shifted value's, the result's comes next."""
    if single:
        product = step(value * multiplier, place, limits, mode, trap, row, element)
        scaled = (product + (1 << (30 - shift))) >> (31 - shift)
    else:
        shifted = step(value << max(shift, 0), place, limits, mode, trap, row, element)
        scaled = rounding_divide(doubling_high_multiply(shifted, multiplier, 32), max(-shift, 0))
    return step(scaled, place + 1, limits, mode, trap, row, element)
