"""What a conversion tells beside its codes: counts, and the error for a value that the policy refuses."""

from __future__ import annotations

import numpy as np

from lowbit.errors import InputError
from lowbit.format.scalar import Scalar
from lowbit.kernels.cast import layout as at
from lowbit.ops.arrays import Array, is_infinite, is_nan
from lowbit.policy.cast import Policy


def count(result: Array, flags: Array, target: Scalar) -> dict[str, int]:
    """How many results are saturated, NaN, infinite, inexact, overflowed, underflowed or invalid.

    Saturated: a finite value beyond the range, or an infinity, that the policy gave the largest value of its side.
    """
    raised = {
        "inexact": at.INEXACT,
        "overflow": at.OVERFLOWED,
        "underflow": at.UNDERFLOWED,
        "invalid": at.INVALID,
    }
    counts = {name: int(np.count_nonzero(flags & flag)) for name, flag in raised.items()}
    return {
        "saturated": int(np.count_nonzero(flags & at.SATURATED)),
        "nan": int(np.count_nonzero(is_nan(result, target))),
        "infinite": int(np.count_nonzero(is_infinite(result, target))),
        **counts,
    }


def refuse(codes: Array, flags: Array, shape: tuple[int, ...], source: Scalar, target: Scalar, policy: Policy) -> None:
    """Raise for the first value that the policy refuses, if there is one."""
    refused = np.flatnonzero(flags & at.REFUSED)
    if not refused.size:
        return
    first = int(refused[0])
    where = f" at index {tuple(int(i) for i in np.unravel_index(first, shape))}" if shape else ""
    axes = policy.refusing
    other = next(choice for choice in Policy.choices(axes[0]) if choice != "error")
    raise InputError(
        f"{source.id} code {int(codes[first]):#x}{where} cannot be encoded in {target.id}: the policy says "
        f"{' and '.join(f'{axis} = error' for axis in axes)} ({refused.size} such values)",
        hint=f"choose another {axes[0]} in the policy, {other!r} say; `lowbit explain {axes[0]}` lists the choices",
    )
