"""Bounds of the softmax of TensorFlow Lite's integer kernels, and of LiteRT's and CMSIS-NN's of int16 codes."""

from __future__ import annotations

from lowbit.nonlinear.binary32 import scale32
from lowbit.nonlinear.stored_tables import stored_table
from lowbit.nonlinear.tflite_parameters import softmax_parameters, softmax_reciprocal_table
from lowbit.oracle.fixed_point.gemmlowp import rounding_divide
from lowbit.oracle.nonlinear.tflite_softmax import SUM_INTEGER_BITS
from lowbit.proof.nonlinear.rows import total_of
from lowbit.proof.nonlinear.subject import Request, Spans, Subject
from lowbit.proof.span import SATURATED, Span, of_bits, span_of


def softmax_int8(request: Request) -> Subject:
    """The softmax of int8 codes: exponentials by code, the sum by interval, the shift by the sum's length in bits."""
    request.only_options("beta")
    call, inputs, bits = request.call, request.codes(fixed=True), request.call.result_bits
    beta = scale32(call.options.get("beta", 1), "beta")
    lowest = softmax_parameters(call.scale, beta, call.variant).lowest_difference
    recorder = request.every_code(inputs)
    counted = [code for code in inputs.codes if code - inputs.high >= lowest]
    parts = dict.fromkeys(inputs.codes, 0)
    for code, exponential in zip(counted, recorder.values["exponential"], strict=True):
        parts[code] = rounding_divide(exponential, SUM_INTEGER_BITS)
    by_code = recorder.spans("difference", "shifted difference", "scaled difference", "exponential")

    def spans(length: int) -> Spans:
        top = parts[inputs.high]
        total = total_of(parts.values(), top, length)
        shifts = (value.bit_length() - 32 + SUM_INTEGER_BITS + 31 - bits for value in total)
        return {
            **by_code,
            "sum": Span(min(*parts.values(), top), total.high),
            "reciprocal": SATURATED,
            "exponent": span_of(shifts),
            "probability": SATURATED,
            "result": of_bits(bits),
        }

    return Subject(call, inputs, spans, parts, {"scale": call.scale, "beta": beta, "bits": bits})


def softmax_int16(request: Request) -> Subject:
    """The softmax of int16 codes, of TFLite or of CMSIS-NN: two tables, and a sum that is normalised to 31 bits."""
    request.only_options("beta")
    call, inputs = request.call, request.codes(fixed=True)
    beta = scale32(call.options.get("beta", 1), "beta")
    names = ("difference", "shifted difference", "scaled difference", "centred difference", "exponential")
    by_code, exponentials, parts = request.exponentials(inputs, *names)
    inverse = span_of(stored_table(softmax_reciprocal_table(call.scheme.id)))

    def spans(length: int) -> Spans:
        top, most = exponentials[-1], max(exponentials)
        total = total_of(exponentials, top, length)
        rounded = _normalised(total)
        index = Span((rounded.low >> 14) - (3 << 15), (rounded.high >> 14) - (3 << 15))
        product = Span(min(0, most * inverse.low), most * inverse.high)
        return {
            **by_code,
            "sum": Span(min(exponentials), total.high),
            "rounded sum": rounded,
            "reciprocal index": index,
            "reciprocal": inverse,
            "product": product,
            "result": _result(product, total, clamped=call.scheme.id != "cmsis_int16"),
        }

    return Subject(call, inputs, spans, parts, {"scale": call.scale, "beta": beta})


def _normalised(total: Span) -> Span:
    """The sum shifted left to 31 bits, plus half of the 2^14 that it loses next."""
    lengths = range(total.low.bit_length(), total.high.bit_length() + 1)
    ends = [
        value << max(0, 31 - bits)
        for bits in lengths
        for value in (max(total.low, 1 << (bits - 1)), min(total.high, (1 << bits) - 1))
    ]
    return Span(min(ends) + (1 << 13), max(ends) + (1 << 13))


def _result(product: Span, total: Span, *, clamped: bool) -> Span:
    if clamped:
        return Span(0, 32767)
    shift = max(0, total.low.bit_length() - 2)
    return Span(((product.low >> shift) + 1) >> 1, ((product.high >> shift) + 1) >> 1)
