"""Bounds of TensorFlow Lite's L2 normalisation."""

from __future__ import annotations

from lowbit.oracle.nonlinear.tflite_norm import OUTPUT_SHIFT
from lowbit.proof.nonlinear.subject import Request, Spans, Subject
from lowbit.proof.span import SATURATED, Span, of_bits


def l2norm(request: Request) -> Subject:
    """L2 normalisation: the sum of squares over the row; a code is at most the root of that sum."""
    request.only_options("zero_point")
    call, inputs, zero_point = request.call, request.codes(fixed=True), request.whole("zero_point", -128, 127)
    values = Span(inputs.low - zero_point, inputs.high - zero_point)
    largest = max(abs(value) for value in values)

    def spans(length: int) -> Spans:
        # The shift is 7 for a sum of 1, and falls as the sum grows; a single rounding multiplies first.
        shifted = largest << OUTPUT_SHIFT if call.variant == "double_rounding" else largest << 31
        return {
            "input": values,
            "square": Span(0, largest**2),
            "sum": Span(0, length * largest**2),
            "inverse root": SATURATED,
            "shifted input": Span(-shifted, shifted),
            # |x| / sqrt(sum) is at most 1, in 1/128, and the inverse root is good to 1.3e-6.
            "scaled input": Span(-129, 129),
            "result": of_bits(8),
        }

    return Subject(call, inputs, spans, {}, {"zero_point": zero_point})
