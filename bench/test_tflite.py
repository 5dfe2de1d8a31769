"""TFLite's nonlinear operators against LiteRT's kernels, one thread: softmax has a figure, the others are reported."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import lowbit
from bench.measure import Table
from tests.cross.tflite_activations import l2norm_model, sigmoid_model, softmax_model
from tests.cross.tflite_models import open_litert

CODES = 1 << 20
SCALE = 0.05
SOFTMAX_FIGURE = 5.0
REFERENCE = "LiteRT BUILTIN_REF"
OPTIMISED = "LiteRT optimised"
REPORTED = 0.0  # no figure: the ratio is only reported


def peer(blob: bytes, codes: np.ndarray, resolver: str) -> tuple[Callable[[], None], np.ndarray]:
    """A call that computes anew, its input in place, and its answer."""
    session = open_litert(blob, resolver)
    session.set_tensor(session.get_input_details()[0]["index"], codes)
    session.invoke()
    return session.invoke, session.get_tensor(session.get_output_details()[0]["index"])


def rows(length: int, dtype: str) -> np.ndarray:
    limits = np.iinfo(dtype)
    drawn = np.random.default_rng(length)
    return drawn.normal(0, limits.max / 4, (CODES // length, length)).clip(limits.min, limits.max).astype(dtype)


@pytest.mark.parametrize("length", [197, 1024, 4096])
def test_softmax_int8(table: Table, length: int) -> None:
    codes = rows(length, "int8")
    invoke, expected = peer(softmax_model(codes.shape, "int8", SCALE, "int8"), codes, "reference")
    ours = np.empty_like(codes)
    assert np.array_equal(lowbit.softmax(codes, scheme="tflite_int8", scale=SCALE, out=ours), expected)
    row = table.compare(
        f"softmax int8, rows of {length}",
        lambda: lowbit.softmax(codes, scheme="tflite_int8", scale=SCALE),
        REFERENCE,
        invoke,
        SOFTMAX_FIGURE,
        codes.size,
    )
    assert row.met


SOFTMAXES = [
    ("tflite_int8", "int8", "int16", "reference"),
    ("litert_int8", "int8", "int8", "optimized"),
    ("litert_int8", "int8", "int16", "optimized"),
    ("litert_int16", "int16", "int16", "reference"),
    ("litert_int16", "int16", "int16", "optimized"),
]


@pytest.mark.parametrize(("scheme", "source", "result", "resolver"), SOFTMAXES)
def test_softmax_reported(table: Table, scheme: str, source: str, result: str, resolver: str) -> None:
    codes = rows(1024, source)
    scale = SCALE if source == "int8" else SCALE / 256
    invoke, expected = peer(softmax_model(codes.shape, source, scale, result), codes, resolver)

    def ours() -> np.ndarray:
        return lowbit.softmax(codes, scheme=scheme, scale=scale, bits=int(result[3:]))

    assert np.array_equal(ours(), expected)
    name = REFERENCE if resolver == "reference" else OPTIMISED
    table.compare(f"softmax {source} -> {result}, rows of 1024", ours, name, invoke, REPORTED, codes.size)


@pytest.mark.parametrize("operation", ["logistic", "tanh"])
@pytest.mark.parametrize(("scheme", "dtype", "scale"), [("litert_int8", "int8", 0.05), ("tflite_int16", "int16", 3e-4)])
def test_sigmoid_reported(table: Table, scheme: str, dtype: str, scale: float, operation: str) -> None:
    codes = rows(1024, dtype)
    invoke, expected = peer(sigmoid_model(operation, codes.shape, dtype, scale), codes, "reference")
    function = getattr(lowbit, operation)
    assert np.array_equal(function(codes, scheme=scheme, scale=scale), expected)
    ours = lambda: function(codes, scheme=scheme, scale=scale)  # noqa: E731
    table.compare(f"{operation} {dtype}", ours, REFERENCE, invoke, REPORTED, codes.size)


def test_l2norm_reported(table: Table) -> None:
    codes = rows(1024, "int8")
    invoke, expected = peer(l2norm_model(codes.shape, 0), codes, "reference")
    assert np.array_equal(lowbit.l2norm(codes), expected)
    table.compare("l2norm int8, rows of 1024", lambda: lowbit.l2norm(codes), REFERENCE, invoke, REPORTED, codes.size)
