"""Kernels with planted bugs, compiled once."""

import shutil
import subprocess
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "dut" / "cast_kernel.c"
BUGS = ("right", "ties_away", "truncate", "early_overflow", "flush", "wrong_nan", "lost_sticky", "sign_of_zero")


@pytest.fixture(scope="session")
def build_kernel(tmp_path_factory):
    """``build(source, bug, "-DOPTION")``: a file of kernels of which each has the bug."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    assert compiler, "the tests need a C compiler"
    directory = tmp_path_factory.mktemp("built")

    def build(source, bug, *definitions):
        path = directory / f"{source.stem}_{bug}{''.join(definitions)}.so"
        command = [compiler, "-O1", "-w", "-shared", "-fPIC", f"-DBUG={bug}", *definitions]
        subprocess.run([*command, "-o", path, source, "-lm"], check=True)
        return path

    return build


@pytest.fixture(scope="session")
def kernels(tmp_path_factory):
    """Name of the planted bug -> ``path:symbol``."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    assert compiler, "the tests need a C compiler"
    directory = tmp_path_factory.mktemp("kernels")
    devices = {}
    for number, name in enumerate(BUGS):
        path = directory / f"{name}.so"
        subprocess.run([compiler, "-O1", "-w", "-shared", "-fPIC", f"-DBUG={number}", "-o", path, SOURCE], check=True)
        devices[name] = f"{path}:cast"
    return devices
