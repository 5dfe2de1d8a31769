"""Words are made in ``lowbit.check.report`` alone: what is outside it hands over claims, facts and numbers."""

import ast
from pathlib import Path

import pytest

import lowbit.check
from lowbit.check import claims, facts

CHECK = Path(lowbit.check.__file__).parent
OUTSIDE = sorted(path for path in CHECK.rglob("*.py") if path.parent.name != "report")
NAMES = {"command", "_command", "rule_name", "types", "policy_label", "_nearest", "source", "target", "answer"}
"""What may put names together: a command to be copied, and the names of types and rules."""


def test_there_are_files_outside_the_report():
    assert len(OUTSIDE) > 25
    assert (CHECK / "report" / "sentence.py").exists()


@pytest.mark.parametrize("path", OUTSIDE, ids=lambda path: str(path.relative_to(CHECK)))
def test_no_sentence_is_made_outside_the_report(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    for node in ast.walk(tree):
        if not isinstance(node, ast.JoinedStr) or not _is_several_words(node):
            continue
        assert _belongs_to_a_record(node, parents), f"{path.name}:{node.lineno}: {ast.unparse(node)}"


def _is_several_words(node):
    return any(" " in part.value for part in node.values if isinstance(part, ast.Constant))


def _belongs_to_a_record(node, parents):
    """Whether a text is part of an error, of a bug's record, of a command or of a name."""
    while node in parents:
        node = parents[node]
        if isinstance(node, ast.Raise):
            return True
        if isinstance(node, ast.Assign) and _name(node.targets[0]) in ("what", "message"):  # of an error
            return True
        if isinstance(node, ast.Call) and _name(node.func).endswith(("Bug", "Error", "bugs", "mutant", "get_format")):
            return True
        if isinstance(node, ast.FunctionDef):
            return node.name in NAMES or node.name.endswith(("bugs", "_init__", "device"))
    return True


def _name(function):
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def test_claims_and_facts_have_no_words_of_their_own():
    kinds = [*claims.Claim.__subclasses__(), *facts.Fact.__subclasses__()]
    assert len(kinds) > 15
    for kind in kinds:
        assert not {name for name in vars(kind) if name in ("words", "text", "sentence", "__str__")}
