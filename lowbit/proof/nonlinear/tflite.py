"""Bounds of the nonlinearities of TensorFlow Lite's integer kernels and of CMSIS-NN's int16 softmax."""

from __future__ import annotations

from contextlib import suppress

from lowbit.errors import InputError
from lowbit.nonlinear.stored_tables import stored_table
from lowbit.nonlinear.tflite import (
    binary32,
    sigmoid_int16_parameters,
    sigmoid_parameters,
    softmax_int16_multiplier,
    softmax_parameters,
    softmax_reciprocal_table,
)
from lowbit.nonlinear.tflite_widths import (
    VARIANTS,
    l2norm_widths,
    sigmoid_int8_widths,
    sigmoid_int16_widths,
    softmax_int8_widths,
    softmax_int16_widths,
)
from lowbit.oracle.fixed_point.gemmlowp import rounding_divide
from lowbit.oracle.nonlinear.steps import Steps
from lowbit.oracle.nonlinear.tflite_norm import OUTPUT_SHIFT, l2norm_int8
from lowbit.oracle.nonlinear.tflite_sigmoid import logistic_int16, tanh_int16
from lowbit.oracle.nonlinear.tflite_sigmoid import sigmoid_int8 as sigmoid_int8_oracle
from lowbit.oracle.nonlinear.tflite_softmax import SUM_INTEGER_BITS, softmax_int16_cmsis
from lowbit.oracle.nonlinear.tflite_softmax import softmax_int8 as softmax_int8_oracle
from lowbit.oracle.nonlinear.tflite_softmax import softmax_int16 as softmax_int16_oracle
from lowbit.proof.nonlinear.recorder import Recorder
from lowbit.proof.nonlinear.request import chosen_variant, code_span, refuse_options
from lowbit.proof.nonlinear.rows import elementwise
from lowbit.proof.nonlinear.span import Span, of_bits, span_of
from lowbit.proof.nonlinear.subject import Request, Spans, Subject

_SATURATING = of_bits(32)
"""gemmlowp's functions saturate to 32 bits by construction."""


def softmax_int8(request: Request) -> Subject:
    """The softmax of int8 codes: exponentials by code, the sum by interval, the shift by the sum's length in bits."""
    refuse_options(request, "beta")
    variant, inputs = chosen_variant(request, VARIANTS), code_span(request, 8, fixed=True)
    bits = 8 if request.bits is None else request.bits
    if bits not in (8, 16):
        raise InputError(f"bits = {bits}: TFLite's softmax of int8 codes has results of 8 or 16 bits")
    scale, beta = binary32(request.scale), binary32(request.options.get("beta", 1), "beta")
    parameters = softmax_parameters(scale, beta, variant)
    widths = softmax_int8_widths(variant, bits)
    recorder = Recorder(widths)
    counted = [
        code for code in range(inputs.low, inputs.high + 1) if code - inputs.high >= parameters.lowest_difference
    ]
    with suppress(InputError):  # the row of all codes may be one that the product refuses; the codes are noted by then
        softmax_int8_oracle([*range(inputs.low, inputs.high + 1)], parameters, variant, bits, recorder)
    parts = dict.fromkeys(range(inputs.low, inputs.high + 1), 0)
    for code, exponential in zip(counted, recorder.values["exponential"], strict=True):
        parts[code] = rounding_divide(exponential, SUM_INTEGER_BITS)
    by_code = {
        name: span_of(recorder.values[name])
        for name in ("difference", "shifted difference", "scaled difference", "exponential")
    }

    def spans(length: int) -> Spans:
        top, least, most = parts[inputs.high], min(parts.values()), max(parts.values())
        total = Span(top + (length - 1) * least, top + (length - 1) * most)
        shifts = (value.bit_length() - 32 + SUM_INTEGER_BITS + 31 - bits for value in total)
        return {
            **by_code,
            "sum": Span(min(least, top), total.high),
            "reciprocal": _SATURATING,
            "exponent": span_of(shifts),
            "probability": _SATURATING,
            "result": of_bits(bits),
        }

    def run(row: list[int], steps: Steps) -> list[int]:
        return softmax_int8_oracle(row, parameters, variant, bits, steps)

    return Subject(widths, inputs, run, spans, parts, {"scale": float(scale), "beta": float(beta), "bits": bits})


