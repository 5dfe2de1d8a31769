"""The third vocabulary, how an accumulator becomes a code of few bits again.

A :class:`RequantizeScheme` is a record of choices, one for each axis on which published requantisations differ.
Nothing here computes: the oracle and ``lowbit.ops.requantize.requantize`` read the fields. A preset is named by its
arithmetic (``single_up``) or by the product that uses it (``tflm``), and is then a claim about that product, version,
operator and machine; tests/cross proves those whose product can be installed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lowbit.errors import PolicyError
from lowbit.policy.choices import Choices, axis
from lowbit.policy.presets import Presets

UPPER_BITS = 15
"""What the choice "upper_15" leaves of a multiplier."""

UPPER_DROPPED = 16
"""How many bits of the shift to the right that choice takes."""

HIGH_SHIFT = 31
"""Where the high half of a product begins."""

INT16_BITS = 16
"""What a shift of the accumulator before the product saturates to."""

LARGEST_ZERO_POINT = (1 << 31) - 1
"""A zero point that is taken off the accumulators has 32 bits, and makes them larger by that much at most."""

LONGEST_SHIFT = 62
"""A longer shift to the right has no place in a 64-bit product."""

DERIVATIONS: Mapping[str, str] = {
    "quantize_multiplier": (
        "scale = q * 2^s, q in [1/2, 1); multiplier = q * 2^31 rounded half away; 2^31 becomes 2^30 and s + 1; "
        "s < -31 gives multiplier 0 and shift 0"
    ),
    "quantize_multiplier_limited": "the same; s > 30 gives multiplier 2^31 - 1 and shift 30",
    "frexp_31": "scale = q * 2^s; multiplier = q * 2^31 rounded half away; 2^31 becomes 2^30 and s + 1",
    "batch_frexp": "scale = q * 2^s; multiplier = q * 2^31 rounded half away; right shift 31 - s",
    "tosa_32": "q * 2^31 rounded half away; right shift 31 - s; beyond 62 the multiplier is shifted right instead",
    "tosa_16": "q * 2^15 rounded half away; right shift 15 - s; beyond 62 the multiplier is shifted right instead",
    "binary32_24": "the 24 significant bits of the binary32 scale, and what is left as a right shift",
    "binary32_31": "the 24 significant bits of the binary32 scale times 2^7",
    "binary32_15": "the 24 significant bits of the binary32 scale rounded half up to 15",
    "nearest_15": "scale = q * 2^s; multiplier = q * 2^15 rounded half away; right shift 15 - s",
    "binary32": "the scale rounded to binary32",
    "binary64": "the scale as binary64",
}
"""How (multiplier, shift) come of a scale: name -> rule."""

SCALE_PRODUCTS: Mapping[str, str] = {
    "float64": "double(input) * double(weight) / double(output)",
    "float32_product": "double(float32(input * weight)) / double(output)",
    "float32": "float32(float32(input * weight) / output)",
}
"""How one scale comes of those of input, weight and output, which are binary32: name -> rule."""


@dataclass(frozen=True, kw_only=True)
class RequantizeScheme(Choices):
    """How ``accumulator * scale + zero_point`` is computed, rounded and clamped.

    Each attribute but the last five is one axis; ``RequantizeScheme.AXES`` says what it decides,
    ``RequantizeScheme.choices(axis)`` lists its values.

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

    product: str = axis(
        "exact",
        "how the accumulator is multiplied by the scale",
        {
            "exact": "the exact product of two integers",
            "binary32": "accumulator and product each rounded to binary32 (24 bits), ties to even",
            "binary53": "the integer product rounded to the 53 bits of binary64, ties to even",
            "binary64": "the product of two binary64 numbers, rounded to 53 bits, ties to even",
        },
    )
    multiplier_bits: int = axis(31, "significant bits of the multiplier", range(1, 54))
    multiplier_use: str = axis(
        "whole",
        "how much of the given multiplier is used",
        {
            "whole": "all of the multiplier's bits",
            "upper_15": "the multiplier rounded (half up) to its upper 15 bits, at most 32767",
        },
    )
    signed_multiplier: bool = False
    shift: str = axis(
        "left",
        "the sign and the origin of the shift",
        {
            "left": "positive is to the left: scale = multiplier * 2^(shift - point)",
            "right": "positive is to the right: scale = multiplier * 2^-(shift + point)",
            "none": "there is no shift: the scale itself is given",
        },
    )
    point: int = axis(31, "where the multiplier's binary point stands, in bits from its right end", range(64))
    shift_range: tuple[int, int] = (-31, 30)
    left_shift: str = axis(
        "exact",
        "a shift to the left before the product",
        {
            "exact": "without loss",
            "wrap32": "modulo 2^32",
        },
    )
    pre_shift: str = axis(
        "none",
        "a shift of the accumulator before the product that rounds",
        {
            "none": "there is none",
            "up_saturate16": "the whole shift is made before the product, half up, and saturates to int16",
        },
    )
    high_half: str = axis(
        "none",
        "the first of two roundings: the product cut to its high half",
        {
            "none": "there is one rounding only",
            "up": "half up at 2^31 (saturating rounding doubling high multiplication), so two roundings in all",
            "down": "cut off at 2^31 (a plain shift of the product), so two roundings in all",
        },
    )
    tie: str = axis(
        "up",
        "what the last rounding does with a tie",
        {
            "up": "toward +infinity",
            "away": "away from zero",
            "even": "to the even neighbour",
            "up_binary32": "floor(y + 1/2), where the sum is rounded to binary32 first",
        },
    )
    zero_point: str = axis(
        "after_rounding",
        "where the zero point comes in",
        {
            "after_rounding": "added to the rounded value; the sum is clamped",
            "after_clamp": "added after clamping to the range less the zero point, so that no sum can overflow",
            "before_rounding": "added to the product before it is rounded, in the product's own precision",
            "before_product": "subtracted from the accumulator: it counts in units of the accumulator",
        },
    )
    narrowing: str = axis(
        "exact",
        "how wide the rounded value is before it is clamped",
        {
            "exact": "as wide as it needs",
            "wrap32": "32 bits, modulo 2^32",
            "saturate16": "16 bits, saturating, and so is its sum with the zero point",
            "saturate17": "17 bits, saturating",
        },
    )
    overflow: str = axis(
        "saturate",
        "a result outside the range of the result format",
        {
            "saturate": "the nearest end of the range",
            "wrap": "modulo 2^bits",
        },
    )
    accumulator_bits: int = 32
    bounded: bool = False
    derivation: str = axis("quantize_multiplier", "", DERIVATIONS, compare=False)
    scale_product: str = axis("float64", "", SCALE_PRODUCTS, compare=False)
    name: str = field(default="", compare=False)
    summary: str = field(default="", compare=False)
    product_name: str = field(default="", compare=False)
    evidence: str = field(default="", compare=False)
    source: str = field(default="", compare=False)

    AXIS = "axis of a requantisation scheme"
    CLAIMS = ("name", "summary", "product_name", "evidence", "source")

    def __post_init__(self) -> None:
        self.check_choices()
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
            steps = self.product, self.tie, self.overflow
            known = steps[:2] == ("binary64", "even") or steps == ("binary32", "up_binary32", "saturate")
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


