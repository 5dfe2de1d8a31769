"""Exact emulation of the floating-point steps by which published code derives its integer constants from a scale.

A binary32 operation on binary32 numbers is a binary64 operation rounded once more: 53 >= 2 * 24 + 2 bits, so the second
rounding never differs from a single one (Figueroa, "When is double rounding innocuous?", SIGNUM Newsletter 30, 1995).
"""

from __future__ import annotations

import math

from lowbit.errors import InputError
from lowbit.policy.multiplier import binary32_scale
from lowbit.policy.multiplier import round_to_binary32 as binary32

__all__ = ["binary32", "divided_by_tensor32", "floor_of", "reciprocal32", "scale32"]


def scale32(value: object, name: str = "scale") -> float:
    """A scale as the binary32 number that a framework holds.

    Raises InputError: it is missing, or not a positive finite number, in binary32 too.
    """
    if value is None:
        raise InputError(f"{name} is missing", hint=f"{name}=0.05, say: what one unit of a code is worth")
    return binary32_scale(value, name)


def reciprocal32(value: float) -> float:
    """1 / value in binary32."""
    return binary32(1.0 / value) if value else math.inf


def divided_by_tensor32(number: float, tensor: float) -> float:
    """``number / tensor`` as PyTorch computes it for a Python number and a binary32 tensor.

    Tensor.__rdiv__ is ``self.reciprocal() * other``: two roundings, not one division (torch/_tensor.py).
    """
    return binary32(reciprocal32(tensor) * binary32(number))


def floor_of(value: float, name: str) -> int:
    """The floor of a derived constant; InputError where the scale makes it infinite."""
    if not math.isfinite(value):
        raise InputError(f"the scale is too small: {name} is beyond binary32", hint="give a larger scale")
    return math.floor(value)
