"""How lowbit puts things: "is not an X", never "is no X", and a kernel, never a device."""

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


def test_pages_do_not_say_that_something_is_no_something(repository):
    pages = [
        *repository.glob("*.md"),
        *(path for name in ("docs", "formats", "golden") for path in pages_of(repository / name)),
    ]
    assert len(pages) > 30
    assert {str(page): offences(page.read_text("utf-8")) for page in pages if offences(page.read_text("utf-8"))} == {}


def pages_of(folder):
    return (path for path in folder.rglob("*.md") if "_build" not in path.parts)


def spoken(path):
    """The strings of a module that are not alone in a statement, as docstrings are."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    alone = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    strings = (node for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str))
    return [node.value for node in strings if id(node) not in alone and " " in node.value]


def test_messages_speak_of_kernels():
    found = {str(path.relative_to(PACKAGE)) for path in FILES if path.suffix == ".py"}
    texts = {name: [text for text in spoken(PACKAGE / name) if re.search(r"\bdevices?\b", text)] for name in found}
    assert {name: text for name, text in texts.items() if text} == {}
