"""Every row of expected_differences.toml still holds: its example is run through lowbit and through the peer."""

import tomllib
from pathlib import Path

import pytest

from lowbit.policy import DEFECTS, PRESET_OVERRIDES, PRESETS

HERE = Path(__file__).parent
with (HERE / "expected_differences.toml").open("rb") as file:
    ROWS = tomllib.load(file)["difference"]
IDS = [row["id"] for row in ROWS]
LIBRARIES = {"numpy", "ml_dtypes", "torch", "onnxruntime"}
OF_LIBRARIES = [row["id"] for row in ROWS if row["peer"] in LIBRARIES]


def test_ids_are_unique():
    assert len(set(IDS)) == len(IDS)


@pytest.mark.parametrize("name", IDS)
def test_a_row_says_who_is_right_and_why(name, differences):
    row = differences[name]
    assert row.right in {"lowbit", "peer", "unspecified"}
    assert row.link.startswith("https://")
    assert len(row.why) > 40
    assert row.defect in {"", *DEFECTS}


@pytest.mark.parametrize("name", IDS)
def test_lowbit_gives_what_the_row_says(name, differences, run_example):
    row = differences[name]
    plain, whole, covered = run_example(row)
    assert covered
    assert plain == int(row.example["ours"], 16)
    assert whole == int(row.example["theirs" if row.defect else "ours"], 16)
    assert int(row.example["ours"], 16) != int(row.example["theirs"], 16)


@pytest.mark.parametrize("name", OF_LIBRARIES)
def test_the_library_gives_what_the_row_says(name, differences, run_library):
    row = differences[name]
    theirs = run_library(row)
    wanted = {int(row.example["theirs"], 16)} | ({int(row.example["ours"], 16)} if row.varies else set())
    assert theirs in wanted, f"{row.peer} gives {theirs:#x}: the row is out of date"


def test_every_defect_of_a_preset_has_a_row(differences):
    named = {
        (preset.removesuffix("_nosat"), defect)
        for preset in PRESETS
        for policy in (PRESETS[preset], *PRESET_OVERRIDES.get(preset, {}).values())
        for defect in policy.defects
    }
    assert named == {(row.peer, row.defect) for row in differences.values() if row.defect}