def softmax_int16(request: Request) -> Subject:
    """The softmax of int16 codes, of TFLite or of CMSIS-NN: two tables, and a sum that is normalised to 31 bits."""
    refuse_options(request, "beta")
    variant, inputs = chosen_variant(request, VARIANTS), code_span(request, 16, fixed=True)
    scale, beta = binary32(request.scale), binary32(request.options.get("beta", 1), "beta")
    parameters = softmax_int16_multiplier(scale, beta, request.scheme)
    widths = softmax_int16_widths(variant, request.scheme)
    oracle = softmax_int16_cmsis if request.scheme == "cmsis_int16" else softmax_int16_oracle
    recorder = Recorder(widths)
    codes = range(inputs.low, inputs.high + 1)
    with suppress(InputError, IndexError, ValueError):  # all codes at once may be too long a row
        oracle(list(codes), parameters, variant, recorder)
    exponentials = recorder.values["exponential"]
    by_code = {
        name: span_of(recorder.values[name])
        for name in ("difference", "shifted difference", "scaled difference", "centred difference", "exponential")
    }
    inverse = span_of(stored_table(softmax_reciprocal_table(request.scheme)))

    def spans(length: int) -> Spans:
        top, least, most = exponentials[-1], min(exponentials), max(exponentials)
        total = Span(top + (length - 1) * least, top + (length - 1) * most)
        rounded = _normalised(total)
        index = Span((rounded.low >> 14) - (3 << 15), (rounded.high >> 14) - (3 << 15))
        product = Span(min(0, most * inverse.low), most * inverse.high)
        return {
            **by_code,
            "sum": Span(min(least, top), total.high),
            "rounded sum": rounded,
            "reciprocal index": index,
            "reciprocal": inverse,
            "product": product,
            "result": _result(product, total, clamped=request.scheme != "cmsis_int16"),
        }

    def run(row: list[int], steps: Steps) -> list[int]:
        return oracle(row, parameters, variant, steps)

    parts = dict(zip(codes, exponentials, strict=True))
    return Subject(widths, inputs, run, spans, parts, {"scale": float(scale), "beta": float(beta)})


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


def sigmoid_int8(request: Request) -> Subject:
    """Logistic and tanh of int8 codes: every code is run."""
    refuse_options(request, "zero_point")
    variant, inputs = chosen_variant(request, VARIANTS), code_span(request, 8, fixed=True)
    zero_point = int(request.options.get("zero_point", 0))
    scale = binary32(request.scale)
    parameters = sigmoid_parameters(scale)
    widths = sigmoid_int8_widths(request.operation, variant)

    def run(row: list[int], steps: Steps) -> list[int]:
        return [sigmoid_int8_oracle(code, request.operation, zero_point, parameters, variant, steps) for code in row]

    return elementwise(widths, inputs, run, {"scale": float(scale), "zero_point": zero_point})


def sigmoid_int16(request: Request) -> Subject:
    """Logistic and tanh of int16 codes: every code is run."""
    refuse_options(request)
    if request.variant:
        raise InputError(f"{request.operation} under {request.scheme} has no variants")
    inputs, scale = code_span(request, 16, fixed=True), binary32(request.scale)
    parameters = sigmoid_int16_parameters(scale, request.operation)
    one = logistic_int16 if request.operation == "logistic" else tanh_int16

    def run(row: list[int], steps: Steps) -> list[int]:
        return [one(code, parameters, steps) for code in row]

    return elementwise(sigmoid_int16_widths(request.operation), inputs, run, {"scale": float(scale)})


def l2norm(request: Request) -> Subject:
    """L2 normalisation: the sum of squares over the row; a code is at most the root of that sum."""
    refuse_options(request, "zero_point")
    variant, inputs = chosen_variant(request, VARIANTS), code_span(request, 8, fixed=True)
    zero_point = int(request.options.get("zero_point", 0))
    values = Span(inputs.low - zero_point, inputs.high - zero_point)
    largest = max(abs(value) for value in values)

    def spans(length: int) -> Spans:
        # The shift is 7 for a sum of 1, and falls as the sum grows; a single rounding multiplies first.
        shifted = largest << OUTPUT_SHIFT if variant == "double_rounding" else largest << 31
        return {
            "input": values,
            "square": Span(0, largest**2),
            "sum": Span(0, length * largest**2),
            "inverse root": _SATURATING,
            "shifted input": Span(-shifted, shifted),
            # |x| / sqrt(sum) is at most 1, in 1/128, and the inverse root is good to 1.3e-6.
            "scaled input": Span(-129, 129),
            "result": of_bits(8),
        }

    def run(row: list[int], steps: Steps) -> list[int]:
        return l2norm_int8(row, zero_point, variant, steps)

    return Subject(l2norm_widths(variant), inputs, run, spans, {}, {"zero_point": zero_point})
