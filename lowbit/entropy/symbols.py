"""Codes as the symbols that a coder takes: unsigned numbers from 0 on; and what they are worth in bits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lowbit.errors import InputError
from lowbit.kernels.entropy.count import count
from lowbit.ops.arrays import integer_array
from lowbit.ops.types import Array, Codes

DTYPES = ("uint8", "int8", "uint16", "int16")
"""Of codes, by their numbers in a header."""

MOST_CODED = 16
"""Bits of a code."""


@dataclass(frozen=True)
class Symbols:
    """Codes less the lowest of them.

    Attributes
    ----------
    array : ndarray of uint8 or uint16, shape (count,)
    dtype : str
        Of the codes.
    lowest : int
    counts : ndarray of int64
        How often each symbol occurs, from 0 to the highest.
    """

    array: Array
    dtype: str
    lowest: int
    counts: npt.NDArray[np.int64]


def symbols_of(codes: Codes) -> Symbols:
    """The symbols of codes.

    Raises InputError: they are not integers of 8 or 16 bits.
    """
    array = integer_array(codes, "codes", "uint8")
    if not isinstance(codes, np.ndarray) and array.dtype.kind in "iu" and array.size:
        array = array.astype(_smallest(int(array.min()), int(array.max())))
    if array.dtype.name not in DTYPES:
        raise InputError(
            f"codes of dtype {array.dtype} are not coded, which are integers of 8 or 16 bits",
            hint="codes.astype(numpy.uint8), if they fit; lowbit.encode(values, fmt) makes codes of values",
        )
    flat = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("="), copy=False)).reshape(-1)
    if not flat.size:
        return Symbols(flat, flat.dtype.name, 0, np.zeros(0, np.int64))
    lowest, highest = int(flat.min()), int(flat.max())
    plain = np.dtype(f"u{flat.itemsize}")
    symbols = flat.view(plain) - np.array(lowest).astype(flat.dtype).view(plain)  # modulo the size of the dtype
    counts = np.zeros((4, highest - lowest + 1), np.int64)
    count(symbols, counts)
    return Symbols(symbols, flat.dtype.name, lowest, counts.sum(axis=0))


def _smallest(low: int, high: int) -> npt.DTypeLike:
    fitting = (name for name in DTYPES if np.iinfo(name).min <= low and high <= np.iinfo(name).max)
    return next(fitting, "int64")


def within(name: str, value: Any, least: int, most: int) -> None:
    """Refuse an option that is not one of some whole numbers: InputError."""
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or not least <= value <= most:
        raise InputError(f"{name} = {value!r} is not a whole number from {least} to {most}")


def entropy(codes: Codes) -> float:
    """The entropy of codes, each taken by itself (zeroth order).

    Parameters
    ----------
    codes : array_like of int
        Of 8 or 16 bits, any shape.

    Returns
    -------
    float
        Bits a code: what no coder that looks at one code at a time stays below. 0 where there are none.

    Raises
    ------
    InputError
        They are not integers of 8 or 16 bits.

    Notes
    -----
    Source: C. E. Shannon, "A Mathematical Theory of Communication", 1948, section 6.

    Examples
    --------
    >>> from lowbit.entropy import entropy
    >>> entropy([0, 1, 2, 3]), entropy([0, 0, 0, 1, 0, 0, 0, 1])
    (2.0, 0.8112781244591328)
    """
    return entropy_of_counts(symbols_of(codes).counts)


def entropy_of_counts(counts: npt.NDArray[np.int64]) -> float:
    """The same where it is known how often each code occurs."""
    occurring = counts[counts > 0]
    if len(occurring) < 2:
        return 0.0
    shares = occurring / occurring.sum()
    return float(-(shares * np.log2(shares)).sum())
