"""Pyramids: all vectors of integers whose magnitudes add up to a number of pulses, and their places in order."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from lowbit.errors import InputError
from lowbit.ops.arrays import Array, first_place, integer_array
from lowbit.policy.choices import require_choice
from lowbit.quantizers.inputs import Doubles

Vectors = npt.NDArray[np.int64]

ORDERS = {
    "fischer": "0, 1, -1, 2, -2, ... at each place (Fischer 1986)",
    "opus": "k, ..., 1, 0, -k, ..., -1 at each place with k pulses left (RFC 6716, celt/cwrs.c)",
}
"""What comes first at the first place where two vectors differ."""

LARGEST = 256
"""Numbers and pulses of a vector."""


def vector_count(length: int, pulses: int) -> int:
    """How many vectors of ``length`` integers have magnitudes that add up to ``pulses``: N(length, pulses).

    ``N(n, k) = N(n - 1, k) + N(n - 1, k - 1) + N(n, k - 1)``; Opus calls it V(n, k). Source: Fischer, "A Pyramid Vector
    Quantizer", IEEE Transactions on Information Theory 32 (1986), equation 4.

    Examples
    --------
    >>> vector_count(16, 32).bit_length()
    52
    """
    table = _table(length, pulses)
    return int(table[length, pulses]) + int(table[length, pulses + 1])


def vector_indices(vectors: npt.ArrayLike, *, order: str = "fischer") -> Array:
    """The place of each vector among all vectors of as many pulses, from 0.

    Parameters
    ----------
    vectors : array_like of int, shape (..., length)
        The magnitudes of all of them add up to the same number.
    order : str
        "fischer" or "opus": see :data:`ORDERS`.

    Returns
    -------
    indices : ndarray, shape (...)
        int64, or Python integers where there are 2^63 vectors or more.

    Raises
    ------
    InputError
        Vectors have different numbers of pulses, or more than 256 numbers or pulses.

    Examples
    --------
    >>> vector_indices([[2, 0], [1, 1], [0, -2]], order="opus").tolist()
    [0, 1, 4]
    """
    require_choice("order", order, ORDERS)
    array = integer_array(vectors, "vectors")
    if array.dtype.kind not in "iu" or array.ndim == 0 or not array.size:
        raise InputError(f"vectors are integers of shape (..., length), not {array.dtype} of {array.shape}")
    beyond = (array > LARGEST) | (array < -LARGEST)
    if beyond.any():
        place, where = first_place(beyond)
        raise InputError(f"{array[place]}{where} of vectors is beyond {LARGEST} pulses")
    array = array.astype(np.int64)
    sums = np.abs(array).sum(axis=-1)
    pulses = int(sums.flat[0])
    if (sums != pulses).any():
        place, where = first_place(sums != pulses)
        raise InputError(f"the vector{where} has {sums[place]} pulses and the first one {pulses}", hint="one number")
    table = _table(array.shape[-1], pulses)
    indices = np.empty(sums.size, table.dtype)
    _run("indices_of", table, np.ascontiguousarray(array.reshape(sums.size, -1)), table, order == "opus", indices)
    return indices.reshape(sums.shape)


def vectors_at(indices: npt.ArrayLike, length: int, pulses: int, *, order: str = "fischer") -> Vectors:
    """The vectors at these places: the inverse of :func:`vector_indices`.

    Parameters
    ----------
    indices : array_like of int, shape (...)
    length, pulses : int
        At most 256.
    order : str

    Returns
    -------
    vectors : ndarray of int64, shape (..., length)

    Raises
    ------
    InputError
        An index is not below the number of vectors.

    Examples
    --------
    >>> vectors_at([0, 1, 2, 7], 2, 2).tolist()
    [[0, 2], [0, -2], [1, 1], [-2, 0]]
    """
    require_choice("order", order, ORDERS)
    table = _table(length, pulses)
    count = vector_count(length, pulses)
    array = integer_array(indices, "indices")
    if array.dtype.kind not in "iu" and not all(type(index) is int for index in array.flat):
        raise InputError(f"indices are integers, not {array.dtype}")
    outside = np.asarray((array < 0) | (array >= count))
    if outside.any():
        place, where = first_place(outside)
        raise InputError(f"index {array[place]}{where}: there are {count} vectors of {length} numbers, {pulses} pulses")
    vectors = np.empty((array.size, length), np.int64)
    _run("vectors_of", table, array.reshape(-1).astype(table.dtype), table, order == "opus", pulses, vectors)
    return vectors.reshape(*array.shape, length)


def nearest_vectors(values: Doubles, pulses: int) -> Vectors:
    """Of vectors of this many pulses one that points nearly where the values do, shape (rows, length).

    Magnitudes are scaled to the sum of pulses and cut to integers; each pulse that is left goes where the cosine rises
    most, the first of equal places. The nearest of all is seldom another one.
    """
    from lowbit.kernels.quantizers.fast_pyramid import nearest_pulses

    vectors = np.empty(values.shape, np.int64)
    nearest_pulses(np.ascontiguousarray(values, np.float64), pulses, vectors)
    return vectors


def _run(name: str, table: Array, *arguments: Any) -> None:
    """A kernel, compiled or on Python integers."""
    from lowbit.kernels.quantizers import pyramid

    kernel = getattr(pyramid, name)
    (kernel.py_func if table.dtype == object else kernel)(*arguments)


@lru_cache(maxsize=16)
def _table(length: int, pulses: int) -> Array:
    """U(n, k) for n to ``length`` and k to ``pulses`` + 1; Python integers where there are 2^63 vectors or more."""
    numbers: tuple[tuple[str, Any, int], ...] = (("length", length, 1), ("pulses", pulses, 0))
    for name, number, least in numbers:
        if not isinstance(number, int | np.integer) or not least <= number <= LARGEST:
            raise InputError(f"{name} = {number!r} is not a whole number from {least} to {LARGEST}")
    table = np.zeros((length + 1, pulses + 2), object)
    table[0, 0] = 1
    for size in range(1, length + 1):
        for k in range(1, pulses + 2):
            table[size, k] = table[size - 1, k] + table[size, k - 1] + table[size - 1, k - 1]
    return table.astype(np.int64) if table[-1, -1] + table[-1, -2] < 1 << 63 else table


@dataclass(frozen=True, eq=False)
class PyramidVectors:
    """A gain and the index of a vector of pulses for each few neighbouring weights (pyramid vector quantisation).

    Attributes
    ----------
    indices : ndarray of int64 or of Python integers, shape (outputs, vectors)
    gains : ndarray of uint8, float16 or float32, shape (outputs, vectors)
        The length of a vector over the scale of its row: a place in ``levels``, or the number itself.
    levels : ndarray of float32, shape (count,), or None
    scales : ndarray of float32, shape (outputs,)
    length, pulses : int
    order : str
        Of the indices: see :data:`ORDERS`.
    """

    indices: Array
    gains: Array
    levels: npt.NDArray[np.float32] | None
    scales: npt.NDArray[np.float32]
    length: int
    pulses: int
    order: str

    @property
    def shape(self) -> tuple[int, ...]:
        return self.indices.shape[0], self.indices.shape[1] * self.length

    @property
    def bits_per_value(self) -> Fraction:
        """An index has as many whole bits as the last one needs."""
        index = (vector_count(self.length, self.pulses) - 1).bit_length()
        levels = 0 if self.levels is None else self.levels.size
        gain = 8 * self.gains.dtype.itemsize if self.levels is None else (levels - 1).bit_length()
        shared = Fraction(32 * (levels + self.scales.size), self.indices.size)
        return (index + gain + shared) / self.length

    def values(self) -> Doubles:
        vectors = vectors_at(self.indices, self.length, self.pulses, order=self.order).astype(np.float64)
        gains = (self.gains if self.levels is None else self.levels[self.gains]).astype(np.float64)
        lengths = gains * self.scales.astype(np.float64)[:, None] / np.sqrt((vectors * vectors).sum(axis=-1))
        result: Doubles = (vectors * lengths[..., None]).reshape(self.shape)
        return result
