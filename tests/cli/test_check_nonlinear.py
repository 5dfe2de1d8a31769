"""``lowbit check softmax|gelu|...`` and ``lowbit gen`` of the same, end to end."""

import json
import shutil
import subprocess
from pathlib import Path

import jsonschema
import numpy as np
import pytest

import lowbit.check

DEVICES = Path(__file__).parents[1] / "dut"
GIVEN = ("--scheme", "ivit", "--scale", "0.05", "--to", "int8")
PYTHON = """
import numpy as np
def logistic(codes):
    return np.clip(np.round(256 / (1 + np.exp(-0.05 * codes))) - 128, -128, 127).astype(np.int8)
def cut(codes):
    return np.floor(256 / (1 + np.exp(-0.05 * codes)) - 128).astype(np.int8)
def mean(codes, weights, biases):
    return np.zeros(codes.shape, np.int16)
"""


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    compiler = shutil.which("cc") or shutil.which("gcc")
    assert compiler, "the tests need a C compiler"
    directory = tmp_path_factory.mktemp("kernels")
    macros = ["-DGELU_B=-51", "-DGELU_C=-2771", "-DGELU_SHIFT=14", "-DGELU_ONE=-1"]
    for bug in ("RIGHT", "TVM", "CRASHES"):
        command = [compiler, "-O2", "-w", "-shared", "-fPIC", "-fwrapv", f"-DBUG={bug}", *macros]
        subprocess.run([*command, "-o", directory / f"{bug}.so", DEVICES / "nonlinear_kernel.c"], check=True)
    (directory / "device.py").write_text(PYTHON)
    return directory


def test_status_of_right_wrong_and_crashing_kernels(lowbit, kernel):
    right = lowbit("check", "softmax", *GIVEN, "--so", f"{kernel}/RIGHT.so:shiftmax")
    assert right.status == 0
    assert "under ivit, variant torch, 8 bits at scale 0.05" in right.out
    random = ("--set", "random", "--n", "9", "--seed", "4")
    assert lowbit("check", "softmax", *GIVEN, *random, "--so", f"{kernel}/RIGHT.so:shiftmax").status == 0
    wrong = lowbit("check", "softmax", *GIVEN, "--so", f"{kernel}/TVM.so:shiftmax", "--max-errors", "1")
    assert wrong.status == 1
    assert "your kernel follows ivit, variant tvm" in wrong.out
    assert "(asked for: torch)" in wrong.out
    assert lowbit("check", "softmax", *GIVEN, "--variant", "tvm", "--so", f"{kernel}/TVM.so:shiftmax").status == 0
    crash = lowbit("check", "softmax", *GIVEN, "--so", f"{kernel}/CRASHES.so:shiftmax")
    assert crash.status == 4
    assert "length=17" in crash.err


def test_python_functions(lowbit, kernel):
    right = lowbit("check", "logistic", "--scale", "0.05", "--python", f"{kernel}/device.py:logistic")
    assert right.status == 0
    wrong = lowbit("check", "logistic", "--scale", "0.05", "--python", f"{kernel}/device.py:cut", "--max-errors", "1")
    assert wrong.status == 1
    assert "rounds result down" in wrong.out
    given = ("--scheme", "tflite_int16", "--option", "multiplier=1073741824", "--option", "shift=-10")
    operands = lowbit("check", "layernorm", *given, "--python", f"{kernel}/device.py:mean", "--max-errors", "1")
    assert operands.status == 1
    assert "int16 -> int16" in operands.out


