"""Bounds of I-BERT's i-exp, i-softmax, i-GELU and I-LayerNorm."""

from __future__ import annotations

from fractions import Fraction
from math import isqrt

from lowbit.nonlinear.ibert import (
    NORM_NUMERATOR,
    NUMERATOR,
    SOFTMAX_BITS,
    VARIANTS,
    exp_constants,
    exp_widths,
    gelu_widths,
    layernorm_widths,
    softmax_widths,
)
from lowbit.oracle.nonlinear.exp_ibert import polynomial_exp
from lowbit.oracle.nonlinear.gelu_ibert import gelu as gelu_oracle
from lowbit.oracle.nonlinear.layernorm_ibert import layernorm as layernorm_oracle
from lowbit.oracle.nonlinear.softmax_ibert import softmax as softmax_oracle
from lowbit.oracle.nonlinear.steps import Steps
from lowbit.proof.nonlinear.recorder import Recorder
from lowbit.proof.nonlinear.request import (
    chosen_variant,
    code_span,
    negative_codes,
    positive_scale,
    refuse_options,
    whole_option,
)
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

_BY_CODE = ("difference", "quotient", "remainder", "polynomial", "exponential", "requantized")


def exp(request: Request) -> Subject:
    """i-exp: every code is run; codes are not positive."""
    refuse_options(request)
    variant, scale = chosen_variant(request, VARIANTS), positive_scale(request)
    constants = exp_constants(scale, variant)

    def run(row: list[int], steps: Steps) -> list[int]:
        return [polynomial_exp(code, constants, variant, steps) for code in row]

    return elementwise(exp_widths(variant), negative_codes(request), run, {"scale": scale})


def softmax(request: Request) -> Subject:
    """i-softmax: exponentials by their difference from the maximum; sums and products by interval."""
    refuse_options(request)
    variant, inputs, scale = chosen_variant(request, VARIANTS), code_span(request, 8), positive_scale(request)
    bits = SOFTMAX_BITS if request.bits is None else request.bits
    widths = softmax_widths(variant, bits)
    recorder = Recorder(widths)
    codes = range(inputs.low, inputs.high + 1)
    softmax_oracle(list(codes), scale, variant, bits, steps=recorder)
    by_code = {name: span_of(recorder.values[name]) for name in _BY_CODE if name in recorder.values}
    exponentials = recorder.values["requantized" if variant == "code" else "exponential"]

    def spans(length: int) -> Spans:
        top = exponentials[-1]
        total = total_of(exponentials, top, length)
        known = {**by_code, "sum": Span(min(exponentials), total.high)}
        if variant == "code":
            factor = Span(NUMERATOR // total.high, NUMERATOR // total.low)
            product = Span(min(exponentials) * factor.low, largest_product(exponentials, top, length, NUMERATOR))
            return {**known, "factor": factor, "product": product, "result": product.shifted_right(32 - bits)}
        product = Span(min(exponentials) << bits, max(exponentials) << bits)
        return {**known, "product": product, "result": Span(0, min(1 << bits, product.high // total.low))}

    def run(row: list[int], steps: Steps) -> list[int]:
        return softmax_oracle(row, scale, variant, bits, steps=steps)

    parts = dict(zip(codes, exponentials, strict=True))
    return Subject(widths, inputs, run, spans, parts, {"scale": scale, "bits": bits})


def gelu(request: Request) -> Subject:
    """i-GELU: every code is run."""
    refuse_options(request)
    variant, inputs, scale = chosen_variant(request, VARIANTS), code_span(request, 8), positive_scale(request)

    def run(row: list[int], steps: Steps) -> list[int]:
        return gelu_oracle(row, scale, variant, steps=steps)

    return elementwise(gelu_widths(variant), inputs, run, {"scale": scale})


def layernorm(request: Request) -> Subject:
    """I-LayerNorm: sums over the row; the root is exact."""
    refuse_options(request, "shift")
    variant, inputs = chosen_variant(request, VARIANTS), code_span(request, 8)
    shift = whole_option(request, "shift", 0, 31, 0)

    def spans(length: int) -> Spans:
        far = farthest_from_mean(inputs, length, Fraction(1, 2))
        shifted = Span(-far >> shift, far >> shift)
        square = max(shifted.low**2, shifted.high**2)
        squares = most_squares(inputs, length, Fraction(1, 2)) if not shift else length * square
        deviation = Span(1, max(1, isqrt(squares) << shift))
        # Unshifted, |y| is at most the root. Shifted, what the shift takes from y may be all of the deviation.
        product = NORM_NUMERATOR << (max(shift, 1) if shift else 0)
        return {
            "sum": partial_sums(inputs, length),
            "centred": Span(-far, far),
            "shifted": shifted,
            "square": Span(0, square),
            "sum_of_squares": Span(0, squares),
            "deviation": deviation,
            "factor": Span(NORM_NUMERATOR // deviation.high, NORM_NUMERATOR),
            "product": Span(-product, product),
            "result": Span(-product // 2, product // 2),
        }

    def run(row: list[int], steps: Steps) -> list[int]:
        return layernorm_oracle(row, None, variant, shift, steps=steps)

    return Subject(layernorm_widths(variant), inputs, run, spans, {}, {"shift": shift, "bias": 0})
