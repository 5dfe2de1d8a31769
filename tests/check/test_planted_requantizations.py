"""Faults of requantisations, planted into right arithmetic: the sentence names each, and what it claims is replayed."""

import numpy as np
import pytest

from lowbit.check.report.sentence import sentence
from lowbit.check.requantize.operation import RequantizeOperation
from lowbit.format.registry import get_format
from lowbit.policy.requantize import REQUANTIZE_SCHEMES
from tests.check.answers import concluded
from tests.thinned import thinned

EXACT = ", and is otherwise exact"


def half_up(product, right):
    return (product + (1 << (right - 1))) >> right if right > 0 else product << -right


def away(product, right):
    return -half_up(-product, right) if product < 0 else half_up(product, right)


def rest_rounded(high, rest):
    return half_up(high, rest) if rest > 0 else high


def away_rest(high, rest):
    return away(high, rest) if rest > 0 else high


def as_int32(value):
    return (value + (1 << 31)) % (1 << 32) - (1 << 31)


def shifted(places):
    return lambda x, m, right, zero: half_up(x * m, right + places) + zero


PLANTED = {
    # x, multiplier, right shift, zero point -> a code before it is clamped
    "a place more": (shifted(1), "shifts right by a place too many"),
    "a place less": (shifted(-1), "shifts right by a place too few"),
    "ties down": (
        lambda x, m, right, zero: -half_up(-x * m, right) + zero,
        "rounds half down",
    ),
    "ceiling": (lambda x, m, right, zero: -(-x * m >> right) + zero, "rounds up (toward +infinity)"),
    "whole unit": (
        lambda x, m, right, zero: (x * m + (1 << right) >> right) + zero,
        "adds a whole unit before it shifts",
    ),
    "int32 product": (
        lambda x, m, right, zero: half_up(as_int32(x * m), right) + zero,
        "keeps the product in 32 bits, where it wraps",
    ),
    "16 bits of multiplier": (
        lambda x, m, right, zero: half_up(x * (m >> 16), right - 16) + zero,
        "cuts the multiplier to its high 16 bits",
    ),
    "high half cut": (
        lambda x, m, right, zero: rest_rounded(x * m >> min(right, 31), right - 31) + zero,
        "cuts the product to its high half (a shift by 31), and rounds the rest of the shift half up",
    ),
    "high word cut": (
        lambda x, m, right, zero: away_rest(x * m >> min(right, 32), right - 32) + zero,
        "cuts the product to its high half (a shift by 32), and rounds the rest of the shift half away from zero",
    ),
    "zero point twice": (lambda x, m, right, zero: half_up(x * m, right) + 2 * zero, "adds the zero point twice"),
    "zero point first": (
        lambda x, m, right, zero: half_up((x + zero) * m, right),
        "adds the zero point to the accumulators, before they are scaled",
    ),
    "magnitude": (lambda x, m, right, zero: abs(half_up(x * m, right)) + zero, "loses the sign of every value"),
    "negated": (lambda x, m, right, zero: zero - half_up(x * m, right), "negates every value"),
    "rectified": (lambda x, m, right, zero: max(half_up(x * m, right) + zero, 0), "gives no negative codes"),
    "one more": (lambda x, m, right, zero: half_up(x * m, right) + zero + 1, "adds 1 to every code"),
    "at most 100": (lambda x, m, right, zero: min(half_up(x * m, right) + zero, 100), "clamps codes to 100 at most"),
    "no values below zero": (
        lambda x, m, right, zero: max(half_up(x * m, right), 0) + zero,
        "gives the zero point for all values below zero (an activation)",
    ),
    "int16 accumulators": (
        lambda x, m, right, zero: half_up(((x + 0x8000) % 0x10000 - 0x8000) * m, right) + zero,
        "wraps accumulators to 16 bits first",
    ),
    "int24 accumulators": (
        lambda x, m, right, zero: half_up(min(max(x, -(1 << 23)), (1 << 23) - 1) * m, right) + zero,
        "saturates accumulators to 24 bits first",
    ),
    "away, narrow": (
        lambda x, m, right, zero: max(away(x * m, right) + zero, -127),
        "follows single_away or tvm_tonearest, but never gives the lowest code",
    ),
    "away, no zero point": (
        lambda x, m, right, zero: away(x * m, right),
        "follows single_away or tvm_tonearest, but ignores the zero point",
    ),
}


@pytest.mark.parametrize("name", thinned(PLANTED, 3))
def test_planted_fault_is_named(name):
    kernel, words = PLANTED[name]
    operation = RequantizeOperation(REQUANTIZE_SCHEMES["single_up"], get_format("int8"))
    cases, got = [], []
    for case in operation.cases("directed", 0, 0):
        scalars = case.scalars
        right = 31 - scalars["shift"]
        if right < 1:
            continue  # shifts to the left are bugs of another kind
        values = [
            kernel(x, scalars["multiplier"], right, scalars["zero_point"]) for x in case.arrays["accumulators"].tolist()
        ]
        cases.append(case)
        got.append(np.clip(values, -128, 127).astype(np.int8))
    told = sentence(concluded(operation, cases, got))
    assert told.startswith(words)
    assert told.endswith(EXACT)
