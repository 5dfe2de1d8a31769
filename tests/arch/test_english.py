"""How lowbit puts things: "is not an X", never "is no X", in messages, docstrings and data."""

import ast
import re
from pathlib import Path

import pytest

import lowbit

PACKAGE = Path(lowbit.__file__).parent
FILES = sorted(path for end in ("py", "toml") for path in PACKAGE.rglob(f"*.{end}"))

IS_NO = re.compile(r"(?<!there )\b(?:is|are|was|were) no (?!longer\b|more\b)", re.IGNORECASE)


def texts(path):
    """The string literals of a file, docstrings among them; a file of data as it is."""
    source = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        return [source]
    constants = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Constant))
    return [node.value for node in constants if isinstance(node.value, str)]


def offences(text):
    text = " ".join(text.split())
    return [text[max(0, match.start() - 30) : match.end() + 20] for match in IS_NO.finditer(text)]


@pytest.mark.parametrize("folder", sorted({path.relative_to(PACKAGE).parts[0] for path in FILES}))
def test_nothing_is_no_something(folder):
    paths = [path for path in FILES if path.relative_to(PACKAGE).parts[0] == folder]
    found = {str(path): offences(text) for path in paths for text in texts(path) if offences(text)}
    assert found == {}


def test_the_rule_sees_what_it_forbids():
    assert offences("a table\n    that is\n    no table")
    assert offences("Codes are no numbers.")
    assert not offences("There are no codes, and where there\nis no zero it is no longer one.")
