"""No verb writes over its own files: every option that names a file is declared, and every pair of them is tried."""

import os
import re
import subprocess
import sys
from argparse import Namespace
from itertools import chain, combinations

import numpy as np
import pytest

from lowbit.cli import VERBS
from lowbit.cli.file_options import FileOption, refuse_lost_files
from lowbit.dut.kinds import KINDS
from lowbit.errors import InputError
from tests.cli.file_actions import actions, file_actions

BEFORE = b"what must not be lost"
OUTPUTS = {
    "gen": {"output"},
    "golden": {"directory"},
    "scan": {"clean"},
    "quantize": {"output", "journal"},
    "dequantize": {"output"},
    "evaluate": {"output", "journal"},
    "sensitivity": {"output", "journal"},
    "allocate": {"output", "picture", "export", "apply", "journal"},
    "export": {"output"},
    "run": {"output", "dump", "save"},
}
"""Verb -> its options that are written. A new one is listed here too."""
SUBJECT = {"export": ["onnx"]}
"""What a verb takes before its files."""
NAMES_A_FILE = re.compile(r"\bFILE\b|\bDIR\b|\bPATH\b|\.[a-z]{2,}\b|\bSYMBOL\b|\bFUNCTION\b")
"""Metavars of options that name a file or a folder."""


def written(verb):
    return {action.dest for action in file_actions(verb) if not action.type.what}


def file_action(verb, dest):
    return next(action for action in file_actions(verb) if action.dest == dest)


def command(verb, names):
    """A command line with these options; a positional argument that it lacks is made up."""
    needed = [action for action in file_actions(verb) if action.dest in names or action.required]
    words = [[*action.option_strings[:1], str(names.get(action.dest, "none"))] for action in needed]
    return [verb, *SUBJECT.get(verb, []), *chain.from_iterable(words)]


@pytest.mark.parametrize("verb", VERBS)
def test_every_option_that_names_a_file_is_declared(verb):
    undeclared = {
        action.dest
        for action in actions(verb)
        if NAMES_A_FILE.search(str(action.metavar)) and not isinstance(action.type, FileOption)
    }
    assert not undeclared, "add it by lowbit.cli.file_options"
    assert written(verb) == OUTPUTS.get(verb, set())


def test_metavars_of_files():
    named = ["FILE", "FILE:SYMBOL", "MODULE:FUNCTION", "DIR", "COSTS.toml", "PLAN.json", "FILE.mps|FILE.lp"]
    assert all(NAMES_A_FILE.search(metavar) for metavar in named)
    assert not any(NAMES_A_FILE.search(metavar) for metavar in ("N", "FORMAT", "NAME=LIMIT", "SECONDS", "LOW:HIGH"))
    assert sum(len(file_actions(verb)) for verb in VERBS) >= 20


PAIRS = [
    (verb, one.dest, other.dest)
    for verb in VERBS
    for one, other in combinations(file_actions(verb), 2)
    if {one.dest, other.dest} & written(verb)
]


def test_there_are_pairs():
    verbs = {verb for verb, _, _ in PAIRS}
    assert verbs == {
        "evaluate",
        "sensitivity",
        "allocate",
        "scan",
        "quantize",
        "dequantize",
        "export",
        "run",
    }  # the others write to one place, and read no file beside it
    assert len(PAIRS) > 40


