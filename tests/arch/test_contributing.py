"""CONTRIBUTING.md names files, folders, targets, verbs and names of code: all of them are there."""

import re

import pytest

from lowbit.cli import VERBS

PLACEHOLDERS = re.compile(r"\b(?:NAME|CONCEPT|FAMILY|KIND)\b")
FILE = re.compile(r"[\w.*/-]+\.(?:py|pyi|toml|json|md|txt)|[\w.*-]+/[\w.*/-]*")
OF_CODE = re.compile(r"_?[A-Za-z]\w+")
SOURCES = ("lowbit", "golden", "tests")


def spans(text):
    """What stands between backticks, blocks of code left out."""
    return re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE))


def is_there(pattern, repository):
    """Whether there is such a file or folder: by its whole path, or by the end of it."""
    tops = [*SOURCES, "formats", "docs"]
    return any(repository.glob(pattern)) or any(any((repository / top).rglob(pattern)) for top in tops)


@pytest.fixture(scope="module")
def words(repository):
    paths = [path for top in SOURCES for end in ("py", "toml") for path in (repository / top).rglob(f"*.{end}")]
    own = {"test_contributing.py"}
    return {word for path in paths if path.name not in own for word in OF_CODE.findall(path.read_text("utf-8"))}


def missing(text, repository, words):
    """The spans of a text that name something which is not there."""
    targets = re.findall(r"^([a-z-]+):", (repository / "Makefile").read_text("utf-8"), re.MULTILINE)
    absent = []
    for span in spans(text):
        command, _, rest = span.partition(" ")
        if command == "make":
            there = rest in targets
        elif command == "lowbit":
            there = rest.split()[0] in VERBS
        elif FILE.fullmatch(span):
            there = is_there(PLACEHOLDERS.sub("*", span).rstrip("/"), repository)
        else:
            there = OF_CODE.fullmatch(span) is None or span in words
        if not there:
            absent.append(span)
    return absent


def test_what_contributing_names_is_there(repository, words):
    text = (repository / "CONTRIBUTING.md").read_text("utf-8")
    assert len(spans(text)) > 100
    assert missing(text, repository, words) == []


def test_every_target_has_its_cost(repository):
    text = (repository / "CONTRIBUTING.md").read_text("utf-8")
    described = set(re.findall(r"^([a-z-]+):.*## ", (repository / "Makefile").read_text("utf-8"), re.MULTILINE))
    assert described - {"help", "wheel", "clean"} <= set(re.findall(r"^\| `make ([a-z-]+)` \|", text, re.MULTILINE))


def test_the_rule_sees_what_is_not_there(repository, words):
    bad = ["lowbit/oracle/NAME/gone.py", "gone.toml", "gone/", "make tset", "lowbit chekc", "GONE_TABLE"]
    good = ["lowbit/oracle/CONCEPT/", "cast.py", "cast/lowering.py", "make test", "lowbit check", "PATHS", "a | b"]
    assert missing(" ".join(f"`{span}`" for span in bad + good), repository, words) == bad
