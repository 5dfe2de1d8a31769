"""Kernels are compiled or loaded before the first example, so that its time does not count against the test.

Hypothesis fails a test whose example takes more than 200 ms, and the first call of a kernel takes seconds where
nothing is compiled yet. A strategy of lowbit runs the kernels once when Hypothesis validates it: outside of every
example, and not while the tests are collected.
"""

from __future__ import annotations

from contextlib import suppress
from functools import cache
from typing import TypeVar

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from lowbit.errors import InexactError
from lowbit.format.scalar import Scalar
from lowbit.ops.cast.cast import convert, decode, encode
from lowbit.policy.cast import Policy

Drawn = TypeVar("Drawn")
SOURCES = ("float16", "float32", "float64")


def warmed(strategy: SearchStrategy[Drawn], fmt: Scalar) -> SearchStrategy[Drawn]:
    """The same strategy, which runs the kernels for a format before its first draw."""

    def validated() -> SearchStrategy[Drawn]:
        warm_up(fmt)
        return strategy

    return st.deferred(validated)


@cache
def warm_up(fmt: Scalar) -> None:
    """Encode, decode and convert one value: by the format's default, by another policy, and with flags."""
    other = Policy(rounding="to_odd", overflow="saturate")
    for source in SOURCES:
        one = np.ones(1, source)
        codes = encode(one, fmt)
        encode(one, fmt, policy=other)
        encode(one, fmt, return_flags=True)
    with suppress(InexactError):  # a format that is wider than binary32
        decode(codes, fmt)
    convert(codes, fmt, fmt)
