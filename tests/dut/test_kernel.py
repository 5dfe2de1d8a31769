"""Kernels with several operands: misbehaviour is noticed and named, Python functions and files are devices, too."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from lowbit.check.gemm.operation import gemm_prototype
from lowbit.dut import process
from lowbit.dut.python import PythonDevice
from lowbit.dut.results import ResultsFile
from lowbit.dut.shared_object import SharedObjectDevice
from lowbit.errors import DeviceError, InputError
from lowbit.format.registry import get_format
from lowbit.vectors.gemm.cases import gemm_case
from lowbit.vectors.gemm.values import Operands
from lowbit.vectors.patterns import random_codes

INT8 = get_format("int8")
OPERANDS = Operands(INT8, INT8)
PROTOTYPE = gemm_prototype(OPERANDS)


def case(m, n, k):
    return gemm_case(0x42, random_codes(INT8, (m, k), 1), random_codes(INT8, (k, n), 2), OPERANDS)


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    directory = tmp_path_factory.mktemp("kernel")
    compiler = shutil.which("cc") or shutil.which("gcc")
    assert compiler, "the tests need a C compiler"
    source = Path(__file__).with_name("gemm_kernel.c")

    def build(bug):
        path = directory / f"{bug}.so"
        subprocess.run([compiler, "-O1", "-w", "-shared", "-fPIC", f"-DBUG={bug}", "-o", path, source], check=True)
        return f"{path}:gemm"

    return build


def run(device, problem, **options):
    with SharedObjectDevice(device, PROTOTYPE, **options) as kernel:
        return kernel.run(problem)


def test_prototypes():
    assert PROTOTYPE.c("gemm") == (
        "void gemm(const int8_t *a, const int8_t *b, int32_t *c, size_t m, size_t n, size_t k)"
    )
    wide = gemm_prototype(Operands(get_format("uint8"), get_format("int16"), zero_points=True), 64)
    assert wide.c("f") == (
        "void f(const uint8_t *a, const int16_t *b, int64_t *c, size_t m, size_t n, size_t k, int32_t a_zero_point, "
        "int32_t b_zero_point)"
    )
    assert wide.python("f") == "f(a, b, a_zero_point, b_zero_point)"


def test_results_come_back_in_their_shape(compiled):
    problem = case(3, 5, 7)
    expected = problem.arrays["a"].astype(np.int64) @ problem.arrays["b"].astype(np.int64)
    assert np.array_equal(run(compiled("RIGHT"), problem), expected)


def test_memory_grows_with_the_case(compiled, monkeypatch):
    monkeypatch.setattr(process, "ROOM", 1 << 14)
    small, large = case(1, 1, 1), case(65, 64, 63)
    with SharedObjectDevice(compiled("RIGHT"), PROTOTYPE) as kernel:
        for problem in (small, large, small):
            expected = problem.arrays["a"].astype(np.int64) @ problem.arrays["b"].astype(np.int64)
            assert np.array_equal(kernel.run(problem), expected)


@pytest.mark.parametrize(
    ("bug", "code", "words"),
    [
        ("ADDS_TO_C", "LB605", "depends on what the results held before"),
        ("READS_PAST_B", "LB605", "depends on what stands around its operands"),
        ("LEAVES_ROWS", "LB604", "wrote 10 of 15 results"),
        ("WRITES_PAST_C", "LB604", "after the end of its 15 results"),
        ("OVERWRITES_A", "LB604", "overwrote its input a"),
        ("CRASHES", "LB601", "SIGABRT"),
    ],
)
def test_misbehaviour_is_named(compiled, bug, code, words):
    problem = case(3, 5, 17)
    with pytest.raises(DeviceError, match=words) as caught:
        run(compiled(bug), problem)
    assert caught.value.code == code
    assert "case Shape.0 (m=3 n=5 k=17)" in caught.value.message
    assert "void gemm(const int8_t *a" in caught.value.hint


def test_missing_symbol(compiled):
    device = compiled("RIGHT").replace(":gemm", ":gemms")
    with (
        SharedObjectDevice(device, PROTOTYPE) as kernel,
        pytest.raises(InputError, match="gemms"),
    ):
        kernel.open()


PYTHON = """
import numpy as np
def right(a, b):
    return a.astype(np.int32) @ b.astype(np.int32)
def narrow(a, b):
    return a @ b
def wrong_shape(a, b):
    return right(a, b).T
def floats(a, b):
    return right(a, b) * 1.0
def raises(a, b):
    return a @ a @ b
def sleeps(a, b):
    import time
    time.sleep(60)
"""


@pytest.fixture(scope="module")
def module(tmp_path_factory):
    path = tmp_path_factory.mktemp("python") / "products.py"
    path.write_text(PYTHON)
    return path


def test_python_function(module):
    problem = case(4, 6, 9)
    with PythonDevice(f"{module}:right", PROTOTYPE) as kernel:
        assert np.array_equal(kernel.run(problem), problem.arrays["a"].astype(int) @ problem.arrays["b"].astype(int))


@pytest.mark.parametrize(
    ("function", "words"),
    [("wrong_shape", "shape"), ("floats", "float64 where codes of int32"), ("raises", "raised an exception")],
)
def test_python_function_that_fails(module, function, words):
    problem = case(4, 6, 9)
    with (
        PythonDevice(f"{module}:{function}", PROTOTYPE) as kernel,
        pytest.raises(DeviceError, match=words),
    ):
        kernel.run(problem)


def test_python_function_that_hangs(module):
    problem = case(1, 1, 1)
    with (
        PythonDevice(f"{module}:sleeps", PROTOTYPE, timeout=0.5) as kernel,
        pytest.raises(DeviceError, match=r"0\.5 s") as caught,
    ):
        kernel.run(problem)
    assert caught.value.code == "LB602"


def test_file_of_results(tmp_path):
    problems = [case(2, 3, 4), case(1, 1, 5)]
    answers = [item.arrays["a"].astype(int) @ item.arrays["b"].astype(int) for item in problems]
    np.save(tmp_path / "c.npy", np.concatenate([answer.reshape(-1) for answer in answers]))
    device = ResultsFile(str(tmp_path / "c.npy"), get_format("int32"), problems)
    assert all(np.array_equal(device.run(item), answer) for item, answer in zip(problems, answers, strict=True))
    with pytest.raises(DeviceError, match="7 results; the 1 cases have 6"):
        ResultsFile(str(tmp_path / "c.npy"), get_format("int32"), problems[:1]).open()
