"""The walk through an integer-only transformer: its commands, run one after the other, print what the page shows."""

import importlib
import re
import runpy
import shlex
import sys
from pathlib import Path

import pytest

from lowbit.cli import main

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = DOCS / "tutorial" / "integer-only-transformer.md"
NOT_RUN = {
    "pip ": "installs what is there",
    "python -c ": "writes the sentences of minilm",
    "lowbit run minilm": "its package has 83 MB",
    "lowbit prove model vit.safetensors --nothing-floats": "how many kernels run depends on the processor",
}
NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e-?\d+)?")


def blocks(language):
    text = PAGE.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def commands():
    """Each command of the page, and the lines below it."""
    for block in blocks("console"):
        for part in re.split(r"^\$ ", block.replace("\\\n", ""), flags=re.MULTILINE)[1:]:
            command, _, lines = part.partition("\n")
            yield command, [line for line in lines.splitlines() if line not in ("", "...")]


def plain(text):
    """Without the line breaks of a narrow page."""
    return " ".join(text.split())


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An empty folder with the scripts of the page."""
    monkeypatch.chdir(tmp_path)
    for block in blocks("python"):
        Path(block.split()[1]).write_text(block, encoding="utf-8")
    return tmp_path


def test_every_command_prints_what_the_page_shows(place, monkeypatch, capsys, onnxruntime_saturates_pairs):
    for product in ("mlxtend", "onnxruntime"):
        pytest.importorskip(product, reason=f"{product}, which the page installs, is not there")
    if onnxruntime_saturates_pairs:
        pytest.skip("this processor's ONNX Runtime saturates pairs of products")
    run = 0
    for command, lines in commands():
        if command.startswith(tuple(NOT_RUN)):
            continue
        program, *words = shlex.split(command, comments=True)
        if program == "python":
            monkeypatch.setattr(sys, "argv", words)
            runpy.run_path(words[0], run_name="__main__")
        else:
            assert program == "lowbit"
            main(words)
        output, run = plain(capsys.readouterr().out), run + 1
        assert [line for line in lines if plain(line) not in output] == [], command
    assert run == 13
    drawn, shown = (path.read_text("utf-8") for path in (place / "vit-layers.svg", PAGE.with_name("vit-layers.svg")))
    assert NUMBER.sub("", drawn) == NUMBER.sub("", shown)
    numbers = [list(map(float, NUMBER.findall(text))) for text in (drawn, shown)]
    assert numbers[0] == pytest.approx(numbers[1], abs=0.11)  # a tenth of a pixel; cosines are sums in any order


def test_the_picture_of_widths_is_that_of_the_transcript(monkeypatch):
    monkeypatch.syspath_prepend(DOCS)
    script = importlib.import_module("widths")
    assert script.PICTURE.read_text(encoding="utf-8") == script.picture(), "python docs/widths.py draws it anew"
    assert len(script.widths()) == 45
    assert all(row.needed <= row.declared for row in script.widths())
