"""Every line that was reported has its test, or the reason why it has none."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
REPORTED = tomllib.loads((ROOT / "tests" / "reported.toml").read_text(encoding="utf-8"))
LINES = {f"{kind} {line}": answer for kind, lines in REPORTED.items() for line, answer in lines.items()}


@pytest.mark.parametrize("line", LINES)
def test_a_reported_line_has_a_test_or_a_reason(line):
    answer = LINES[line]
    if re.match(r"(later|kept): \w.{30}", answer):
        return
    file, _, name = answer.partition("::")
    text = (ROOT / file).read_text(encoding="utf-8")
    assert re.search(rf"^def {name}\(", text, re.MULTILINE)
    if file == "tests/check/test_reported.py":
        assert f'"{line.split()[1]}"' in text  # its kernel is a row of the table there


def test_no_line_is_left_out():
    assert set(REPORTED["frictions"]) == {f"F{number}" for number in range(1, 45)}
    assert set(REPORTED["corrections"]) == {f"D{number}" for number in range(1, 13)}
    attacks = {f"A{number}" for number in range(1, 8)} | {f"B{number}" for number in range(1, 12)}
    contrived = {f"C{number}" for number in (1, 2, *range(4, 12), 13, 14, 16, 17, 19, 20, 21)}
    assert set(REPORTED["attacks"]) == attacks | contrived | {f"D{number}" for number in range(1, 5)}
    assert len(REPORTED["cases"]) == 47
    assert len([answer for answer in LINES.values() if not answer.startswith("tests/")]) <= 6
