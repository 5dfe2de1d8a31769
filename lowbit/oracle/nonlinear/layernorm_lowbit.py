"""LayerNorm of lowbit's own scheme, in Python integers: no rounding before the root, which is exact.

With n codes x: y = n x - sum and V = n sum(x^2) - sum^2 are integers, and (x - mean) / deviation = y / sqrt(V).

Source: derived in ``lowbit/nonlinear/lowbit_scheme.py``.
"""

from __future__ import annotations

import math

from lowbit.nonlinear.lowbit_scheme import NORM_FRACTION, NORM_RECIPROCAL, NORM_ROOT_BITS, layernorm_widths
from lowbit.oracle.fixed_point.division import divided_half_up
from lowbit.oracle.nonlinear.steps import Steps


def layernorm(
    row: list[int], bias: list[int] | None = None, overflow: str = "wrap", steps: Steps | None = None
) -> list[int]:
    """LayerNorm of one row of codes, in units of gamma * 2^-20; a row of equal codes gives the bias.

    Parameters
    ----------
    row : list of int
        At least one code, of at most 16 bits.
    bias : list of int, optional
        beta / gamma in units of 2^-20, one an element; 0 if not given.
    overflow : {"wrap", "saturate", "trap"}
    steps : Steps, optional
        Records the intermediates; made from the other arguments if not given.
    """
    steps = steps or Steps(layernorm_widths(), overflow)
    bias = bias or [0] * len(row)
    total = squares = 0
    for steps.element, code in enumerate(row):
        total = steps("sum", total + code)
        squares = steps("sum_of_squares", squares + code**2)
    steps.element = -1
    variance = steps("variance", len(row) * squares - total**2)
    halves = (NORM_ROOT_BITS - variance.bit_length()) // 2
    deviation = steps("deviation", math.isqrt(variance << 2 * halves) if variance else (1 << 31) - 1)
    factor = steps("factor", NORM_RECIPROCAL // deviation)
    places = 59 - NORM_FRACTION - halves
    results = []
    for steps.element, code in enumerate(row):
        centred = steps("centred", len(row) * code - total)
        product = steps("product", centred * factor)
        normalized = steps("normalized", divided_half_up(product, 1 << places)) if variance else 0
        results.append(steps("result", normalized + bias[steps.element]))
    return results
