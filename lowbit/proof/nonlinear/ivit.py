"""Bounds of I-ViT's Shiftmax, ShiftGELU and I-LayerNorm."""

from __future__ import annotations

from fractions import Fraction
from math import isqrt

from lowbit.nonlinear.ivit import (
    LARGEST,
    NORM_FIRST,
    NUMERATOR,
    SOFTMAX_BITS,
    VARIANTS,
    exp_widths,
    gelu_widths,
    layernorm_widths,
    softmax_exp,
    softmax_widths,
)
from lowbit.oracle.nonlinear.exp_ivit import shift_exp
from lowbit.oracle.nonlinear.gelu_ivit import gelu as gelu_oracle
from lowbit.oracle.nonlinear.layernorm_ivit import layernorm as layernorm_oracle
from lowbit.oracle.nonlinear.softmax_ivit import softmax as softmax_oracle
from lowbit.oracle.nonlinear.steps import Steps
from lowbit.proof.nonlinear.recorder import Recorder
from lowbit.proof.nonlinear.request import chosen_variant, code_span, negative_codes, positive_scale, refuse_options
from lowbit.proof.nonlinear.rows import (
    elementwise,
    farthest_from_mean,
    largest_product,
    most_squares,
    partial_sums,
    total_of,
)
from lowbit.proof.nonlinear.span import Span, span_of
from lowbit.proof.nonlinear.subject import Request, Spans, Subject

_BY_CODE = ("difference", "scaled", "quotient", "remainder", "exponential")
MOST_PAIRS = 1 << 18


def softmax(request: Request) -> Subject:
    """Shiftmax: what concerns one code depends on its difference from the maximum; sums and products on all."""
    refuse_options(request)
    variant = chosen_variant(request, VARIANTS)
    inputs, scale = code_span(request, 8), positive_scale(request)
    bits = SOFTMAX_BITS[variant] if request.bits is None else request.bits
    widths, constants = softmax_widths(variant, bits), softmax_exp(scale, variant)
    recorder = Recorder(widths)
    for difference in range(inputs.low - inputs.high, 1):
        shift_exp(recorder("difference", difference), constants, recorder)
    by_code = {name: span_of(recorder.values[name]) for name in _BY_CODE}
    exponentials = recorder.values["exponential"]
    numerator = NUMERATOR[variant]

    def spans(length: int) -> Spans:
        top = exponentials[-1]
        total = total_of(exponentials, top, length)
        clamped = Span(min(total.low, LARGEST), min(total.high, LARGEST)) if variant == "torch" else total
        factor = Span(numerator // clamped.high, numerator // clamped.low)
        least = min(exponentials)
        largest = largest_product(exponentials, top, length, numerator, clamped.high if variant == "torch" else None)
        product = Span(least * factor.low, largest)
        return {
            **by_code,
            "sum": Span(least, total.high),
            "clamped_sum": clamped,
            "factor": factor,
            "product": product,
            "result": product.shifted_right(31 - bits + 1),
        }

    return Subject(
        widths,
        inputs,
        lambda row, steps: softmax_oracle(row, scale, variant, bits, steps=steps),
        spans,
        dict(zip(range(inputs.low, inputs.high + 1), exponentials, strict=True)),
        {"scale": scale, "bits": bits},
        _unused(variant),
    )


def exp(request: Request) -> Subject:
    """ShiftExp: every code is run; codes are not positive."""
    refuse_options(request)
    variant = chosen_variant(request, VARIANTS)
    scale = positive_scale(request)
    constants = softmax_exp(scale, variant)

    def run(row: list[int], steps: Steps) -> list[int]:
        return [shift_exp(code, constants, steps) for code in row]

    return elementwise(exp_widths(variant), negative_codes(request), run, {"scale": scale})


def gelu(request: Request) -> Subject:
    """ShiftGELU: everything depends on one code and the row's maximum, so all pairs are run."""
    refuse_options(request)
    variant = chosen_variant(request, VARIANTS)
    inputs, scale = code_span(request, 8), positive_scale(request)
    widths = gelu_widths(variant)
    known: dict[str, Span] = {}
    if inputs.size**2 <= MOST_PAIRS:
        recorder = Recorder(widths)
        for maximum in range(inputs.low, inputs.high + 1):
            gelu_oracle(list(range(inputs.low, maximum + 1)), scale, variant, steps=recorder)
        known = {name: span_of(values) for name, values in recorder.values.items()}
    return Subject(
        widths,
        inputs,
        lambda row, steps: gelu_oracle(row, scale, variant, steps=steps),
        lambda _: known,
        parameters={"scale": scale},
        unused=_unused(variant),
    )


def _unused(variant: str) -> frozenset[str]:
    """Only the PyTorch code clamps sums."""
    return frozenset() if variant == "torch" else frozenset({"clamped_sum"})


def layernorm(request: Request) -> Subject:
    """I-LayerNorm: sums over the row, and a Newton iteration that stays above the floor of the root."""
    refuse_options(request)
    variant = chosen_variant(request, VARIANTS)
    inputs = code_span(request, 8)
    widths = layernorm_widths(variant)

    def spans(length: int) -> Spans:
        # How far the integer mean may be from the exact one: half a unit rounded, less than one truncated.
        rounding = Fraction(length - 1, length) if variant == "tvm" else Fraction(1, 2)
        far, squares = farthest_from_mean(inputs, length, rounding), most_squares(inputs, length, rounding)
        root = isqrt(squares)
        first = (1 << (squares.bit_length() // 2)) if variant == "paper" else NORM_FIRST
        deviation = Span(1, max((first + squares // first) // 2, first // 2, 2 * root + 2, 1))
        # |y| <= isqrt(v) and the iteration never falls below isqrt(v), so |y| * (N / deviation) <= N.
        product = Span(-LARGEST, LARGEST)
        return {
            "sum": partial_sums(inputs, length),
            "centred": Span(-far, far),
            "square": Span(0, far**2),
            "sum_of_squares": Span(0, squares),
            "deviation": deviation,
            "factor": Span(LARGEST // deviation.high, LARGEST),
            "product": product,
            "result": Span(-(LARGEST // 2) - 1, LARGEST // 2),
        }

    return Subject(
        widths,
        inputs,
        lambda row, steps: layernorm_oracle(row, None, variant, steps=steps),
        spans,
        parameters={"bias": 0},
    )
