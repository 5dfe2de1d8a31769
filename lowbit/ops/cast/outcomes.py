"""The final codes that a policy gives where nothing is rounded: by target, kind of value and sign.

Signs are 0 for positive and 1 for negative. ``lowbit.ops.cast.lowering`` asks for every outcome once a cast.
"""

from __future__ import annotations

from typing import NamedTuple

from lowbit.errors import PolicyError
from lowbit.format.scalar import FixedFormat, FloatFormat
from lowbit.kernels.cast import layout as at
from lowbit.policy.cast import Policy


class Outcome(NamedTuple):
    """A final code and the flags it raises."""

    code: int
    flags: int


class FloatOutcomes:
    """The final codes that a policy gives in a float format."""

    def __init__(self, target: FloatFormat, policy: Policy) -> None:
        if policy.overflow == "wrap":
            raise PolicyError(
                f"overflow 'wrap' means nothing in the float format {target.id!r}",
                hint="use 'saturate', 'ieee', 'infinity' or 'nan'; 'wrap' is for integers and fixed point",
            )
        self.target, self.policy = target, policy

    def _signed(self, magnitude: int, negative: int) -> int:
        return magnitude | (self.target.sign_bit if negative else 0)

    def nan(self, negative: int, *, made: bool = False) -> Outcome:
        """A NaN input, or (``made``) a NaN that stands for something else."""
        target, policy = self.target, self.policy
        kept = policy.nan_sign == "keep" or (made and policy.nan_sign == "drop_input")
        sign = negative if kept else 0
        if target.nan_at_negative_zero:
            return Outcome(target.sign_bit, 0)
        if target.nan is not None:
            all_ones = (1 << target.magnitude_bits) - 1
            assert target.canonical_nan is not None
            code = all_ones if policy.nan_code == "all_ones" else target.canonical_nan
            return Outcome(self._signed(code, sign), 0)
        zero = self._signed(0, 1) if target.negative_zero else 0
        codes = {
            "maximum": target.max_code,
            "signed_maximum": self._signed(target.max_code, negative if target.signed else 0),
            "minimum": self._signed(target.max_code, 1) if target.signed else 0,
            "zero": 0,
            "negative_zero": zero,
            "inverted_zero": 0 if negative else zero,
            "error": 0,
        }
        return Outcome(codes[policy.nan], at.REFUSED if policy.nan == "error" else at.INVALID)

    def _made_nan(self, negative: int) -> Outcome:
        code, flags = self.nan(negative, made=True)
        return Outcome(code, flags | at.INVALID)

    def _largest(self, negative: int) -> Outcome:
        return Outcome(self._signed(self.target.max_code, negative), at.SATURATED)

    def _infinite(self, negative: int) -> Outcome:
        """An infinity, or what stands in for one."""
        if self.target.infinity is not None:
            return Outcome(self._signed(self.target.infinity, negative), 0)
        if self.policy.without_infinity == "nan" and self.target.has_nan:
            return self._made_nan(negative)
        return self._largest(negative)

    def infinity(self, negative: int) -> Outcome:
        """An infinite input."""
        if negative and not self.target.signed and self.policy.negative != "absolute":
            return self.negative(infinite=True)
        choice = self.policy.infinity
        if choice == "error":
            return Outcome(0, at.REFUSED)
        if choice == "nan":
            return self._made_nan(negative)
        code, flags = self._infinite(negative) if choice == "propagate" else self._largest(negative)
        held = choice == "propagate" and self.target.infinity is not None
        return Outcome(code, flags if held else flags | at.INVALID)

    def overflow(self, negative: int) -> Outcome:
        """A finite value that rounds beyond the largest one."""
        if negative and not self.target.signed and self.policy.negative != "absolute":
            return self.negative()
        choice = self.policy.overflow
        if choice == "error":
            return Outcome(0, at.REFUSED)
        if choice == "nan":
            outcome = self._made_nan(negative)
        elif choice == "infinity" or (choice == "ieee" and self._carries_to_infinity(negative)):
            outcome = self._infinite(negative)
        else:
            outcome = self._largest(negative)
        return Outcome(outcome.code, outcome.flags & ~at.INVALID | at.OVERFLOWED | at.INEXACT)

    def _carries_to_infinity(self, negative: int) -> bool:
        """IEEE 754-2019 7.4; to odd, whichever of the two neighbours has the odd code (P3109 v4.0 4.7.5)."""
        rounding, infinity = self.policy.rounding, self.target.infinity
        if rounding == "to_odd":
            return infinity is not None and infinity % 2 == 1
        stays = ("toward_zero", "toward_positive" if negative else "toward_negative")
        return rounding not in stays

    def negative(self, infinite: bool = False) -> Outcome:
        """A negative value, nonzero after rounding, into an unsigned format."""
        choice, rounding = self.policy.negative, self.policy.rounding
        if choice == "error":
            return Outcome(0, at.REFUSED)
        clamps = choice == "by_direction" and not infinite and rounding in ("toward_zero", "toward_positive")
        return Outcome(0, at.INVALID) if choice == "zero" or clamps else self._made_nan(1)

    def zero(self, negative: int) -> Outcome:
        """A result that is zero."""
        keeps = self.target.negative_zero and self.policy.negative_zero == "keep"
        return Outcome(self._signed(0, negative) if keeps else 0, 0)

    def zero_input(self, negative: int) -> Outcome:
        """A zero input."""
        if self.target.zero:
            return self.zero(negative)
        if self.policy.zero == "error":
            return Outcome(0, at.REFUSED)
        if self.policy.zero == "nan":
            return self._made_nan(negative)
        return Outcome(self._signed(0, negative if self.policy.negative_zero == "keep" else 0), at.INEXACT)

    def underflow(self, negative: int) -> Outcome:
        """A value below the smallest one of a format without zero."""
        if negative and not self.target.signed and self.policy.negative != "absolute":
            return self.negative()
        choice = self.policy.underflow
        if choice == "error":
            return Outcome(0, at.REFUSED)
        outcome = self._made_nan(negative) if choice == "nan" else Outcome(self._signed(0, negative), 0)
        return Outcome(outcome.code, outcome.flags & ~at.INVALID | at.UNDERFLOWED | at.INEXACT)


class FixedOutcomes:
    """The final codes that a policy gives in an integer or fixed-point format."""

    def __init__(self, target: FixedFormat, policy: Policy) -> None:
        self.target, self.policy = target, policy

    def _end(self, negative: int) -> int:
        return self.target.min_code if negative else self.target.max_code

    def nan(self, negative: int) -> Outcome:
        """A NaN input."""
        choice = self.policy.nan
        codes = {
            "maximum": self.target.max_code,
            "signed_maximum": self._end(negative),
            "minimum": self.target.min_code,
        }
        return Outcome(codes.get(choice, 0), at.REFUSED if choice == "error" else at.INVALID)

    def infinity(self, negative: int) -> Outcome:
        """An infinite input."""
        if self.policy.infinity == "nan":
            return self.nan(negative)
        return self._outside(negative, self.policy.infinity)

    def overflow(self, negative: int) -> Outcome:
        """A value beyond the range; where it wraps, the flags alone count."""
        if self.policy.overflow == "nan":
            return self.nan(negative)
        return self._outside(negative, self.policy.overflow)

    def _outside(self, negative: int, choice: str) -> Outcome:
        flags = {"error": at.REFUSED, "wrap": at.INVALID}.get(choice, at.INVALID | at.SATURATED)
        return Outcome(self._end(negative), flags)
