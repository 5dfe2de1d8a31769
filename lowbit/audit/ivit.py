"""Bounds of I-ViT's Shiftmax, ShiftGELU and I-LayerNorm."""

from __future__ import annotations

from fractions import Fraction
from math import floor, isqrt

from lowbit.audit.recorder import Recorder
from lowbit.audit.request import chosen_variant, code_span, positive_scale, refuse_options
from lowbit.audit.span import Span, span_of
from lowbit.audit.subject import Request, Spans, Subject
from lowbit.nonlinear.ivit import (
    LARGEST,
    NORM_FIRST,
    NUMERATOR,
    SOFTMAX_BITS,
    VARIANTS,
    gelu_widths,
    layernorm_widths,
    softmax_exp,
    softmax_widths,
)
from lowbit.oracle.exp_ivit import shift_exp
from lowbit.oracle.gelu_ivit import gelu as gelu_oracle
from lowbit.oracle.layernorm_ivit import layernorm as layernorm_oracle
from lowbit.oracle.softmax_ivit import softmax as softmax_oracle

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
        top, least, most = exponentials[-1], min(exponentials), max(exponentials)
        total = Span(top + (length - 1) * least, top + (length - 1) * most)
        clamped = Span(min(total.low, LARGEST), min(total.high, LARGEST)) if variant == "torch" else total
        factor = Span(numerator // clamped.high, numerator // clamped.low)
        # e * (N / sum) with e in the sum: the smallest sum that holds both e and the maximum's exponential
        products = [
            value * (numerator // min(value + (top if value != top else 0) + max(0, length - 2) * least, clamped.high))
            for value in set(exponentials)
        ]
        product = Span(least * factor.low, max(products))
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
        width = inputs.high - inputs.low
        # How far the integer mean may be from the exact one: half a unit rounded, less than one truncated.
        rounding = Fraction(length - 1, length) if variant == "tvm" else Fraction(1, 2)
        far = min(width, floor(Fraction((length - 1) * width, length) + rounding))
        # Sum of (x - mean)^2 is largest with half of the codes at either end (Popoviciu), plus length * rounding^2.
        half = length // 2
        squares = floor(Fraction(width**2 * half * (length - half), length) + length * rounding**2)
        root = isqrt(squares)
        first = (1 << (squares.bit_length() // 2)) if variant == "paper" else NORM_FIRST
        deviation = Span(1, max((first + squares // first) // 2, first // 2, 2 * root + 2, 1))
        # |y| <= isqrt(v) and the iteration never falls below isqrt(v), so |y| * (N / deviation) <= N.
        product = Span(-LARGEST, LARGEST)
        return {
            "sum": Span(min(inputs.low, length * inputs.low), max(inputs.high, length * inputs.high)),
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
