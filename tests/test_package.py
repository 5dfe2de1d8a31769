"""What `import lowbit` gives and what it and a look-up cost."""

import subprocess
import sys

import pytest

import lowbit
from lowbit.format.registry import data_directory


def run(code):
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_a_look_up_by_id_reads_one_file_and_needs_no_numpy():
    code = """
import pathlib, sys
read, original = [], pathlib.Path.read_text
pathlib.Path.read_text = lambda self, *a, **k: (read.append(self.name), original(self, *a, **k))[1]
import lowbit
assert lowbit.get_format("float8_e4m3fn").bits == 8
print(read, sorted({"numpy", "numba", "ml_dtypes", "importlib.metadata"} & set(sys.modules)))
"""
    assert run(code).strip() == "['float8_e4m3fn.toml'] []"


def test_the_public_names_are_lazy_and_all_there():
    code = """
import sys, lowbit
heavy = {"numpy", "numba", "scipy", "rich", "ml_dtypes"} & set(sys.modules)
missing = [name for name in lowbit.__all__ if getattr(lowbit, name, None) is None]
print(sorted(heavy), missing, "formats" in dir(lowbit))
"""
    assert run(code).strip() == "[] [] True"


def test_an_unknown_public_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'encoded'"):
        _ = lowbit.encoded


def test_the_stub_names_what_the_package_exports():
    stub = (data_directory("formats").parent / "lowbit" / "__init__.pyi").read_text(encoding="utf-8")
    assert {line.split(" as ")[1] for line in stub.splitlines() if " as " in line} == set(lowbit.__all__)


def test_many_threads_look_up_at_once():
    code = """
import threading, lowbit
names = ["E4M3FN", "int4", "binary8p4se", "float32", "bf16", "q1.7"] * 4
found, start = [], threading.Barrier(len(names))
def look(name):
    start.wait()
    found.append(lowbit.get_format(name).bits)
threads = [threading.Thread(target=look, args=(name,)) for name in names]
[thread.start() for thread in threads]; [thread.join() for thread in threads]
print(sorted(found) == sorted([8, 4, 8, 32, 16, 8] * 4), len(lowbit.families()))
"""
    assert run(code).strip() == f"True {len(lowbit.families())}"


@pytest.mark.parametrize("module", ["lowbit", "lowbit.cli"])
def test_the_package_runs_as_the_command_does(module):
    command = [sys.executable, "-m", module]
    version = subprocess.run([*command, "--version"], capture_output=True, text=True, timeout=60, check=True)
    assert version.stdout.strip() == f"lowbit {lowbit.__version__}"
    wrong = subprocess.run([*command, "shwo"], capture_output=True, text=True, timeout=60, check=False)
    assert wrong.returncode == 2
    assert "Usage: python -m" not in wrong.stderr
    assert "show" in wrong.stderr
