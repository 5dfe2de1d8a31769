"""The fourth vocabulary, how an accumulator becomes a code of few bits again: the schemes by name.

A scheme is named by its arithmetic (``single_up``) or by the product that uses it (``tflm``).

A product's scheme is a claim about that product, version, operator and machine. ``evidence`` says whether it was read
in the source or is a model fitted to many answers; tests/cross proves those whose product can be installed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from lowbit.errors import PolicyError
from lowbit.policy.cast_axes import require_choice
from lowbit.policy.requantize import RequantizeScheme

__all__ = ["REQUANTIZE_SCHEMES", "RequantizeScheme", "arithmetic_name", "get_requantize_scheme"]

Scheme = RequantizeScheme

_SINGLE = Scheme(tie="up")
_DOUBLE = Scheme(high_half="up", tie="away", left_shift="wrap32", narrowing="wrap32")
_UP = _DOUBLE.choose(tie="up")
_LIMITED = _SINGLE.choose(narrowing="wrap32", derivation="quantize_multiplier_limited")
_RIGHT: dict[str, Any] = {"shift": "right", "point": 0, "shift_range": (1, 62)}
_FLOAT = Scheme(
    product="binary32",
    multiplier_bits=24,
    shift="none",
    point=0,
    shift_range=(0, 0),
    tie="even",
    zero_point="after_clamp",
    derivation="binary32",
    scale_product="float32",
)
_DOUBLE_FLOAT = _FLOAT.choose(
    product="binary64", multiplier_bits=53, tie="away", derivation="binary64", scale_product="float64"
)
_MULTIPLIER_24 = Scheme(
    multiplier_bits=24, derivation="binary32_24", scale_product="float32", zero_point="after_clamp", **_RIGHT
)
_MULTIPLIER_16 = Scheme(
    multiplier_bits=15,
    signed_multiplier=True,
    tie="away",
    zero_point="before_product",
    narrowing="saturate17",
    derivation="nearest_15",
    **{**_RIGHT, "shift_range": (0, 62)},
)
_RNDNU16 = Scheme(
    multiplier_bits=15,
    point=15,
    shift_range=(-31, 8),
    pre_shift="up_saturate16",
    narrowing="saturate16",
    derivation="binary32_15",
    scale_product="float32",
)
_INT64 = Scheme(multiplier_use="upper_15", accumulator_bits=48, shift_range=(-31, 7), narrowing="wrap32")
_DYADIC = Scheme(product="binary53", tie="even", derivation="batch_frexp", scale_product="float32_product", **_RIGHT)
_TOSA = Scheme(bounded=True, derivation="tosa_32", **{**_RIGHT, "shift_range": (2, 62)})

_TFLITE_SOURCE = "tensorflow/lite/kernels/internal/common.h, MultiplyByQuantizedMultiplier"
_LITERT = "LiteRT 2.3.0, x86-64 with AVX512-VNNI"
_TOSA_SOURCE = "TOSA 1.0 specification, apply_scale_32 and apply_scale_16"

_Row = tuple[Scheme, str, str, str, str]


def _by_arithmetic() -> dict[str, _Row]:
    rows = {
        "single_up": (_SINGLE, "31-bit multiplier, one rounding, half up"),
        "single_away": (_SINGLE.choose(tie="away"), "31-bit multiplier, one rounding, half away from zero"),
        "single_even": (_SINGLE.choose(tie="even"), "31-bit multiplier, one rounding, half to even"),
        "double_up_away": (_DOUBLE, "31-bit multiplier, product rounded half up at 2^31, then half away"),
        "double_up_up": (_DOUBLE.choose(tie="up"), "31-bit multiplier, product rounded half up at 2^31, then half up"),
        "double_down_up": (
            _DOUBLE.choose(high_half="down", tie="up"),
            "31-bit multiplier, product cut off at 2^31, then half up",
        ),
        "float32_even": (_FLOAT, "accumulator and product rounded to binary32, then half to even"),
        "float32_floor_half": (_FLOAT.choose(tie="up_binary32"), "binary32: floor(product + 0.5)"),
        "float64_away": (_DOUBLE_FLOAT, "product in binary64, then half away from zero"),
        "float64_even": (_DOUBLE_FLOAT.choose(tie="even"), "product in binary64, then half to even"),
        "product53_even": (_DYADIC, "31-bit multiplier, product rounded to 53 bits, then half to even"),
        "multiplier24_up": (_MULTIPLIER_24, "24-bit multiplier of a binary32 scale, one rounding, half up"),
        "multiplier24_away": (_MULTIPLIER_24.choose(tie="away"), "24-bit multiplier, one rounding, half away"),
        "multiplier16_away": (_MULTIPLIER_16, "signed 16-bit multiplier, one rounding, half away, 17 bits"),
        "rndnu16": (_RNDNU16, "15-bit multiplier; shift rounded and saturated to int16 before the product, half up"),
        "int64_upper15_up": (_INT64, "48-bit accumulator, upper 15 bits of a 31-bit multiplier, half up"),
        "int48_multiplier15_up": (
            Scheme(accumulator_bits=48, multiplier_bits=15, derivation="tosa_16", **_RIGHT),
            "48-bit accumulator, 15-bit multiplier, one rounding, half up",
        ),
    }
    return {name: (scheme, summary, "", "", "") for name, (scheme, summary) in rows.items()}


def _tflite() -> dict[str, _Row]:
    rows: dict[str, tuple[Scheme, str, str, str]] = {
        "tflite_double": (_DOUBLE, "TFLite reference kernels, default build", "source", _TFLITE_SOURCE),
        "tflite_single": (_LIMITED, "TFLite built with TFLITE_SINGLE_ROUNDING=1", "source", _TFLITE_SOURCE),
        "tflite_int64": (_INT64, "TFLite 16x8 kernels (64-bit accumulators)", "source", _TFLITE_SOURCE),
        "tflite_neon": (_UP, "TFLite NEON kernels of four rows, default build", "source", _TFLITE_SOURCE),
        "tflm": (
            _DOUBLE,
            "TensorFlow Lite Micro, tflite-micro wheel of 2026, reference kernels, int8",
            "source",
            "tensorflow/tflite-micro 90b983c, tensorflow/lite/kernels/internal/common.cc",
        ),
        "tflm_int16": (
            _INT64,
            "TensorFlow Lite Micro, 16x8 kernels",
            "source",
            "tensorflow/tflite-micro 90b983c, tensorflow/lite/kernels/internal/common.cc",
        ),
        "cmsis_nn_double": (
            _DOUBLE,
            "CMSIS-NN, default build, int8",
            "source",
            "ARM-software/CMSIS-NN 99f736a, Include/arm_nnsupportfunctions.h, arm_nn_requantize",
        ),
        "cmsis_nn_single": (
            _LIMITED,
            "CMSIS-NN built with CMSIS_NN_USE_SINGLE_ROUNDING, int8",
            "source",
            "ARM-software/CMSIS-NN 99f736a, Include/arm_nnsupportfunctions.h, arm_nn_requantize",
        ),
        "cmsis_nn_int64": (
            _INT64,
            "CMSIS-NN, int16 with 64-bit accumulators",
            "source",
            "ARM-software/CMSIS-NN 99f736a, Include/arm_nnsupportfunctions.h, arm_nn_requantize_s64",
        ),
        "gemmlowp": (
            _DOUBLE,
            "gemmlowp OutputStageScaleInt32ByFixedPointAndExponent",
            "source",
            "google/gemmlowp 16e8662, internal/output.h",
        ),
    }
    return {name: (row[0], row[1], *row[1:]) for name, row in rows.items()}


def _litert() -> dict[str, _Row]:
    rows: dict[str, tuple[Scheme, str, str, str]] = {
        "litert_reference_fully_connected": (
            _DOUBLE_FLOAT,
            f"{_LITERT}, BUILTIN_REF, FULLY_CONNECTED int8",
            "fitted",
            "",
        ),
        "litert_fully_connected_int16": (
            _DOUBLE_FLOAT,
            f"{_LITERT}, all three resolvers, FULLY_CONNECTED int16 x int8 (accumulators of at most 32 bits tested)",
            "fitted",
            "",
        ),
        "litert_reference_conv": (_DOUBLE, f"{_LITERT}, BUILTIN_REF, CONV_2D int8", "fitted", ""),
        "litert_reference_mul": (_DOUBLE, f"{_LITERT}, BUILTIN_REF, MUL int8", "fitted", ""),
        "litert_optimized_fully_connected": (
            _UP.choose(scale_product="float32_product"),
            f"{_LITERT}, BUILTIN_WITHOUT_DEFAULT_DELEGATES (ruy), FULLY_CONNECTED int8",
            "fitted",
            "",
        ),
        "litert_optimized_conv": (
            _UP,
            f"{_LITERT}, BUILTIN_WITHOUT_DEFAULT_DELEGATES (ruy), CONV_2D int8",
            "fitted",
            "",
        ),
        "litert_optimized_mul": (
            _DOUBLE,
            f"{_LITERT}, BUILTIN_WITHOUT_DEFAULT_DELEGATES, MUL int8",
            "fitted",
            "",
        ),
        "litert_xnnpack": (
            _FLOAT,
            f"{_LITERT}, default resolver (XNNPACK), FULLY_CONNECTED, CONV_2D and MUL int8",
            "fitted",
            "",
        ),
    }
    return {name: (row[0], row[1], *row[1:]) for name, row in rows.items()}


def _mobile() -> dict[str, _Row]:
    qnnpack = "pytorch/QNNPACK 7d2a4e9, src/requantization"
    xnnpack = "google/XNNPACK 75db3c0"
    q31 = _DOUBLE.choose(
        multiplier_bits=31,
        shift="right",
        shift_range=(0, 31),
        zero_point="after_clamp",
        derivation="binary32_31",
        scale_product="float32",
    )
    rows: dict[str, tuple[Scheme, str, str, str]] = {
        "qnnpack_q31": (q31, "QNNPACK, the requantisation of its kernels", "source", f"{qnnpack}/q31-scalar.c"),
        "qnnpack_precise": (
            _MULTIPLIER_24.choose(tie="away"),
            "QNNPACK, precise requantisation",
            "source",
            f"{qnnpack}/precise-scalar.c",
        ),
        "qnnpack_fp32": (_FLOAT, "QNNPACK, fp32 requantisation", "source", f"{qnnpack}/fp32-scalar.c"),
        "xnnpack_fp32": (
            _FLOAT,
            "XNNPACK fp32 requantisation (x86, WebAssembly, ARM with VFP)",
            "source",
            f"{xnnpack}, src/qs8-vmul/scalar.c.in and src/microparams-init.c",
        ),
        "xnnpack_rndnu": (
            _MULTIPLIER_24.choose(narrowing="wrap32"),
            "XNNPACK rndnu requantisation (ARM NEON kernels, written as scalar code)",
            "source",
            f"{xnnpack}, src/microparams-init.c",
        ),
        "xnnpack_rndnu16": (
            _RNDNU16,
            "XNNPACK rndnu16 requantisation (uint8 GEMM on Cortex-A53)",
            "source",
            f"{xnnpack}, src/qu8-gemm/gen/qu8-gemm-1x16-minmax-rndnu16-neon-mlal-lane.c",
        ),
        "fbgemm_fixed": (
            _SINGLE.choose(derivation="binary32_31", scale_product="float32", narrowing="exact", **_RIGHT),
            "FBGEMM RequantizeFixedPoint",
            "source",
            "pytorch/FBGEMM 71d6f8b, src/QuantUtils.cc",
        ),
        "fbgemm_float": (
            _FLOAT,
            "FBGEMM Requantize with a float multiplier (PyTorch's fbgemm backend)",
            "source",
            "pytorch/FBGEMM 71d6f8b, include/fbgemm/QuantUtils.h",
        ),
    }
    return {name: (row[0], row[1], *row[1:]) for name, row in rows.items()}


def _graphs() -> dict[str, _Row]:
    sums = _DOUBLE_FLOAT.choose(tie="even", zero_point="before_rounding", scale_product="float32")
    rows: dict[str, tuple[Scheme, str, str, str]] = {
        "onnxruntime": (
            _FLOAT,
            "ONNX Runtime 1.31, MLAS on x86-64: QLinearMatMul, QLinearConv",
            "source",
            "microsoft/onnxruntime, onnxruntime/core/mlas/lib/quantize.cpp, MlasRequantizeOutput",
        ),
        "onnx_reference": (
            sums,
            "ONNX 1.23 reference evaluator, QLinearMatMul",
            "source",
            "onnx/onnx, onnx/reference/ops/op_qlinear_matmul.py",
        ),
        "onnx_reference_1_21": (
            sums.choose(overflow="wrap"),
            "ONNX 1.21 reference evaluator, QLinearMatMul",
            "source",
            "onnx/onnx, onnx/reference/ops/op_qlinear_matmul.py",
        ),
        "tosa_single": (_TOSA, "TOSA 1.0 RESCALE, SINGLE_ROUND, scale32", "specification", _TOSA_SOURCE),
        "tosa_double": (
            _TOSA.choose(high_half="up", tie="away", derivation="tosa_32"),
            "TOSA 1.0 RESCALE, DOUBLE_ROUND, scale32",
            "specification",
            _TOSA_SOURCE,
        ),
        "tosa_single_48": (
            Scheme(
                accumulator_bits=48,
                multiplier_bits=15,
                derivation="tosa_16",
                **{**_RIGHT, "shift_range": (2, 62)},
            ),
            "TOSA 1.0 RESCALE, SINGLE_ROUND, scale16 (int48 accumulators)",
            "specification",
            _TOSA_SOURCE,
        ),
    }
    return {name: (row[0], row[1], *row[1:]) for name, row in rows.items()}


def _others() -> dict[str, _Row]:
    hawq = "Zhen-Dong/HAWQ 1616df6, utils/quantization_utils/quant_utils.py, fixedpoint_fn"
    ibert = "kssteven418/I-BERT 1b09c75, fairseq/quantization/utils/quant_utils.py, fixedpoint_mul"
    ivit = "zkkli/I-ViT 380ba99, models/quantization_utils/quant_utils.py, fixedpoint_mul"
    tvm = "apache/tvm v0.9.0, src/relay/qnn"
    left = _SINGLE.choose(derivation="frexp_31", scale_product="float32_product")
    rows: dict[str, tuple[Scheme, str, str, str]] = {
        "tvm_upward": (left, "TVM 0.9 qnn.requantize, UPWARD, int64", "source", f"{tvm}/utils.cc"),
        "tvm_tonearest": (
            left.choose(tie="away", derivation="frexp_31"),
            "TVM 0.9 qnn.requantize, TONEAREST, int64",
            "source",
            f"{tvm}/utils.cc",
        ),
        "tvm_x86_float32": (
            _FLOAT.choose(tie="up_binary32", zero_point="before_rounding", scale_product="float32_product"),
            "TVM 0.9 qnn.requantize on x86 with SSE4.1, its default compute_dtype float32, UPWARD",
            "source",
            f"{tvm}/op/requantize.cc",
        ),
        "hawq": (_DYADIC, "HAWQ-V3 PyTorch, dyadic requantisation", "source", hawq),
        "ibert": (_DYADIC, "I-BERT PyTorch, fixedpoint_mul", "source", ibert),
        "ivit": (_DYADIC, "I-ViT PyTorch, fixedpoint_mul", "source", ivit),
        "nvdla": (
            _MULTIPLIER_16,
            "NVDLA v1 SDP output converter, integer path",
            "source",
            "nvdla/hw 8e06b1b, cmod/hls",
        ),
    }
    return {name: (row[0], row[1], *row[1:]) for name, row in rows.items()}


def _named(name: str, row: _Row) -> Scheme:
    scheme, summary, product, evidence, source = row
    return replace(scheme, name=name, summary=summary, product_name=product, evidence=evidence, source=source)


REQUANTIZE_SCHEMES: Mapping[str, Scheme] = MappingProxyType(
    {
        name: _named(name, row)
        for rows in (_by_arithmetic(), _tflite(), _litert(), _mobile(), _graphs(), _others())
        for name, row in rows.items()
    }
)
"""The named schemes: those without a ``product_name`` are named by their arithmetic."""


_ELSEWHERE = {"bitsandbytes": "LLM.int8() ends in binary16: lowbit.llm_int8_matmul computes that"}


def get_requantize_scheme(scheme: Scheme | str) -> Scheme:
    """A requantisation scheme from itself or from its name.

    Parameters
    ----------
    scheme : RequantizeScheme or str
        A scheme is returned as it is; look-up ignores case.

    Raises
    ------
    PolicyError
        The name is unknown (the nearest one is suggested), or the argument is neither.
    """
    if isinstance(scheme, Scheme):
        return scheme
    if not isinstance(scheme, str):
        raise PolicyError(f"a scheme is a RequantizeScheme or the name of one, not {type(scheme).__name__}")
    name = scheme.lower()
    if name in _ELSEWHERE:
        raise PolicyError(f"scheme = {scheme!r} makes no integers", hint=_ELSEWHERE[name])
    require_choice("scheme", name, REQUANTIZE_SCHEMES)
    return REQUANTIZE_SCHEMES[name]


def arithmetic_name(scheme: Scheme) -> str:
    """The name of the first scheme of the same arithmetic, "" where none is named."""
    return next((name for name, known in REQUANTIZE_SCHEMES.items() if known == scheme), "")
