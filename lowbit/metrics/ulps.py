"""Distances of codes, counted."""

from __future__ import annotations

import numpy as np

from lowbit.ops.cast.ordinal import ulp_distance
from lowbit.ops.types import Codes, FormatLike


def ulp_histogram(first: Codes, second: Codes, fmt: FormatLike, *, nan: int | None = None) -> dict[int, int]:
    """How many codes are how many units in the last place apart.

    Parameters
    ----------
    first, second : arrays of int
        Codes of the format, broadcast against each other.
    fmt : format or its name
        Any scalar format of at most 64 bits.
    nan : int, optional
        The distance where exactly one of the two is a NaN; unless given, a NaN is an error.

    Returns
    -------
    dict
        Distance -> count, in rising order; a distance that does not occur is not there.

    Raises
    ------
    InputError
        A code is out of range or is a NaN, or the shapes do not go together.

    See Also
    --------
    lowbit.ulp_distance : the distances themselves.

    Examples
    --------
    >>> ulp_histogram([0x38, 0x39, 0x3f, 0x00], [0x38, 0x3a, 0x40, 0x80], "float8_e4m3fn")
    {0: 2, 1: 2}
    """
    distances, counts = np.unique(ulp_distance(first, second, fmt, nan=nan), return_counts=True)
    return dict(zip(distances.tolist(), counts.tolist(), strict=True))
