"""Requantisation, step by step in Python integers: the definition that the fast path is compared with.

An accumulator times a scale, rounded as a :class:`~lowbit.policy.requantize.RequantizeScheme` says, plus a zero
point, clamped. Binary floating-point steps are exact rational numbers rounded to 24 or 53 bits; their exponents are
unbounded, which changes no result: a product below binary32's range rounds to the integer 0, one above it is clamped.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import NamedTuple

from lowbit.errors import InputError
from lowbit.oracle.fixed_point.gemmlowp import saturate, wrap
from lowbit.policy.requantize import RequantizeScheme

BINARY32, BINARY64 = 24, 53
"""Bits of precision."""

HALF = Fraction(1, 2)
HIGH_HALF = 31
"""SRDHM keeps the product's bits from 2^31 on (gemmlowp fixedpoint.h, SaturatingRoundingDoublingHighMul)."""


Note = Callable[[str, Fraction | int], None]


def _unheard(name: str, value: Fraction | int) -> None:
    """Where nobody asks for intermediate values."""
    del name, value


class Requantized(NamedTuple):
    """A result and how it came about."""

    code: int
    rounded: int  # the rounded, not yet clamped value, the zero point included
    saturated: bool  # whether the last clamp changed it
    wrapped: bool  # whether an intermediate value left its width, modulo or saturating


def requantize(
    accumulator: int,
    scheme: RequantizeScheme,
    multiplier: int,
    shift: int,
    *,
    zero_point: int = 0,
    low: int = -128,
    high: int = 127,
    note: Note = _unheard,
) -> Requantized:
    """Requantise one accumulator.

    Parameters
    ----------
    accumulator : int
    scheme : RequantizeScheme
    multiplier, shift : int
        In the scheme's own convention; for a scheme that takes the scale itself, its significand and a shift to the
        right: the scale is ``multiplier * 2**-shift``.
    zero_point : int
        Of the result; NVDLA's (``zero_point = "before_product"``) of the accumulator.
    low, high : int
        The range of the result.
    note : callable
        Takes the name and the value of each intermediate, in the order in which they arise.

    Raises
    ------
    InputError
        The accumulator is outside the range for which the scheme is defined.
    """
    lowest, highest = scheme.accumulator_range(shift)
    if not lowest <= accumulator <= highest:
        raise InputError(f"accumulator {accumulator} is outside {lowest} to {highest}, for which the scheme is defined")
    if scheme.takes_scale:
        scale = Fraction(multiplier) / Fraction(2) ** shift
        rounded, wrapped = _by_binary(accumulator, scheme, scale, zero_point, note)
    else:
        rounded, wrapped = _by_integers(accumulator, scheme, multiplier, shift, zero_point, note)
    note("rounded", rounded)
    return _finish(rounded, wrapped, scheme, zero_point, low, high, note)


def _by_integers(
    accumulator: int, scheme: RequantizeScheme, multiplier: int, shift: int, zero_point: int, note: Note
) -> tuple[int, bool]:
    """The rounded product with an integer multiplier, and whether a step left its width."""
    if scheme.zero_point == "before_product":
        accumulator -= zero_point
        note("less zero point", accumulator)
    right = scheme.right_shift(shift)
    if scheme.pre_shift == "up_saturate16":
        return _sixteen_bits(accumulator, multiplier, scheme.point - right, note)
    if scheme.multiplier_use == "upper_15":
        multiplier, right = min((multiplier + (1 << 15)) >> 16, 0x7FFF), right - 16
        note("multiplier", multiplier)
    if scheme.high_half == "none":
        product = Fraction(accumulator * multiplier)
        if scheme.product == "binary53":
            product = to_precision(product, BINARY64)
            note("in 53 bits", product)
        return to_integer(product / 2**right, scheme.tie), False
    shifted = accumulator << max(HIGH_HALF - right, 0)
    wrapped = False
    if scheme.left_shift == "wrap32":
        wrapped = wrap(shifted, 32) != shifted
        shifted = wrap(shifted, 32)
    if right < HIGH_HALF:
        note("shifted left", shifted)
    high = to_integer(Fraction(shifted * multiplier, 1 << HIGH_HALF), scheme.high_half)
    note("high half", high)
    return to_integer(Fraction(high, 1 << max(right - HIGH_HALF, 0)), scheme.tie), wrapped


def _sixteen_bits(accumulator: int, multiplier: int, left: int, note: Note) -> tuple[int, bool]:
    """XNNPACK's rndnu16: the whole shift first (vqrshl, vqmovn), then a 16-bit doubling high product (vqrdmulh)."""
    shifted = to_integer(Fraction(accumulator) * Fraction(2) ** left, "up")
    kept = saturate(shifted, 16)
    note("in 16 bits", kept)
    return to_integer(Fraction(kept * multiplier, 1 << 15), "up"), kept != shifted


def _by_binary(
    accumulator: int, scheme: RequantizeScheme, scale: Fraction, zero_point: int, note: Note
) -> tuple[int, bool]:
    """The rounded product of binary32 or binary64 numbers."""
    bits = BINARY32 if scheme.product == "binary32" else BINARY64
    product = to_precision(to_precision(Fraction(accumulator), bits) * scale, bits)
    note(f"in binary{32 if bits == BINARY32 else 64}", product)
    if scheme.zero_point == "before_rounding":
        product = to_precision(product + to_precision(Fraction(zero_point), bits), bits)
        note("and zero point", product)
    if scheme.tie == "up_binary32":
        total = to_precision(product + HALF, bits)
        note("and a half", total)
        return total.numerator // total.denominator, False
    return to_integer(product, scheme.tie), False


def _finish(
    rounded: int, wrapped: bool, scheme: RequantizeScheme, zero_point: int, low: int, high: int, note: Note
) -> Requantized:
    """Narrow, add the zero point where it is still to come, and clamp."""
    value = narrowed(rounded, scheme)
    if scheme.zero_point == "after_rounding":
        total = narrowed(value + zero_point, scheme)
        wrapped |= total != value + zero_point
    else:
        total = value + (zero_point if scheme.zero_point == "after_clamp" else 0)
    wrapped |= value != rounded
    if total != rounded:
        note("before clamping", total)
    wraps = scheme.overflow == "wrap"
    code = (total - low) % (high - low + 1) + low if wraps else min(max(total, low), high)
    return Requantized(code, total, code != total, wrapped)


def narrowed(value: int, scheme: RequantizeScheme) -> int:
    """The value in the width that the scheme keeps before it clamps."""
    if scheme.narrowing == "wrap32":
        return wrap(value, 32)
    if scheme.narrowing.startswith("saturate"):
        return saturate(value, int(scheme.narrowing.removeprefix("saturate")))
    return value


def to_integer(value: Fraction, tie: str) -> int:
    """The nearest integer, a tie ``"up"``, ``"away"`` from zero or to the ``"even"`` one; or the one ``"down"``."""
    below = value.numerator // value.denominator
    rest = value - below
    if tie == "down":
        return below
    if rest != HALF:
        return below + int(rest > HALF)
    if tie == "up":
        return below + 1
    if tie == "away":
        return below + int(value > 0)
    return below + below % 2


def to_precision(value: Fraction, bits: int) -> Fraction:
    """The nearest number of ``bits`` significant bits, ties to even."""
    if value == 0:
        return value
    # every denominator here is a power of two
    leading = abs(value.numerator).bit_length() - value.denominator.bit_length()
    unit = Fraction(2) ** (leading - bits + 1)
    return to_integer(value / unit, "even") * unit
