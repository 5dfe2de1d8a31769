"""The random integers of the stochastic modes: an explicit argument, so that results can be repeated."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from lowbit.errors import InputError, PolicyError
from lowbit.ops.arrays import as_array
from lowbit.policy.cast import Policy


def checked_random(random_bits: Any, policy: Policy, shape: tuple[int, ...]) -> npt.NDArray[Any] | None:
    """The random integers as a flat array, one a value; None for a mode that uses none.

    Raises PolicyError: they are missing, or given to a mode that uses none; InputError: they are not integers, out of
    range, or of a shape that does not fit.
    """
    if not policy.stochastic:
        if random_bits is not None:
            raise PolicyError(
                f"random_bits are given, but rounding {policy.rounding!r} uses none",
                hint="drop them, or choose rounding='stochastic_a' with random_bits=N in the policy",
            )
        return None
    if random_bits is None:
        raise PolicyError(
            f"rounding {policy.rounding!r} needs random_bits, an integer 0 <= R < 2**{policy.random_bits} a value",
            hint=f"random_bits=numpy.random.default_rng(seed).integers(2**{policy.random_bits}, size=values.shape)",
        )
    random = as_array(random_bits, "random_bits")
    if random.dtype.kind not in "iu" and random.size == 0:
        random = random.astype(np.int64)
    if random.dtype.kind not in "iu":
        raise InputError(f"random_bits must be integers, not {random.dtype}")
    lowest, highest = (int(random.min()), int(random.max())) if random.size else (0, 0)
    if lowest < 0 or highest >> policy.random_bits:
        wrong = lowest if lowest < 0 else highest
        raise InputError(f"random_bits: {wrong} is outside 0 <= R < 2**{policy.random_bits}")
    try:
        spread = np.broadcast_to(random, shape)
    except ValueError as error:
        raise InputError(f"random_bits of shape {random.shape} do not broadcast to {shape}") from error
    return np.ascontiguousarray(spread).reshape(-1)
