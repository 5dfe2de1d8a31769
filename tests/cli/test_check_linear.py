"""``lowbit check linear|conv`` and ``lowbit gen`` of the same, end to end."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from lowbit.vectors.manifest import golden_directory

DEVICES = Path(__file__).parents[1] / "dut"
PYTHON = """
import lowbit


def linear(a, b, bias, multiplier, shift, a_zero_point, zero_point):
    sums = lowbit.gemm(a, b, a_zero_point=a_zero_point, bias=bias)
    return lowbit.requantize(
        sums, scheme="tflite_double", multiplier=multiplier, shift=shift, zero_point=zero_point
    )


def by_scale(a, b, bias, scale, a_zero_point, zero_point):
    sums = lowbit.gemm(a, b, a_zero_point=a_zero_point, bias=bias)
    return lowbit.requantize(sums, scheme="xnnpack_fp32", scale=scale, zero_point=zero_point, result="uint8")
"""


@pytest.fixture(scope="module")
def kernels(tmp_path_factory):
    directory = tmp_path_factory.mktemp("linear")
    compiler = shutil.which("cc") or shutil.which("gcc")
    assert compiler, "the tests need a C compiler"
    for bug in ("RIGHT", "NO_BIAS", "TAIL", "PADS_WITH_ZERO", "FIRST_GROUP"):
        command = [compiler, "-O2", "-shared", "-fPIC", "-fwrapv", f"-DBUG={bug}", "-o", directory / f"{bug}.so"]
        subprocess.run([*command, DEVICES / "linear_kernel.c"], check=True)
    (directory / "device.py").write_text(PYTHON, "utf-8")
    return directory


def test_c_kernels(lowbit, kernels):
    assert lowbit("check", "linear", "--so", f"{kernels}/RIGHT.so:linear").status == 0
    wrong = lowbit("check", "linear", "--so", f"{kernels}/NO_BIAS.so:linear")
    assert wrong.status == 1
    assert "your kernel ignores the bias, and is otherwise exact" in wrong.out
    tail = lowbit("check", "linear", "--so", f"{kernels}/TAIL.so:linear")
    assert "your kernel drops the tail of k: only whole groups of 8 products are added" in tail.out


def test_python_functions_and_other_types(lowbit, kernels):
    random = ("--set", "random", "--n", "4")
    assert lowbit("check", "linear", "--python", f"{kernels}/device.py:linear", *random).status == 0
    options = ("--a", "uint8", "--b", "int4", "--scheme", "xnnpack_fp32", "--to", "uint8")
    assert lowbit("check", "linear", "--python", f"{kernels}/device.py:by_scale", *options, *random).status == 0


def test_a_convolution_in_c(lowbit, kernels):
    assert lowbit("check", "conv", "--so", f"{kernels}/RIGHT.so:conv").status == 0
    wrong = lowbit("check", "conv", "--so", f"{kernels}/PADS_WITH_ZERO.so:conv")
    assert wrong.status == 1
    assert "takes what lies outside of an image for the code 0, not for the zero point of a" in wrong.out
    assert lowbit("gen", "conv", "--case", "Shape.25").status == 0


def test_a_convolution_in_groups_in_c(lowbit, kernels, tmp_path):
    options = ("--zero-points", "--groups", "any")
    sets = ("--set", "random", "--n", "12")
    assert lowbit("check", "conv", "--so", f"{kernels}/RIGHT.so:grouped", *options, *sets).status == 0
    wrong = lowbit("check", "conv", "--so", f"{kernels}/FIRST_GROUP.so:grouped", *options, *sets)
    assert wrong.status == 1
    assert "your kernel lets each output see the channels of the first group, and is otherwise exact" in wrong.out
    rows = tmp_path / "rows.vec"
    assert lowbit("gen", "conv", *options, "--n", "4", "-o", rows).status == 0
    found = lowbit("check", "conv", "--so", f"{kernels}/RIGHT.so:grouped", *options, "--inputs", rows)
    assert found.status == 0
    assert "672 vectors" in found.out


def test_rows_of_a_golden_file(lowbit, kernels):
    golden = golden_directory()
    rows = golden / "linear/int8_int8/int8.tflite_double.vec"
    assert lowbit("check", "linear", "--so", f"{kernels}/RIGHT.so:linear", "--inputs", rows).status == 0
    wrong = lowbit("check", "linear", "--so", f"{kernels}/NO_BIAS.so:linear", "--inputs", rows)
    assert "your kernel ignores the bias, and is otherwise exact" in wrong.out
    rows = golden / "conv/int8_int8/int8.tflite_double-window-3-padding-1.vec"
    assert lowbit("check", "conv", "--so", f"{kernels}/RIGHT.so:conv", "--inputs", rows).status == 0


def test_rows_of_wide_operands_whose_sums_wrap(lowbit):
    result = lowbit("gen", "conv", "--a", "int16", "--b", "int16", "--to", "int4", "--n", "2")
    assert result.status == 0
    assert "// rows: 2\n" in result.out


def test_results_of_generated_cases(lowbit, tmp_path):
    cases, results = tmp_path / "cases.npz", tmp_path / "results.bin"
    given = ("--set", "random", "--n", "3", "--seed", "5")
    assert lowbit("gen", "linear", *given, "-o", cases).status == 0
    with np.load(cases) as arrays:
        names = ("a", "b", "bias", "multiplier", "shift", "a_zero_point", "zero_point", "expected")
        assert sorted(arrays.files) == sorted(f"Random.{case}.{name}" for case in range(3) for name in names)
        results.write_bytes(b"".join(arrays[f"Random.{case}.expected"].tobytes() for case in range(3)))
    assert lowbit("check", "linear", *given, "--results", results).status == 0
    assert "bias" in lowbit("gen", "linear", "--case", "KTail.3").out


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("check", "linear", "--a", "float32", "--python", "m:f"), "float32"),
        (("check", "linear", "--scheme", "tosa_single", "--python", "m:f"), "does not take every int32 accumulator"),
        (("check", "linear", "--accumulator", "int32", "--python", "m:f"), "--accumulator is for gemm"),
        (("check", "linear", "--inputs", "x.vec", "--python", "m:f"), "x.vec"),
        (("gen", "conv", "--length", "0", "--groups", "both"), "invalid choice"),
        (("check", "linear"), "no kernel is given"),
        (
            ("gen", "linear", "--length", "1000000", "--n", "1"),
            "a column a of 2,000,000 digits: files have at most 1,048,576",
        ),
    ],
)
def test_usage_errors(lowbit, words, what):
    result = lowbit(*words)
    assert result.status == 2
    assert what in result.err
