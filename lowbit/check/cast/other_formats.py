"""The formats that a kernel may be about instead: the same number of bits, read in another way."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lowbit.check.cast.rules import reference
from lowbit.format.registry import formats, get_format
from lowbit.format.scalar import FloatFormat, Scalar
from lowbit.ops.arrays import is_nan
from lowbit.policy.cast import Policy

SAMPLE = 512
ALIKE = 0.75
"""This share of some numbers has to become what another format would have, under one rounding."""
ROUNDINGS = ("nearest_even", "nearest_away", "toward_zero")


def other_formats(
    codes: NDArray[Any], got: NDArray[Any], source: Scalar, target: Scalar
) -> Iterator[tuple[Scalar, Scalar]]:
    """Source and target of which one is another format of as many bits, where some of the answers look like that."""
    numbers = np.flatnonzero(~is_nan(codes, source))
    sample = numbers[:: max(1, len(numbers) // SAMPLE)]
    pairs = [*((source, other) for other in _alike(target)), *((other, target) for other in _alike(source))]
    for own, other in pairs:
        for rounding in ROUNDINGS:
            results = reference(codes[sample], own, other, Policy(rounding=rounding, overflow="saturate"))
            if np.count_nonzero(results == got[sample]) >= ALIKE * len(sample):
                yield own, other
                break


@lru_cache(maxsize=32)
def _alike(fmt: Scalar) -> tuple[Scalar, ...]:
    """The floats of as many bits as another."""
    if not isinstance(fmt, FloatFormat):
        return ()
    named = (get_format(name) for name in formats())
    return tuple(
        other for other in named if isinstance(other, FloatFormat) and other.bits == fmt.bits and other.id != fmt.id
    )
