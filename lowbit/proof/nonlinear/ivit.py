"""Bounds of I-ViT's ShiftExp, Shiftmax, ShiftGELU and I-LayerNorm."""

from __future__ import annotations

from fractions import Fraction
from math import isqrt

from lowbit.nonlinear.ivit import LARGEST, NORM_FIRST, NUMERATOR
from lowbit.proof.nonlinear.recorder import Recorder
from lowbit.proof.nonlinear.rows import farthest_from_mean, largest_product, most_squares, partial_sums, total_of
from lowbit.proof.nonlinear.subject import Request, Spans, Subject
from lowbit.proof.span import Span

MOST_PAIRS = 1 << 18


def exp(request: Request) -> Subject:
    """ShiftExp: every code is run; codes are not positive."""
    request.only_options()
    return request.elementwise(request.codes_below_zero(), scale=request.call.scale)


def softmax(request: Request) -> Subject:
    """Shiftmax: what concerns one code depends on its difference from the maximum; sums and products on all."""
    request.only_options()
    call, inputs = request.call, request.codes()
    names = ("difference", "scaled", "quotient", "remainder", "exponential")
    by_code, exponentials, parts = request.exponentials(inputs, *names)
    numerator, is_clamped = NUMERATOR[call.variant], call.variant == "torch"

    def spans(length: int) -> Spans:
        top = exponentials[-1]
        total = total_of(exponentials, top, length)
        clamped = Span(min(total.low, LARGEST), min(total.high, LARGEST)) if is_clamped else total
        factor = Span(numerator // clamped.high, numerator // clamped.low)
        largest = largest_product(exponentials, top, length, numerator, clamped.high if is_clamped else None)
        product = Span(min(exponentials) * factor.low, min(largest, LARGEST))
        return {
            **by_code,
            "sum": Span(min(exponentials), total.high),
            "clamped_sum": clamped,
            "factor": factor,
            "product": product,
            "result": product.shifted_right(31 - call.result_bits + 1),
        }

    parameters = {"scale": call.scale, "bits": call.result_bits}
    return Subject(call, inputs, spans, parts, parameters, _unused(call.variant))


def gelu(request: Request) -> Subject:
    """ShiftGELU: everything depends on one code and the row's maximum, so all pairs are run."""
    request.only_options()
    call, inputs = request.call, request.codes()
    known: dict[str, Span] = {}
    if inputs.size**2 <= MOST_PAIRS:
        recorder = Recorder(call.widths)
        for maximum in inputs.codes:
            call.oracle(list(range(inputs.low, maximum + 1)), recorder)
        known = recorder.spans()
    return Subject(call, inputs, lambda _: known, {}, {"scale": call.scale}, _unused(call.variant))


def _unused(variant: str) -> frozenset[str]:
    """Only the PyTorch code clamps sums."""
    return frozenset() if variant == "torch" else frozenset({"clamped_sum"})


def layernorm(request: Request) -> Subject:
    """I-LayerNorm: sums over the row, and a Newton iteration that stays above the floor of the root."""
    request.only_options()
    variant, inputs = request.call.variant, request.codes()

    def spans(length: int) -> Spans:
        # How far the integer mean may be from the exact one: half a unit rounded, less than one truncated.
        rounding = Fraction(length - 1, length) if variant == "tvm" else Fraction(1, 2)
        far, squares = farthest_from_mean(inputs, length, rounding), most_squares(inputs, length, rounding)
        root = isqrt(squares)
        first = (1 << (squares.bit_length() // 2)) if variant == "paper" else NORM_FIRST
        deviation = Span(1, max((first + squares // first) // 2, first // 2, 2 * root + 2, 1))
        # |y| <= isqrt(v) and the iteration never falls below isqrt(v), so |y| * (N / deviation) <= N.
        return {
            "sum": partial_sums(inputs, length),
            "centred": Span(-far, far),
            "square": Span(0, far**2),
            "sum_of_squares": Span(0, squares),
            "deviation": deviation,
            "factor": Span(LARGEST // deviation.high, LARGEST),
            "product": Span(-LARGEST, LARGEST),
            "result": Span(-(LARGEST // 2) - 1, LARGEST // 2),
        }

    return Subject(request.call, inputs, spans, {}, {"bias": 0})
