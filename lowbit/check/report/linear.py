"""A linear layer or a convolution in words: the scheme or the bug of a kernel, and one wrong code."""

from __future__ import annotations

from lowbit.check.report.requantize import closest_words, number, rule_words
from lowbit.check.report.values import got_words
from lowbit.check.requantize.linear import LinearDetail, LinearOperation
from lowbit.check.result import Example

__all__ = ["closest_words", "example_lines", "rule_words"]


def example_lines(example: Example, operation: LinearOperation) -> list[str]:
    """The sum, the bias, the exact product, what the scheme makes of it, and what was expected."""
    del operation
    detail: LinearDetail = example.detail
    place = dict(zip(("row", "column", "output"), example.index, strict=False))
    return [
        example.case.place,
        f"element         {', '.join(f'{name} {number}' for name, number in place.items())}",
        f"sum             {detail.sum}, bias {int(example.case.arrays['bias'][example.index[-1]])}",
        f"accumulator     {detail.accumulator}",
        f"exact product   {float(detail.product):.9g}, zero point {example.case.scalars['zero_point']}",
        *(f"{name:<16}{number(value)}" for name, value in detail.steps),
        f"expected        {example.expected}",
        f"got             {got_words(example)}",
    ]
