"""The golden dot products and requantisations are what the fast path computes, and tell accumulators apart."""

import numpy as np
import pytest

from lowbit.check.requantize.operation import RequantizeOperation
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


def test_every_arithmetic_has_a_set():
    covered = {REQUANTIZE_SCHEMES[entry.recipe.policy] for entry in REQUANTIZATIONS}
    named = {scheme.product_name for scheme in covered}
    assert {"tflite_double", "tflite_single", "tosa_single", "tosa_double", "xnnpack_fp32", "xnnpack_rndnu",
            "xnnpack_rndnu16", "onnxruntime"} <= {entry.recipe.policy for entry in REQUANTIZATIONS}  # fmt: skip
    assert "" not in named or len(named) > 1
