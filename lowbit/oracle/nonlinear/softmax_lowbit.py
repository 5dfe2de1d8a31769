"""Softmax of lowbit's own scheme, in Python integers.

Source: derived in ``lowbit/nonlinear/lowbit_scheme.py``.
"""

from __future__ import annotations

from lowbit.nonlinear.lowbit_scheme import (
    FRACTION,
    NORMAL_BITS,
    RECIPROCAL,
    SOFTMAX_BITS,
    exp_multiplier,
    farthest,
    softmax_widths,
)
from lowbit.oracle.fixed_point.division import divided_half_up
from lowbit.oracle.nonlinear.exp_lowbit import power_of_half
from lowbit.oracle.nonlinear.steps import Steps


def softmax(
    row: list[int], scale: float, bits: int = SOFTMAX_BITS, overflow: str = "wrap", steps: Steps | None = None
) -> list[int]:
    """Softmax of one row of codes, in units of 2^-(bits - 1).

    Parameters
    ----------
    row : list of int
        At least one code.
    scale : float
        A positive binary32 number.
    bits : int
        Width of the result.
    overflow : {"wrap", "saturate", "trap"}
    steps : Steps, optional
        Records the intermediates; made from the other arguments if not given.
    """
    steps = steps or Steps(softmax_widths(bits), overflow)
    multiplier = exp_multiplier(scale)
    limit = farthest(multiplier)
    maximum = max(row)
    exponentials = []
    total = 0
    for steps.element, code in enumerate(row):
        distance = min(steps("distance", maximum - code), limit)
        scaled = steps("scaled", distance * multiplier.multiplier)
        exponent = steps("exponent", divided_half_up(scaled, 1 << (multiplier.shift - FRACTION)))
        exponentials.append(power_of_half(exponent, steps))
        total = steps("sum", total + exponentials[-1])
    steps.element = -1
    excess = total.bit_length() - NORMAL_BITS
    normalized = steps("normalized", total >> excess if excess > 0 else total << -excess)
    factor = steps("factor", RECIPROCAL // normalized)
    # total is about normalized * 2^excess and factor is 2^61 / normalized.
    places = 61 + excess - (bits - 1)
    results = []
    for steps.element, exponential in enumerate(exponentials):
        product = steps("product", exponential * factor)
        results.append(steps("result", min(divided_half_up(product, 1 << places), (1 << (bits - 1)) - 1)))
    return results
