"""TensorFlow Lite's integer softmax, logistic, tanh, L2 and layer normalisation.

Widths are those of the C types in the sources. A step that the source clamps or saturates on purpose cannot overflow;
one that the C language leaves undefined on overflow is where ``overflow=`` decides.

Source: tensorflow/tflite-micro, ``tensorflow/lite/kernels/internal/reference``.
"""

from __future__ import annotations

from lowbit.nonlinear.scheme import Example, LastRounding, Parameters, Scheme
from lowbit.nonlinear.widths import Intermediate, signed

VARIANTS = ("double_rounding", "single_rounding")
"""TFLite's two builds of MultiplyByQuantizedMultiplier; TFLITE_SINGLE_ROUNDING chooses the second."""

RELATIVES = "tflite"


def _shifted(call: Parameters, noun: str) -> tuple[Intermediate, ...]:
    """What MultiplyByQuantizedMultiplier rounds: in 32 bits, or a product of 64 in the build that rounds once."""
    return signed(32 if call.variant == "double_rounding" else 64, f"shifted {noun}")


def _softmax_int8_steps(call: Parameters) -> tuple[Intermediate, ...]:
    return (
        *signed(32, "difference"),
        *_shifted(call, "difference"),
        Intermediate("scaled difference", 32, note="Q5.26"),
        Intermediate("exponential", 32, note="Q0.31"),
        Intermediate("sum", 32, note="Q12.19; int32; TFLite reads the bits as unsigned, so that only 2^32 is lost"),
        Intermediate("reciprocal", 32, note="Q0.31"),
        Intermediate("exponent", 5, False, "a right shift; TFLite ends the process beyond 31 (TFLITE_CHECK)"),
        Intermediate("probability", 32, note="Q0.31"),
        Intermediate("result", call.result_bits, note="clamped"),
    )


def _softmax_int8_rounding(call: Parameters) -> LastRounding:
    low = -(1 << (call.result_bits - 1))
    return LastRounding("probability", "result", lambda last: last["exponent"], low, (low, -low - 1))


