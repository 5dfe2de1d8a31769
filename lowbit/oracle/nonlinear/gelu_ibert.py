"""I-BERT's i-GELU, in Python integers: x (1 + erf(x / sqrt 2)) / 2 with a second-order erf.

Source: I-BERT, arXiv 2101.01321, algorithm 2; quant_modules.py ``IntGELU``.
"""

from __future__ import annotations

from lowbit.nonlinear.ibert import VARIANTS, gelu_constants, gelu_widths
from lowbit.oracle.nonlinear.steps import Steps


def gelu(
    codes: list[int], scale: float, variant: str = VARIANTS[0], overflow: str = "wrap", steps: Steps | None = None
) -> list[int]:
    """GELU of each code, in units of ``nonlinear.ibert.gelu_scale``, which is negative.

    Parameters
    ----------
    codes : list of int
    scale : float
        A positive binary32 number.
    variant : {"code", "paper"}
    overflow : {"wrap", "saturate", "trap"}
    steps : Steps, optional
        Records the intermediates; made from the other arguments if not given.
    """
    steps = steps or Steps(gelu_widths(variant), overflow)
    b, c, shift, one = gelu_constants(scale, variant)
    results = []
    for steps.element, code in enumerate(codes):
        magnitude = steps("magnitude", min(abs(code), -b))
        polynomial = steps("polynomial", steps("square", (magnitude + b) ** 2) + c)
        sign = (code > 0) - (code < 0)
        erf = steps("erf", (sign * polynomial) >> shift)
        results.append(steps("result", code * steps("sum", erf + one)))
    return results
