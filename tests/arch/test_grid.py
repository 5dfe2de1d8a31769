"""The grid of the house: the same concept folders on every floor, and a short way through them."""

import sys
from pathlib import Path, PurePosixPath

import pytest

import lowbit
from lowbit.cli import main
from lowbit.cli.verbs import check

PACKAGE = Path(lowbit.__file__).parent
TESTS = Path(__file__).resolve().parents[1]

MAX_MODULES = 25
ROOT_MODULES = {"errors", "exact", "fixed_point", "printable"}
"""All that may stand beside the floors; what more there is belongs on a floor."""
NOT_PUBLIC = {"_cache", "_jit", "_version"}

CONCEPTS = {
    "arithmetic",
    "block",
    "cast",
    "entropy",
    "fixed_point",
    "gemm",
    "nonlinear",
    "pack",
    "quantizers",
    "requantize",
}
"""What lowbit is about: a folder of a floor bears one of these names, or stands in OWN_FOLDERS."""
FLOORS = ("check", "kernels", "ops", "oracle", "proof", "vectors")
OWN_FOLDERS = {
    "allocate": {"data", "search", "sensitivity"},
    "check": {"model", "report"},
    "cli": {"report", "verbs"},
    "format": {"files"},
    "kernels": {"allocate", "lib"},
    "models": {"conversion", "diffusion", "export", "language", "training"},
    "nonlinear": {"tables"},
    "oracle": {"layers"},
    "policy": {"presets"},
    "quantizers": {"methods", "learned"},
    "vectors": {"flags"},
}
OF_MANY_FLOORS = {"agree", "arch", "cross", "golden", "rtl"}
"""Tests of more than one floor; the other folders of tests bear the names of the folders that they test."""
OF_THE_WHOLE = {"package", "documentation"}
"""Tests of no module and no folder; the other files beside the folders are those of modules beside the floors."""

MAX_FOLDERS_OF_CHECK = 11


def folders(root):
    """All folders below one that hold files, with respect to it."""
    found = {path.parent.relative_to(root) for path in root.rglob("*") if path.is_file()}
    found |= {parent for folder in found for parent in folder.parents}
    return sorted(folder for folder in found if "__pycache__" not in folder.parts and folder != Path())


FOLDERS = folders(PACKAGE)


def concepts_of(floor):
    return {folder.parts[1] for folder in FOLDERS if folder.parts[0] == floor and len(folder.parts) == 2} & CONCEPTS


@pytest.mark.parametrize("floor", sorted({folder.parts[0] for folder in FOLDERS}))
def test_folders_bear_the_names_of_concepts(floor):
    allowed = OWN_FOLDERS.get(floor, set()) | (CONCEPTS if floor in FLOORS else set())
    inside = {folder.relative_to(floor) for folder in FOLDERS if folder.parts[0] == floor} - {Path()}
    assert {folder.parts[0] for folder in inside} <= allowed
    assert all(len(folder.parts) == 1 for folder in inside), "a folder in a concept's folder"


def test_a_concept_of_an_upper_floor_stands_on_the_lower_ones():
    # What is checked has vectors; what has vectors, a proof, a kernel or an oracle is computed by ops, or by a floor of
    # its name.
    computed = concepts_of("ops") | {"entropy", "quantizers"}
    assert concepts_of("check") <= concepts_of("vectors") <= computed
    assert concepts_of("check") <= concepts_of("oracle") <= computed
    assert concepts_of("kernels") <= computed
    assert concepts_of("proof") <= computed
    assert concepts_of("check") >= {"cast", "gemm", "nonlinear", "requantize"}


def test_what_the_rules_allow_is_there():
    assert {PurePosixPath(floor, name).as_posix() for floor, names in OWN_FOLDERS.items() for name in names} <= {
        folder.as_posix() for folder in FOLDERS
    }
    assert set.union(*map(concepts_of, FLOORS)) == CONCEPTS


@pytest.mark.parametrize("folder", FOLDERS, ids=str)
def test_no_folder_is_too_full(folder):
    assert len(list((PACKAGE / folder).glob("*.py"))) <= MAX_MODULES


def test_few_modules_stand_beside_the_floors():
    assert {path.stem for path in PACKAGE.glob("*.py")} == ROOT_MODULES | {"__init__", "__main__", "_version"}


def test_modules_have_public_names():
    # A module that only its folder needs says so in its docstring; an underscore hides it from who looks for it.
    names = {path.stem for path in PACKAGE.rglob("*.py") if path.stem.startswith("_") and not path.stem.endswith("__")}
    assert names == NOT_PUBLIC


def test_tests_mirror_the_grid():
    strays = {folder for folder in folders(TESTS) if folder.parts[0] not in OF_MANY_FLOORS} - set(FOLDERS)
    assert not strays
    assert {path.stem.removeprefix("test_") for path in TESTS.glob("test_*.py")} <= ROOT_MODULES | OF_THE_WHOLE


def files_entered(call, within=None):
    """The files of lowbit whose functions run in a call, or within a function of its, with respect to the package."""
    entered, inside = {}, within is None

    def note(frame, event, _):
        nonlocal inside
        if frame.f_code is within:
            inside = event == "call"
        if event == "call" and inside and frame.f_code.co_filename.startswith(str(PACKAGE)):
            entered[Path(frame.f_code.co_filename).relative_to(PACKAGE)] = None

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        call()
    finally:
        sys.setprofile(before)
    return list(entered)


def test_check_gemm_goes_through_few_folders(tmp_path, monkeypatch, capsys):
    # From the verb to the verdict, arguments read and imports done; what stands beside the floors is in no folder.
    (tmp_path / "device_of_grid.py").write_text(
        "def multiply(a, b):\n    return a.astype('i4') @ b.astype('i4')\n", "utf-8"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    command = ["check", "gemm", "--python", "device_of_grid:multiply", "--set", "random", "--n", "3"]
    assert main(command) == 0
    entered = files_entered(lambda: main(command), within=check.run.__code__)
    assert "pass" in capsys.readouterr().out
    found = {path.parent.as_posix() for path in entered} - {"."}
    assert {"cli/verbs", "vectors/gemm", "check/gemm", "dut", "check/report"} <= found
    assert len(found) <= MAX_FOLDERS_OF_CHECK, sorted(found)
