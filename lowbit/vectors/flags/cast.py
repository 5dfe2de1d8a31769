"""The flags of vectors: what each row is there for, and which bug it is made to catch.

The idea of flags that name bug types is Wycheproof's (C2SP/wycheproof, doc/formats.md). A flag's number is written
into files: numbers are never reused or renumbered.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from lowbit.vectors.flags.flag import Flag
from lowbit.vectors.flags.gemm import GEMM_FLAGS
from lowbit.vectors.flags.nonlinear import NONLINEAR_FLAGS
from lowbit.vectors.flags.requantize import REQUANTIZE_FLAGS

EXACT = 0
TIE_EVEN = 1
TIE_ODD = 2
NEAR_TIE = 3
NEAR_VALUE = 4
CARRY_TO_EXPONENT = 5
SUBNORMAL_EDGE = 6
SUBNORMAL = 7
UNDERFLOW = 8
OVERFLOW_TIE = 9
OVERFLOW_BAND = 10
NEGATIVE_ZERO = 11
INFINITY = 12
NAN_SIGN = 13
NAN_PAYLOAD = 14
DOUBLE_ROUNDING = 15
LOWEST_BINADE = 16
NEGATIVE = 17
INTEGER_RAIL = 18
SOURCE_SUBNORMAL = 19
STICKY = 20
REMAINING = 21
RANDOM = 22
SPREAD = 23

_TABLE = (
    Flag(EXACT, "Exact", "a value that needs no rounding is changed: bias or shift off by one", "IEEE 754-2019 4.3"),
    Flag(TIE_EVEN, "TieEven", "a tie whose lower neighbour is even: ties away, ties up", "IEEE 754-2019 4.3.1"),
    Flag(TIE_ODD, "TieOdd", "a tie whose lower neighbour is odd: truncation, ties toward zero", "IEEE 754-2019 4.3.1"),
    Flag(NEAR_TIE, "NearTie", "one to three source ulps beside a tie: lost sticky bit", "IBM FPgen models B3, B7"),
    Flag(NEAR_VALUE, "NearValue", "one to three source ulps beside a value: directed roundings", "IBM FPgen model B3"),
    Flag(
        CARRY_TO_EXPONENT,
        "CarryToExponent",
        "rounding up to a power of two: the carry into the exponent is lost",
        "IBM FPgen model B3",
    ),
    Flag(
        SUBNORMAL_EDGE,
        "SubnormalEdge",
        "between the largest subnormal and the smallest normal value: wrong binade, early flush",
        "apytypes 0.6 changelog; IBM FPgen models B5, B6",
    ),
    Flag(SUBNORMAL, "Subnormal", "a subnormal result: flush to zero, shift off by one", "IEEE 754-2019 3.3"),
    Flag(
        UNDERFLOW,
        "Underflow",
        "at and below half the smallest value: not rounded to zero, or its sign lost",
        "IBM FPgen models B5, B6",
    ),
    Flag(
        OVERFLOW_TIE,
        "OverflowTie",
        "the largest value plus half an ulp: overflow decided on the wrong side of the tie",
        "IEEE 754-2019 7.4; IBM FPgen model B4",
    ),
    Flag(
        OVERFLOW_BAND,
        "OverflowBand",
        "around and beyond the largest value: overflow decided before rounding, saturation one code too low",
        "IEEE 754-2019 7.4; OFP8 v1.0 section 5.2",
    ),
    Flag(NEGATIVE_ZERO, "NegativeZero", "a zero input: the sign is dropped, or -0 becomes NaN", "openxla/xla #17487"),
    Flag(INFINITY, "Infinity", "an infinite input: not saturated, or turned into NaN", "OFP8 v1.0 table 4"),
    Flag(NAN_SIGN, "NanSign", "a quiet NaN of either sign: wrong NaN code, sign lost", "OFP8 v1.0 section 5.2"),
    Flag(
        NAN_PAYLOAD,
        "NanPayload",
        "signalling NaNs and edge payloads: a payload that truncates to nothing becomes infinity",
        "IEEE 754-2019 6.2.3; IBM FPgen model B27",
    ),
    Flag(
        DOUBLE_ROUNDING,
        "DoubleRounding",
        "a step off a tie that vanishes in float32, bfloat16 or float16: rounded twice",
        "jax-ml/ml_dtypes pull request 401; triton-lang/triton issue 11753",
    ),
    Flag(
        LOWEST_BINADE,
        "LowestBinade",
        "the lowest binade of a format without zero and what lies below: wrong neighbour",
        "OCP MX v1.0 section 5.4.1 (E8M0)",
    ),
    Flag(
        NEGATIVE, "Negative", "a negative value into an unsigned format: absolute value or bit rubbish", "LLVM #216387"
    ),
    Flag(
        INTEGER_RAIL,
        "IntegerRail",
        "around the ends of an integer range: wrap instead of saturation, clamp before rounding",
        "IEEE 754-2019 5.8",
    ),
    Flag(SOURCE_SUBNORMAL, "SourceSubnormal", "a subnormal input: treated as zero (DAZ)", "IEEE 754-2019 3.3"),
    Flag(STICKY, "Sticky", "a tie plus one bit at each discarded place: a sticky bit that sees too few", "FPgen B7"),
    Flag(REMAINING, "Remaining", "all other codes of a source small enough to list whole", "exhaustion"),
    Flag(RANDOM, "Random", "a random code: nothing in particular", "SplitMix64"),
    Flag(SPREAD, "Spread", "codes from all over the source's range: a table or a widening path", "IBM FPgen model B1"),
)

FLAGS: Mapping[int, Flag] = MappingProxyType(
    {flag.number: flag for flag in (*_TABLE, *GEMM_FLAGS, *REQUANTIZE_FLAGS, *NONLINEAR_FLAGS)}
)
"""Every flag: number -> Flag."""
