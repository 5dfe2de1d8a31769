"""Rules about the source files themselves."""

import ast
import functools
import re
from pathlib import Path

import pytest

import lowbit
from lowbit.format.registry import data_directory, families, formats, get_format
from lowbit.policy.block import BLOCK_PRESETS
from lowbit.policy.cast import CAST_PRESETS

PACKAGE = Path(lowbit.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
KERNELS = [path for path in sorted((PACKAGE / "kernels").rglob("*.py")) if not path.name.startswith(("fast_", "simd_"))]

MAX_LINES = 400
MAX_FUNCTION_LINES = 60
"""About 40 is the aim; the hard limit leaves room for docstrings, which are not counted."""


@functools.cache
def parsed(path):
    """The syntax tree of a file."""
    return ast.parse(path.read_text(encoding="utf-8"))


def relative(path):
    return str(path.relative_to(PACKAGE))


@pytest.mark.parametrize("path", KERNELS, ids=relative)
def test_kernels_have_no_float_and_no_uint64(path):
    # uint64 unifies with int64 to float64 in Numba (numba#7888, #4631); a float literal makes float64 of integers.
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Constant):
            assert not isinstance(node.value, float), f"{path.name}:{node.lineno}: float literal {node.value}"
        if isinstance(node, ast.Attribute):
            assert node.attr != "uint64", f"{path.name}:{node.lineno}: uint64"


def test_only_jit_calls_njit():
    for path in FILES:
        if path.name == "_jit.py":
            continue
        names = {
            node.attr if isinstance(node, ast.Attribute) else node.id
            for node in ast.walk(parsed(path))
            if isinstance(node, (ast.Attribute, ast.Name))
        }
        assert not names & {"njit", "jit", "vectorize", "guvectorize", "prange"}, path


def test_files_are_short():
    assert [relative(path) for path in FILES if path.read_text(encoding="utf-8").count("\n") > MAX_LINES] == []


def test_functions_are_short():
    for path in FILES:
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.FunctionDef):
                body = node.body[1:] if ast.get_docstring(node) else node.body
                length = body[-1].end_lineno - body[0].lineno + 1 if body else 0
                assert length <= MAX_FUNCTION_LINES, f"{relative(path)}:{node.lineno}: {node.name} has {length} lines"


def test_modules_say_what_they_are():
    assert [relative(path) for path in FILES if not ast.get_docstring(parsed(path))] == []


def test_nothing_is_left_to_do():
    """In code; in comments, ruff's rules FIX look for it."""
    for path in FILES:
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.Raise):
                assert "NotImplementedError" not in ast.unparse(node), f"{relative(path)}:{node.lineno}"


def text_without_encoding(tree):
    """The calls that read or write text in the encoding of the user's locale."""
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, (ast.Attribute, ast.Name))):
            continue
        name, receiver = getattr(node.func, "attr", ""), ast.unparse(getattr(node.func, "value", ast.Constant("")))
        name = name or node.func.id
        words = [ast.unparse(argument) for argument in node.args]
        words += [ast.unparse(keyword.value) for keyword in node.keywords if keyword.arg == "mode"]
        named = any(keyword.arg == "encoding" for keyword in node.keywords)
        if name == "read_text":
            named |= bool(node.args)
        elif name == "write_text" and isinstance(node.func, ast.Attribute):
            named |= len(node.args) > 1
        elif name == "open":
            # A device is opened without arguments, os.open takes a descriptor's flags, members of an archive are bytes.
            named |= receiver in ("os", "device", "kernel", "archive") or any(
                re.fullmatch("'[rwax+]*b[+]?'", word) for word in words
            )
        elif not any(keyword.arg in ("text", "universal_newlines") for keyword in node.keywords):
            continue
        if not named:
            yield node


def test_text_files_name_their_encoding():
    # Otherwise it is the locale's: lowbit's own sources cannot be read under LC_ALL=C PYTHONUTF8=0.
    strays = [f"{relative(path)}:{node.lineno}" for path in FILES for node in text_without_encoding(parsed(path))]
    assert not strays


def test_the_rule_about_encodings_sees_what_it_forbids():
    bad = [
        "p.read_text()",
        "p.open()",
        "open(p)",
        "p.open('a')",
        "p.write_text(t)",
        "run(c, text=True)",
        "p.open(mode='w')",
    ]
    good = ["p.read_text('ascii')", "p.open('rb')", "open(p, 'wb')", "p.open('a', encoding='utf-8')", "os.open(p, 1)"]
    for code in (*bad, *good):
        assert bool(list(text_without_encoding(ast.parse(code)))) == (code in bad), code


@pytest.mark.parametrize("name", formats())
def test_every_format_has_source_and_facts(name):
    fmt = get_format(name)
    assert fmt.source.title, "no source"
    assert fmt.source.url, "no URL"
    assert fmt.summary
    assert fmt.default_policy in (BLOCK_PRESETS if fmt.kind == "block" else CAST_PRESETS)
    if fmt.kind == "float":
        assert fmt.facts, "the figures that the source prints are missing"


def test_families_have_a_source():
    found = list(families())
    assert {family.id for family in found} >= {"integer", "fixed", "p3109"}
    for family in found:
        assert family.source.title
        assert family.source.url


def test_every_format_file_is_registered():
    files = {path.stem for path in data_directory("formats").rglob("*.toml")}
    assert files == {
        *(name for name in formats() if not get_format(name).family),
        *(family.id for family in families()),
    }


KINDS = {"FixedFormat", "FloatFormat", "TableFormat", "VectorFormat"}
ASKING = {
    "format": "where the kinds are",
    "oracle/cast": "a kind with fields is decoded and rounded by them",
    "ops/cast/lowering.py": "the same, for the kernels",
    "check/cast": "bugs of floats and of their NaNs",
    "cli/operation_options.py": "requantisation gives integers",
}
"""Who may ask which kind of scalar format one is, and why: all others take any kind, one that comes later included."""


def asks_for_a_kind(tree):
    """Whether there is an isinstance with one of the kinds."""
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func) == "isinstance")
    return any(isinstance(name, ast.Name) and name.id in KINDS for call in calls for name in ast.walk(call.args[1]))


def test_few_ask_which_kind_a_format_has():
    asking = {relative(path) for path in FILES if asks_for_a_kind(ast.parse(path.read_text(encoding="utf-8")))}
    assert len(asking) >= len(ASKING)
    assert {
        name for name in asking if not any(name == place or name.startswith(f"{place}/") for place in ASKING)
    } == set()
    assert asks_for_a_kind(ast.parse("isinstance(fmt, (int, FloatFormat))"))
