"""I-ViT's I-LayerNorm, in Python integers: Newton's square root of the sum of squares, always ten steps.

Source: I-ViT, arXiv 2207.01405, section 3; quant_modules.py ``IntLayerNorm``; layers.py ``quantized_layernorm``. The
paper starts at 2^(bits/2), the codes at 2^16, from where ten steps do not reach roots below about 186. Where the paper
is silent, on a row of equal codes, the deviation is taken as 1; every centred code is 0 there.
"""

from __future__ import annotations

from lowbit.nonlinear.ivit import LARGEST, NORM_FIRST, NORM_ITERATIONS, VARIANTS, layernorm_widths
from lowbit.oracle.fixed_point.division import divided_half_even, divided_toward_zero
from lowbit.oracle.nonlinear.steps import Steps


def layernorm(
    row: list[int],
    bias: list[int] | None = None,
    variant: str = VARIANTS[0],
    overflow: str = "wrap",
    steps: Steps | None = None,
) -> list[int]:
    """LayerNorm of one row of codes, in units of gamma * sqrt(length) / 2^30; the input's scale does not matter.

    Parameters
    ----------
    row : list of int
        At least one code.
    bias : list of int, optional
        beta / gamma in those units (``nonlinear.ivit.norm_bias``), one an element; 0 if not given.
    variant : {"torch", "paper", "tvm"}
    overflow : {"wrap", "saturate", "trap"}
    steps : Steps, optional
        Records the intermediates; made from the other arguments if not given.
    """
    steps = steps or Steps(layernorm_widths(variant), overflow)
    bias = bias or [0] * len(row)
    halved = divided_toward_zero if variant == "tvm" else _halved_down
    total = 0
    for steps.element, code in enumerate(row):
        total = steps("sum", total + code)
    mean = divided_toward_zero(total, len(row)) if variant == "tvm" else divided_half_even(total, len(row))
    squares = 0
    centred = []
    for steps.element, code in enumerate(row):
        centred.append(steps("centred", code - mean))
        squares = steps("sum_of_squares", squares + steps("square", centred[-1] ** 2))
    steps.element = -1
    factor = steps("factor", LARGEST // deviation(squares, variant, steps))
    results = []
    for steps.element, value in enumerate(centred):
        product = steps("product", value * factor)
        results.append(steps("result", halved(product, 2) + bias[steps.element]))
    return results


def deviation(squares: int, variant: str, steps: Steps) -> int:
    """Ten steps of Newton's iteration toward the square root."""
    root = 1 << (squares.bit_length() // 2) if variant == "paper" else NORM_FIRST
    for _ in range(NORM_ITERATIONS):
        root = steps("deviation", max((root + squares // root) // 2, 1))
    return root


def _halved_down(value: int, two: int) -> int:
    return value // two
