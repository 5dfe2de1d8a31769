"""Bounds of FQ-ViT's log-int-softmax."""

from __future__ import annotations

from contextlib import suppress

from lowbit.errors import LowbitError
from lowbit.nonlinear.fqvit import SOFTMAX_BITS, VARIANTS, softmax_widths
from lowbit.nonlinear.ibert import exp_constants
from lowbit.oracle.nonlinear.softmax_fqvit import softmax as softmax_oracle
from lowbit.oracle.nonlinear.steps import Steps
from lowbit.proof.nonlinear.recorder import Recorder
from lowbit.proof.nonlinear.request import chosen_variant, code_span, positive_scale, refuse_options
from lowbit.proof.nonlinear.rows import total_of
from lowbit.proof.nonlinear.span import Span, span_of
from lowbit.proof.nonlinear.subject import Request, Spans, Subject


def softmax(request: Request) -> Subject:
    """Log-int-softmax: exponentials by their difference from the maximum; the ratio is largest for the smallest."""
    refuse_options(request)
    variant, inputs, scale = chosen_variant(request, VARIANTS), code_span(request, 8), positive_scale(request)
    bits = SOFTMAX_BITS if request.bits is None else request.bits
    exp_constants(scale, "code")  # refuses scales for which there is no i-exp
    widths = softmax_widths(variant, bits)
    recorder = Recorder(widths)
    codes = range(inputs.low, inputs.high + 1)
    with suppress(LowbitError):
        softmax_oracle(list(codes), scale, variant, bits, steps=recorder)
    names = ("difference", "quotient", "remainder", "polynomial", "exponential")
    by_code = {name: span_of(recorder.values[name]) for name in names}
    exponentials = recorder.values["exponential"]

    def spans(length: int) -> Spans:
        total = total_of(exponentials, exponentials[-1], length)
        smallest = min(value for value in exponentials if value > 0)
        beyond = 1 << bits
        return {
            **by_code,
            "sum": Span(min(exponentials), total.high),
            "ratio": Span(1, (2 * total.high + smallest) // (2 * smallest)),
            "result": Span(0, beyond if variant == "code" else beyond - 1),
        }

    def run(row: list[int], steps: Steps) -> list[int]:
        return softmax_oracle(row, scale, variant, bits, steps=steps)

    parts = dict(zip(codes, exponentials, strict=True))
    return Subject(widths, inputs, run, spans, parts, {"scale": scale, "bits": bits})
