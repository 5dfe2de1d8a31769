"""Bounds of I-BERT's i-exp, i-softmax, i-GELU and I-LayerNorm."""

from __future__ import annotations

from fractions import Fraction
from math import isqrt

from lowbit.nonlinear.ibert import NORM_NUMERATOR, NUMERATOR
from lowbit.proof.nonlinear.rows import farthest_from_mean, largest_product, most_squares, partial_sums, total_of
from lowbit.proof.nonlinear.subject import Request, Spans, Subject
from lowbit.proof.span import Span


def exp(request: Request) -> Subject:
    """i-exp: every code is run; codes are not positive."""
    request.only_options()
    return request.elementwise(request.codes_below_zero(), scale=request.call.scale)


def softmax(request: Request) -> Subject:
    """i-softmax: exponentials by their difference from the maximum; sums and products by interval."""
    request.only_options()
    call, inputs, bits = request.call, request.codes(), request.call.result_bits
    last = ("exponential", "requantized") if call.variant != "paper" else ("exponential",)
    names = ("difference", "quotient", "remainder", "polynomial", *last)
    by_code, exponentials, parts = request.exponentials(inputs, *names)

    def spans(length: int) -> Spans:
        top = exponentials[-1]
        total = total_of(exponentials, top, length)
        known = {**by_code, "sum": Span(min(exponentials), total.high)}
        if call.variant != "paper":
            factor = Span(NUMERATOR // total.high, NUMERATOR // total.low)
            product = Span(min(exponentials) * factor.low, largest_product(exponentials, top, length, NUMERATOR))
            return {**known, "factor": factor, "product": product, "result": product.shifted_right(32 - bits)}
        product = Span(min(exponentials) << bits, max(exponentials) << bits)
        return {**known, "product": product, "result": Span(0, min((1 << bits) - 1, product.high // total.low))}

    return Subject(call, inputs, spans, parts, {"scale": call.scale, "bits": bits})


def gelu(request: Request) -> Subject:
    """i-GELU: every code is run."""
    request.only_options()
    return request.elementwise(request.codes(), scale=request.call.scale)


def layernorm(request: Request) -> Subject:
    """I-LayerNorm: sums over the row; the root is exact."""
    request.only_options("shift")
    inputs, shift = request.codes(), request.whole("shift", 0, 31)

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

    return Subject(request.call, inputs, spans, {}, {"shift": shift, "bias": 0})
