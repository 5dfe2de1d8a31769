"""Wrong answers of a conversion to all inputs of some magnitudes, and to no others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lowbit.check.cast.conversion import Codes, View
from lowbit.check.claims import Becomes, Claim, Unexplained
from lowbit.check.comparison import Comparison, Mask, Rows
from lowbit.check.facts import Fact
from lowbit.format.scalar import Scalar
from lowbit.ops.arrays import is_nan

MOST = 0.5
"""An interval of more of the inputs than this says nothing of a place."""
FEWEST = 3
SIGNS = (0, -1, 1)


def inputs_between(comparison: Comparison, between: tuple[float, float], sign: int) -> Rows:
    """The numbers whose magnitudes lie in an interval, ends included; ``sign``: 0 for both, else -1 or 1."""
    view = _view(comparison)
    magnitudes = np.abs(view.values)
    inside = view.finite & (magnitudes >= between[0]) & (magnitudes <= between[1])
    return np.flatnonzero(inside & _of_sign(view, sign))


@dataclass(frozen=True)
class OnlyBetween(Fact):
    """Wrong, where rules explain the other answers, are all inputs of some magnitudes, and no others."""

    between: tuple[float, float]
    sign: int
    rows: tuple[int, ...]

    def holds(self, comparison: Comparison) -> bool:
        """Whether that is so."""
        return tuple(inputs_between(comparison, self.between, self.sign).tolist()) == self.rows


def between_magnitudes(comparison: Comparison, wrong: Mask) -> Claim | None:
    """The claim about wrong answers that fill an interval of magnitudes; None if they do not."""
    view, rows = _view(comparison), np.flatnonzero(wrong)
    if not view.held_by_binary64 or len(rows) < FEWEST or not view.finite[rows].all():
        return None
    magnitudes = np.abs(view.values[rows])
    between = float(magnitudes.min()), float(magnitudes.max())
    sign = next(sign for sign in SIGNS[::-1] if sign == 0 or _of_sign(view, sign)[rows].all())
    inside = inputs_between(comparison, between, sign)
    if len(inside) > MOST * len(comparison) or not comparison.good[inside].all():
        return None
    if is_one_number(comparison.got[inside], view.inputs.negative[inside], view.target):
        return Becomes(rows, "", len(rows), comparison.got[rows], sign, between)
    if not np.array_equal(inside, rows):
        return None
    return Unexplained(rows, "", len(comparison), (OnlyBetween(between, sign, tuple(rows.tolist())),))


def is_one_number(codes: Codes, negative: Mask, target: Scalar) -> bool:
    """Whether codes are one and the same, or would be but for the sign, which is that of their inputs."""
    if (codes == codes[0]).all():
        return True
    sign = np.asarray(target.sign_bit, codes.dtype)
    if (is_nan(codes, target) & (codes == sign)).any():  # the code of -0, which then does not mean a zero
        return False
    return bool((codes == (codes[0] & ~sign) | np.where(negative, sign, 0)).all())


def _of_sign(view: View, sign: int) -> Mask:
    negative = view.inputs.negative
    return np.ones(negative.shape, bool) if sign == 0 else negative if sign < 0 else ~negative


def _view(comparison: Comparison) -> View:
    return View(comparison.operand("codes"), *comparison.operation.formats)  # type: ignore[attr-defined]
