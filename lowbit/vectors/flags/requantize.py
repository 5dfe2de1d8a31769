"""The flags of the directed inputs of requantisations."""

from __future__ import annotations

from lowbit.vectors.flags.flag import Flag

TIE_OF_POWER = 0x60
NEAR_TIE_OF_SCALE = 0x61
TOP_MULTIPLIER = 0x62
LEFT_SHIFT = 0x63
LARGE_ACCUMULATOR = 0x64
ZERO_POINT_OF_RESULT = 0x65
ROUNDED_TWICE = 0x66

REQUANTIZE_FLAGS = (
    Flag(
        TIE_OF_POWER,
        "TieOfPower",
        "a scale that is a power of two, so that ties are exact: ties up, away or to even; negative ties apart",
        "TOSA 1.0, apply_scale_32; gemmlowp, fixedpoint.h, RoundingDivideByPOT",
    ),
    Flag(
        NEAR_TIE_OF_SCALE,
        "NearTieOfScale",
        "the accumulators on both sides of each half code: one rounding or two, and where they are",
        "tensorflow/tensorflow issue 25087",
    ),
    Flag(
        TOP_MULTIPLIER,
        "TopMultiplier",
        "the largest multiplier and those beside powers of two: 31 bits cut to 24 or 15, a rounded multiplier carried",
        "QuantizeMultiplier of TensorFlow Lite, the case of 2^31",
    ),
    Flag(
        LEFT_SHIFT,
        "LeftShift",
        "scales of one and more: a shift of zero or to the left, done after the product, or with overflow",
        "MultiplyByQuantizedMultiplier of TensorFlow Lite",
    ),
    Flag(
        LARGE_ACCUMULATOR,
        "LargeAccumulator",
        "small scales, accumulators up to the ends of 32 bits: binary32 rounds them, sums before a shift overflow",
        "google/XNNPACK, fp32 requantisation",
    ),
    Flag(
        ZERO_POINT_OF_RESULT,
        "ZeroPointOfResult",
        "zero points, odd and at the ends of the range: added before the rounding, clamped twice, or left out",
        "onnx/onnx, QLinearMatMul",
    ),
    Flag(
        ROUNDED_TWICE,
        "RoundedTwice",
        "published inputs that tell a rounding at 2^31 and a second one from a single one",
        "tensorflow/tensorflow issue 25087; pull request 103028",
    ),
)
