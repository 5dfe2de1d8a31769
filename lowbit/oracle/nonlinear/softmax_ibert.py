"""I-BERT's i-softmax, in Python integers.

Source: I-BERT, arXiv 2101.01321, algorithm 3; quant_modules.py ``IntSoftmax``. The paper leaves the format of the
division open; its variant here is floor(exp * 2^bits / sum).
"""

from __future__ import annotations

from lowbit.nonlinear.ibert import (
    NUMERATOR,
    SOFTMAX_BITS,
    VARIANTS,
    exp_constants,
    exp_multiplier,
    softmax_widths,
)
from lowbit.oracle.fixed_point.division import divided_half_even
from lowbit.oracle.nonlinear.exp_ibert import polynomial_exp
from lowbit.oracle.nonlinear.steps import Steps


def softmax(
    row: list[int],
    scale: float,
    variant: str = VARIANTS[0],
    bits: int = SOFTMAX_BITS,
    overflow: str = "wrap",
    steps: Steps | None = None,
) -> list[int]:
    """Softmax of one row of codes, unsigned, in units of 2^-bits.

    Parameters
    ----------
    row : list of int
        At least one code.
    scale : float
        A positive binary32 number.
    variant : {"code", "paper"}
    bits : int
        Width of the result.
    overflow : {"wrap", "saturate", "trap"}
    steps : Steps, optional
        Records the intermediates; made from the other arguments if not given.
    """
    steps = steps or Steps(softmax_widths(variant, bits), overflow)
    constants = exp_constants(scale, variant)
    multiplier, right = exp_multiplier(scale) if variant == "code" else (1, 0)
    maximum = max(row)
    exponentials = []
    total = 0
    for steps.element, code in enumerate(row):
        exponential = polynomial_exp(steps("difference", code - maximum), constants, variant, steps)
        if variant == "code":
            exponential = steps("requantized", divided_half_even(exponential * multiplier, 1 << right))
        exponentials.append(exponential)
        total = steps("sum", total + exponential)
    steps.element = -1
    divisor = steps.divisor("sum", total)
    factor = steps("factor", NUMERATOR // divisor) if variant == "code" else 0
    results = []
    for steps.element, exponential in enumerate(exponentials):
        if variant == "code":
            result = steps("product", exponential * factor) >> (32 - bits)
        else:
            result = steps("product", exponential << bits) // divisor
        results.append(steps("result", result))
    return results