@pytest.mark.parametrize("form", ["json", "junit", "github", "html"])
def test_forms_of_the_report(lowbit, kernel, tmp_path, form):
    rows = tmp_path / "rows.vec"
    made = ("--scheme", "ivit", "--scale", "0.05", "--to", "int8", "--length", "40", "--n", "60")
    assert lowbit("gen", "softmax", *made, "-o", rows).status == 0
    device = f"{kernel}/TVM.so:shiftmax"
    result = lowbit("check", "softmax", *GIVEN, "--so", device, "--inputs", rows, "--output-format", form)
    assert result.status == 1
    assert "follows ivit, variant tvm" in result.out
    if form == "json":
        schema = (Path(lowbit_check_directory()) / "report/report.schema.json").read_text()
        jsonschema.validate(result.json, json.loads(schema))
        assert result.json["results"][0]["choices"] == {"variant": ["tvm"]}


def lowbit_check_directory():
    return Path(lowbit.check.__file__).parent


def test_results_of_a_device_elsewhere(lowbit, tmp_path):
    cases = tmp_path / "cases.npz"
    chosen = ("--scheme", "lowbit", "--scale", "0.1", "--set", "random", "--n", "7", "--seed", "3")
    assert lowbit("gen", "gelu", *chosen, "-o", cases).status == 0
    with np.load(cases) as arrays:
        names = [name.removesuffix(".codes") for name in arrays.files if name.endswith(".codes")]
        answers = [lowbit_gelu(arrays[f"{name}.codes"]) for name in names]
        assert all(np.array_equal(arrays[f"{name}.expected"], got) for name, got in zip(names, answers, strict=True))
    results = tmp_path / "out.npy"
    np.save(results, np.concatenate([answer.reshape(-1) for answer in answers]))
    assert lowbit("check", "gelu", *chosen, "--results", results).status == 0
    assert lowbit("check", "gelu", *chosen[:-2], "--seed", "4", "--results", results).status == 4


def lowbit_gelu(codes):
    from lowbit.ops.nonlinear.gelu import gelu

    return gelu(codes, scheme="lowbit", scale=0.1)


def test_one_case_alone(lowbit, tmp_path):
    path = tmp_path / "case.npz"
    assert lowbit("gen", "softmax", "--scale", "0.05", "--case", "MaximumPlace.0", "-o", path).status == 0
    with np.load(path) as arrays:
        assert sorted(arrays.files) == ["MaximumPlace.0.codes", "MaximumPlace.0.expected"]
        assert arrays["MaximumPlace.0.codes"].shape == (9, 9)
        assert arrays["MaximumPlace.0.expected"].dtype == np.int16


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["softmax"], "depends on the scale"),
        (["softmax", "--scale", "0"], "scale"),
        (["softmax", "--scale", "0.05"], "no kernel is given"),
        (["softmax", "--scheme", "ivt", "--scale", "1"], "unknown softmax scheme"),
        (["softmax", "--scale", "1", "--variant", "x"], "no variant 'x'"),
        (["softmax", "--scale", "1", "--option", "beta"], "is not NAME=NUMBER"),
        (["softmax", "--scale", "1", "--option", "beta=1"], "beta"),
        (["softmax", "--scale", "1", "--accumulator", "int32"], "--accumulator is for gemm, not for `check softmax`"),
        (["softmax", "--scale", "1", "--policy", "ieee"], "--policy is for conversions"),
        (["gemm", "--variant", "tvm"], "--variant is for nonlinearities, not for `check gemm`"),
        (["logistic", "--scale", "1", "--to", "int16"], "gives int8, not int16"),
        (["encode", "--to", "int8", "--scale", "1"], "--scale is for"),
    ],
)
def test_wrong_usage(lowbit, arguments, words):
    result = lowbit("check", *arguments)
    assert result.status == 2
    assert words in result.err


def test_a_rounding_is_an_option_of_the_exact_schemes(lowbit):
    assert lowbit("gen", "rmsnorm", "--scheme", "exact", "--option", "rounding=toward_zero", "--n", "9").status == 0
    refused = lowbit("gen", "rmsnorm", "--scheme", "exact", "--option", "rounding=zero", "--n", "9")
    assert refused.status == 2
    assert "unknown rounding: 'zero'" in refused.err
