"""README and documentation show real output: commands that need no more than a C compiler are run again and compared.

With REWRITE_README=1 the report in README is written anew: each piece of what is shown keeps its number of lines.
"""

import doctest
import os
import re
import shlex
import shutil
import subprocess
import sys

import pytest

from lowbit.check.gemm.rules import candidates
from lowbit.cli import ExitCode
from lowbit.cli.topics import parsers
from lowbit.format.registry import get_format
from lowbit.policy.cast import CAST_PRESETS, PRESET_SUMMARIES
from lowbit.policy.requantize import REQUANTIZE_SCHEMES
from lowbit.vectors.gemm.cases import directed_cases
from lowbit.vectors.gemm.values import Operands
from lowbit.vectors.nonlinear.cases import directed_nonlinearities
from lowbit.vectors.nonlinear.rule import chosen

QUICK_VERBS = {"list", "formats", "show", "encode", "decode", "explain", "prove"}
MOST_LINES = 110


def pages(repository):
    return [repository / "README.md", *sorted((repository / "docs").glob("[a-z]*/*.md"))]


def blocks(page):
    """The words of the first command of every console block, and what is shown below it."""
    for block in re.findall(r"```console\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        command, _, output = block.replace("\\\n", " ").partition("\n")
        yield shlex.split(command.removeprefix("$ "), comments=True), output


def examples(repository):
    """Those of quick verbs; what reads a model runs in tests/cross/test_page_of_the_transformer.py."""
    for page in pages(repository):
        for words, output in blocks(page):
            if words[:1] == ["lowbit"] and words[1] in QUICK_VERBS and words[1:3] != ["prove", "model"]:
                yield page, words[1:], output


def test_commands_print_what_is_shown(repository, lowbit):
    found = list(examples(repository))
    assert len(found) >= 3
    for page, words, shown in found:
        result = lowbit(*words)
        assert result.status == (1 if re.search("REFUTED|can overflow", shown) else 0), result.err
        assert_shown(result.lines, shown, f"{page}: lowbit {' '.join(words)}")


def assert_shown(lines, shown, what):
    """Lines that are left out are marked by "...": the pieces between must come in this order."""
    place = 0
    for piece in (piece.strip("\n") for piece in shown.split("...\n")):
        position = find(lines, piece.splitlines(), place)
        assert position is not None, f"{what} does not print:\n{piece}\nbut:\n" + "\n".join(lines)
        place = position + len(piece.splitlines())


def find(lines, wanted, start):
    """Where the wanted lines stand one after the other; the long line of aliases is left out."""
    kept = [line for line in lines if not line.startswith("also ")]
    for position in range(start, len(kept) - len(wanted) + 1):
        if kept[position : position + len(wanted)] == wanted:
            return position
    return None


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
def test_the_report_of_the_readme_is_that_of_the_kernel_of_the_tutorial(repository, lowbit, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    (source,) = re.findall(
        r"^```c\n(.*?)^```", (repository / "docs/tutorial/first-check.md").read_text(), re.DOTALL | re.MULTILINE
    )
    (tmp_path / "cast.c").write_text(source)
    subprocess.run(["cc", "-O2", "-shared", "-fPIC", "cast.c", "-o", "cast.so", "-lm"], check=True, timeout=60)
    readme = repository / "README.md"
    ((words, shown),) = [item for item in blocks(readme) if item[0][:2] == ["lowbit", "check"]]
    result = lowbit(*words[1:])
    assert result.status == ExitCode.MISMATCH, result.err
    if os.environ.get("REWRITE_README"):
        readme.write_text(readme.read_text(encoding="utf-8").replace(shown, rewritten(shown, result.lines)), "utf-8")
        return
    assert_shown(result.lines, shown, "the command of README (REWRITE_README=1 writes it anew)")


def rewritten(shown, lines):
    """The first and the last lines, as many as were shown."""
    first, *rest = [piece.splitlines() for piece in shown.split("...\n")]
    parts = [lines[: len(first)], *([lines[-len(rest[-1]) :]] if rest else [])]
    return "...\n".join("".join(f"{line}\n" for line in part) for part in parts)


def test_transcripts_are_rewritten_to_the_same_lengths():
    assert rewritten("a\nb\n...\nc\n", list("123456")) == "1\n2\n...\n6\n"
    assert rewritten("a\nb\n", list("12")) == "1\n2\n"


@pytest.mark.filterwarnings("default")
def test_python_session(repository):
    results = doctest.testfile(str(repository / "README.md"), module_relative=False, encoding="utf-8")
    assert results.attempted >= 6
    assert results.failed == 0


def test_the_front_door_is_short_and_its_links_lead_somewhere(repository):
    text = (repository / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= MOST_LINES
    links = [link for link in re.findall(r"\]\(([^)#]+)", text) if not link.startswith("http")]
    assert len(links) > 15
    assert [link for link in links if not (repository / link).exists()] == []
    order = [
        "```console\n$ lowbit check",
        "$ pip install",
        "$ make check",
        ">>> ",
        "## What there is",
        "## Where to start",
    ]
    order += ["## What is not there", "## When to use something else"]
    places = [text.index(part) for part in order]
    assert places == sorted(places)
    assert text.index(order[0]) < 700  # on the first screen


def test_counts_that_are_written_by_hand_are_those_of_the_tables(repository):
    readme = (repository / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"under (\d+) schemes", readme) == [str(len(REQUANTIZE_SCHEMES))]
    assert "two dozen presets" in readme
    assert abs(len(CAST_PRESETS) - 24) <= 2
    page = (repository / "docs" / "how-to" / "check-a-gemm.md").read_text(encoding="utf-8")
    (problems,) = re.findall(r"some ([\d,]+) directed problems", page)
    (accumulators,) = re.findall(r"some ([\d,]+) accumulators", page)
    operands = Operands(get_format("int8"), get_format("int8"))
    assert number(problems) == pytest.approx(len(directed_cases(operands)), rel=0.1)
    page = (repository / "docs" / "how-to" / "check-a-softmax.md").read_text(encoding="utf-8")
    (rows,) = re.findall(r"some ([\d,]+) directed rows", page)
    softmax, source, _ = chosen("softmax", "ivit", scale=0.05)
    calls = directed_nonlinearities(softmax, source)
    assert number(rows) == pytest.approx(sum(call.sizes["rows"] for call in calls), rel=0.1)
    assert number(accumulators) == pytest.approx(len(list(candidates(operands))), rel=0.1)


def number(text):
    return int(text.replace(",", ""))


def test_every_user_has_a_first_page(repository):
    text = (repository / "docs" / "index.md").read_text(encoding="utf-8")
    for page in ("tutorial/first-check", "how-to/check-a-gpu-kernel", "how-to/vectors-in-c-and-verilog"):
        assert f"({page}.md)" in text
    assert "(tutorial/first-quantised-matrix.md)" in text


def test_every_preset_and_exit_status_has_a_row_in_the_reference(repository, monkeypatch):
    monkeypatch.syspath_prepend(str(repository / "docs"))
    generate = __import__("generate")
    policies, statuses = generate.policies_page(), generate.statuses_page()
    for name, summary in PRESET_SUMMARIES.items():
        assert f"| `{name}` | {summary} |" in policies
    for code in ExitCode:
        assert f"| {code.value} | {code.meaning} |" in statuses
    assert "lowbit_gemm_int8_int8_int32(" in generate.prototypes_page()
    sys.modules.pop("generate")


def test_commands_of_the_pages_take_the_options_that_they_show(repository):
    """Those that are not run, too: every option of every ``lowbit`` line is one of its verb's."""
    from lowbit.cli import option_actions

    lines = 0
    for page in [*pages(repository), repository / "CONTRIBUTING.md", repository / "golden" / "README.md"]:
        for line in re.findall(
            r"^\$ (lowbit .*)$", page.read_text(encoding="utf-8").replace("\\\n", " "), re.MULTILINE
        ):
            words = shlex.split(line, comments=True)
            known = {name for action in option_actions(parsers()[words[1]]) for name in action.option_strings}
            used = {word.partition("=")[0] for word in words[2:] if word.startswith("--")}
            assert used <= known | {"--color", "--help"}, (page, line)
            lines += 1
    assert lines > 20
