"""The recipes of the golden nonlinearities: every scheme and variant, at a scale at which they differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lowbit.vectors.generate import Recipe

LENGTH, ROWS = 65, 56
"""An odd length, and about so many rows a set."""
TWO_BUILDS = ("double_rounding", "single_rounding")
SCALE_8, SCALE_16 = 0.05, 0.001
INT16_PARAMETERS: Mapping[str, Any] = {"multiplier": 1 << 30, "shift": -10}

SETS: tuple[tuple[str, str, str, str, tuple[str, ...], Mapping[str, Any]], ...] = (
    ("softmax", "int8", "int16", "ivit", ("torch",), {"scale": SCALE_8}),
    ("softmax", "int8", "int8", "ivit", ("paper", "tvm"), {"scale": SCALE_8}),
    ("softmax", "int8", "uint8", "ibert", ("code", "paper"), {"scale": SCALE_8}),
    ("softmax", "int8", "uint8", "fqvit", ("code", "paper"), {"scale": SCALE_8}),
    ("softmax", "int8", "int16", "lowbit", ("",), {"scale": SCALE_8}),
    ("softmax", "int8", "int8", "tflite_int8", TWO_BUILDS, {"scale": SCALE_8}),
    ("softmax", "int8", "int16", "tflite_int8", TWO_BUILDS, {"scale": SCALE_8}),
    ("softmax", "int8", "int8", "litert_int8", ("",), {"scale": SCALE_8}),
    ("softmax", "int8", "int16", "litert_int8", ("",), {"scale": SCALE_8}),
    ("softmax", "int16", "int16", "tflite_int16", TWO_BUILDS, {"scale": SCALE_16}),
    ("softmax", "int16", "int16", "litert_int16", TWO_BUILDS, {"scale": SCALE_16}),
    ("softmax", "int16", "int16", "cmsis_int16", TWO_BUILDS, {"scale": SCALE_16}),
    ("gelu", "int8", "int32", "ivit", ("torch", "tvm"), {"scale": SCALE_8}),
    ("gelu", "int8", "int16", "ivit", ("paper",), {"scale": SCALE_8}),
    ("gelu", "int8", "int32", "ibert", ("code", "paper"), {"scale": SCALE_8}),
    ("gelu", "int8", "int32", "lowbit", ("",), {"scale": SCALE_8}),
    ("layernorm", "int8", "int32", "ivit", ("torch", "paper", "tvm"), {}),
    ("layernorm", "int8", "int32", "ibert", ("code", "paper"), {}),
    ("layernorm", "int8", "int32", "fqvit", ("",), {"result_scale": SCALE_8}),
    ("layernorm", "int8", "int32", "lowbit", ("",), {}),
    ("layernorm", "int16", "int16", "tflite_int16", TWO_BUILDS, INT16_PARAMETERS),
    *(
        entry
        for operation in ("logistic", "tanh")
        for entry in (
            (operation, "int8", "int8", "tflite_int8", TWO_BUILDS, {"scale": SCALE_8, "zero_point": 3}),
            (operation, "int8", "int8", "litert_int8", ("",), {"scale": SCALE_8, "zero_point": 3}),
            (operation, "int16", "int16", "tflite_int16", ("",), {"scale": 2.0**-12}),
            (operation, "int16", "int16", "litert_int16", ("",), {"scale": 2.0**-12}),
            (operation, "int16", "int32", "tosa", ("",), {}),
            (operation, "int16", "int16", "gemmlowp", ("",), {"integer_bits": 3}),
            (operation, "int32", "int32", "gemmlowp", ("",), {"integer_bits": 4}),
        )
    ),
    ("exp", "int8", "int64", "ivit", ("torch", "paper", "tvm"), {"scale": SCALE_8}),
    ("exp", "int8", "int64", "ibert", ("code", "paper"), {"scale": SCALE_8}),
    ("l2norm", "int8", "int8", "tflite_int8", TWO_BUILDS, {"zero_point": 3}),
)
"""(operation, codes, results, scheme, variants, parameters)."""


def nonlinear_recipes() -> Iterator[Recipe]:
    """The recipe of every set."""
    for operation, source, target, scheme, variants, parameters in SETS:
        for variant in variants:
            policy = f"{scheme}+variant={variant}" if variant else scheme
            arguments = {"length": LENGTH, "rows": ROWS, **parameters}
            yield Recipe(operation, source, target, policy, "directed", arguments=arguments)
