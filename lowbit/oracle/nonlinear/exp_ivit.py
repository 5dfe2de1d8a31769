"""I-ViT's ShiftExp: exp by shifts and adds, in Python integers.

log2(e) is about 1.0111 in binary, so x log2(e) is x + x/2 - x/16. Then 2^x is a shift by the integer part, and on the
fractional part 2^r is about 1 + r/2.

Source: I-ViT, arXiv 2207.01405, algorithm 1; quant_modules.py ``int_exp_shift`` and layers.py ``shift_exp``.
"""

from __future__ import annotations

from lowbit.nonlinear.ivit import LARGEST, VARIANTS, ExpConstants, exp_widths, softmax_exp
from lowbit.oracle.nonlinear.steps import Steps


def shift_exp(code: int, constants: ExpConstants, steps: Steps, suffix: str = "", limit: int | None = None) -> int:
    """Exp of one code, in units of scale / 2^N.

    Parameters
    ----------
    code : int
        Not positive, but for the second exponential of ShiftGELU.
    constants : ExpConstants
    steps : Steps
        Passes the intermediates ``scaled``, ``quotient``, ``remainder`` and ``exponential``, with ``suffix``.
    limit : int, optional
        The exponential is clamped to this. PyTorch's second exponential is only ever added to a sum that is clamped, so
        the clamp changes nothing there, and its shift may exceed every width.
    """
    unit, shift, keep_half, truncate = constants
    scaled = steps(f"scaled{suffix}", code + (code >> 1) - (code >> 4))
    scaled = max(scaled, shift * unit)
    quotient = scaled // unit
    if truncate and quotient < 0 and quotient * unit != scaled:
        quotient += 1
    quotient = steps(f"quotient{suffix}", quotient)
    remainder = steps(f"remainder{suffix}", scaled - unit * quotient)
    power = shift - quotient
    doubled = remainder - 2 * unit if keep_half else 2 * ((remainder >> 1) - unit)
    value = (doubled << power) >> 1
    if limit is not None:
        value = min(value, limit)
    return steps(f"exponential{suffix}", value)


def exponential(codes: list[int], scale: float, variant: str = VARIANTS[0], overflow: str = "wrap") -> list[int]:
    """Exp of each code, which must not be positive."""
    steps = Steps(exp_widths(variant), overflow)
    constants = softmax_exp(scale, variant)
    results = []
    for element, code in enumerate(codes):
        steps.element = element
        results.append(shift_exp(code, constants, steps))
    return results


def reciprocal(total: int, numerator: int, truncate: bool, steps: Steps) -> int:
    """IntDiv's factor: the numerator over a sum."""
    divisor = steps.divisor("sum", total)
    quotient = numerator // divisor
    if truncate and quotient < 0 and quotient * divisor != numerator:
        quotient += 1
    return steps("factor", quotient)


def clamped(total: int, variant: str, steps: Steps) -> int:
    """The sum as the PyTorch code clamps it; the others do not."""
    return steps("clamped_sum", min(total, LARGEST)) if variant == "torch" else total
