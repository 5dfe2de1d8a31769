"""I-ViT's ShiftGELU, in Python integers: x * sigmoid(1.702 x), with the sigmoid from two shift-based exponentials.

Not an elementwise function: both exponentials are taken relative to the row's maximum.

Source: I-ViT, arXiv 2207.01405, algorithm 2; quant_modules.py ``IntGELU``; layers.py ``quantized_gelu``.
"""

from __future__ import annotations

from lowbit.nonlinear.ivit import GELU_SIGMOID_BITS, LARGEST, NUMERATOR, VARIANTS, gelu_exp, gelu_widths
from lowbit.oracle.nonlinear.exp_ivit import clamped, reciprocal, shift_exp
from lowbit.oracle.nonlinear.steps import Steps


def gelu(
    row: list[int], scale: float, variant: str = VARIANTS[0], overflow: str = "wrap", steps: Steps | None = None
) -> list[int]:
    """GELU of one row of codes, in units of scale / 2^7.

    Parameters
    ----------
    row : list of int
        At least one code.
    scale : float
        A positive binary32 number.
    variant : {"torch", "paper", "tvm"}
    overflow : {"wrap", "saturate", "trap"}
    steps : Steps, optional
        Records the intermediates; made from the other arguments if not given.
    """
    steps = steps or Steps(gelu_widths(variant), overflow)
    constants = gelu_exp(scale, variant)
    inputs = []
    for steps.element, code in enumerate(row):
        factored = code + (code >> 1) + (code >> 3) + (code >> 4) if variant == "paper" else code
        inputs.append(steps("scaled_input", factored))
    maximum = max(inputs)
    steps.element = -1
    of_maximum = shift_exp(-maximum, constants, steps, "_of_maximum", LARGEST if variant == "torch" else None)
    results = []
    for steps.element, code in enumerate(row):
        difference = steps("difference", inputs[steps.element] - maximum)
        exponential = shift_exp(difference, constants, steps)
        total = clamped(steps("sum", exponential + of_maximum), variant, steps)
        factor = reciprocal(total, NUMERATOR[variant], variant == "tvm", steps)
        product = steps("product", exponential * factor)
        sigmoid = steps("sigmoid", product >> (31 - GELU_SIGMOID_BITS + 1))
        results.append(steps("result", code * sigmoid))
    return results
