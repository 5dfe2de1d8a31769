"""Who may import whom, what `import lowbit` costs, and which names must not collide."""

import ast
import functools
import re
import subprocess
import sys
from pathlib import Path
from typing import get_origin

import pytest

import lowbit

PACKAGE = Path(lowbit.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))


def module_name(path):
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@functools.cache
def imported_modules(path):
    """Every module that a file imports, inside functions too; type-checking imports count as well."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def test_import_contracts():
    # The contracts stand in pyproject.toml; a broken one fails here as well as in `make lint`.
    # Not through the script of that name: it need not be on the path.
    code = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=PACKAGE.parent, capture_output=True, text=True, check=False, timeout=120
    )
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("library", "homes"),
    [
        ("rich", ("lowbit.check.report.text", "lowbit.cli")),
        ("numba", ("lowbit.kernels",)),
        ("scipy", ("lowbit.allocate", "lowbit.models", "lowbit.quantizers", "lowbit.testing")),
        ("hypothesis", ("lowbit.testing",)),
        ("torch", ("lowbit.dut",)),
        ("onnxruntime", ("lowbit.dut",)),
    ],
)
def test_a_library_has_a_home(library, homes):
    users = set()
    for path in FILES:
        if any(name == library or name.startswith(f"{library}.") for name in imported_modules(path)):
            users.add(module_name(path))
    strays = {
        user for user in users if not any(user == home or user.startswith((f"{home}.", f"{home}_")) for home in homes)
    }
    assert not strays


def test_the_oracle_of_nonlinearities_derives_its_constants_itself():
    # What a scheme is and how wide its registers are is data, stored tables too; what follows from a scale is not.
    data = {"scheme": {"Parameters"}, "widths": {"OVERFLOWS", "Widths"}, "stored_tables": {"stored_table"}}
    allowed = {f"lowbit.nonlinear.{module}.{name}" for module, names in data.items() for name in names}
    for path in FILES:
        name = module_name(path)
        if name.startswith("lowbit.oracle."):
            taken = {item for item in imported_modules(path) if item.startswith("lowbit.nonlinear.")}
            assert taken <= allowed | {f"lowbit.nonlinear.{module}" for module in data}, name
        if name.startswith("lowbit.nonlinear."):
            assert not any(item.startswith("lowbit.oracle") for item in imported_modules(path)), name


def test_the_page_on_two_implementations_names_all_that_the_oracle_shares(repository):
    taken = {item for path in FILES if module_name(path).startswith("lowbit.oracle") for item in imported_modules(path)}
    modules = {module_name(path) for path in FILES}
    shared = {item for item in taken if item in modules and not item.startswith("lowbit.oracle")} - {"lowbit"}
    page = (repository / "docs/explanation/two-implementations.md").read_text(encoding="utf-8")
    rows = [row.split("|")[1] for row in page.splitlines() if row.startswith("| `")]
    assert {name for row in rows for name in re.findall(r"`([\w.]+)`", row)} == shared


def test_import_lowbit_is_light(modules_after):
    loaded = modules_after("import lowbit")
    assert "lowbit" in loaded
    assert not loaded & {"numba", "scipy", "rich", "numpy", "ml_dtypes", "pulp"}


def test_the_allocator_needs_no_numba_for_small_problems(modules_after):
    loaded = modules_after(
        "import lowbit; p = lowbit.allocate.example('hawq_v3_resnet18').with_limits({'bytes': '50%'}); "
        "assert lowbit.allocate.solve(p).status == 'optimal'"
    )
    assert not loaded & {"numba", "scipy", "pulp", "rich"}


def test_formats_and_policies_need_no_numba(modules_after):
    loaded = modules_after(
        "import lowbit; lowbit.get_format('int4'); lowbit.formats(); lowbit.CAST_PRESETS; lowbit.pack([1, 2], 4)"
    )
    assert "lowbit.ops.pack.pack" in loaded
    assert not loaded & {"numba", "scipy", "rich"}


@pytest.mark.parametrize(
    ("statement", "limit"),
    [
        ("import lowbit", 0.060),  # the promise
        ("import lowbit; lowbit.Policy, lowbit.get_format", 0.250),  # about 50 ms; Numba alone would take longer
    ],
)
def test_import_time_over_numpy(run_python, statement, limit):
    # Processor time of that process alone, the least of several: neither other processes nor the interpreter's start
    # count.
    code = f"import numpy, time; start = time.process_time(); {statement}; print(time.process_time() - start)"
    seconds = [float(run_python(code)) for _ in range(5)]
    assert 0 < min(seconds) < limit


def test_no_submodule_bears_a_public_name():
    # A lazily loaded function and a submodule of the same name would swap on second access.
    submodules = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or path.is_dir()}
    public = {name for name in lowbit.__all__ if not name.startswith("_")}
    assert len(public) > 10
    modules = {name for name in public if name in submodules}
    assert all(type(getattr(lowbit, name)).__name__ == "module" for name in modules), modules


def test_every_public_name_loads_and_is_documented():
    for name in lowbit.__all__:
        thing = getattr(lowbit, name)
        assert thing is getattr(lowbit, name)
        if callable(thing) and get_origin(thing) is None:  # aliases of types are documented where they stand
            assert thing.__doc__, name


def test_the_stub_lists_what_the_package_exports():
    stub = ast.parse((PACKAGE / "__init__.pyi").read_text(encoding="utf-8"))
    listed = {
        alias.asname or alias.name for node in stub.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert {name for name in lowbit.__all__ if not name.startswith("_")} <= listed
