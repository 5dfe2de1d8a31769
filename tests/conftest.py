"""What all tests share: paths, and a Hypothesis profile that a slow shared machine does not break."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

# Read when NumPy is imported: pytest's workers have a core each, and threads of BLAS beside them wait for one another.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import pytest
from hypothesis import settings

REPOSITORY = Path(__file__).resolve().parent.parent

# Deadlines measure the machine, not the code: the first call of a kernel compiles it.
# `make test` draws a fifth of the examples (tests/thinned.py), `make test-rest` all of them, `make explore` other ones.
settings.register_profile("lowbit", deadline=None, print_blob=True, derandomize=True, max_examples=20)
settings.register_profile("whole", deadline=None, print_blob=True, derandomize=True)
settings.register_profile("explore", deadline=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "lowbit"))


@pytest.fixture(scope="session")
def repository() -> Path:
    """The top of the checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """The name of a function in ``dut/hostile_kernel.c``, as ``--so`` takes it; it converts tf32 to float8_e4m3fn."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    assert compiler, "the tests need a C compiler"
    path = tmp_path_factory.mktemp("hostile") / "hostile.so"
    source = Path(__file__).with_name("dut") / "hostile_kernel.c"
    subprocess.run([compiler, "-O1", "-w", "-shared", "-fPIC", "-DSHIFT=13", "-o", path, source], check=True)
    return lambda symbol: f"{path}:{symbol}"


@pytest.fixture(scope="session")
def run_python() -> Callable[[str], str]:
    """What a statement prints in an interpreter of its own, which must end well."""

    def run(code: str) -> str:
        result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
        assert result.returncode == 0, result.stderr
        return result.stdout

    return run


@pytest.fixture(scope="session")
def modules_after(run_python: Callable[[str], str]) -> Callable[[str], set[str]]:
    """The modules that are loaded after a statement in an interpreter of its own."""

    def modules(code: str) -> set[str]:
        return set(run_python(f"import sys; {code}; print('\\n' + ' '.join(sys.modules))").splitlines()[-1].split())

    return modules
