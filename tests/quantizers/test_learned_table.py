"""What the committed table of learned quantisers and low-bit training has."""

from math import isfinite

import pytest

from bench import learned
from bench.learned import Row, results, systems
from lowbit.errors import InputError

MOST = 2 * 5 * 60
"""Seconds of CPU: five minutes on two cores."""


def test_the_results_are_of_the_systems_that_there_are():
    every, known = systems(), results()
    assert known.keys() <= every.keys(), "bench/learned.json has systems that no bench/learned_*.py has"
    missing = every.keys() - known.keys()
    assert not missing, f"python -m bench.learned {' '.join(sorted(missing))} measures what the table lacks"
    assert all(tuple(entry["seeds"]) == every[name].seeds for name, entry in known.items())


def test_every_row_has_numbers_and_says_whether_they_reach_what_is_asked():
    for name, entry in results().items():
        assert entry["rows"], name
        assert entry["command"].split()[-1] == name
        assert 0 < entry["seconds"] <= MOST, name
        for row in entry["rows"]:
            assert row.keys() == set(Row._fields), name
            assert row["measured"], (name, row["claim"])
            assert all(isfinite(number) for number in row["measured"].values()), (name, row["claim"])
            assert isinstance(row["met"], bool), (name, row["claim"])
            assert row["claim"], name
            assert row["asked"], name


def test_a_package_that_is_missing_is_told_in_words(monkeypatch, tmp_path, capsys):
    def missing(*_):
        raise InputError("the package is not installed", hint="pip install it")

    monkeypatch.setattr(learned, "measured", missing)
    monkeypatch.setattr("sys.argv", ["learned", "nupes", "--results", str(tmp_path / "none.json")])
    with pytest.raises(SystemExit, match="2"):
        learned.main()
    assert capsys.readouterr().err == "nupes: the package is not installed\nhelp: pip install it\n"
