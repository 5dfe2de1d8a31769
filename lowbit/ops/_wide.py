"""Integers beyond the fast path's 55 bits into fixed point: Python integers, an element at a time.

INT64_MIN, uint64 values from 2**63 and the ends of 64-bit targets come this way.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from lowbit.errors import InputError
from lowbit.outcomes import FixedOutcomes
from lowbit.policy import Policy
from lowbit.spec import FixedFormat


def fixed_from_integers(
    negative: Any, magnitudes: Any, exponents: Any, target: FixedFormat, policy: Policy
) -> tuple[npt.NDArray[Any], npt.NDArray[np.uint8]]:
    """Codes and flags of large values ``±magnitude * 2**exponent`` that are multiples of the target's unit.

    Raises
    ------
    InputError
        A value is not a multiple of the target's unit: a fixed-point format with units above 1 would round it.
    """
    codes, flags = [], []
    outside = FixedOutcomes(target, policy).overflow
    for sign, magnitude, exponent in zip(negative.tolist(), magnitudes.tolist(), exponents.tolist(), strict=True):
        shift = exponent + target.fraction_bits
        if shift < 0 and magnitude & ((1 << -shift) - 1):
            raise InputError(
                f"{magnitude} * 2**{exponent} has more than 55 bits and would have to be rounded into {target.id}",
                hint="scale the integers first, or convert them to float64",
            )
        scaled = magnitude << shift if shift >= 0 else magnitude >> -shift
        scaled = -scaled if sign else scaled
        if target.min_code <= scaled <= target.max_code:
            codes.append(scaled)
            flags.append(0)
            continue
        code, flag = outside(sign)
        codes.append(max(_wrap(scaled, target), target.min_code) if policy.overflow == "wrap" else code)
        flags.append(flag)
    return np.array(codes, dtype=target.code_dtype), np.array(flags, dtype=np.uint8)


def _wrap(value: int, target: FixedFormat) -> int:
    half = 1 << (target.bits - 1) if target.signed else 0
    return ((value + half) & ((1 << target.bits) - 1)) - half
