"""I-ViT: Shiftmax, ShiftGELU and I-LayerNorm.

Three variants, because the paper, its PyTorch code and its TVM code compute different functions:

- ``torch``: models/quantization_utils/quant_modules.py in exact integers. The code simulates integers in binary32 and
  sets no widths but one: sums are clamped to 2^31 - 1.
- ``paper``: algorithms 1 and 2, and I-LayerNorm with the code's sum of squares, int32 throughout. A probability of
  exactly 1 is 2^M there, "M sufficiently large"; with M = 31 it is clamped to the largest int32, so the result is the
  largest one of its width.
- ``tvm``: TVM_benchmark/models/layers.py, int32 (LayerNorm: int16 and uint32) with the wrap-around of those types.

Source: I-ViT, arXiv 2207.01405 v4; github.com/zkkli/I-ViT at 380ba99.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import NamedTuple

from lowbit.errors import InputError
from lowbit.nonlinear.binary32 import binary32, divided_by_tensor32, floor_of
from lowbit.nonlinear.scheme import Example, LastRounding, Parameters, Scheme
from lowbit.nonlinear.widths import SIMULATED, UNLIMITED, Intermediate, signed

VARIANTS = ("torch", "paper", "tvm")
SOFTMAX_SHIFT = {"torch": 15, "paper": 15, "tvm": 16}
"""N of Shiftmax; quant_modules.py IntSoftmax.n, layers.py quantized_softmax."""
GELU_SHIFT = 23
"""N of ShiftGELU; quant_modules.py IntGELU.n, layers.py quantized_gelu."""
SOFTMAX_BITS = {"torch": 16, "paper": 8, "tvm": 8}
"""Width of the result: vit_quant.py makes IntSoftmax(16), swin_quant.py 8; layers.py casts to int8."""
GELU_SIGMOID_BITS = 8
LARGEST = (1 << 31) - 1
"""Numerator of the reciprocals, and where the PyTorch code clamps sums."""
NUMERATOR = {"torch": LARGEST, "paper": 1 << 31, "tvm": LARGEST}
"""What the reciprocal divides: 2^M with M = 31 in the paper's IntDiv."""
NORM_ITERATIONS = 10
NORM_FIRST = 1 << 16
LARGEST_UNIT = 1 << 24
"""Scales below 2^-24 would need more than the kernels' 64 bits."""


class ExpConstants(NamedTuple):
    """What the shift-based exponential needs besides its input."""

    unit: int  # x0, the code worth -1 (negative)
    shift: int  # N: results are in units of scale / 2^N
    keep_half: bool  # whether r / 2 keeps its half bit until the shift (PyTorch), or loses it at once (r >> 1)
    truncate: bool  # whether x / x0 rounds toward zero, as C does; it matters for positive x only


def unit_code(scale: float, variant: str, factor: float = 1.0) -> int:
    """The code x0 that stands for -1, derived as each code does; ``scale`` is a binary32 number.

    ``factor`` multiplies the scale first: ShiftGELU's 1.702 in the two codes.
    """
    if variant == "torch":
        product = binary32(scale * binary32(factor))
        unit = floor_of(divided_by_tensor32(-1.0, product), "-1 / scale")
    elif variant == "tvm":
        # A NumPy 1 scalar with a Python number is binary64; relay.const(..., 'int32') truncates.
        unit = math.trunc(-1.0 / (scale * factor) - 1)
    else:
        unit = -round(1 / Fraction(scale))
    if not -LARGEST_UNIT < unit < 0:
        raise InputError(
            f"scale = {scale!r} gives the unit code {unit}, which must be negative and above -2^24",
            hint="I-ViT's exponential works for scales from about 1e-7 to 2",
        )
    return unit


def softmax_exp(scale: float, variant: str) -> ExpConstants:
    """The exponential of Shiftmax."""
    return ExpConstants(unit_code(scale, variant), SOFTMAX_SHIFT[variant], variant == "torch", variant == "tvm")


def gelu_exp(scale: float, variant: str) -> ExpConstants:
    """The exponential of ShiftGELU: the codes scale by 1.702, the paper shifts and adds to the input instead."""
    factor = 1.0 if variant == "paper" else 1.702
    return ExpConstants(unit_code(scale, variant, factor), GELU_SHIFT, variant == "torch", variant == "tvm")


