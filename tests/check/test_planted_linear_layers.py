"""Faults of linear layers, planted into right arithmetic: the sentence names each, and what it claims is replayed."""

import numpy as np
import pytest

from lowbit.check.report.sentence import example_text, sentence
from lowbit.check.requantize.linear import LinearOperation
from lowbit.errors import InputError
from lowbit.format.registry import get_format
from lowbit.policy.requantize import REQUANTIZE_SCHEMES
from lowbit.vectors.gemm.values import Operands
from tests.check.answers import concluded
from tests.thinned import thinned

INT8 = get_format("int8")
EXACT = ", and is otherwise exact"


def half_up(product, right):
    return (product + (1 << (right - 1))) >> right


def half_away(value, right):
    return np.where(value < 0, -half_up(-value, right), half_up(value, right)) if right else value


def twice(sums, multiplier, shift):
    """TFLite's two roundings of one column."""
    high = half_up(wrapped(sums << max(shift, 0), 32) * multiplier, 31)
    return half_away(high, max(-shift, 0))


def once(sums, multiplier, shift):
    return half_up(sums * multiplier, 31 - shift)


def floored(sums, multiplier, shift):
    return sums * multiplier >> 31 - shift


def wrapped(values, bits):
    return (values + (1 << bits - 1)) % (1 << bits) - (1 << bits - 1)


class Kernel:
    """A linear layer in steps that faults replace."""

    def __init__(self, **steps):
        self.steps = steps

    def run(self, name, *values):
        return self.steps[name](*values) if name in self.steps else values[0]

    def __call__(self, case):
        a, b, bias, multiplier, shift = (case.arrays[name].astype(np.int64) for name in case.arrays)
        zero, result = int(case.scalars["a_zero_point"]), int(case.scalars["zero_point"])
        a, b = self.run("a", a), self.run("b", b)
        bias, zero = self.run("bias", bias), self.run("zero", zero, result)
        b = b - self.run("b_zero", int(case.scalars.get("b_zero_point", 0)))
        sums = self.run("sums", (a - zero) @ b, a - zero, b)
        accumulators = self.run("accumulators", wrapped(sums + bias, 32), sums)
        multiplier, shift = self.run("multiplier", multiplier), self.run("shift", shift)
        scale = self.steps.get("scale", twice)
        columns = zip(accumulators.T, multiplier.tolist(), shift.tolist(), strict=True)
        scaled = np.stack([scale(column, m, s) for column, m, s in columns], axis=1)
        codes = self.run("codes", scaled + result, scaled, result, bias)
        return self.run("clamped", np.clip(codes, -128, 127), codes).astype(np.int8)


def first(values):
    return np.repeat(values[:1], len(values))


