"""The axes on which requantisations differ, and what each choice means. Only words.

:class:`lowbit.policy.requantize_schemes.RequantizeScheme` is one choice on each axis; the oracle and the lowering read
it.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

REQUANTIZE_AXES: Mapping[str, str] = MappingProxyType(
    {
        "product": "how the accumulator is multiplied by the scale",
        "multiplier_bits": "significant bits of the multiplier",
        "multiplier_use": "how much of the given multiplier is used",
        "shift": "the sign and the origin of the shift",
        "point": "where the multiplier's binary point stands, in bits from its right end",
        "left_shift": "a shift to the left before the product",
        "pre_shift": "a shift of the accumulator before the product that rounds",
        "high_half": "the first of two roundings: the product cut to its high half",
        "tie": "what the last rounding does with a tie",
        "zero_point": "where the zero point comes in",
        "narrowing": "how wide the rounded value is before it is clamped",
        "overflow": "a result outside the range of the result format",
    }
)
"""What each axis decides."""

REQUANTIZE_CHOICES: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "product": {
            "exact": "the exact product of two integers",
            "binary32": "accumulator and product each rounded to binary32 (24 bits), ties to even",
            "binary53": "the integer product rounded to the 53 bits of binary64, ties to even",
            "binary64": "the product of two binary64 numbers, rounded to 53 bits, ties to even",
        },
        "multiplier_use": {
            "whole": "all of the multiplier's bits",
            "upper_15": "the multiplier rounded (half up) to its upper 15 bits, at most 32767",
        },
        "shift": {
            "left": "positive is to the left: scale = multiplier * 2^(shift - point)",
            "right": "positive is to the right: scale = multiplier * 2^-(shift + point)",
            "none": "there is no shift: the scale itself is given",
        },
        "left_shift": {
            "exact": "without loss",
            "wrap32": "modulo 2^32",
        },
        "pre_shift": {
            "none": "there is none",
            "up_saturate16": "the whole shift is made before the product, half up, and saturates to int16",
        },
        "high_half": {
            "none": "there is one rounding only",
            "up": "half up at 2^31 (saturating rounding doubling high multiplication), so two roundings in all",
            "down": "cut off at 2^31 (a plain shift of the product), so two roundings in all",
        },
        "tie": {
            "up": "toward +infinity",
            "away": "away from zero",
            "even": "to the even neighbour",
            "up_binary32": "floor(y + 1/2), where the sum is rounded to binary32 first",
        },
        "zero_point": {
            "after_rounding": "added to the rounded value; the sum is clamped",
            "after_clamp": "added after clamping to the range less the zero point, so that no sum can overflow",
            "before_rounding": "added to the product before it is rounded, in the product's own precision",
            "before_product": "subtracted from the accumulator: it counts in units of the accumulator",
        },
        "narrowing": {
            "exact": "as wide as it needs",
            "wrap32": "32 bits, modulo 2^32",
            "saturate16": "16 bits, saturating, and so is its sum with the zero point",
            "saturate17": "17 bits, saturating",
        },
        "overflow": {
            "saturate": "the nearest end of the range",
            "wrap": "modulo 2^bits",
        },
    }
)
"""Every axis with a closed set of values: axis -> value -> what it means."""

DERIVATIONS: Mapping[str, str] = MappingProxyType(
    {
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
)
"""How (multiplier, shift) come of a scale: name -> rule."""

SCALE_PRODUCTS: Mapping[str, str] = MappingProxyType(
    {
        "float64": "double(input) * double(weight) / double(output)",
        "float32_product": "double(float32(input * weight)) / double(output)",
        "float32": "float32(float32(input * weight) / output)",
    }
)
"""How one scale comes of those of input, weight and output, which are binary32: name -> rule."""
