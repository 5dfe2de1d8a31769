"""What a requantisation scheme is: how an accumulator becomes a code of few bits again.

A :class:`RequantizeScheme` is a record of choices, one for each axis on which published requantisations differ.
Nothing here computes: the oracle and ``lowbit.ops.requantize.requantize`` read the fields. The named schemes are those
of ``lowbit.policy.requantize_schemes``: by arithmetic (``single_up``) and by product (``tflm``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from lowbit.errors import PolicyError
from lowbit.policy.cast_axes import require_choice
from lowbit.policy.requantize_axes import DERIVATIONS, REQUANTIZE_AXES, REQUANTIZE_CHOICES, SCALE_PRODUCTS

UPPER_BITS = 15
"""What the choice "upper_15" leaves of a multiplier."""

UPPER_DROPPED = 16
"""How many bits of the shift to the right that choice takes."""

HIGH_SHIFT = 31
"""Where the high half of a product begins."""

INT16_BITS = 16
"""What a shift of the accumulator before the product saturates to."""

LARGEST_ZERO_POINT = (1 << 31) - 1
"""A zero point that is taken off the accumulators has 32 bits, and makes them larger by so much at most."""

LONGEST_SHIFT = 62
"""A longer shift to the right has no place in a 64-bit product."""


@dataclass(frozen=True, kw_only=True)
class RequantizeScheme:
    """How ``accumulator * scale + zero_point`` is computed, rounded and clamped.

    Each attribute without a default in the table below is one axis; ``REQUANTIZE_AXES`` of
    ``lowbit.policy.requantize_axes`` says what it decides, ``RequantizeScheme.choices(axis)`` lists its values.

    Attributes
    ----------
    product, multiplier_use, shift, left_shift, pre_shift, high_half, tie, zero_point, narrowing, overflow : str
        The axes with named choices.
    multiplier_bits : int
        Significant bits of the multiplier, 15 to 53; a binary product takes the scale itself.
    signed_multiplier : bool
        Whether the multiplier may be negative.
    point : int
        The multiplier's binary point: with ``shift = "left"`` a pair is worth ``multiplier * 2**(shift - point)``,
        with ``"right"`` ``multiplier * 2**-(shift + point)``.
    shift_range : tuple of int
        The lowest and the highest shift that the scheme takes.
    accumulator_bits : int
        Width of the accumulators that the scheme takes, 32 or 48.
    bounded : bool
        Whether an accumulator must lie within ``-2**(shift-1) <= accumulator < 2**(shift-1)`` (TOSA): others have no
        defined result.
    derivation : str
        How multiplier and shift come of a scale (``DERIVATIONS``).
    scale_product : str
        How that scale comes of three (``SCALE_PRODUCTS``).
    name, summary, product_name : str
        The scheme's id, one line, and what product, version, operator and resolver it stands for ("" for none).
    evidence : str
        ``"specification"``, ``"source"`` (read in the product's source), ``"fitted"`` (a model that agreed with the
        product on many answers, its source not read) or "".
    source : str
        Where: standard and clause, or repository, file and revision.

    Raises
    ------
    PolicyError
        An axis has an unknown value, or two of them contradict each other.
    """

    product: str = "exact"
    multiplier_bits: int = 31
    multiplier_use: str = "whole"
    signed_multiplier: bool = False
    shift: str = "left"
    point: int = 31
    shift_range: tuple[int, int] = (-31, 30)
    left_shift: str = "exact"
    pre_shift: str = "none"
    high_half: str = "none"
    tie: str = "up"
    zero_point: str = "after_rounding"
    narrowing: str = "exact"
    overflow: str = "saturate"
    accumulator_bits: int = 32
    bounded: bool = False
    derivation: str = field(default="quantize_multiplier", compare=False)
    scale_product: str = field(default="float64", compare=False)
    name: str = field(default="", compare=False)
    summary: str = field(default="", compare=False)
    product_name: str = field(default="", compare=False)
    evidence: str = field(default="", compare=False)
    source: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        for axis, values in REQUANTIZE_CHOICES.items():
            require_choice(axis, getattr(self, axis), values)
        require_choice("derivation", self.derivation, DERIVATIONS)
        require_choice("scale_product", self.scale_product, SCALE_PRODUCTS)
        for name, allowed in (("multiplier_bits", range(1, 54)), ("point", range(64))):
            self._require(getattr(self, name) in allowed, f"{name} = {getattr(self, name)!r} is outside {allowed}")
        self._require(self.accumulator_bits in (32, 48), f"accumulator_bits = {self.accumulator_bits!r}")
        scaled = self.product in ("binary32", "binary64")
        self._require(scaled == (self.shift == "none"), f"product {self.product!r} with shift {self.shift!r}")
        self._require(
            self.product == "binary32" or self.tie != "up_binary32", "tie 'up_binary32' needs the binary32 product"
        )
        self._require(scaled or self.zero_point != "before_rounding", "a zero point before the rounding of integers")
        if scaled:
            self._check_scaled()
        else:
            self._check_combination()
            self._check_widths(self._right_shifts())

    def _check_scaled(self) -> None:
        """A binary product has no steps of integers before it."""
        plain = (self.pre_shift, self.high_half, self.multiplier_use) == ("none", "none", "whole")
        self._require(
            plain and self.zero_point != "before_product" and not self.bounded,
            f"the product {self.product!r} takes the whole scale and accumulator, with no step of integers before it",
        )
        self._require(self.accumulator_bits == 32, f"accumulators of {self.accumulator_bits} bits in {self.product}")
        if self.zero_point == "before_rounding":
            known = (self.product, self.tie) == ("binary64", "even") or (self.product, self.tie, self.overflow) == (
                *("binary32", "up_binary32"),
                "saturate",
            )
            self._require(
                known and self.narrowing == "exact",
                "a zero point before the rounding goes with the binary64 product and tie 'even', or with binary32, "
                "tie 'up_binary32' and overflow 'saturate', and no narrowing",
            )

    def _check_combination(self) -> None:
        """Steps before the rounding that exclude each other."""
        exact = self.product == "exact" and self.multiplier_use == "whole"
        if self.high_half != "none":
            self._require(exact, f"a high half of the product {self.product!r} of {self.multiplier_use!r}")
        if self.pre_shift != "none":
            alone = (self.high_half, self.left_shift, self.tie, self.point) == ("none", "exact", "up", 15)
            self._require(
                exact and alone,
                f"pre_shift {self.pre_shift!r} goes with the exact product of a whole multiplier, point 15, tie 'up' "
                "and no other step before the rounding",
            )

    def _right_shifts(self) -> tuple[int, int]:
        """The shortest and the longest whole shift to the right, which have a place in 64 bits."""
        span: Any = self.shift_range
        whole = isinstance(span, tuple) and len(span) == 2 and all(type(end) is int for end in span)
        self._require(whole and span[0] <= span[1], f"shift_range = {span!r} is not (lowest, highest)")
        shortest, longest = sorted(self.right_shift(end) for end in span)
        least = UPPER_DROPPED if self.multiplier_use == "upper_15" else int(self.bounded)
        self._require(
            shortest >= least and longest <= LONGEST_SHIFT,
            f"shift_range = {span} makes whole shifts to the right of {shortest} to {longest}, "
            f"outside {least} to {LONGEST_SHIFT}",
        )
        return shortest, longest

    def _check_widths(self, right: tuple[int, int]) -> None:
        """Accumulators less zero points, shifted to the left, and their products have to fit 64 bits with a bit spare.

        The spare bit is for what rounding adds.
        """
        accumulator = 1 << (self.accumulator_bits - 1)
        if self.zero_point == "before_product":
            accumulator += LARGEST_ZERO_POINT
        left = 0
        if self.pre_shift != "none":
            left = max(self.point - right[0], 0)
        elif self.high_half != "none":
            left = max(HIGH_SHIFT - right[0], 0)
            if self.bounded and self.zero_point != "before_product":
                left = 0  # a shift that is short leaves small accumulators only: 2^30 at most, shifted
        wraps = self.high_half != "none" and self.left_shift == "wrap32"
        shifted = accumulator << left
        self._require(
            shifted < 1 << (LONGEST_SHIFT + 1),
            f"shift_range = {self.shift_range}: accumulators of {self.accumulator_bits} bits shifted left by {left} "
            "need more than 64 bits",
        )
        factor = 1 << (INT16_BITS - 1) if self.pre_shift != "none" else min(shifted, 1 << 31) if wraps else shifted
        used = UPPER_BITS if self.multiplier_use == "upper_15" else self.multiplier_bits
        largest = (1 << used) - (not self.signed_multiplier)
        less = " less a zero point of 32 bits" if self.zero_point == "before_product" else ""
        moved = f", shifted left by {left}," if left else ""
        self._require(
            factor * largest < 1 << LONGEST_SHIFT,
            f"multiplier_bits = {self.multiplier_bits}: products with accumulators of {self.accumulator_bits} bits"
            f"{less}{moved} need more than 64 bits",
        )

    def _require(self, condition: bool, what: str) -> None:
        if not condition:
            raise PolicyError(f"requantisation scheme {self.name!r}: {what}")

    @property
    def roundings(self) -> int:
        """How many times a result is rounded."""
        binary = {"exact": 0, "binary53": 1, "binary64": 1, "binary32": 2}[self.product]
        before = (self.multiplier_use != "whole") + (self.pre_shift != "none") + (self.high_half != "none")
        return 1 + binary + before + (self.tie == "up_binary32")

    @property
    def takes_scale(self) -> bool:
        """Whether the scheme works with the scale itself, and has no integer multiplier."""
        return self.shift == "none"

    @property
    def multiplier_range(self) -> tuple[int, int]:
        """The lowest and the highest multiplier."""
        top = 1 << self.multiplier_bits
        return (-top, top - 1) if self.signed_multiplier else (0, top - 1)

    def right_shift(self, shift: int) -> int:
        """The whole shift to the right: the scale is ``multiplier * 2**-right_shift``."""
        return self.point - shift if self.shift == "left" else self.point + shift

    def accumulator_range(self, shift: int = 0) -> tuple[int, int]:
        """The accumulators that have a defined result with this shift: lowest and highest."""
        bits = self.accumulator_bits
        if self.bounded:
            bits = min(bits, self.right_shift(shift))
        return -(1 << (bits - 1)), (1 << (bits - 1)) - 1

    def choose(self, **axes: Any) -> RequantizeScheme:
        """A copy with other choices; it loses the name and the claims of the preset unless they are given too."""
        known = {item.name for item in fields(self)}
        for axis in axes:
            require_choice("axis of a requantisation scheme", axis, dict.fromkeys(sorted(known)))
        claims = dict.fromkeys(("name", "summary", "product_name", "evidence", "source"), "")
        return replace(self, **{**claims, **axes})

    def differences(self, other: RequantizeScheme) -> dict[str, tuple[Any, Any]]:
        """The axes on which two schemes differ: axis -> (own value, other value)."""
        names = [item.name for item in fields(self) if item.compare]
        pairs = {name: (getattr(self, name), getattr(other, name)) for name in names}
        return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}

    @staticmethod
    def choices(axis: str) -> tuple[str, ...]:
        """The values that an axis with a closed set may take."""
        require_choice("axis of a requantisation scheme", axis, REQUANTIZE_CHOICES)
        return tuple(REQUANTIZE_CHOICES[axis])

    @staticmethod
    def meaning(axis: str, value: str) -> str:
        """What a value of an axis means, in words."""
        require_choice("axis of a requantisation scheme", axis, REQUANTIZE_CHOICES)
        require_choice(axis, value, REQUANTIZE_CHOICES[axis])
        return REQUANTIZE_CHOICES[axis][value]

    def words(self) -> Mapping[str, str]:
        """Each axis with its choice in words, for reports."""
        return {
            axis: self.meaning(axis, str(getattr(self, axis)))
            if axis in REQUANTIZE_CHOICES
            else str(getattr(self, axis))
            for axis in REQUANTIZE_AXES
        }
