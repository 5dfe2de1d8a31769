"""Memory files are read as ``$readmemh`` reads them (IEEE 1800-2017, 21.4)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lowbit.dut.memory_file import read_memory
from lowbit.errors import InputError


def memory(tmp_path, text):
    file = tmp_path / "memory.hex"
    file.write_bytes(text.encode())
    return read_memory(file)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", {}),
        ("// nothing\n/* at\nall */\n", {}),
        ("0a\n0B\n", {0: 10, 1: 11}),
        ("0a 0B\t0c\f0d", {0: 10, 1: 11, 2: 12, 3: 13}),
        ("0a\r\n0b\r\n", {0: 10, 1: 11}),
        ("0a// 0b\n0c# 0d\n0e", {0: 10, 1: 12, 2: 14}),
        ("0a/*0b\n@5 */0c", {0: 10, 1: 12}),
        ("0a // /* 0b\n0c", {0: 10, 1: 12}),
        ("dead_beef f_0_", {0: 0xDEADBEEF, 1: 0xF0}),
        ("@2 0a 0b @0 0c", {0: 12, 2: 10, 3: 11}),
        ("@A 1 @1_0 2", {10: 1, 16: 2}),
        ("1 2 @0 3", {0: 3, 1: 2}),  # the last write counts
        ("1 x2 @0 zz @1 4", {0: None, 1: 4}),
        ("1 @5", {0: 1}),
        ("X Z ? 3x x_", {0: None, 1: None, 2: None, 3: None, 4: None}),
        ("0x3c 0X40", {0: 0x3C, 1: 0x40}),
        ("3c 0x40", {0: 0x3C, 1: None}),  # as $writememh writes a word whose second digit is unknown
        ("0x", {0: None}),
        ("0x3c 0x", {0: None, 1: None}),
        ("0" * 1000 + "7", {0: 7}),
        ("@ffffffffffff 1", {0xFFFFFFFFFFFF: 1}),
    ],
)
def test_words(tmp_path, text, words):
    found = memory(tmp_path, text)
    assert found.words == words
    assert found.length == max(words, default=-1) + 1


@pytest.mark.parametrize(
    ("text", "addressed"), [("1 2", False), ("1 // @1\n2", False), ("1 @1 2", True), ("1 @9", True)]
)
def test_whether_a_file_has_addresses(tmp_path, text, addressed):
    assert memory(tmp_path, text).addressed == addressed


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("7\n-1\n", r":2: '-1' is not a hexadecimal code\nhelp: .*two's complement"),
        ("+1", "'[+]1' is not a hexadecimal code"),
        ("_1", "'_1' is not a hexadecimal code"),
        ("8'h3c", "is not a hexadecimal code"),
        ("\ufeff3c", "is not a hexadecimal code"),
        ("3c\n/* 3d\n", ":2: '/[*]' begins a comment without an end"),
        ("@ 10", "'@' is not an address"),
        ("@x0 1", "'@x0' is not an address"),
        ("@-1 1", "'@-1' is not an address"),
        ("1" + "0" * 16, "has more than 64 bits"),
        ("@1" + "0" * 16, "has more than 64 bits"),
        ("// columns: input:8 flag:2\n00000000 00\n", "holds rows of several columns"),
    ],
)
def test_what_is_not_a_memory_file(tmp_path, text, what):
    with pytest.raises(InputError, match=what):
        memory(tmp_path, text)


@pytest.mark.parametrize("word", ["7" * 100_000, "q" * 100_000, "@" + "7" * 100_000])
def test_long_words_are_shortened_in_messages(tmp_path, word):
    with pytest.raises(InputError, match=r"\.\.\. \([0-9]+,00[01] characters\)") as caught:
        memory(tmp_path, word)
    assert len(str(caught.value)) < 400


SPACES = st.sampled_from([" ", "\n", "\t", "\r\n", "\f", "// 5 @7\n", "/* x\n @3 */", " # 9\n"])
DIGITS = st.text("0123456789abcdefABCDEFxXzZ?", min_size=1, max_size=16).filter(lambda word: word[:2].lower() != "0x")


@given(
    st.lists(
        st.tuples(SPACES, st.one_of(st.none(), st.integers(0, 20)), DIGITS, st.integers(0, 16)),
        max_size=20,
    )
)
def test_any_file_is_what_it_does_to_a_memory(tmp_path_factory, writes):
    text, model, address = "", {}, 0
    for space, place, digits, underscore in writes:
        if place is not None:
            address = place
            text += f"{space}@{place:x}"
        word = digits[:underscore] + "_" + digits[underscore:] if underscore else digits
        text += f"{space}{word}"
        model[address] = None if set(digits.lower()) & set("xz?") else int(digits, 16)
        address += 1
    file = tmp_path_factory.mktemp("memory") / "any.mem"
    file.write_bytes(text.encode())
    found = read_memory(file)
    assert found.words == model
    holes = [row for row in range(found.length) if row not in model]
    assert found.first_hole() == (holes[0] if holes else None)