def groups(size):
    return lambda _, a, b: a[:, : a.shape[1] // size * size] @ b[: a.shape[1] // size * size]


PLANTED = {
    "one rounding": (Kernel(scale=once), "follows single_up (31-bit multiplier, one rounding, half up"),
    "no rounding": (Kernel(scale=floored), "shifts without rounding (toward -infinity)"),
    "no bias": (Kernel(bias=lambda bias: 0 * bias), "ignores the bias"),
    "bias subtracted": (Kernel(bias=lambda bias: -bias), "subtracts the bias"),
    "bias twice": (Kernel(bias=lambda bias: 2 * bias), "adds the bias twice"),
    "one bias": (Kernel(bias=first), "adds the bias of the first column to all"),
    "next bias": (Kernel(bias=lambda bias: np.roll(bias, -1)), "adds the bias of the next column"),
    "bias in 16 bits": (Kernel(bias=lambda bias: wrapped(bias, 16)), "wraps the bias to 16 bits"),
    "bias at the end": (
        Kernel(accumulators=lambda _, sums: sums, codes=lambda codes, scaled, result, bias: codes + bias),
        "adds the bias to the scaled numbers, not to the accumulators",
    ),
    "one multiplier": (Kernel(multiplier=first), "uses the multiplier of the first column for all"),
    "one shift": (Kernel(shift=first), "uses the shift of the first column for all"),
    "one scale": (
        Kernel(multiplier=first, shift=first),
        "uses the multiplier and the shift of the first column for all",
    ),
    "next scale": (
        Kernel(multiplier=lambda m: np.roll(m, -1), shift=lambda s: np.roll(s, -1)),
        "uses the multiplier and the shift of the next column",
    ),
    "no zero point of a": (Kernel(zero=lambda zero, result: 0), "ignores the zero point of a"),
    "zero point of a added": (
        Kernel(zero=lambda zero, result: -zero),
        "adds the zero point of a instead of subtracting it",
    ),
    "16 bits": (
        Kernel(accumulators=lambda sums, _: wrapped(sums, 16)),
        "wraps accumulators to 16 bits first",
    ),
    "products in 16 bits": (Kernel(sums=lambda sums, a, b: wrapped(sums, 16)), "accumulates in 16 bits, wrapping"),
    "24 bits": (
        Kernel(accumulators=lambda sums, _: np.clip(sums, -(1 << 23), (1 << 23) - 1)),
        "saturates accumulators to 24 bits first",
    ),
    "groups of 4": (Kernel(sums=groups(4)), "drops the tail of k: only whole groups of 4 products are added"),
    "groups of 16": (Kernel(sums=groups(16)), "drops the tail of k: only whole groups of 16 products are added"),
    "unsigned a": (Kernel(a=lambda a: a & 255), "takes a for unsigned"),
    "unsigned b": (Kernel(b=lambda b: b & 255), "takes b for unsigned"),
    "b transposed": (
        Kernel(b=lambda b: b.reshape(b.shape[::-1]).T),
        "takes b for transposed: n rows of k",
    ),
    "no zero point": (Kernel(codes=lambda codes, scaled, *_: scaled), "ignores the zero point"),
    "wraps": (
        Kernel(clamped=lambda _, codes: wrapped(codes, 8)),
        "follows tflite_double but for overflow wrap",
    ),
    "activation": (
        Kernel(codes=lambda codes, scaled, result, _: np.maximum(scaled, 0) + result),
        "gives the zero point for all values below zero (an activation)",
    ),
    "one rounding, no bias": (
        Kernel(scale=once, bias=lambda bias: 0 * bias),
        "follows cmsis_nn_single, fbgemm_fixed, single_up, tflite_single or one of 2 more, but ignores the bias",
    ),
}


ZERO_POINT_OF_B = {
    "right": (Kernel(), None),
    "ignored": (Kernel(b_zero=lambda _: 0), "ignores the zero point of b"),
    "added": (Kernel(b_zero=lambda zero: -zero), "adds the zero point of b instead of subtracting it"),
    "no bias": (Kernel(bias=lambda bias: 0 * bias), "ignores the bias"),
}


@pytest.mark.parametrize("name", thinned(ZERO_POINT_OF_B, 2))
def test_a_zero_point_of_b(name):
    operation = LinearOperation(Operands(INT8, INT8, zero_points=True), REQUANTIZE_SCHEMES["tflite_double"], INT8)
    cases = operation.cases("directed", 0, 0)
    kernel, words = ZERO_POINT_OF_B[name]
    result = concluded(operation, cases, [kernel(case) for case in cases])
    if words is None:
        assert result.verdict == "pass"
        return
    assert sentence(result) == words + EXACT
    assert " --zero-points " in result.command


@pytest.fixture(scope="module")
def layer():
    operation = LinearOperation(Operands(INT8, INT8), REQUANTIZE_SCHEMES["tflite_double"], INT8)
    return operation, operation.cases("directed", 0, 0)


def test_right_arithmetic_passes(layer):
    operation, cases = layer
    assert concluded(operation, cases, [Kernel()(case) for case in cases]).verdict == "pass"


@pytest.mark.parametrize("name", thinned(PLANTED, 2))
def test_planted_fault_is_named(layer, name):
    operation, cases = layer
    kernel, words = PLANTED[name]
    result = concluded(operation, cases, [kernel(case) for case in cases])
    told = sentence(result)
    assert told.startswith(words)
    assert told.endswith(EXACT)


def test_an_example_tells_the_sum_and_the_accumulator(layer):
    operation, cases = layer
    result = concluded(operation, cases, [PLANTED["no bias"][0](case) for case in cases])
    text = example_text(result.groups[0].examples[0], result)
    assert "element         row " in text
    assert "accumulator     " in text
    assert result.command.startswith("lowbit gen linear --a int8 --b int8 --scheme tflite_double --to int8 --case ")


@pytest.mark.slow
def test_random_cases_and_other_formats():
    scheme = REQUANTIZE_SCHEMES["xnnpack_fp32"]
    for names in (("uint8", "int8"), ("int8", "int4"), ("int16", "int8")):
        operation = LinearOperation(Operands(*map(get_format, names)), scheme, get_format("uint8"))
        for cases in (operation.cases("random", 5, 3), operation.cases("directed", 0, 0)):
            assert concluded(operation, cases, [operation.expected(case) for case in cases]).verdict == "pass"


def test_schemes_without_a_result_for_every_accumulator_are_refused():
    with pytest.raises(InputError, match="scheme tosa_single does not take every int32 accumulator"):
        LinearOperation(Operands(INT8, INT8), REQUANTIZE_SCHEMES["tosa_single"], INT8)
