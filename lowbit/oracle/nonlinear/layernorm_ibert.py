"""I-BERT's I-LayerNorm and i-sqrt, in Python integers.

Source: I-BERT, arXiv 2101.01321, algorithm 4; quant_modules.py ``IntLayerNorm``. The code takes the floor of a
floating-point root "to be replaced with integer-sqrt kernel that produces the same output"; algorithm 4 is that kernel.
"""

from __future__ import annotations

from lowbit.nonlinear.ibert import NORM_NUMERATOR, VARIANTS, layernorm_widths, square_root_widths
from lowbit.oracle.fixed_point.division import divided_half_even
from lowbit.oracle.nonlinear.steps import Steps


def integer_sqrt(value: int, steps: Steps | None = None) -> int:
    """i-sqrt: Newton's iteration from 2^ceil(bits / 2) until it stops falling; the floor of the square root."""
    steps = steps or Steps(square_root_widths())
    if value == 0:
        return 0
    root = 1 << -(-value.bit_length() // 2)
    while True:
        better = steps("iterate", (root + value // root) // 2)
        if better >= root:
            return steps("result", root)
        root = better


def layernorm(
    row: list[int],
    bias: list[int] | None = None,
    variant: str = VARIANTS[0],
    shift: int = 0,
    overflow: str = "wrap",
    steps: Steps | None = None,
) -> list[int]:
    """LayerNorm of one row of codes, in units of gamma * sqrt(length) / 2^30; the input's scale does not matter.

    Parameters
    ----------
    row : list of int
        At least one code.
    bias : list of int, optional
        beta / gamma in those units, one an element; 0 if not given.
    variant : {"code", "paper"}
    shift : int
        Right shift before squaring, which the code learns in training to keep the sum of squares below 2^32.
    overflow : {"wrap", "saturate", "trap"}
    steps : Steps, optional
        Records the intermediates; made from the other arguments if not given.

    Notes
    -----
    A row of equal codes has deviation 0, which both sources divide by; it is taken as 1 here, and every centred code is
    0 anyway.
    """
    steps = steps or Steps(layernorm_widths(variant), overflow)
    bias = bias or [0] * len(row)
    total = 0
    for steps.element, code in enumerate(row):
        total = steps("sum", total + code)
    mean = divided_half_even(total, len(row))
    squares = 0
    centred = []
    for steps.element, code in enumerate(row):
        centred.append(steps("centred", code - mean))
        shifted = steps("shifted", centred[-1] >> shift)
        squares = steps("sum_of_squares", squares + steps("square", shifted**2))
    steps.element = -1
    deviation = steps("deviation", max(integer_sqrt(squares) << shift, 1))
    factor = steps("factor", NORM_NUMERATOR // deviation)
    results = []
    for steps.element, value in enumerate(centred):
        product = steps("product", value * factor)
        results.append(steps("result", (product >> 1) + bias[steps.element]))
    return results
