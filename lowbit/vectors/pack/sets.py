"""Sets of packed codes in ``.vec`` files: 32 codes a row, and the words of 32 bits that hold them.

Columns: the codes and the words, element 0 of each in the last digits.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from lowbit.errors import InputError
from lowbit.format.registry import integer_format, scalar_format
from lowbit.oracle.pack.stream import packed_zeros
from lowbit.vectors.cast.points import Unsigned
from lowbit.vectors.elements import elements
from lowbit.vectors.flags import block as f
from lowbit.vectors.flags.cast import RANDOM
from lowbit.vectors.recipe import Recipe
from lowbit.vectors.splitmix import splitmix64
from lowbit.vectors.vec import VectorFile, assemble

CODES = 32
"""A row: as many codes as whole words hold, whatever their width."""
RANDOM_ROWS = 12
ORACLES = {"gptq_zeros": packed_zeros}

Row = tuple[int, NDArray[np.int64]]


def pack_set(recipe: Recipe) -> VectorFile:
    """The set of a recipe: codes under a layout of ``lowbit.pack``.

    Raises InputError: there is no oracle of the layout.
    """
    if recipe.policy not in ORACLES:
        raise InputError(f"there are no sets of the layout {recipe.policy!r}", hint=f"one of {', '.join(ORACLES)}")
    source, target = integer_format(recipe.source), scalar_format(recipe.target)
    flags, codes = zip(*_rows(source.bits), strict=True)
    words = np.array([ORACLES[recipe.policy](row.tolist(), source.bits) for row in codes], np.int64)
    header = recipe.header(f"{source.id}, {source.bits} bits, {CODES} codes", f"{target.id}, {target.bits} bits", "")
    return assemble(
        {key: text for key, text in header.items() if text},
        [elements("codes", np.array(codes), source), elements("expected", words, target)],
        flags,
    )


def _rows(bits: int) -> Iterator[Row]:
    """Rows of codes with their flags."""
    top = (1 << bits) - 1
    yield f.ZERO_POINT_ZERO, np.zeros(CODES, np.int64)
    for place in range(0, CODES, 5):
        row = np.full(CODES, top, np.int64)
        row[place] = 0
        yield f.ZERO_POINT_ZERO, row
    for place in range(CODES):
        row = np.ones(CODES, np.int64)
        row[place] = top
        yield f.PLACE_IN_WORD, row
    for seed in range(1, RANDOM_ROWS + 1):
        patterns: Unsigned = splitmix64(seed, CODES) >> np.uint64(64 - bits)
        yield RANDOM, patterns.astype(np.int64)
