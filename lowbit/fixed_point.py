"""Functions of fixed-point numbers: gemmlowp's, TOSA's, dynamic fixed point, and those in integer-only nonlinearities.

They take raw integers whose binary point the caller knows. ``lowbit.softmax`` and its like, which use them, take codes
with a scale.
"""

from lowbit.ops.fixed_point.dynamic import dynamic_add, dynamic_matmul, dynamic_multiply, dynamic_narrow
from lowbit.ops.fixed_point.gemmlowp import exp_on_negative_values, inverse_square_root, one_over_one_plus_x, reciprocal
from lowbit.ops.fixed_point.table import table_lookup
from lowbit.ops.fixed_point.tosa import arithmetic_right_shift, integer_divide, multiply_shifted, pooling_divisor
from lowbit.ops.nonlinear.exponential import exp, integer_sqrt

__all__ = [
    "arithmetic_right_shift",
    "dynamic_add",
    "dynamic_matmul",
    "dynamic_multiply",
    "dynamic_narrow",
    "exp",
    "exp_on_negative_values",
    "integer_divide",
    "integer_sqrt",
    "inverse_square_root",
    "multiply_shifted",
    "one_over_one_plus_x",
    "pooling_divisor",
    "reciprocal",
    "table_lookup",
]