@pytest.mark.parametrize(("verb", "one", "other"), PAIRS)
def test_no_two_options_share_a_file_that_is_written(verb, one, other, lowbit, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "file"
    path.write_bytes(BEFORE)
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("file")
    os.link(path, tmp_path / "hard")
    (tmp_path / "new link").symlink_to("new")
    names = [path, "file", "./file", "folder/../file", "link", "hard"]
    spellings = [(path, name) for name in names] + [(name, path) for name in names]
    if {one, other} <= written(verb):
        spellings += [("new", "new"), ("new", "./new"), ("new", "new link")]
    for first, second in spellings:
        result = lowbit(*command(verb, {one: first, other: second}))
        assert result.status == 2, (first, second)
        assert "error[LB102]" in result.err
        assert result.out == ""
        assert path.read_bytes() == BEFORE
    assert {item.name for item in tmp_path.iterdir()} == {"file", "folder", "link", "hard", "new link"}


def test_the_journal_beside_the_costs_counts(lowbit, tmp_path):
    costs, journal = tmp_path / "costs.toml", tmp_path / "costs.toml.partial"
    journal.write_bytes(BEFORE)
    for words in ([journal], ["m", "--traces", journal], ["m", "--inputs", journal]):
        result = lowbit("sensitivity", *words, "-o", costs)
        assert result.status == 2
        assert f"the journal of {costs} is the" in result.err
    assert "LB102" not in lowbit("sensitivity", "m", "-o", costs, "--journal", journal).err
    costs.symlink_to(journal)
    assert "LB102" in lowbit("sensitivity", "m", "-o", costs).err
    assert journal.read_bytes() == BEFORE
    assert lowbit("sensitivity", "m", "-o", "x" * 300).status == 2


def test_the_files_of_a_golden_folder_count(lowbit, tmp_path):
    (tmp_path / "manifest.toml").write_bytes(BEFORE)
    (tmp_path / "digests.toml").symlink_to("manifest.toml")
    result = lowbit("golden", "--directory", tmp_path, "regen")
    assert (result.status, (tmp_path / "manifest.toml").read_bytes()) == (2, BEFORE)
    assert "error[LB102]" in result.err
    assert "are the same file" in result.err


def test_format_files_count(lowbit, tmp_path, monkeypatch):
    path = tmp_path / "mine.toml"
    path.write_bytes(BEFORE)
    for place in (tmp_path, path):
        monkeypatch.setenv("LOWBIT_FORMATS", str(place))
        result = lowbit("gen", "encode", "--to", "int4", "-o", path)
        assert result.status == 2
        assert f"the format file {path} itself" in result.err
    assert path.read_bytes() == BEFORE


def test_a_module_is_found_as_python_finds_it():
    texts = ["./cast.py:f", "folder/cast.py:f", "package.module:f", "folder/cast:f"]
    assert [KINDS["python"].file_of(text) for text in texts] == [
        "./cast.py",
        "folder/cast.py",
        "package/module.py",
        "folder/cast",
    ]


@pytest.mark.parametrize("mode", ["wb", "ab"])
def test_standard_output_is_an_output(tmp_path, mode):
    weights = tmp_path / "weights.npy"
    np.save(weights, np.ones((2, 2), np.int8))
    before = weights.read_bytes() if mode == "ab" else b""
    with weights.open(mode) as stream:
        words = [sys.executable, "-m", "lowbit", "prove", "--weights", str(weights)]
        ended = subprocess.run(words, stdout=stream, stderr=subprocess.PIPE, check=False, timeout=60)
    assert ended.returncode == 2
    assert b"standard output is the matrix itself" in ended.stderr
    assert weights.read_bytes() == before


def test_a_dash_is_standard_output(tmp_path):
    words = [sys.executable, "-m", "lowbit", "gen", "decode", "--from", "int4", "--layout", "npy", "-o", "-"]
    path = tmp_path / "codes.npy"
    with path.open("wb") as stream:
        ended = subprocess.run(words, stdout=stream, stderr=subprocess.PIPE, check=False, timeout=60, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert len(np.load(path)) == 16
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(("one", "other"), list(combinations(sorted(OUTPUTS["allocate"]), 2)))
@pytest.mark.parametrize("text", ["-", os.devnull])
def test_streams_may_be_named_twice(one, other, text):
    names = {dest: file_action("allocate", dest).type(text) for dest in (one, other)}
    assert refuse_lost_files(Namespace(**names)) is None


def test_every_pair_of_a_list_of_files_counts(tmp_path):
    option, output = FileOption("--inputs", "the file of inputs"), FileOption("-o")
    path = tmp_path / "b"
    with pytest.raises(InputError, match="the file of inputs itself"):
        refuse_lost_files(Namespace(inputs=[option(str(tmp_path / "a")), option(str(path))], output=output(str(path))))
