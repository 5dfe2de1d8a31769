"""Family files with an ordinary mistake, or with a number that nobody can compute: named, never a bug or a hang."""

import re

import pytest

from lowbit.errors import FormatError
from lowbit.format.files.document import read_document
from lowbit.format.files.family_file import read_family
from lowbit.format.files.formula import evaluate


def change(text, old, new):
    changed = re.sub(old, new, text, flags=re.MULTILINE)
    assert changed != text
    return changed


@pytest.fixture
def mine(repository):
    text = (repository / "formats" / "p3109.toml").read_text(encoding="utf-8")
    text = text.replace('family = "p3109"', 'family = "mine"').replace("binary{K}", "mine{K}")
    return text[: text.index("[facts]")]


@pytest.mark.parametrize(
    ("old", "new", "part"),
    [
        (r"^exponent = .*\n", "", "exponent: the field is missing"),
        (r"^mantissa = .*\n", "", "mantissa: the field is missing"),
        (r"^bias = .*\n", "", "bias: the field is missing"),
        (r"^minimum = 3$", "minimum = true", "minimum: True is not an integer"),
        (r"^minimum = 3$", "minimum = { Q = 3 }", "is not an integer or a string"),
        (r"^maximum = \{ P = .*$", 'maximum = { Q = "K - 1" }', "Q: this is not a parameter"),
        (r"^maximum = \{ P = .*$", "maximum = { P = true }", "P: True is not an integer"),
        (r'^kind = "float"$', 'kind = "integer"', "a family of kind integer has no such field"),
    ],
)
def test_a_mistake_names_the_file_and_the_field(mine, tmp_path, old, new, part):
    file = tmp_path / "mine.toml"
    file.write_text(change(mine, old, new))
    with pytest.raises(FormatError) as caught:
        read_family(read_document(file))
    assert str(file) in caught.value.message
    assert part in caught.value.message


@pytest.mark.parametrize(
    "formula", ["(2^1048576)^1048576", "2^1048577", "((2^1000)^1000)^1000", "(1/2^1048576)^9", "3^(9^9)"]
)
def test_a_power_that_nobody_can_compute_is_not_a_formula(formula):
    with pytest.raises(FormatError, match="too large"):
        evaluate(formula)
    assert evaluate("(2^1000)^1000").numerator.bit_length() == 1_000_001
    assert evaluate("1^1048576") == 1