def norm_scale(length: int) -> float:
    """sqrt(C) / 2^30 in binary32: the unit of I-LayerNorm's result before gamma (torch.sqrt of a binary32 number)."""
    return binary32(binary32(math.sqrt(length)) / (1 << 30))


def _width(variant: str) -> tuple[int, str]:
    return (UNLIMITED, SIMULATED) if variant == "torch" else (32, "int32")


def _exp_steps(variant: str, suffix: str = "") -> tuple[Intermediate, ...]:
    width, note = _width(variant)
    return signed(width, *(f"{name}{suffix}" for name in ("scaled", "quotient", "remainder", "exponential")), note=note)


def _reciprocal_steps() -> tuple[Intermediate, ...]:
    return (
        *signed(32, "clamped_sum", note="clamped to 2^31 - 1 by the algorithm"),
        *signed(32, "factor", note="(2^31 - 1) / sum; 2^31 / sum in the paper"),
    )


def _softmax_steps(call: Parameters) -> tuple[Intermediate, ...]:
    width, note = _width(call.variant)
    return (
        *signed(width, "difference", note=note),
        *_exp_steps(call.variant),
        *signed(width, "sum", note=note),
        *_reciprocal_steps(),
        *signed(width, "product", note="clamped to 2^31 - 1" if call.variant == "paper" else note),
        *signed(call.result_bits, "result", note="the result's width is an argument"),
    )


def _gelu_steps(call: Parameters) -> tuple[Intermediate, ...]:
    width, note = _width(call.variant)
    paper = call.variant == "paper"
    return (
        *signed(width, "scaled_input", note="1.6875 x in the paper, x in the codes"),
        *_exp_steps(call.variant, "_of_maximum"),
        *signed(width, "difference", note=note),
        *_exp_steps(call.variant),
        *signed(width, "sum", note=note),
        *_reciprocal_steps(),
        *signed(width, "product", note=note),
        *signed(8 if paper else 32, "sigmoid", note="8 bits by the paper, int32 in the codes"),
        *signed(16 if paper else 32, "result", note="a product of two 8-bit numbers by the paper"),
    )


def _layernorm_steps(call: Parameters) -> tuple[Intermediate, ...]:
    width, note = _width(call.variant)
    narrow, narrow_note = (16, "relay.mean works in the input's int16") if call.variant == "tvm" else (width, note)
    root_signed = call.variant == "torch"
    root_note = note if root_signed else "unsigned 32 bits, as in layers.py"
    return (
        *signed(narrow, "sum", "centred", note=narrow_note),
        *signed(width, "square", note=note),
        Intermediate("sum_of_squares", width, root_signed, root_note),
        Intermediate("deviation", width, root_signed, root_note),
        *signed(32, "factor", note="(2^31 - 1) / deviation"),
        *signed(width, "product", note=note),
        *signed(32, "result", note="an int32 accumulator that is requantised next"),
    )


SCHEMES = (
    Scheme(
        "softmax",
        "ivit",
        "Shiftmax: exp by shifts and adds",
        _softmax_steps,
        variants=VARIANTS,
        own_bits=SOFTMAX_BITS,
        bits=range(2, 32),
        last_rounding=lambda call: LastRounding("product", "result", 32 - call.result_bits),
    ),
    Scheme(
        "gelu",
        "ivit",
        "ShiftGELU: x sigmoid(1.702 x) from two such exponentials, relative to the row's maximum",
        _gelu_steps,
        variants=VARIANTS,
        own_bits=GELU_SIGMOID_BITS,
        last_rounding=lambda _: LastRounding("product", "sigmoid", 32 - GELU_SIGMOID_BITS),
        examples=(Example({"scale": 0.05}, variants=("torch", "tvm", "paper")),),
    ),
    Scheme(
        "layernorm",
        "ivit",
        "I-LayerNorm: ten steps of Newton's iteration for the root",
        _layernorm_steps,
        variants=VARIANTS,
        options=("gamma", "beta"),
        takes_scale=False,
        own_bits=32,
        last_rounding=lambda _: LastRounding("product", "result", 1),
        mean="rounded",
        examples=(Example({}),),
    ),
    Scheme(
        "exp",
        "ivit",
        "ShiftExp, algorithm 1",
        lambda call: _exp_steps(call.variant),
        variants=VARIANTS,
        results="int64",
    ),
)
