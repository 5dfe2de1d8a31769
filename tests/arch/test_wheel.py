"""The wheel: holds its data, and works with no checkout beside it."""

import os
import subprocess
import sys
import tomllib
import zipfile

import pytest

from lowbit._version import __version__
from lowbit.nonlinear.stored_tables import stored_tables

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(repository, tmp_path_factory):
    """A wheel built from the checkout, with no network and no build isolation."""
    pytest.importorskip("hatchling")
    directory = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(directory)]
    result = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False, timeout=120)
    assert result.returncode == 0, result.stderr
    (path,) = directory.glob("*.whl")
    return path


def test_name_and_version(wheel):
    assert wheel.name == f"lowbit-{__version__}-py3-none-any.whl"


def test_holds_the_stored_tables(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    for name in stored_tables():
        assert f"lowbit/nonlinear/tables/{name}.txt" in names


def test_holds_package_formats_and_golden(wheel, repository):
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder in ("formats", "golden"):
        files = [
            path
            for path in (repository / folder).rglob("*")
            if path.is_file() and path.suffix in {".toml", ".json", ".vec", ".safetensors"}
        ]
        assert files
        for path in files:
            assert f"lowbit/_data/{path.relative_to(repository).as_posix()}" in names
    beside_the_code = {
        "py.typed",
        "__init__.pyi",
        "check/report/report.schema.json",
        "check/published_differences.toml",
        "policy/defects.toml",
        "vectors/flags/flags.toml",
        "cli/error_topics.toml",
        "cli/glossary.toml",
    }
    beside_the_code |= {f"allocate/{name}.schema.json" for name in ("plan", "report")}
    beside_the_code |= {f"allocate/data/hawq_v3_{name}.toml" for name in ("resnet18", "resnet50")}
    assert {f"lowbit/{name}" for name in beside_the_code} <= set(names)
    assert not [name for name in names if name.startswith(("tests/", "bench/", "docs/")) or "__pycache__" in name]


def test_is_small_enough_to_download(wheel):
    assert wheel.stat().st_size <= 12_000_000


def test_metadata_has_no_torch(wheel):
    archive = zipfile.ZipFile(wheel)
    (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
    metadata = archive.read(name).decode()
    requirements = [line.split(": ", 1)[1] for line in metadata.splitlines() if line.startswith("Requires-Dist: ")]
    assert any(line.startswith("numpy>=2") for line in requirements)
    assert not [line for line in requirements if line.lower().startswith("torch")]
    assert "License-Expression: Apache-2.0" in metadata


def test_works_alone(wheel, tmp_path):
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    environment = {**os.environ, "PYTHONPATH": str(site), "LOWBIT_CACHE_DIR": str(tmp_path / "cache")}
    code = (
        "import lowbit, pathlib, sys; "
        "home = pathlib.Path(lowbit.__file__).parent; "
        "assert home == pathlib.Path(sys.argv[1]) / 'lowbit', home; "
        "from lowbit.format.registry import data_directory; "
        "assert data_directory('formats') == home / '_data' / 'formats'; "
        "assert data_directory('golden') == home / '_data' / 'golden'; "
        "assert lowbit.encode([1.0, 500.0], 'float8_e4m3fn').tolist() == [0x38, 0x7e]"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, str(site)], cwd=tmp_path, env=environment, capture_output=True, text=True,
        check=False, timeout=300,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    shown = subprocess.run(
        [sys.executable, "-m", "lowbit.cli", "show", "float8_e5m2"], cwd=tmp_path, env=environment,
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert shown.returncode == 0, shown.stderr
    assert "57344" in shown.stdout


def test_the_script_is_declared(repository):
    project = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["scripts"] == {"lowbit": "lowbit.cli:main"}
    assert not any("torch" in line for extra in project["optional-dependencies"].values() for line in extra)