def softmax_int16_steps(call: Parameters) -> tuple[Intermediate, ...]:
    """Of the softmax of int16 codes under TFLite, or under CMSIS-NN's narrower arithmetic."""
    narrow = call.scheme.id == "cmsis_int16"
    return (
        *signed(32, "difference"),
        *_shifted(call, "difference"),
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


def softmax_int16(
    name: str, summary: str, limits: tuple[int, int] | None = (0, 32767), evidence: str = "run"
) -> Scheme:
    """The record of a softmax of int16 codes; ``limits`` are those of its results."""
    return Scheme(
        "softmax",
        name,
        summary,
        softmax_int16_steps,
        home="tflite_softmax:softmax_int16",
        variants=VARIANTS,
        options=("beta", "multiplier", "shift"),
        codes="int16",
        own_bits=16,
        relatives=RELATIVES,
        evidence=evidence,
        last_rounding=lambda _: LastRounding("product", "result", lambda last: last["sum"].bit_length() - 1, 0, limits),
        examples=(Example({"scale": 0.001}),),
    )


def _sigmoid_int8_steps(call: Parameters) -> tuple[Intermediate, ...]:
    return (
        *signed(32, "input"),
        *_shifted(call, "input"),
        Intermediate("scaled input", 32, note="Q4.27"),
        Intermediate("function", 32, note="Q0.31"),
        Intermediate("result", 8, note="clamped"),
    )


def _sigmoid_int8_rounding(call: Parameters) -> LastRounding:
    places, offset = (23, -128) if call.scheme.operation == "logistic" else (24, 0)
    return LastRounding("function", "result", places, offset, (-128, 127))


def _sigmoid_int16_steps(_: Parameters) -> tuple[Intermediate, ...]:
    return (
        Intermediate("scaled input", 32, note="steps of 2^-12 / 3"),
        Intermediate("magnitude", 32, False),
        Intermediate("interpolated", 32, False, "Q0.25 (logistic) or Q0.24 (tanh)"),
        Intermediate("result", 16),
    )


def sigmoid_int16(operation: str, name: str, summary: str, *, audited: bool) -> Scheme:
    """The record of a logistic or tanh of int16 codes."""
    return Scheme(
        operation,
        name,
        summary,
        _sigmoid_int16_steps,
        home="tflite_sigmoid:sigmoid_int16",
        codes="int16",
        own_bits=16,
        audited=audited,
        relatives=RELATIVES,
        evidence="run",
        examples=(Example({"scale": 2.0**-12}),),
    )


def _l2norm_steps(call: Parameters) -> tuple[Intermediate, ...]:
    return (
        *signed(32, "input", "square", "sum"),
        Intermediate("inverse root", 32, note="Q0.31, with a shift"),
        *_shifted(call, "input"),
        *signed(32, "scaled input"),
        Intermediate("result", 8, note="clamped"),
    )


def _layernorm_steps(call: Parameters) -> tuple[Intermediate, ...]:
    return (
        *signed(64, "sum", "sum of squares"),
        Intermediate("mean", 32, note="times 2^10"),
        *signed(64, "variance times 2^20"),
        *signed(32, "variance"),
        Intermediate("inverse root", 32, note="Q0.31, with a shift"),
        Intermediate("centred", 32, note="times 2^10"),
        *_shifted(call, "centred"),
        Intermediate("scaled centred", 32, note="normalised"),
        Intermediate("weighted", 32, note="int32 arithmetic, although kept in int64"),
        *signed(32, "weighted, 2^10 taken out"),
        *_shifted(call, "weighted"),
        *signed(32, "scaled weighted"),
        Intermediate("result", 16, note="clamped"),
    )


SCHEMES = (
    Scheme(
        "softmax",
        "tflite_int8",
        "TFLite's kernel of int8 codes, to 8 or 16 ``bits``",
        _softmax_int8_steps,
        home="tflite_softmax:softmax_int8",
        variants=VARIANTS,
        options=("beta",),
        own_bits=8,
        bits=(8, 16),
        relatives=RELATIVES,
        evidence="run",
        last_rounding=_softmax_int8_rounding,
        examples=(Example({"scale": 0.05}), Example({"scale": 0.05}, bits=16)),
    ),
    softmax_int16("tflite_int16", "TFLite Micro's kernel of int16 codes: two tables, interpolated"),
    Scheme(
        "layernorm",
        "tflite_int16",
        "the layer normalisation inside TFLite's integer LSTM",
        _layernorm_steps,
        home="tflite_norm:layernorm",
        variants=VARIANTS,
        options=("weights", "biases", "multiplier", "shift", "variance_limit"),
        operands={"weights": "int16", "biases": "int32"},
        codes="int16",
        takes_scale=False,
        own_bits=16,
        audited=False,
        relatives=RELATIVES,
        examples=(Example({"multiplier": 1 << 30, "shift": -10}),),
    ),
    *(
        Scheme(
            operation,
            "tflite_int8",
            "TFLite Micro's int8 kernel; ``zero_point`` is that of the codes",
            _sigmoid_int8_steps,
            home="tflite_sigmoid:sigmoid_int8",
            variants=VARIANTS,
            options=("zero_point",),
            own_bits=8,
            relatives=RELATIVES,
            evidence="run",
            last_rounding=_sigmoid_int8_rounding,
            examples=(Example({"scale": 0.05, "zero_point": 3}),),
        )
        for operation in ("logistic", "tanh")
    ),
    *(
        sigmoid_int16(
            operation,
            "tflite_int16",
            "TFLite's int16 reference kernel and TFLite Micro: a table of the sigmoid, interpolated",
            audited=True,
        )
        for operation in ("logistic", "tanh")
    ),
    Scheme(
        "l2norm",
        "tflite_int8",
        "TFLite's int8 kernel; the scale of the codes does not matter, their ``zero_point`` does",
        _l2norm_steps,
        home="tflite_norm:l2norm",
        variants=VARIANTS,
        options=("zero_point",),
        takes_scale=False,
        own_bits=8,
        relatives=RELATIVES,
        evidence="run",
        examples=(Example({"zero_point": 3}),),
    ),
)
