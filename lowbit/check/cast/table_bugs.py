"""Bugs of conversions to codebooks: the right value, or one beside it, under another number."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from lowbit.check.cast.bug import CastBug, everything, nowhere
from lowbit.check.cast.conversion import Codes, Conversion, Mask, View


def _into_tables(view: View) -> Mask:
    return everything(view) if view.target.listed else nowhere(view)


def _numbered_by_value(conversion: Conversion) -> Codes:
    """The place of each value among all, in rising order; a NaN keeps its code."""
    target = conversion.view.target
    codes = [code for code in target.codes if target.ordinal(code) is not None]
    rising = sorted(codes, key=lambda code: target.ordinal(code) or 0)
    places = np.arange(len(target.codes))
    places[rising] = np.sort(codes)
    return places[conversion.right()]


def _numbered_from_the_top(conversion: Conversion) -> Codes:
    return len(conversion.view.target.codes) - 1 - conversion.right().astype(np.int64)


def _one_code_on(step: int) -> Callable[[Conversion], Codes]:
    def compute(conversion: Conversion) -> Codes:
        last = len(conversion.view.target.codes) - 1
        return np.clip(conversion.right().astype(np.int64) + step, 0, last)

    return compute


def table_bugs() -> Iterator[CastBug]:
    """The likeliest first."""
    yield CastBug(
        "numbered_by_value", "numbers the values of the table in their order, not by its codes", _into_tables,
        _numbered_by_value, True,
    )  # fmt: skip
    yield CastBug("numbered_from_the_top", "numbers the table from its end", _into_tables, _numbered_from_the_top, True)
    yield CastBug("one_code_above", "gives the code after the right one", _into_tables, _one_code_on(1), True)
    yield CastBug("one_code_below", "gives the code before the right one", _into_tables, _one_code_on(-1), True)
