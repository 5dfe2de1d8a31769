"""Bounds of FQ-ViT's log-int-softmax."""

from __future__ import annotations

from lowbit.proof.nonlinear.rows import total_of
from lowbit.proof.nonlinear.subject import Request, Spans, Subject
from lowbit.proof.span import Span


def softmax(request: Request) -> Subject:
    """Log-int-softmax: exponentials by their difference from the maximum; the ratio is largest for the smallest."""
    request.only_options()
    call, inputs, bits = request.call, request.codes(), request.call.result_bits
    names = ("difference", "quotient", "remainder", "polynomial", "exponential")
    by_code, exponentials, parts = request.exponentials(inputs, *names)

    def spans(length: int) -> Spans:
        total = total_of(exponentials, exponentials[-1], length)
        smallest = min(value for value in exponentials if value > 0)
        beyond = 1 << bits
        return {
            **by_code,
            "sum": Span(min(exponentials), total.high),
            "ratio": Span(1, (2 * total.high + smallest) // (2 * smallest)),
            "result": Span(0, beyond if call.variant == "code" else beyond - 1),
        }

    return Subject(call, inputs, spans, parts, {"scale": call.scale, "bits": bits})
