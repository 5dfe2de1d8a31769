"""The golden dot products and requantisations are what the fast path computes, and tell accumulators apart."""

from dataclasses import replace

import numpy as np
import pytest

from lowbit.check.requantize.conv import ConvOperation
from lowbit.check.requantize.linear import LinearOperation
from lowbit.check.requantize.operation import RequantizeOperation
from lowbit.errors import InputError, VectorFileError
from lowbit.format.registry import get_format
from lowbit.ops.gemm.accumulate import accumulate
from lowbit.policy.accumulator import ACCUMULATORS, get_accumulator
from lowbit.policy.requantize import REQUANTIZE_SCHEMES, get_requantize_scheme
from lowbit.vectors.elements import elements_of
from lowbit.vectors.gemm.sets import parse_operands
from lowbit.vectors.manifest import golden_directory, read_manifest, read_set
from lowbit.vectors.requantize.sets import read_requantizations

ENTRIES = read_manifest()
DOTS = [entry for entry in ENTRIES.values() if entry.recipe.op == "gemm"]
LAYERS = [entry for entry in ENTRIES.values() if entry.recipe.op in ("linear", "conv")]
REQUANTIZATIONS = [entry for entry in ENTRIES.values() if entry.recipe.op == "requantize"]


def matrices(entry):
    file = read_set(entry)
    operands = parse_operands(entry.recipe.source)
    a, b = elements_of(file, "a", operands.a), elements_of(file, "b", operands.b)
    digits = {column.name: column.digits for column in file.columns}
    bits = np.int64(64 - 4 * digits["expected"])
    return a, b, (file.column("expected").view(np.int64) << bits) >> bits


@pytest.mark.parametrize("entry", DOTS, ids=lambda entry: entry.id)
def test_dot_products_are_those_of_the_kernels(entry):
    a, b, expected = matrices(entry)
    got = [
        accumulate(row[None, :], column[:, None], entry.recipe.policy)[0, 0] for row, column in zip(a, b, strict=True)
    ]
    assert np.array_equal(np.array(got, np.int64), expected)


def test_every_accumulator_has_a_set():
    assert {entry.recipe.policy for entry in DOTS} == set(ACCUMULATORS)


@pytest.mark.parametrize(
    "name",
    [
        "x86_vpmaddubsw",
        "x86_vpmaddubsw_int16",
        "arm_smlal",
        "fpga_20",
        "fpga_20_saturate",
        "fpga_24",
        "fpga_24_saturate",
        "dfp16_15bit",
        "dfp16_14bit",
        "dfp16_13bit",
        "dfp16_12bit",
    ],
)
def test_a_set_catches_the_exact_sum(name):
    (entry,) = (entry for entry in DOTS if entry.recipe.policy == name)
    a, b, expected = matrices(entry)
    exact = (a.astype(np.int64) * b.astype(np.int64)).sum(axis=1)
    assert np.count_nonzero(exact != expected) >= 2
    assert get_accumulator(name).result_width in (20, 16, 24, 32, 64)


@pytest.mark.parametrize("entry", REQUANTIZATIONS, ids=lambda entry: entry.id)
def test_requantisations_are_those_of_the_kernels(entry):
    scheme = get_requantize_scheme(entry.recipe.policy)
    operation = RequantizeOperation(scheme, get_format(entry.recipe.target))
    path = str(golden_directory() / entry.recipe.file)
    cases = read_requantizations(path, scheme)
    file = read_set(entry)
    mask = (1 << operation.result.bits) - 1
    got = [int(operation.expected(case)[0]) & mask for case in cases]
    assert got == file.column("expected").tolist()


def layer_of(entry):
    """The operation of a set of layers, and the file's path."""
    operands = replace(parse_operands(entry.recipe.source), zero_points=bool(entry.recipe.arguments.get("zero_points")))
    scheme, *geometry = entry.recipe.policy.split("+")
    parts = operands, get_requantize_scheme(scheme), get_format(entry.recipe.target)
    path = str(golden_directory() / entry.recipe.file)
    grouped = any(word.startswith("groups=") for word in geometry)
    return LinearOperation(*parts) if entry.recipe.op == "linear" else ConvOperation(*parts, "any" * grouped), path


@pytest.mark.parametrize("entry", LAYERS, ids=lambda entry: entry.id)
def test_layers_are_those_of_the_kernels(entry):
    operation, path = layer_of(entry)
    expected = elements_of(read_set(entry), "expected", operation.result)
    for case, row in zip(operation.read_cases(path), expected, strict=True):
        assert operation.expected(case).ravel().tolist() == row.tolist()
    assert len({tuple(row) for row in expected.tolist()}) > len(expected) // 5


def test_sets_of_layers_have_depthwise_convolutions_and_a_zero_point_of_b():
    kinds = {(entry.recipe.op, "groups=4" in entry.recipe.policy) for entry in LAYERS}
    assert kinds == {("linear", False), ("conv", False), ("conv", True)}
    for op in ("linear", "conv"):
        (entry,) = (entry for entry in LAYERS if entry.recipe.op == op and entry.recipe.arguments.get("zero_points"))
        operation, path = layer_of(entry)
        cases = operation.read_cases(path)
        ignored = [replace(case, scalars={**case.scalars, "b_zero_point": 0}) for case in cases]
        assert any((operation.expected(a) != operation.expected(b)).any() for a, b in zip(cases, ignored, strict=True))


def test_sets_of_other_layers_are_refused():
    (depthwise,) = (entry for entry in LAYERS if entry.recipe.policy.endswith("groups=4"))
    operation, path = layer_of(depthwise)
    with pytest.raises(InputError, match="holds convolutions of 4 groups"):
        ConvOperation(operation.operands, operation.scheme, operation.result).read_cases(path)
    with pytest.raises(VectorFileError, match=r"columns a, b, .* of conv, not those of linear"):
        LinearOperation(operation.operands, operation.scheme, operation.result).read_cases(path)
    with pytest.raises(VectorFileError, match="not those of conv: a, b, bias, scale"):
        ConvOperation(operation.operands, get_requantize_scheme("xnnpack_fp32"), operation.result, "any").read_cases(
            path
        )


def test_every_arithmetic_has_a_set():
    covered = {REQUANTIZE_SCHEMES[entry.recipe.policy] for entry in REQUANTIZATIONS}
    named = {scheme.product_name for scheme in covered}
    assert {"tflite_double", "tflite_single", "tosa_single", "tosa_double", "xnnpack_fp32", "xnnpack_rndnu",
            "xnnpack_rndnu16", "onnxruntime"} <= {entry.recipe.policy for entry in REQUANTIZATIONS}  # fmt: skip
    assert "" not in named or len(named) > 1
