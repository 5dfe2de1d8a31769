"""README and documentation show real output: commands of verbs that need no kernel are run again and compared."""

import doctest
import re
import shlex

import pytest

from lowbit.cli import ExitCode
from lowbit.policy.cast import PRESET_SUMMARIES

QUICK_VERBS = {"formats", "show", "encode", "decode", "explain", "prove"}


def examples(repository):
    pages = [repository / "README.md", *sorted((repository / "docs").glob("[a-z]*/*.md"))]
    for page in pages:
        text = page.read_text(encoding="utf-8")
        for block in re.findall(r"```console\n(.*?)```", text, re.DOTALL):
            command, _, output = block.replace("\\\n", " ").partition("\n")
            words = shlex.split(command.removeprefix("$ "), comments=True)
            if words[0] == "lowbit" and words[1] in QUICK_VERBS:
                yield page, words[1:], output


def test_commands_print_what_is_shown(repository, lowbit):
    found = list(examples(repository))
    assert len(found) >= 3
    for page, words, shown in found:
        result = lowbit(*words)
        assert result.status == (1 if re.search("REFUTED|can overflow", shown) else 0), result.err
        pieces = [piece.strip("\n") for piece in shown.split("...\n")]
        # Lines that are left out are marked by "...": the pieces between must come in this order.
        place = 0
        for piece in pieces:
            lines = piece.splitlines()
            position = find(result.lines, lines, place)
            assert position is not None, f"{page}: lowbit {' '.join(words)} does not print:\n{piece}"
            place = position + len(lines)


def find(lines, wanted, start):
    """Where the wanted lines stand one after the other; the long line of aliases is left out."""
    kept = [line for line in lines if not line.startswith("also ")]
    for position in range(start, len(kept) - len(wanted) + 1):
        if kept[position : position + len(wanted)] == wanted:
            return position
    return None


@pytest.mark.filterwarnings("default")
def test_python_session(repository):
    results = doctest.testfile(str(repository / "README.md"), module_relative=False, encoding="utf-8")
    assert results.attempted >= 6
    assert results.failed == 0


def test_every_preset_and_exit_status_is_listed(repository):
    text = (repository / "README.md").read_text(encoding="utf-8")
    for name, summary in PRESET_SUMMARIES.items():
        assert f"| `{name}` | {summary} |" in text
    for code in ExitCode:
        assert f"| {code.value} | {code.meaning} |" in text
