"""GELU of lowbit's own scheme, in Python integers.

Source: derived in ``lowbit/nonlinear/lowbit_scheme.py``.
"""

from __future__ import annotations

from lowbit.nonlinear.lowbit_scheme import (
    EXP_BITS,
    FRACTION,
    GELU_BITS,
    GELU_BITS_OF_FACTORS,
    GELU_CUBIC,
    GELU_LIMIT,
    GELU_LINEAR,
    gelu_multiplier,
    gelu_widths,
)
from lowbit.oracle.fixed_point.division import divided_half_up
from lowbit.oracle.nonlinear.exp_lowbit import power_of_half
from lowbit.oracle.nonlinear.steps import Steps


def gelu(
    codes: list[int], scale: float, bits: int = GELU_BITS, overflow: str = "wrap", steps: Steps | None = None
) -> list[int]:
    """GELU of each code, in units of scale / 2^(bits - 1).

    Parameters
    ----------
    codes : list of int
        Of at most 24 bits.
    scale : float
        A positive binary32 number.
    bits : int
        The result has bits - 1 more fraction bits than the input.
    overflow : {"wrap", "saturate", "trap"}
    steps : Steps, optional
        Records the intermediates; made from the other arguments if not given.
    """
    steps = steps or Steps(gelu_widths(bits), overflow)
    multiplier = gelu_multiplier(scale)
    limit = GELU_LIMIT << FRACTION
    results = []
    for steps.element, code in enumerate(codes):
        scaled = steps("scaled", code * multiplier.multiplier)
        value = divided_half_up(scaled, 1 << (multiplier.shift - FRACTION))
        value = steps("value", max(-limit, min(value, limit)))
        square = steps("square", value**2 >> FRACTION)
        slope = steps("slope", GELU_LINEAR + (GELU_CUBIC * square >> FRACTION))
        exponent = steps("exponent", abs(value) * slope >> GELU_BITS_OF_FACTORS)
        total = steps("sum", (1 << EXP_BITS) + power_of_half(exponent, steps))
        above = (1 << 2 * EXP_BITS) // total
        sigmoid = steps("sigmoid", above if value >= 0 else (1 << EXP_BITS) - above)
        product = steps("product", code * sigmoid)
        results.append(steps("result", divided_half_up(product, 1 << (EXP_BITS - bits + 1))))
    return results
