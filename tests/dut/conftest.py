"""A compiled kernel for the tests of devices."""

import shutil
import subprocess
from pathlib import Path

import pytest

from lowbit.format.registry import get_format


@pytest.fixture(scope="session")
def kernel(tmp_path_factory):
    """The shared object of the right kernel, with its ill-behaved neighbours."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    assert compiler, "the tests need a C compiler"
    path = tmp_path_factory.mktemp("kernel") / "cast.so"
    source = Path(__file__).with_name("cast_kernel.c")
    subprocess.run([compiler, "-O1", "-w", "-shared", "-fPIC", "-o", path, source], check=True)
    return path


@pytest.fixture
def source():
    return get_format("float32")


@pytest.fixture
def target():
    return get_format("float8_e4m3fn")
