"""The documentation works as it stands: its Python blocks run, its C compiles, the numbers it states are those."""

import doctest
import importlib
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import lowbit
from lowbit import errors
from lowbit.cli import ExitCode, main
from lowbit.vectors.manifest import read_manifest
from lowbit.vectors.vec import read_vectors
from tests.thinned import thinned

DOCS = Path(__file__).resolve().parent.parent / "docs"
PAGES = sorted(DOCS.glob("[a-z]*/*.md"))  # not _generated and _build
TUTORIAL = DOCS / "tutorial" / "first-check.md"
COMPILER = shutil.which("cc")


def blocks(page, language):
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def name(page):
    return str(page.relative_to(DOCS))


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")], ids=name)
def test_python_blocks_run(page, repository, monkeypatch):
    """The blocks of a page share their names; what is a test there is run."""
    monkeypatch.chdir(repository)
    names = {"__name__": page.stem}
    for number, block in enumerate(blocks(page, "python"), 1):
        title = f"{name(page)}, block {number}"
        if block.startswith(">>>"):
            session = doctest.DocTestParser().get_doctest(block, names, title, name(page), 0)
            assert doctest.DocTestRunner().run(session, clear_globs=False).failed == 0
            names.update(session.globs)
        else:
            exec(compile(block, title, "exec"), names)
    for title, function in list(names.items()):
        if title.startswith("test_"):
            function()


def python_of(page):
    """What a user would type: prompts without their answers, and whole blocks where there are no prompts."""
    prompts = (
        re.findall(r"^(?:>>>|\.\.\.) ?(.*)", block, re.MULTILINE) if block.startswith(">>>") else block.splitlines()
        for block in blocks(page, "python")
    )
    return [line for lines in prompts for line in lines]


OF_A_USER = """
def halved(codes: lowbit.Codes, fmt: lowbit.FormatLike, scale: lowbit.ScaleLike = 1.0) -> lowbit.Results:
    return lowbit.requantize(codes, scheme="exact", scale=0.5, result=fmt)

lowbit.largest_safe_k("int32", (0, 255), np.int8)
lowbit.encode(1.0, 8)  # type: ignore[arg-type]
lowbit.gemm(np.eye(2, dtype=np.int8), np.eye(2, dtype=np.int8), accumulator=32)  # type: ignore[arg-type]
lowbit.softmax([1, 2], scale="0.1")  # type: ignore[arg-type]
"""
"""Annotations by the names that lowbit exports, and arguments of another type than the signatures have."""


LOOSE = {
    "check-a-model": "a function without annotations",
    "audit-widths": "reads a finding that may be None",
    "how-a-cast-finds-its-kernel": "a function without annotations",
    "plan-a-model": "takes the get of a mapping as a key",
    "requantization": "passes keywords from a dictionary",
    "test-your-own-code": "tests without annotations",
}
"""Pages whose Python is right but not strictly typed, and why."""


def test_a_strict_type_checker_accepts_the_python_of_the_pages(repository, tmp_path):
    """What py.typed promises: the calls that the pages show are typed, and no argument of theirs is of another type."""
    assert LOOSE.keys() <= {page.stem for page in PAGES}
    pages = [repository / "README.md", *(page for page in PAGES if page.stem not in LOOSE)]
    texts = {page.stem.replace("-", "_"): python_of(page) for page in pages if python_of(page)}
    assert sum(map(len, texts.values())) > 30
    texts["README"].append(OF_A_USER)
    for stem, lines in texts.items():
        (tmp_path / f"{stem}.py").write_text("\n".join(lines) + "\n", encoding="utf-8")
    options = ["--strict", "--config-file", repository / "pyproject.toml", "--cache-dir", repository / ".mypy_cache"]
    command = [sys.executable, "-m", "mypy", *options, *sorted(tmp_path.glob("*.py"))]
    result = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False, timeout=300)
    assert result.returncode == 0, result.stdout


def test_no_page_imports_what_it_does_not_use(tmp_path):
    for page in PAGES:
        (tmp_path / name(page).replace("/", ".").replace(".md", ".py")).write_text("\n".join(python_of(page)) + "\n")
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "F401", "--no-cache", tmp_path]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_of_pages_are_those_of_markdown_and_lead_somewhere(page):
    """GitHub shows the pages, too: Sphinx's own roles would stand there as they are written."""
    text = page.read_text(encoding="utf-8")
    assert re.findall(r"\{[a-z:]+\}`", text) == []
    prose = re.sub(r"```.*?```|`[^`]*`", "", text, flags=re.DOTALL)
    links = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", prose)
    assert [link for link in links if "_generated/" not in link and not (page.parent / link).exists()] == []


