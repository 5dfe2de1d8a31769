"""Bounds of lowbit's own softmax, GELU and LayerNorm."""

from __future__ import annotations

from math import isqrt

from lowbit.errors import InputError
from lowbit.nonlinear.lowbit_scheme import (
    GELU_BITS,
    NORM_CODE_BITS,
    NORM_FRACTION,
    NORM_RECIPROCAL,
    NORMAL_BITS,
    RECIPROCAL,
    SOFTMAX_BITS,
    gelu_widths,
    layernorm_widths,
    softmax_widths,
)
from lowbit.oracle.nonlinear.gelu_lowbit import gelu as gelu_oracle
from lowbit.oracle.nonlinear.layernorm_lowbit import layernorm as layernorm_oracle
from lowbit.oracle.nonlinear.softmax_lowbit import softmax as softmax_oracle
from lowbit.oracle.nonlinear.steps import Steps
from lowbit.proof.nonlinear.recorder import Recorder
from lowbit.proof.nonlinear.request import code_span, positive_scale, refuse_options
from lowbit.proof.nonlinear.rows import elementwise, partial_sums, total_of
from lowbit.proof.nonlinear.span import Span, span_of
from lowbit.proof.nonlinear.subject import Request, Spans, Subject

_BY_CODE = ("distance", "scaled", "exponent", "polynomial", "exponential")
_NORMALISED = Span(1 << (NORMAL_BITS - 1), (1 << NORMAL_BITS) - 1)
"""What is shifted to 31 bits: sums, and roots of 61 or 62 bits."""


def _no_variant(request: Request) -> None:
    if request.variant:
        raise InputError(f"{request.operation} under {request.scheme} has no variants")


def softmax(request: Request) -> Subject:
    """Softmax: exponentials by their distance from the maximum; the sum is normalised before it is divided by."""
    refuse_options(request)
    _no_variant(request)
    inputs, scale = code_span(request, 8), positive_scale(request)
    bits = SOFTMAX_BITS if request.bits is None else request.bits
    widths = softmax_widths(bits)
    recorder = Recorder(widths)
    codes = range(inputs.low, inputs.high + 1)
    softmax_oracle(list(codes), scale, bits, steps=recorder)
    by_code = {name: span_of(recorder.values[name]) for name in _BY_CODE}
    exponentials = recorder.values["exponential"]
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

    def run(row: list[int], steps: Steps) -> list[int]:
        return softmax_oracle(row, scale, bits, steps=steps)

    parts = dict(zip(codes, exponentials, strict=True))
    return Subject(widths, inputs, run, spans, parts, {"scale": scale, "bits": bits})


def gelu(request: Request) -> Subject:
    """GELU: every code is run."""
    refuse_options(request)
    _no_variant(request)
    inputs, scale = code_span(request, 8), positive_scale(request)
    bits = GELU_BITS if request.bits is None else request.bits

    def run(row: list[int], steps: Steps) -> list[int]:
        return gelu_oracle(row, scale, bits, steps=steps)

    return elementwise(gelu_widths(bits), inputs, run, {"scale": scale, "bits": bits})


def layernorm(request: Request) -> Subject:
    """LayerNorm: exact sums; a code's distance over the deviation is at most sqrt(length - 1)."""
    refuse_options(request)
    _no_variant(request)
    inputs = code_span(request, NORM_CODE_BITS)
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

    def run(row: list[int], steps: Steps) -> list[int]:
        return layernorm_oracle(row, None, steps=steps)

    return Subject(layernorm_widths(), inputs, run, spans, {}, {"bias": 0})
