"""Rounding on an axis that is raised to a power, and its slope by the power, in the arrays' own precision.

An exception to the int64 rule. With the plain formula ``value = sign(x) (rint(|x|^a steps) / steps)^(1 / a)`` for
numbers over the largest one of their block. Source: ``quantizers/learned/power_grid.py``.
"""

import numpy as np

from lowbit.kernels._jit import kernel


@kernel
def round_powers(numbers, power, steps, one, result, slopes):
    """``result``: the values of ``numbers`` (count,) from -1 to 1; ``slopes``: each by the power, its rounding fixed.

    With the place u = |x|^a and the code's place v: ``x' / a^2 (u / v ln u - ln v)``, 0 where v is 0.
    """
    for at in range(numbers.size):
        number = numbers[at]
        place = min(abs(number), one) ** power
        code = np.rint(place * steps) / steps
        if code == 0:
            result[at], slopes[at] = code, code
            continue
        size = code ** (one / power)
        slope = size / (power * power) * (place / code * np.log(place) - np.log(code))
        result[at], slopes[at] = (-size, -slope) if number < 0 else (size, slope)
