"""Bit for bit, code against code: which rows differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lowbit.check.cast.stray import stray_rows
from lowbit.format.scalar import Scalar
from lowbit.ops.arrays import is_nan
from lowbit.policy.cast import Policy

NAN_MODES = ("exact", "any")
"""Whether a NaN must be the very code that the policy asks for, or any NaN will do."""

Codes = NDArray[Any]


@dataclass(frozen=True)
class Comparison:
    """What a device answered beside what it should have answered.

    Attributes
    ----------
    source, target : FloatFormat or FixedFormat
    policy : Policy
        The rules that ``expected`` follows.
    codes, expected, got : arrays
        Source codes, target codes by the reference, and what the device gave: target codes, or what is none
        (``lowbit.check.cast.stray``); any code where it gave nothing.
    unwritten : bool array
        Which answers were not written.
    flags : uint8 array or None
        Why each row is there (``lowbit.vectors.flags.cast``); None for random or exhaustive inputs.
    nan : str
        ``exact`` or ``any``.
    rows : int array
        The rows that differ, in order.
    """

    source: Scalar
    target: Scalar
    policy: Policy
    codes: Codes
    expected: Codes
    got: Codes
    unwritten: NDArray[np.bool_]
    flags: NDArray[np.uint8] | None
    nan: str
    rows: NDArray[np.intp]

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def differences(self) -> int:
        """How many rows differ."""
        return len(self.rows)


def compare(
    source: Scalar,
    target: Scalar,
    policy: Policy,
    codes: Codes,
    expected: Codes,
    got: Codes,
    *,
    flags: NDArray[np.uint8] | None = None,
    nan: str = "exact",
) -> Comparison:
    """Compare the codes of a device, a masked array where some were not written, with the expected ones."""
    got, unwritten = np.ma.getdata(got), np.ma.getmaskarray(got)
    rows = np.flatnonzero(differing(expected, got, target, nan=nan) | unwritten)
    return Comparison(source, target, policy, codes, expected, got, unwritten, flags, nan, rows)


def differing(expected: Codes, got: Codes, target: Scalar, *, nan: str = "exact") -> NDArray[np.bool_]:
    """Which rows differ; under ``nan="any"`` two NaNs never do."""
    wrong = np.asarray(expected != got)
    if nan == "any" and wrong.any():
        wrong &= ~(is_nan(expected, target) & is_nan(got, target) & ~stray_rows(got, target))
    return wrong
