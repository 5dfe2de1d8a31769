"""The registers of TensorFlow Lite's and CMSIS-NN's nonlinear operators: every intermediate with its declared width.

Widths are those of the C types in the sources. A step that the source clamps or saturates on purpose cannot overflow;
one that the C language leaves undefined on overflow is where ``overflow=`` decides.

Source: tensorflow/tflite-micro, ``tensorflow/lite/kernels/internal/reference``; ARM-software/CMSIS-NN,
``Source/SoftmaxFunctions/arm_softmax_s16.c``.
"""

from __future__ import annotations

from lowbit.nonlinear.widths import Intermediate, Widths, signed

VARIANTS = ("double_rounding", "single_rounding")
"""TFLite's two builds of MultiplyByQuantizedMultiplier; TFLITE_SINGLE_ROUNDING chooses the second."""

WRAPPING_SUM = "int32; TFLite reads the bits as unsigned, so that only 2^32 is lost"


def softmax_int8_widths(variant: str, bits: int) -> Widths:
    """Of the softmax of int8 codes to ``bits`` bits."""
    steps = (
        *signed(32, "difference"),
        *signed(32 if variant == "double_rounding" else 64, "shifted difference"),
        Intermediate("scaled difference", 32, note="Q5.26"),
        Intermediate("exponential", 32, note="Q0.31"),
        Intermediate("sum", 32, note=f"Q12.19; {WRAPPING_SUM}"),
        Intermediate("reciprocal", 32, note="Q0.31"),
        Intermediate("exponent", 5, False, "a right shift; TFLite ends the process beyond 31 (TFLITE_CHECK)"),
        Intermediate("probability", 32, note="Q0.31"),
        Intermediate("result", bits, note="clamped"),
    )
    return Widths("softmax", "tflite_int8", variant, steps)


def softmax_litert_widths(bits: int) -> Widths:
    """Of LiteRT's optimised softmax of int8 codes: all but the result is binary32."""
    return Widths("softmax", "litert_int8", "", (Intermediate("result", bits, note="clamped"),))


def softmax_int16_widths(variant: str, scheme: str = "tflite_int16") -> Widths:
    """Of the softmax of int16 codes under TFLite, or under CMSIS-NN's narrower arithmetic."""
    narrow = scheme == "cmsis_int16"
    steps = (
        *signed(32, "difference"),
        *signed(32 if variant == "double_rounding" else 64, "shifted difference"),
        Intermediate("scaled difference", 32, note="steps of 10/65535"),
        Intermediate("centred difference", 32, note="then clamped to int16"),
        Intermediate("exponential", 16, note="Q0.15"),
        Intermediate("sum", 32, note="Q16.15"),
        Intermediate("rounded sum", 32 if narrow else 64, note="normalised to 2^30..2^31, plus half of 2^14"),
        Intermediate(
            "reciprocal index",
            16 if narrow else 32,
            note="" if narrow else "then clamped to int16, which CMSIS-NN omits",
        ),
        Intermediate("reciprocal", 16, note="Q0.15"),
        Intermediate("product", 32 if narrow else 64),
        Intermediate("result", 16, note="" if narrow else "clamped"),
    )
    return Widths("softmax", scheme, variant, steps)


def sigmoid_int8_widths(operation: str, variant: str) -> Widths:
    """Of logistic and tanh of int8 codes."""
    steps = (
        *signed(32, "input"),
        *signed(32 if variant == "double_rounding" else 64, "shifted input"),
        Intermediate("scaled input", 32, note="Q4.27"),
        Intermediate("function", 32, note="Q0.31"),
        Intermediate("result", 8, note="clamped"),
    )
    return Widths(operation, "tflite_int8", variant, steps)


def sigmoid_int16_widths(operation: str) -> Widths:
    """Of logistic and tanh of int16 codes."""
    steps = (
        Intermediate("scaled input", 32, note="steps of 2^-12 / 3"),
        Intermediate("magnitude", 32, False),
        Intermediate("interpolated", 32, False, "Q0.25 (logistic) or Q0.24 (tanh)"),
        Intermediate("result", 16),
    )
    return Widths(operation, "tflite_int16", "", steps)


def l2norm_widths(variant: str) -> Widths:
    """Of the L2 normalisation of int8 codes."""
    steps = (
        *signed(32, "input", "square", "sum"),
        Intermediate("inverse root", 32, note="Q0.31, with a shift"),
        *signed(32 if variant == "double_rounding" else 64, "shifted input"),
        *signed(32, "scaled input"),
        Intermediate("result", 8, note="clamped"),
    )
    return Widths("l2norm", "tflite_int8", variant, steps)


def layernorm_widths(variant: str) -> Widths:
    """Of the layer normalisation inside TFLite's integer LSTM."""
    wide = 32 if variant == "double_rounding" else 64
    steps = (
        *signed(64, "sum", "sum of squares"),
        Intermediate("mean", 32, note="times 2^10"),
        *signed(64, "variance times 2^20"),
        *signed(32, "variance"),
        Intermediate("inverse root", 32, note="Q0.31, with a shift"),
        Intermediate("centred", 32, note="times 2^10"),
        *signed(wide, "shifted centred"),
        Intermediate("scaled centred", 32, note="normalised"),
        Intermediate("weighted", 32, note="int32 arithmetic, although kept in int64"),
        *signed(32, "weighted, 2^10 taken out"),
        *signed(wide, "shifted weighted"),
        *signed(32, "scaled weighted"),
        Intermediate("result", 16, note="clamped"),
    )
    return Widths("layernorm", "tflite_int16", variant, steps)
