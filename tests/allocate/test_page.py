"""The page docs/how-to/allocate-bits.md: its commands print what it shows."""

import re
import shlex

import pytest

from lowbit.cli import main


@pytest.fixture
def page(repository):
    return (repository / "docs" / "how-to" / "allocate-bits.md").read_text(encoding="utf-8")


def test_commands_print_what_the_page_shows(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (costs,) = re.findall(r"^```toml\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    (tmp_path / "costs.toml").write_text(costs)
    shown = re.findall(r"^```console\n\$ (.*?)\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    assert len(shown) == 4
    for command, output in shown:
        main(shlex.split(command)[1:])
        streams = capsys.readouterr()
        assert streams.out + streams.err == output
