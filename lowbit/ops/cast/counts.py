"""What a conversion tells beside its codes: counts, and the error for a value that the policy refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from lowbit.errors import InputError
from lowbit.format.scalar import FloatFormat, Scalar
from lowbit.kernels.cast import layout as at
from lowbit.policy.cast import Policy

Array = npt.NDArray[Any]


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
        "nan": int(np.count_nonzero(_is_nan(result, target))),
        "infinite": int(np.count_nonzero(_is_infinite(result, target))),
        **counts,
    }


def _is_nan(codes: Array, fmt: Scalar) -> npt.NDArray[np.bool_]:
    if not isinstance(fmt, FloatFormat) or not fmt.has_nan:
        return np.zeros(codes.shape, dtype=np.bool_)
    if fmt.nan is None:
        return np.asarray(codes == fmt.sign_bit)
    return np.asarray((codes & ((1 << fmt.magnitude_bits) - 1)) >= fmt.nan)


def _is_infinite(codes: Array, fmt: Scalar) -> npt.NDArray[np.bool_]:
    if not isinstance(fmt, FloatFormat) or fmt.infinity is None:
        return np.zeros(codes.shape, dtype=np.bool_)
    return np.asarray((codes & ((1 << fmt.magnitude_bits) - 1)) == fmt.infinity)


def refuse(codes: Array, flags: Array, shape: tuple[int, ...], source: Scalar, target: Scalar, policy: Policy) -> None:
    """Raise for the first value that the policy refuses, if there is one."""
    refused = np.flatnonzero(flags & at.REFUSED)
    if not refused.size:
        return
    first = int(refused[0])
    where = f" at index {tuple(int(i) for i in np.unravel_index(first, shape))}" if shape else ""
    axes = [axis for axis in ("overflow", "infinity", "nan", "negative", "zero", "underflow") if _errs(policy, axis)]
    other = next(choice for choice in Policy.choices(axes[0]) if choice != "error")
    raise InputError(
        f"{source.id} code {int(codes[first]):#x}{where} cannot be encoded in {target.id}: the policy says "
        f"{' and '.join(f'{axis} = error' for axis in axes)} ({refused.size} such values)",
        hint=f"choose another policy, Policy({axes[0]}={other!r}) say; lowbit explain {axes[0]} lists the choices",
    )


def _errs(policy: Policy, axis: str) -> bool:
    return bool(getattr(policy, axis) == "error")
