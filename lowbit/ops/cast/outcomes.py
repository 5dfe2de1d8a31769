"""The final codes that a policy gives where nothing is rounded: by target, kind of value and sign.

Signs are 0 for positive and 1 for negative. ``lowbit.ops.cast.lowering`` asks for every outcome once a cast.
"""

from __future__ import annotations

from typing import NamedTuple

from lowbit.errors import PolicyError
from lowbit.format.protocol import Scalar
from lowbit.kernels.cast import layout as at
from lowbit.policy.cast import Policy


class Outcome(NamedTuple):
    """A final code and the flags it raises."""

    code: int
    flags: int


class Outcomes:
    """The final codes that a policy gives in a format.

    Raises PolicyError: ``overflow="wrap"`` where nothing can wrap.
    """

    def __init__(self, target: Scalar, policy: Policy) -> None:
        if policy.overflow == "wrap" and not target.wraps:
            raise PolicyError(
                f"overflow 'wrap' means nothing in the {target.kind} format {target.id!r}",
                hint="use 'saturate', 'ieee', 'infinity' or 'nan'; 'wrap' is for integers and fixed point",
            )
        self.target, self.policy = target, policy

    def nan(self, negative: int, *, of_number: bool = False) -> Outcome:
        """A NaN input, or a NaN that stands for a number."""
        target, policy = self.target, self.policy
        kept = policy.nan_sign == "keep" or (of_number and policy.nan_sign == "drop_input")
        code = target.nan_code(bool(negative and kept), all_ones=policy.nan_code == "all_ones")
        if code is not None:
            return Outcome(code, 0)
        codes = {
            "maximum": target.largest_code(),
            "signed_maximum": target.largest_code(bool(negative)),
            "minimum": target.lowest_code,
            "zero": target.zero_code(),
            "negative_zero": target.zero_code(negative=True),
            "inverted_zero": target.zero_code(not negative),
            "error": 0,
        }
        return Outcome(codes[policy.nan], at.REFUSED if policy.nan == "error" else at.INVALID)

    def _nan_for_number(self, negative: int) -> Outcome:
        code, flags = self.nan(negative, of_number=True)
        return Outcome(code, flags | at.INVALID)

    def _largest(self, negative: int) -> Outcome:
        return Outcome(self.target.largest_code(bool(negative)), at.SATURATED)

    def _infinite(self, negative: int) -> Outcome:
        """An infinity, or what stands in for one."""
        code = self.target.infinity_code(bool(negative))
        if code is not None:
            return Outcome(code, 0)
        if self.policy.without_infinity == "nan" and self.target.has_nan:
            return self._nan_for_number(negative)
        return self._largest(negative)

    def _has_no_sign_for(self, negative: int) -> bool:
        """Whether a value is negative, and that is decided before its size; integers take it for one out of range."""
        target = self.target
        return bool(negative) and not (target.signed or target.wraps or self.policy.negative == "absolute")

    def infinity(self, negative: int) -> Outcome:
        """An infinite input."""
        if self._has_no_sign_for(negative):
            return self.negative(infinite=True)
        choice = self.policy.infinity
        if choice == "error":
            return Outcome(0, at.REFUSED)
        if choice == "nan":
            return self._nan_for_number(negative)
        code, flags = self._infinite(negative) if choice == "propagate" else self._largest(negative)
        held = choice == "propagate" and self.target.infinity_code(bool(negative)) is not None
        return Outcome(code, flags if held else flags | at.INVALID)

    def overflow(self, negative: int) -> Outcome:
        """A finite value that rounds beyond the largest one; where it wraps, the flags alone count."""
        if self._has_no_sign_for(negative):
            return self.negative()
        choice = self.policy.overflow
        if choice == "error":
            return Outcome(0, at.REFUSED)
        if choice == "wrap":
            return Outcome(0, at.INVALID)
        if choice == "nan":
            outcome = self._nan_for_number(negative)
        elif choice == "infinity" or (choice == "ieee" and self._carries_to_infinity(negative)):
            outcome = self._infinite(negative)
        else:
            outcome = self._largest(negative)
        # IEEE 754-2019 7.2: an integer out of range is invalid, and nothing else
        raised = at.INVALID if self.target.wraps else at.OVERFLOWED | at.INEXACT
        return Outcome(outcome.code, outcome.flags & ~at.INVALID | raised)

    def _carries_to_infinity(self, negative: int) -> bool:
        """IEEE 754-2019 7.4; to odd, whichever of the two neighbours has the odd code (P3109 v4.0 4.7.5)."""
        rounding = self.policy.rounding
        if rounding == "to_odd":
            return self.target.has_infinity and self.target.largest_code() % 2 == 0
        stays = ("toward_zero", "toward_positive" if negative else "toward_negative")
        return rounding not in stays

    def negative(self, infinite: bool = False) -> Outcome:
        """A negative value, nonzero after rounding, into an unsigned format."""
        choice, rounding = self.policy.negative, self.policy.rounding
        if choice == "error":
            return Outcome(0, at.REFUSED)
        clamps = choice == "by_direction" and not infinite and rounding in ("toward_zero", "toward_positive")
        if choice == "zero" or clamps:
            return Outcome(self.target.lowest_code, at.INVALID)
        return self._nan_for_number(1)

    def zero(self, negative: int) -> Outcome:
        """A result that is zero."""
        return Outcome(self.target.zero_code(bool(negative) and self.policy.negative_zero == "keep"), 0)

    def zero_input(self, negative: int) -> Outcome:
        """A zero input."""
        if self.target.zero:
            return self.zero(negative)
        if self.policy.zero == "error":
            return Outcome(0, at.REFUSED)
        if self.policy.zero == "nan":
            return self._nan_for_number(negative)
        return Outcome(self._smallest(bool(negative) and self.policy.negative_zero == "keep"), at.INEXACT)

    def underflow(self, negative: int) -> Outcome:
        """A value below the smallest one of a format without zero."""
        if self._has_no_sign_for(negative):
            return self.negative()
        choice = self.policy.underflow
        if choice == "error":
            return Outcome(0, at.REFUSED)
        outcome = self._nan_for_number(negative) if choice == "nan" else Outcome(self._smallest(bool(negative)), 0)
        return Outcome(outcome.code, outcome.flags & ~at.INVALID | at.UNDERFLOWED | at.INEXACT)

    def _smallest(self, negative: bool) -> int:
        """The smallest value of a sign in a format without zero."""
        return self.target.from_ordinal(0) | (self.target.sign_bit if negative else 0)
