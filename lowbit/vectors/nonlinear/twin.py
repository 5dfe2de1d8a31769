"""The oracle of a nonlinearity: what a golden set expects, and what an emulated bug is planted in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from lowbit.nonlinear import fqvit, ibert, ivit, litert, tflite, tflite_widths
from lowbit.nonlinear import lowbit_scheme as own
from lowbit.nonlinear.binary32 import binary32
from lowbit.nonlinear.stored_tables import stored_table
from lowbit.nonlinear.widths import Intermediate, Widths
from lowbit.oracle.fixed_point import gemmlowp, table
from lowbit.oracle.nonlinear import (
    gelu_ibert,
    gelu_ivit,
    gelu_lowbit,
    layernorm_fqvit,
    layernorm_ibert,
    layernorm_ivit,
    layernorm_lowbit,
    litert_softmax,
    softmax_fqvit,
    softmax_ibert,
    softmax_ivit,
    softmax_lowbit,
    tflite_norm,
    tflite_sigmoid,
    tflite_softmax,
)
from lowbit.oracle.nonlinear.exp_ibert import polynomial_exp
from lowbit.oracle.nonlinear.exp_ivit import shift_exp
from lowbit.oracle.nonlinear.steps import Steps
from lowbit.vectors.nonlinear.rule import Nonlinearity

Row = list[int]
Operands = Mapping[str, Sequence[int]]
OracleRow = Callable[[Row, Operands, Steps], Row]
Each = Callable[[int, Steps], int]
GEMMLOWP_BITS = 32
LITERT_SOFTMAX_BITS = 8
TOSA_TABLES = {"logistic": "tosa_sigmoid", "tanh": "tosa_tanh"}


class Twin(NamedTuple):
    """The declared widths, and ``run(row, operands, steps)``: one row of codes by the oracle."""

    widths: Widths
    run: OracleRow

    def results(self, row: Row, operands: Operands, overflow: str = "wrap") -> Row:
        """The results of a row."""
        return self.run(row, operands, Steps(self.widths, overflow))


def twin(made: Nonlinearity) -> Twin:
    """The oracle with everything bound but the codes."""
    return _MAKERS[made.operation](made)


def _softmax(made: Nonlinearity) -> Twin:
    if made.scheme.startswith(("tflite", "litert", "cmsis")):
        return _softmax_tflite(made)
    scale, variant = binary32(float(made.scale or 0)), made.variant
    if made.scheme == "ivit":
        bits = ivit.SOFTMAX_BITS[variant] if made.bits is None else made.bits
        widths = ivit.softmax_widths(variant, bits)
        return Twin(widths, lambda row, _, steps: softmax_ivit.softmax(row, scale, variant, bits, steps=steps))
    if made.scheme == "ibert":
        bits = ibert.SOFTMAX_BITS if made.bits is None else made.bits
        widths = ibert.softmax_widths(variant, bits)
        return Twin(widths, lambda row, _, steps: softmax_ibert.softmax(row, scale, variant, bits, steps=steps))
    if made.scheme == "fqvit":
        bits = fqvit.SOFTMAX_BITS if made.bits is None else made.bits
        widths = fqvit.softmax_widths(variant, bits)
        return Twin(widths, lambda row, _, steps: softmax_fqvit.softmax(row, scale, variant, bits, steps=steps))
    bits = own.SOFTMAX_BITS if made.bits is None else made.bits
    return Twin(own.softmax_widths(bits), lambda row, _, steps: softmax_lowbit.softmax(row, scale, bits, steps=steps))


def _softmax_tflite(made: Nonlinearity) -> Twin:
    options, variant = dict(made.options), made.variant
    beta = tflite.binary32(options.get("beta", 1), "beta")
    if made.scheme.endswith("int16"):
        if "multiplier" in options:
            given = tflite.QuantizedMultiplier(int(options["multiplier"]), int(options["shift"]))
        else:
            given = tflite.softmax_int16_multiplier(tflite.binary32(made.scale), beta, made.scheme)
        each = tflite_softmax.softmax_int16_cmsis if made.scheme == "cmsis_int16" else tflite_softmax.softmax_int16
        widths = tflite_widths.softmax_int16_widths(variant, made.scheme)
        return Twin(widths, lambda row, _, steps: each(row, given, variant, steps))
    bits = LITERT_SOFTMAX_BITS if made.bits is None else made.bits
    scale = tflite.binary32(made.scale)
    if made.scheme == "litert_int8":
        entries = litert.softmax_table(scale, beta)
        widths = tflite_widths.softmax_litert_widths(bits)
        return Twin(widths, lambda row, _, steps: litert_softmax.softmax_int8(row, entries, bits, steps))
    parameters = tflite.softmax_parameters(scale, beta, variant)
    widths = tflite_widths.softmax_int8_widths(variant, bits)
    return Twin(widths, lambda row, _, steps: tflite_softmax.softmax_int8(row, parameters, variant, bits, steps))


def _gelu(made: Nonlinearity) -> Twin:
    scale, variant = binary32(float(made.scale or 0)), made.variant
    if made.scheme == "ivit":
        return Twin(ivit.gelu_widths(variant), lambda row, _, steps: gelu_ivit.gelu(row, scale, variant, steps=steps))
    if made.scheme == "ibert":
        return Twin(ibert.gelu_widths(variant), lambda row, _, steps: gelu_ibert.gelu(row, scale, variant, steps=steps))
    bits = own.GELU_BITS if made.bits is None else made.bits
    return Twin(own.gelu_widths(bits), lambda row, _, steps: gelu_lowbit.gelu(row, scale, bits, steps=steps))


def _layernorm(made: Nonlinearity) -> Twin:
    options, variant = dict(made.options), made.variant
    if made.scheme == "ivit":
        widths = ivit.layernorm_widths(variant)
        return Twin(widths, lambda row, _, steps: layernorm_ivit.layernorm(row, None, variant, steps=steps))
    if made.scheme == "ibert":
        shift, widths = int(options.get("shift", 0)), ibert.layernorm_widths(variant)
        return Twin(widths, lambda row, _, steps: layernorm_ibert.layernorm(row, None, variant, shift, steps=steps))
    if made.scheme == "fqvit":
        unit = binary32(float(options["result_scale"]))
        return Twin(
            fqvit.layernorm_widths(),
            lambda row, _, steps: layernorm_fqvit.layernorm(row, unit, [(1.0, 0.0)] * len(row), steps=steps),
        )
    if made.scheme == "lowbit":
        return Twin(own.layernorm_widths(), lambda row, _, steps: layernorm_lowbit.layernorm(row, steps=steps))
    multiplier, shift = int(options["multiplier"]), int(options["shift"])
    limit = int(options.get("variance_limit", 1))

    def run(row: Row, operands: Operands, steps: Steps) -> Row:
        weights, biases = (tuple(operands[name][: len(row)]) for name in ("weights", "biases"))
        parameters = tflite.LayerNormParameters(weights, biases, multiplier, shift, limit)
        return tflite_norm.layernorm_int16(row, parameters, variant, steps)

    return Twin(tflite_widths.layernorm_widths(variant), run)


def _elementwise(widths: Widths, each: Each) -> Twin:
    def run(row: Row, operands: Operands, steps: Steps) -> Row:
        del operands
        results = []
        for steps.element, code in enumerate(row):
            results.append(each(code, steps))
        return results

    return Twin(widths, run)


def _only_result(made: Nonlinearity, bits: int, each: Callable[[int], int]) -> Twin:
    widths = Widths(made.operation, made.scheme, made.variant, (Intermediate("result", bits),))
    return _elementwise(widths, lambda code, steps: steps("result", each(code)))


def _sigmoid(made: Nonlinearity) -> Twin:
    options, operation, variant = dict(made.options), made.operation, made.variant
    zero_point = int(options.get("zero_point", 0))
    if made.scheme == "gemmlowp":
        bits = GEMMLOWP_BITS if made.bits is None else made.bits
        function: Any = gemmlowp.logistic if operation == "logistic" else gemmlowp.tanh
        return _only_result(made, bits, lambda code: function(code, int(options["integer_bits"]), bits))
    if made.scheme == "tosa":
        entries = stored_table(TOSA_TABLES[operation])
        return _only_result(made, 32, lambda code: table.interpolate(code, entries))
    scale = tflite.binary32(made.scale)
    if made.scheme == "litert_int8":
        listed = litert.sigmoid_table(operation, scale, zero_point)
        return _only_result(made, 8, lambda code: listed[code + 128])
    if made.scheme == "tflite_int8":
        parameters = tflite.sigmoid_parameters(scale)
        return _elementwise(
            tflite_widths.sigmoid_int8_widths(operation, variant),
            lambda code, steps: tflite_sigmoid.sigmoid_int8(code, operation, zero_point, parameters, variant, steps),
        )
    left = tflite.sigmoid_int16_left_shift(scale, operation) if made.scheme == "litert_int16" else None
    if left is not None:
        return _only_result(made, 16, lambda code: tflite_sigmoid.sigmoid_int16_optimised(code, operation, left))
    given = tflite.sigmoid_int16_parameters(scale, operation)
    one = tflite_sigmoid.logistic_int16 if operation == "logistic" else tflite_sigmoid.tanh_int16
    return _elementwise(tflite_widths.sigmoid_int16_widths(operation), lambda code, steps: one(code, given, steps))


def _exp(made: Nonlinearity) -> Twin:
    scale, variant = binary32(float(made.scale or 0)), made.variant
    if made.scheme == "ivit":
        constants = ivit.softmax_exp(scale, variant)
        return _elementwise(ivit.exp_widths(variant), lambda code, steps: shift_exp(code, constants, steps))
    polynomial = ibert.exp_constants(scale, variant)
    return _elementwise(ibert.exp_widths(variant), lambda code, steps: polynomial_exp(code, polynomial, variant, steps))


def _l2norm(made: Nonlinearity) -> Twin:
    zero_point, variant = int(dict(made.options).get("zero_point", 0)), made.variant
    widths = tflite_widths.l2norm_widths(variant)
    return Twin(widths, lambda row, _, steps: tflite_norm.l2norm_int8(row, zero_point, variant, steps))


_MAKERS: Mapping[str, Callable[[Nonlinearity], Twin]] = {
    "softmax": _softmax,
    "gelu": _gelu,
    "layernorm": _layernorm,
    "logistic": _sigmoid,
    "tanh": _sigmoid,
    "exp": _exp,
    "l2norm": _l2norm,
}