@pytest.mark.parametrize(
    "module",
    [
        "lowbit",
        "lowbit.allocate",
        "lowbit.campaign",
        "lowbit.entropy",
        "lowbit.fixed_point",
        "lowbit.metrics",
        "lowbit.proof",
        "lowbit.testing",
    ],
)
def test_the_reference_has_every_public_name(module):
    page = (DOCS / "reference" / "python.md").read_text(encoding="utf-8")
    assert ".. automodule:: lowbit.errors" in page
    public = importlib.import_module(module)
    names = [name for name in public.__all__ if not name.startswith("__") and not hasattr(errors, name)]
    assert [name for name in names if not re.search(rf"\b{module}\.{name}\b", page)] == []


def test_pages_are_found():
    assert len([page for page in PAGES if blocks(page, "python")]) >= 5
    assert TUTORIAL in PAGES


@pytest.mark.skipif(COMPILER is None, reason="no C compiler")
def test_the_tutorial_finds_its_bug(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    (source,) = blocks(TUTORIAL, "c")
    Path("cast.c").write_text(source)
    commands = [line[2:] for block in blocks(TUTORIAL, "console") for line in block.splitlines() if line[:2] == "$ "]
    (compiling,) = [command for command in commands if command.startswith("cc ")]
    subprocess.run(shlex.split(compiling), check=True, timeout=60)
    (checking,) = [command for command in commands if command.startswith("lowbit check")]
    assert main(shlex.split(checking)[1:]) == ExitCode.MISMATCH
    report = capfd.readouterr().out
    assert "TieEven" in report
    assert "nearest_away" in report


def test_the_numbers_of_the_golden_page_are_those_of_its_file(repository):
    text = (repository / "golden" / "README.md").read_text(encoding="utf-8")
    entry = read_manifest()["encode.float32.float8_e4m3fn.ocp_sat"]
    stated = re.findall(r"(?:rows: |ROWS = )(\d+)", text)
    assert len(stated) == 2
    assert {int(number) for number in stated} == {entry.rows}


def test_the_buffer_of_the_examples_in_c_holds_every_header_line(repository):
    pages = [repository / "golden" / "README.md", DOCS / "how-to" / "vectors-in-c-and-verilog.md"]
    sizes = {int(size) for path in pages for size in re.findall(r"char line\[(\d+)\]", path.read_text("utf-8"))}
    golden = repository / "golden"
    texts = [(golden / entry.recipe.file).read_bytes() for entry in read_manifest().values()]
    longest = max(len(line) for text in texts for line in re.findall(rb"^//.*\n", text, re.MULTILINE))
    assert sizes
    assert min(sizes) > longest  # and the zero byte behind it


@pytest.mark.skipif(COMPILER is None, reason="no C compiler")
def test_the_program_of_the_golden_page_reads_its_file(repository, tmp_path):
    """With a cast that always gives 0 it counts the rows that expect another code."""
    text = (repository / "golden" / "README.md").read_text(encoding="utf-8")
    section = text.split("## From C\n")[1].split("\nUse `%llx`")[0]
    file = read_vectors(repository / "golden/encode/float32/float8_e4m3fn.ocp_sat.vec")
    program = "#include <stdint.h>\nstatic uint8_t my_cast(unsigned bits) { (void)bits; return 0; }\n" + section
    (tmp_path / "reader.c").write_text(program)
    binary = tmp_path / "reader"
    subprocess.run([COMPILER, str(tmp_path / "reader.c"), "-o", str(binary)], check=True, timeout=60)
    ended = subprocess.run([str(binary)], cwd=repository, capture_output=True, text=True, check=False, timeout=60)
    assert ended.stdout == f"{int((file.column('expected') != 0).sum())} wrong\n"


@pytest.mark.skipif(COMPILER is None, reason="no C compiler")
@pytest.mark.parametrize(
    ("name", "files"),
    thinned(
        [
            ("check-a-block-quantiser.md", ("mxfp4.c",)),
            ("check-a-gemm.md", ("gemm.c", "rescale.c")),
            ("check-a-softmax.md", ("shiftmax.c",)),
        ],
        1,
    ),
)
def test_the_pages_on_kernels_are_told_what_they_do(name, files, tmp_path, monkeypatch, capfd):
    page = DOCS / "how-to" / name
    monkeypatch.chdir(tmp_path)
    sources = [block for block in blocks(page, "c") if "#include" in block]
    for name_of_file, source in zip(files, sources, strict=True):
        Path(name_of_file).write_text(source)
    lines = [line for block in blocks(page, "console") for line in block.splitlines()]
    outputs = []
    for command in (line[2:] for line in lines if line.startswith("$ ")):
        if command.startswith(("cc ", "sed ")):
            subprocess.run(shlex.split(command), check=True, timeout=60)
        else:
            main(shlex.split(command)[1:])
            outputs.append(capfd.readouterr().out)
    printed = "".join(outputs).splitlines()
    assert len(outputs) == 3
    assert [line for line in lines if line not in ("", "...") and line[:2] != "$ " and line not in printed] == []


@pytest.mark.slow
def test_the_page_on_models_is_told_what_it_does(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COLUMNS", raising=False)  # which processes of pytest-xdist have
    page = DOCS / "how-to" / "check-a-model.md"
    Path("runtime.py").write_text(blocks(page, "python")[0])
    lines = [line for block in blocks(page, "console") for line in block.splitlines()]
    for command in (line[2:] for line in lines if line.startswith("$ ")):
        words = shlex.split(command)
        if words[0] == "python":
            subprocess.run([sys.executable, *words[1:]], check=True, timeout=60)
        else:
            main(words[1:])
    printed = capfd.readouterr().out.splitlines()
    told = [line for line in lines if line and line[:2] != "$ "]
    assert len(told) >= 4
    assert [line for line in told if line not in printed] == []


def test_no_value_pushes_the_columns_of_the_formats_aside():  # F39
    sys.path.insert(0, str(DOCS))
    generate = importlib.import_module("generate")
    rows = [line.split(" | ") for line in generate.formats_index().splitlines() if line.startswith("| [")]
    values = {cells[0]: cells[2] for cells in rows if len(cells) == 5}
    assert values["| [float8_e4m3fn](float8_e4m3fn.md)"] == "448"
    assert values["| [float64](float64.md)"] == "~1.79769313e+308"
    assert max(map(len, values.values())) <= generate.LONGEST_VALUE


def test_transcripts_wrap_in_the_rendered_pages():  # F39
    settings = (DOCS / "conf.py").read_text(encoding="utf-8")
    assert 'html_static_path = ["_static"]\nhtml_css_files = ["wrap.css"]\n' in settings
    assert "white-space: pre-wrap" in (DOCS / "_static" / "wrap.css").read_text(encoding="utf-8")


def test_the_page_on_vectors_writes_the_columns_that_it_names(tmp_path, monkeypatch, capsys):
    """The first page of whoever writes RTL: its commands of lowbit run in an empty directory."""
    monkeypatch.chdir(tmp_path)
    page = DOCS / "how-to" / "vectors-in-c-and-verilog.md"
    lines = [
        line[2:] for block in blocks(page, "console") for line in block.splitlines() if line.startswith("$ lowbit")
    ]
    writing = [line for line in lines if line.startswith("$ lowbit gen"[2:])]
    for line in writing:
        command, _, columns = line.partition("# columns: ")
        assert main(shlex.split(command)[1:]) == 0, capsys.readouterr().err
        head = Path(shlex.split(command)[-1]).read_text(encoding="utf-8")
        assert f"// columns: {columns.removesuffix(' ...')}" in head
    assert len(writing) >= 3


def test_the_page_on_a_machine_without_lowbit_runs(tmp_path, monkeypatch, capsys):
    """Its inputs are written, answered elsewhere, here by the reference itself, and the answers checked."""
    monkeypatch.chdir(tmp_path)
    page = DOCS / "how-to" / "check-a-gpu-kernel.md"
    lines = [line[2:] for block in blocks(page, "console") for line in block.splitlines() if "npy" in line]
    generating, checking = (shlex.split(line)[1:] for line in lines)
    assert main(generating) == 0, capsys.readouterr().err
    answers = lowbit.convert(np.load("inputs.npy"), "float32", "float8_e4m3fn")
    np.save("results.npy", answers)
    assert main(checking) == ExitCode.EQUAL, capsys.readouterr().out
    np.save("results.npy", answers ^ (np.arange(answers.size) == 100))
    assert main(checking) == ExitCode.MISMATCH