REQUANTIZE_SCHEMES = Presets(RequantizeScheme, "scheme", "requantize.toml")
"""The named schemes: those without a ``product_name`` are named by their arithmetic."""

_ELSEWHERE = {"bitsandbytes": "LLM.int8() ends in binary16: lowbit.llm_int8_matmul computes that"}


def get_requantize_scheme(scheme: RequantizeScheme | str) -> RequantizeScheme:
    """A requantisation scheme from itself or from its name.

    Parameters
    ----------
    scheme : RequantizeScheme or str
        A scheme is returned as it is; look-up ignores case.

    Raises
    ------
    PolicyError
        The name is unknown (the nearest one is suggested), or the argument is neither.

    Examples
    --------
    >>> get_requantize_scheme("tflite_single").high_half
    'none'
    """
    if isinstance(scheme, str) and scheme.lower() in _ELSEWHERE:
        raise PolicyError(f"scheme = {scheme!r} makes no integers", hint=_ELSEWHERE[scheme.lower()])
    return REQUANTIZE_SCHEMES.named(scheme)


def arithmetic_name(scheme: RequantizeScheme) -> str:
    """The name of the first scheme of the same arithmetic, "" where none is named."""
    return next((name for name, known in REQUANTIZE_SCHEMES.items() if known == scheme), "")
