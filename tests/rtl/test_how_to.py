"""The how-to page shows the files that the tests of this folder run, and what the bench really prints."""

import re
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent


@pytest.fixture
def page(repository):
    return (repository / "docs" / "how-to" / "vectors-in-c-and-verilog.md").read_text(encoding="utf-8")


def test_the_page_shows_the_shim_and_the_scoreboard(page):
    scoreboard = (HERE / "cocotb_scoreboard.py").read_text(encoding="utf-8").split('"""\n\n', 1)[1]
    assert f"```cpp\n{(HERE / 'verilated_cast.cpp').read_text(encoding='utf-8')}```" in page
    assert f"python\n{scoreboard}```" in page


def test_the_page_shows_what_the_bench_prints(page, icarus, sources, run, tmp_path, repository):
    shown = re.findall(r"^bug \d: .*$", page, re.MULTILINE)
    program = tmp_path / "bench"
    run(icarus, "-s", "vector_bench", "-o", program, *sources)
    vectors = repository / "golden" / "encode" / "float32" / "float8_e4m3fn.ocp_sat.vec"
    printed = run("vvp", "-n", program, f"+vectors={vectors}", "+rows=4840").splitlines()
    assert [line for line in printed if line.startswith("bug ")] == shown
