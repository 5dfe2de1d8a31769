"""Bounds of lowbit's own softmax, GELU, LayerNorm and RMSNorm."""

from __future__ import annotations

from math import isqrt

from lowbit.nonlinear.lowbit_scheme import NORM_CODE_BITS, NORM_FRACTION, NORM_RECIPROCAL, NORMAL_BITS, RECIPROCAL
from lowbit.proof.nonlinear.rows import partial_sums, total_of
from lowbit.proof.nonlinear.subject import Request, Spans, Subject
from lowbit.proof.span import Span

_NORMALISED = Span(1 << (NORMAL_BITS - 1), (1 << NORMAL_BITS) - 1)
"""What is shifted to 31 bits: sums, and roots of 61 or 62 bits."""


def softmax(request: Request) -> Subject:
    """Softmax: exponentials by their distance from the maximum; the sum is normalised before it is divided by."""
    request.only_options()
    call, inputs, bits = request.call, request.codes(), request.call.result_bits
    names = ("distance", "scaled", "exponent", "polynomial", "exponential")
    by_code, exponentials, parts = request.exponentials(inputs, *names)
    factor = Span(RECIPROCAL // _NORMALISED.high, RECIPROCAL // _NORMALISED.low)

    def spans(length: int) -> Spans:
        total = total_of(exponentials, exponentials[-1], length)
        return {
            **by_code,
            "sum": Span(min(exponentials), total.high),
            "normalized": _NORMALISED,
            "factor": factor,
            "product": Span(0, max(exponentials) * factor.high),
            "result": Span(0, (1 << (bits - 1)) - 1),
        }

    return Subject(call, inputs, spans, parts, {"scale": call.scale, "bits": bits})


def gelu(request: Request) -> Subject:
    """GELU: every code is run."""
    request.only_options()
    return request.elementwise(request.codes(), scale=request.call.scale, bits=request.call.result_bits)


def layernorm(request: Request) -> Subject:
    """LayerNorm: exact sums; a code's distance over the deviation is at most sqrt(length - 1)."""
    request.only_options()
    inputs = request.codes(NORM_CODE_BITS)
    largest = max(abs(code) for code in inputs)

    def spans(length: int) -> Spans:
        width, half = inputs.high - inputs.low, length // 2
        centred = (length - 1) * width
        factor = Span(NORM_RECIPROCAL // _NORMALISED.high, NORM_RECIPROCAL // _NORMALISED.low)
        # The root and the factor are each good to 2^-28, which the step to the next whole root more than covers.
        normalized = (isqrt(length - 1) + 1) << NORM_FRACTION
        return {
            "sum": partial_sums(inputs, length),
            "sum_of_squares": Span(0, length * largest**2),
            "variance": Span(0, width**2 * half * (length - half)),
            "deviation": _NORMALISED,
            "factor": factor,
            "centred": Span(-centred, centred),
            "product": Span(-centred * factor.high, centred * factor.high),
            "normalized": Span(-normalized, normalized),
            "result": Span(-normalized, normalized),
        }

    return Subject(request.call, inputs, spans, {}, {"bias": 0})


def rmsnorm(request: Request) -> Subject:
    """RMSNorm: a code over the root of the mean square is at most sqrt(length)."""
    request.only_options()
    inputs = request.codes(NORM_CODE_BITS)
    largest = max(abs(code) for code in inputs)

    def spans(length: int) -> Spans:
        factor = Span(NORM_RECIPROCAL // _NORMALISED.high, NORM_RECIPROCAL // _NORMALISED.low)
        normalized = (isqrt(length) + 1) << NORM_FRACTION
        return {
            "sum_of_squares": Span(0, length * largest**2),
            "variance": Span(0, length**2 * largest**2),
            "deviation": _NORMALISED,
            "factor": factor,
            "scaled": Span(length * inputs.low, length * inputs.high),
            "product": Span(length * inputs.low * factor.high, length * inputs.high * factor.high),
            "normalized": Span(-normalized, normalized),
            "result": Span(-normalized, normalized),
        }

    return Subject(request.call, inputs, spans, {}, {"bias": 0})
