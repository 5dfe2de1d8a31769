"""FQ-ViT's log-int-softmax, in Python integers: the result is -log2 of the probability.

Source: FQ-ViT, arXiv 2111.13824, section 3.3; models/ptq/layers.py ``QIntSoftmax``.
"""

from __future__ import annotations

from lowbit.nonlinear.fqvit import SOFTMAX_BITS, VARIANTS, softmax_widths
from lowbit.nonlinear.ibert import exp_constants
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
    """-log2 of the softmax of one row of codes.

    Parameters
    ----------
    row : list of int
        At least one code.
    scale : float
        A positive binary32 number.
    variant : {"code", "paper"}
        What a logarithm of 2^bits and more becomes: 2^bits, which stands for probability 0, or 2^bits - 1.
    bits : int
        Width of the logarithm.
    overflow : {"wrap", "saturate", "trap"}
    steps : Steps, optional
        Records the intermediates; made from the other arguments if not given.
    """
    steps = steps or Steps(softmax_widths(variant, bits), overflow)
    constants = exp_constants(scale, "code")
    maximum = max(row)
    exponentials = []
    total = 0
    for steps.element, code in enumerate(row):
        difference = steps("difference", code - maximum)
        exponentials.append(polynomial_exp(difference, constants, "code", steps))
        total = steps("sum", total + exponentials[-1])
    beyond = 1 << bits
    results = []
    for steps.element, exponential in enumerate(exponentials):
        logarithm = beyond
        if exponential:
            logarithm = rounded_log2(steps("ratio", divided_half_even(total, exponential)))
        if logarithm >= beyond:
            logarithm = beyond if variant == "code" else beyond - 1
        results.append(steps("result", logarithm))
    return results


def rounded_log2(value: int) -> int:
    """log2 of a positive integer, up from 1.5 * 2^k on."""
    floor = value.bit_length() - 1
    return floor + (2 * (value - (1 << floor)) >= 1 << floor and floor > 0)
