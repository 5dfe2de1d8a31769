"""The page of the papers' systems: written from its rows, whose figures and commands are there."""

import shlex

import pytest

from bench import systems
from bench.learned import results
from bench.learned import systems as demonstrations
from lowbit.cli import main

ROWS = systems.rows()


def test_the_page_is_what_the_rows_say():
    text = systems.PAGE.read_text(encoding="utf-8")
    assert systems.replaced(text, results()) == text, "python -m bench.systems writes it anew"
    assert len(ROWS) >= 36
    assert len({row["paper"] for row in ROWS}) == len(ROWS)
    assert {row["part"] for row in ROWS} == set(systems.PARTS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
def test_every_figure_is_in_its_evidence(row):
    texts = [(systems.ROOT / name).read_text(encoding="utf-8") for name in row.get("evidence", ())]
    assert texts or "learned" in row
    for number in systems.NUMBER.findall(row.get("measured", "")):
        assert any(number in text for text in texts), f"{number} is not in {row['evidence']}"


@pytest.mark.parametrize("command", sorted({row["command"] for row in ROWS}))
def test_every_command_is_known(command, capsys):
    words = shlex.split(command)
    if words[0] == "python":
        assert words[:3] == ["python", "-m", "bench.learned"]
        return
    assert words[0] == "lowbit"
    if words[1] == "explain":
        assert main(words[1:]) == 0
    else:  # what it computes takes a while: the verb is known
        with pytest.raises(SystemExit) as end:
            main([words[1], "--help"])
        assert end.value.code == 0
    capsys.readouterr()


def test_demonstrations_are_there():
    named = {name for row in ROWS for name in row.get("learned", ())}
    assert set(demonstrations()) <= named, "a demonstration that no row of bench/systems.toml names"
