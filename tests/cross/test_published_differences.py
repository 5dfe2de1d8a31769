"""Every row of published_differences.toml still holds: its example is run through lowbit and through the product."""

import pytest

from lowbit.check.cast.known_list import known_differences
from lowbit.dut.libraries import LIBRARIES
from lowbit.policy.cast import DEFECTS, PRESET_OVERRIDES, PRESETS

IDS = [f"{row.product}-{row.id}" for row in known_differences()]
OF_LIBRARIES = [f"{row.product}-{row.id}" for row in known_differences() if row.product in LIBRARIES]
MEASURED_ELSEWHERE = {"cuda", "gfloat"}
"""Products that tests/cross alone compares, each in a file of its own."""


def test_ids_are_unique():
    assert len(set(IDS)) == len(IDS)


def test_a_row_is_of_a_product_that_is_compared():
    assert {row.product for row in known_differences()} == {*LIBRARIES, *MEASURED_ELSEWHERE}


@pytest.mark.parametrize("name", IDS)
def test_a_row_says_who_is_right_and_why(name, differences):
    row = differences[name]
    assert row.version[0].isdigit()
    assert row.right in {"lowbit", "product", "unspecified"}
    assert row.link.startswith("https://")
    assert len(row.why) > 40
    assert set(row.defects) <= set(DEFECTS)
    assert bool(row.change) != bool(row.rule)


@pytest.mark.parametrize("name", IDS)
def test_lowbit_gives_what_the_row_says(name, differences, example_of):
    row = differences[name]
    example = example_of(row)
    assert example.plain == example.ours != example.theirs
    assert example.whole == (example.theirs if row.defects else example.ours)


@pytest.mark.parametrize("name", IDS)
def test_a_row_explains_its_example_and_no_other_answer(name, differences, example_of, explained_by):
    row = differences[name]
    example = example_of(row)
    assert explained_by(row, example.theirs)
    other = next(code for code in (0x55, 0x2A, 0x13) if code not in {example.ours, example.theirs})
    assert not explained_by(row, other)


@pytest.mark.parametrize("name", OF_LIBRARIES)
def test_the_library_gives_what_the_row_says(name, differences, example_of, run_library):
    row = differences[name]
    example = example_of(row)
    theirs = run_library(row)
    assert theirs <= {example.theirs, *([example.ours] if row.varies else [])}, f"{name}: the row is out of date"


def test_every_defect_of_a_preset_has_a_row(differences):
    named = {
        (preset.removesuffix("_nosat"), defect)
        for preset in PRESETS
        for policy in (PRESETS[preset], *PRESET_OVERRIDES.get(preset, {}).values())
        for defect in policy.defects
    }
    assert named == {(row.product, name) for row in differences.values() for name in row.defects}
