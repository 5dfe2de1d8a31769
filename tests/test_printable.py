"""Control characters are spelled out; everything else stays as it is."""

import pytest

from lowbit.printable import LONGEST_EXCERPT, excerpt, printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred", r"\x1b[31mred"),
        ("bell\x07 delete\x7f", r"bell\x07 delete\x7f"),
        ("\x9b2J", r"\x9b2J"),  # CSI in one character (ECMA-48 5.4)
        ("\udc80", r"\udc80"),  # a byte of a file name that is no UTF-8 (PEP 383)
        ("überall ± 數", "überall ± 數"),
        (r"back\slash", r"back\slash"),
    ],
)
def test_controls_are_spelled_out(text, shown):
    assert printable(text) == printable(text, line=True) == shown


def test_line_ends_stay_in_texts_and_not_in_lines():
    assert printable("one\n\ttwo\r") == "one\n\ttwo\\r"
    assert printable("one\n\ttwo\r", line=True) == r"one\n\ttwo\r"


def test_an_excerpt_is_quoted_and_short():
    assert excerpt("3x\x1b") == r"'3x\x1b'"
    assert excerpt("7" * LONGEST_EXCERPT) == repr("7" * LONGEST_EXCERPT)
    assert excerpt("7" * 100_000) == f"{'7' * LONGEST_EXCERPT!r}... (100,000 characters)"
