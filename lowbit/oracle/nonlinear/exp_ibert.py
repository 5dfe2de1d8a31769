"""I-BERT's i-exp, in Python integers: a second-order polynomial on (-ln 2, 0], then a shift.

Source: I-BERT, arXiv 2101.01321, algorithms 1 and 3; quant_modules.py ``IntSoftmax.int_exp`` and ``int_polynomial``.
"""

from __future__ import annotations

from lowbit.nonlinear.ibert import VARIANTS, ExpConstants, exp_constants, exp_widths
from lowbit.oracle.nonlinear.steps import Steps


def polynomial_exp(code: int, constants: ExpConstants, variant: str, steps: Steps) -> int:
    """Exp of one code that is not positive."""
    unit, b, c, shift = constants
    if variant == "code":
        code = max(code, shift * unit)
    quotient = steps("quotient", code // unit)
    remainder = steps("remainder", code - unit * quotient)
    if variant == "code":
        polynomial = steps("polynomial", remainder * (remainder + b) + c)
        return steps("exponential", max(0, polynomial << (shift - quotient)))
    polynomial = steps("polynomial", (remainder + b) ** 2 + c)
    return steps("exponential", polynomial >> quotient)


def exponential(codes: list[int], scale: float, variant: str = VARIANTS[0], overflow: str = "wrap") -> list[int]:
    """Exp of each code, which must not be positive."""
    steps = Steps(exp_widths(variant), overflow)
    constants = exp_constants(scale, variant)
    results = []
    for steps.element, code in enumerate(codes):
        results.append(polynomial_exp(code, constants, variant, steps))
    return results
