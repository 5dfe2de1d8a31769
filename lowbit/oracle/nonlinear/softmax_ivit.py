"""I-ViT's Shiftmax, in Python integers.

Source: I-ViT, arXiv 2207.01405, algorithm 1; quant_modules.py ``IntSoftmax``; layers.py ``quantized_softmax``.
"""

from __future__ import annotations

from lowbit.nonlinear.ivit import NUMERATOR, SOFTMAX_BITS, VARIANTS, softmax_exp, softmax_widths
from lowbit.oracle.nonlinear.exp_ivit import clamped, reciprocal, shift_exp
from lowbit.oracle.nonlinear.steps import Steps


def softmax(
    row: list[int],
    scale: float,
    variant: str = VARIANTS[0],
    bits: int | None = None,
    overflow: str = "wrap",
    steps: Steps | None = None,
) -> list[int]:
    """Softmax of one row of codes, in units of 2^-(bits - 1).

    Parameters
    ----------
    row : list of int
        At least one code.
    scale : float
        A positive binary32 number.
    variant : {"torch", "paper", "tvm"}
    bits : int, optional
        Width of the result.
    overflow : {"wrap", "saturate", "trap"}
    steps : Steps, optional
        Records the intermediates; made from the other arguments if not given.
    """
    steps = steps or Steps(softmax_widths(variant, bits), overflow)
    constants = softmax_exp(scale, variant)
    maximum = max(row)
    exponentials = []
    total = 0
    for steps.element, code in enumerate(row):
        difference = steps("difference", code - maximum)
        exponentials.append(shift_exp(difference, constants, steps))
        total = steps("sum", total + exponentials[-1])
    steps.element = -1
    total = clamped(total, variant, steps)
    factor = reciprocal(total, NUMERATOR[variant], variant == "tvm", steps)
    shift = 31 - (SOFTMAX_BITS[variant] if bits is None else bits) + 1
    results = []
    for steps.element, exponential in enumerate(exponentials):
        product = steps("product", exponential * factor)
        results.append(steps("result", product >> shift))
    return results
