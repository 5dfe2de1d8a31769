"""One quantity derived twice, from floats and in fractions: the answers are the same, and so are the refusals."""

from lowbit.errors import InputError


def require_same(pairs, share=4):
    """Pairs of functions without arguments agree; more than one in ``share`` of them is not refused."""
    answers = [(answer_of(first), answer_of(second)) for first, second in pairs]
    assert [left for left, _ in answers] == [right for _, right in answers]
    assert sum(left is not None for left, _ in answers) > len(answers) // share


def answer_of(derive):
    """What a derivation gives; None for a refusal."""
    try:
        return derive()
    except InputError:
        return None
