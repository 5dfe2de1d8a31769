"""Rows made to overflow: the rails, and sums next to powers of two."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from itertools import chain, islice

from lowbit.errors import LowbitError
from lowbit.proof.nonlinear.recorder import Recorder
from lowbit.proof.nonlinear.subject import Subject
from lowbit.proof.span import Span
from lowbit.vectors.nonlinear.row_sums import near_powers

RANDOM_ROWS = 32
NEAR_A_POWER = 4
"""That many sums below each power of two are aimed at, and the power itself."""
MOST_ELEMENTS = 1 << 21
"""Codes that a search runs through the oracle at most: some seconds of Python."""


def directed_rows(subject: Subject, length: int) -> Iterator[list[int]]:
    """Rows of a length, most likely witnesses first; the same ones every time."""
    yield from chain(_rails(subject.inputs, length), _sums(subject, length), _random(subject.inputs, length))


def _rails(inputs: Span, length: int) -> Iterator[list[int]]:
    low, high = inputs
    middle = 0 if low <= 0 <= high else (low + high) // 2
    yield [high] * length
    yield [low] * length
    if length == 1:
        yield [middle]
        return
    half = length // 2
    yield [high] + [low] * (length - 1)
    yield [high] * (length - 1) + [low]
    yield [high] * half + [low] * (length - half)
    yield [high, low] * half + [high] * (length % 2)
    yield [high] + [middle] * (length - 1)
    yield [low + index * (high - low) // (length - 1) for index in range(length)]
    for single in {1 << max(0, high.bit_length() - 1), 1, -1}:  # a power of two divides the numerators of reciprocals
        if low <= single <= high:
            yield [single] + [middle] * (length - 1)
    for near in (1, 2, 3):
        yield [high] + [max(low, high - near)] * (length - 1)


def _sums(subject: Subject, length: int) -> Iterator[list[int]]:
    """Rows whose sums are next to powers of two, as far as the codes' contributions reach them."""
    if subject.contributions and length > 1:
        yield from near_powers(subject.contributions, subject.inputs.high, length, NEAR_A_POWER)


def _random(inputs: Span, length: int) -> Iterator[list[int]]:
    state = 1
    for _ in range(RANDOM_ROWS):
        row = []
        for _ in range(length):
            state = (state * 6364136223846793005 + 1442695040888963407) % (1 << 64)  # Knuth's MMIX generator
            row.append(inputs.low + (state >> 33) % inputs.size)
        yield row


def witnesses(subject: Subject, length: int, wanted: set[str]) -> tuple[dict[str, tuple[int, tuple[int, ...]]], int]:
    """Rows that make these intermediates leave their widths: name -> (value, row), and how many rows were run."""
    found: dict[str, tuple[int, tuple[int, ...]]] = {}
    tried = 0
    most = max(8, MOST_ELEMENTS // length)
    for row in islice(directed_rows(subject, length), most):
        if not wanted - set(found):
            break
        steps = Recorder(subject.widths)
        tried += 1
        # Once an intermediate has left its width, what follows has no meaning and may fail; it has been noted by then.
        with suppress(LowbitError, IndexError, ValueError, ZeroDivisionError):
            subject.run(row, steps)
        for name, value in steps.overflows().items():
            if name in wanted:
                found.setdefault(name, (value, tuple(row)))
    return found, tried
