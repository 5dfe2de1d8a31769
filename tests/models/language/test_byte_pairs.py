"""Byte pair encoding: words, merges, and back."""

import random

import pytest

from lowbit.errors import InputError
from lowbit.models.language.byte_pairs import BYTES, LETTERS, BytePairs, words
from tests.models.language.tiny_llama import MERGES, PIECES


@pytest.fixture(scope="module")
def pairs():
    return BytePairs(PIECES, MERGES, single_digits=True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello world", ["Hello", " world"]),
        ("don't 'stop'", ["don", "'t", " '", "stop", "'"]),
        ("a  b\n\nc ", ["a", " ", " b", "\n", "\n", "c", " "]),
        ("in 1234", ["in", " ", "1", "2", "3", "4"]),
        ("café² Ⅷx\u00a0y", ["café", "²", " ", "Ⅷ", "x", "\u00a0", "y"]),
        ("a_b-c\x1c!", ["a", "_", "b", "-", "c", "\x1c!"]),
        ("", []),
    ],
)
def test_words_are_those_of_smollm2(text, expected):
    # as the package tokenizers 0.23 has them: Digits(individual_digits=True), then ByteLevel(use_regex=True)
    assert list(words(text, single_digits=True)) == expected


def test_digits_stay_together_where_gpt_2_says_so():
    assert list(words("in 1234", single_digits=False)) == ["in", " 1234"]


def test_the_first_pair_is_joined_first(pairs):
    pieces = [PIECES[token] for token in pairs.tokens("the an other")]
    assert pieces == ["the", "Ġ", "an", "Ġ", "o", "the", "r"]
    # "er" was learned after "the", which leaves it no e; "an" before "Ġa", which leaves "Ġan" no Ġa


def joined_slowly(letters):
    """Sennrich et al., section 3.2: every merge in turn, wherever it applies."""
    parts = list(letters)
    for first, second in MERGES:
        place = 0
        while place + 1 < len(parts):
            if (parts[place], parts[place + 1]) == (first, second):
                parts[place : place + 2] = [first + second]
            place += 1
    return parts


def test_merges_in_turn_give_the_same(pairs):
    generator = random.Random(3)
    for _ in range(300):
        word = "".join(generator.choice("thean") for _ in range(generator.randint(1, 12)))
        assert [PIECES[token] for token in pairs.tokens(word)] == joined_slowly(word)


def test_text_comes_back(pairs):
    text = "the café 😀\tand 12\n"
    assert pairs.text(pairs.tokens(text)) == text
    assert pairs.text([BYTES_OF["Ã"]]) == "\ufffd"


BYTES_OF = {letter: PIECES.index(letter) for letter in LETTERS.values()}


def test_every_byte_has_a_letter():
    assert sorted(BYTES.values()) == list(range(256))
    assert (LETTERS[ord(" ")], LETTERS[ord("a")], LETTERS[0xAD]) == ("Ġ", "a", "Ń")


def test_a_byte_without_a_piece_is_told():
    small = BytePairs([piece for piece in PIECES if piece != LETTERS[0xC3]], MERGES)
    with pytest.raises(InputError, match="'café' has the byte 0xc3, which the vocabulary does not have"):
        small.tokens("café")


def test_a_merge_into_nothing_is_refused():
    with pytest.raises(InputError, match="does not have 'thethe'"):
        BytePairs(PIECES, [*MERGES, ("the", "the")])
