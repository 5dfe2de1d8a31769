"""Attention, from projected queries, keys and values to what the output projection takes, and rotary embeddings."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lowbit.errors import InputError
from lowbit.layers.add import products_of
from lowbit.layers.layer import Bound, Interval, Layer, Quantity, Step, is_integer
from lowbit.layers.nonlinear import LONGEST, Nonlinearity
from lowbit.layers.requantize import Output, Rescale, centred, check_output, finished, finished_bounds
from lowbit.ops.gemm.gemm import gemm
from lowbit.ops.gemm.quick import quick_product
from lowbit.ops.memory import reused_empty
from lowbit.ops.types import Array
from lowbit.policy.requantize import RequantizeScheme

ONE = 1 << 14
"""Cosines and sines are Q1.14 numbers, so that 1 is a code."""


@dataclass(frozen=True, eq=False)
class Attention(Layer):
    """``softmax(queries @ keys.T) @ values`` for each head.

    Attributes
    ----------
    query, key, value : Quantity
        Of codes of shapes (..., positions, heads * size) and (..., keys, key_value_heads * size), of at most 16 bits.
    heads, size : int
        How many heads, and how long each is.
    scores : Rescale
        Of the sums of products of queries and keys, 1 / sqrt(size) in its multiplier; to what ``softmax`` takes.
    softmax : Nonlinearity
        With results of at most 16 bits, the sign of unsigned ones included.
    output : Rescale or Quantity
        Of the sums of products of probabilities and values; one multiplier.
    key_value_heads : int, optional
        As many as heads if not given; else each serves ``heads / key_value_heads`` of them (grouped queries).
    causal : bool
        Whether the last queries' positions are those of the keys, and a query sees no later key: a row's softmax is
        over the keys that it sees, and the others have probability 0.
    longest : int
        How many keys there are at most; what the widths are proved for.
    mask : Quantity, optional
        Of a fourth input of shape (..., keys): no query sees a key whose code is 0, the padding of a batch. A query
        that sees none has probabilities 0.

    Raises
    ------
    InputError
        A parameter is wrong; the message begins with ``attention`` and names it.

    Notes
    -----
    Source: Vaswani et al., arXiv 1706.03762, section 3.2; Ainslie et al., arXiv 2305.13245, for grouped queries.
    """

    operation = "attention"
    query: Quantity
    key: Quantity
    value: Quantity
    heads: int
    size: int
    scores: Rescale
    softmax: Nonlinearity
    output: Output
    key_value_heads: int | None = None
    causal: bool = False
    longest: int = 512
    mask: Quantity | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, count in (("heads", self.heads), ("size", self.size), ("longest", self.longest)):
            self.require(is_integer(count, 1, LONGEST), f"{name} = {count!r}: an integer from 1 to {LONGEST:,}")
        divides = is_integer(self._shared, 1, self.heads) and self.heads % self._shared == 0
        self.require(divides, f"{self.heads} heads on {self._shared}")
        self.require(self.softmax.function == "softmax", f"softmax = {self.softmax.function!r} is not a softmax")
        self.scores.check_channels(1, "attention: scores")
        check_output(self.output, 1, self.operation)
        self.softmax.trial(self.scores.result, 8)  # says what the scheme lacks
        declared = self.softmax.declared(self.scores.result)
        self.require(
            declared.bits <= (16 if declared.signed else 15),
            f"probabilities have {declared.bits} bits, and products take at most 16, the sign included",
            hint="softmax with fewer bits",
        )

    @property
    def _shared(self) -> int:
        return self.heads if self.key_value_heads is None else self.key_value_heads

    @property
    def inputs(self) -> tuple[Quantity, ...]:
        return (self.query, self.key, self.value, *(() if self.mask is None else (self.mask,)))

    def channels(self, *given: int | None) -> int:
        for length, count in zip(given[:3], (self.heads, self._shared, self._shared), strict=True):
            self.require_channels(length, count * self.size)
        return self.heads * self.size

    def steps(self, *codes: Array) -> Iterator[Step]:
        return self._steps(np.empty, *codes)

    def __call__(self, *codes: Array) -> Array:
        """The result's codes; as ``intermediates`` gives them, the sums in memory that is used again."""
        if isinstance(self.output, Quantity):
            return super().__call__(*codes)
        self.check(*codes)
        (last,) = deque(self._steps(reused_empty, *codes), maxlen=1)
        return last.codes

    def _steps(
        self, empty: Callable[..., Array], queries: Array, keys: Array, values: Array, mask: Array | None = None
    ) -> Iterator[Step]:
        self._check_shapes(queries, keys, values, mask)
        shared, group = self._shared, self.heads // self._shared
        positions, size = queries.shape[-2], self.size
        heads = _apart(queries, shared, group * size)  # of each key: the positions of its group of queries, one by one
        sums = _products(
            heads.reshape(*heads.shape[:-2], positions * group, size),
            np.swapaxes(np.ascontiguousarray(_apart(keys, shared, size)), -1, -2),
            (self.query.zero_point, self.key.zero_point),
            empty,
        )
        yield Step("scores accumulator", sums, 32)
        scores = self.scores(sums)
        yield Step.of("scores", scores, self.scores.result.scalar)
        probabilities, zero_point = self._probabilities(scores, positions, mask)
        declared = self.softmax.declared(self.scores.result)
        yield Step("probabilities", probabilities, declared.bits, declared.signed)
        signed = probabilities.astype(np.int16) if probabilities.dtype == np.uint16 else probabilities
        parts = np.ascontiguousarray(_apart(values, shared, size))
        sums = _products(signed, parts, (zero_point, self.value.zero_point), empty)
        joined = np.swapaxes(sums.reshape(*sums.shape[:-2], positions, group * size), -3, -2).reshape(queries.shape)
        yield from finished(self.output, joined)

    def _check_shapes(self, queries: Array, keys: Array, values: Array, mask: Array | None) -> None:
        shapes = f"queries {queries.shape}, keys {keys.shape}, values {values.shape}"
        deep = min(array.ndim for array in (queries, keys, values)) >= 2
        self.require(deep and keys.shape[:-1] == values.shape[:-1], f"shapes of {shapes} do not meet")
        self.require(queries.shape[:-2] == keys.shape[:-2], f"leading axes of {shapes} differ")
        widths = [array.shape[-1] for array in (queries, keys, values)]
        wanted = [count * self.size for count in (self.heads, self._shared, self._shared)]
        self.require(widths == wanted, f"{shapes}: their last axes have lengths {wanted}")
        count = keys.shape[-2]
        self.require(1 <= count <= self.longest, f"{count} keys, and longest = {self.longest}")
        padded = mask is None or mask.shape == keys.shape[:-1]
        self.require(padded, f"mask has shape {getattr(mask, 'shape', ())}, not {keys.shape[:-1]}, that of the keys")
        early = not self.causal or queries.shape[-2] <= count
        self.require(early, f"{queries.shape[-2]} queries and {count} keys: a causal query has a key at its position")

    def _probabilities(self, scores: Array, positions: int, mask: Array | None) -> tuple[Array, int]:
        """The softmax of each row of scores over the keys that its query sees, and the zero point of all."""
        if not self.causal and mask is None:
            answer = self.softmax.answer(scores, self.scores.result)
            return answer.codes, answer.zero_point
        trial = self.softmax.trial(self.scores.result, 8)
        count = scores.shape[-1]
        batch = math.prod(scores.shape[:-3])
        rows = scores.reshape(batch, self._shared, positions, self.heads // self._shared, count)
        found = np.full(rows.shape, trial.zero_point, trial.codes.dtype)
        for items, keys in _seen(mask, batch, count):
            for place, length in _turns(positions, count) if self.causal else [(slice(None), count)]:
                part = slice(min(keys, length)) if isinstance(keys, int) else keys[keys < length]
                given = rows[items, :, place][..., part]
                if not given.shape[-1]:
                    continue
                codes = self.softmax.answer(given, self.scores.result).codes
                if isinstance(part, slice):
                    found[items, :, place, :, part] = codes
                else:
                    whole = np.full((*codes.shape[:-1], count), trial.zero_point, found.dtype)
                    whole[..., part] = codes
                    found[items, :, place] = whole
        return found.reshape(scores.shape), trial.zero_point

    def bounds(self, *ranges: Interval) -> Iterator[Bound]:
        queries, keys, values = (
            codes.whole().less(edge.zero_point) for codes, edge in zip(ranges[:3], self.inputs[:3], strict=True)
        )
        product = products_of(queries, keys)
        sums = Interval(np.minimum(product.low, 0) * self.size, np.maximum(product.high, 0) * self.size)
        yield Bound("scores accumulator", *sums, 32)
        for bound in self.scores.bounds(sums):
            yield bound._replace(label="scores" if bound.label == "requantised" else f"scores: {bound.label}")
        declared = self.softmax.declared(self.scores.result)
        probabilities = self.softmax.interval(self.scores.result, self.scores.result.interval)
        zero_point = self.softmax.trial(self.scores.result, 8).zero_point
        probabilities = Interval.of(min(int(probabilities.low), zero_point), probabilities.high)
        yield Bound("probabilities", *probabilities, declared.bits, declared.signed)
        total = self.softmax.largest_total(self.scores.result, self.longest)
        weighted = Interval(np.minimum(values.low, 0) * total, np.maximum(values.high, 0) * total)
        yield from finished_bounds(self.output, weighted)


def _seen(mask: Array | None, items: int, count: int) -> Iterator[tuple[Any, int | npt.NDArray[np.intp]]]:
    """The items of a batch that see the same keys, and these: how many, where they are the first ones."""
    if mask is None:
        yield slice(None), count
        return
    every, members = np.unique(mask.reshape(items, count) != 0, axis=0, return_inverse=True)
    for place, pattern in enumerate(every):
        total = int(pattern.sum())
        yield np.flatnonzero(members.ravel() == place), total if pattern[:total].all() else np.flatnonzero(pattern)


def _turns(positions: int, count: int) -> Iterator[tuple[slice, int]]:
    """Each position of causal queries, and how many keys there are up to it."""
    for position in range(positions):
        yield slice(position, position + 1), count - positions + position + 1


def _products(a: Array, b: Array, zero_points: tuple[int, int], empty: Callable[..., Array]) -> npt.NDArray[np.int32]:
    """``gemm`` of stacks of one shape; where ``b`` has no zero point, with as little as there can be beside kernels."""
    a_zero_point, b_zero_point = zero_points
    a, sums = np.ascontiguousarray(a), empty((*a.shape[:-1], b.shape[-1]), np.int32)
    places = list(np.ndindex(*a.shape[:-2])) if b_zero_point == 0 else []
    for place in places:
        if quick_product(a[place], b[place], a_zero_point=a_zero_point, out=sums[place]) is None:
            places = []
            break
    if not places:
        sums = gemm(a, b, a_zero_point=a_zero_point, b_zero_point=b_zero_point)
    return sums


def _apart(codes: Array, parts: int, length: int) -> Array:
    """Codes of shape (..., positions, parts * length) as (..., parts, positions, length)."""
    return np.swapaxes(codes.reshape(*codes.shape[:-1], parts, length), -3, -2)


@dataclass(frozen=True, eq=False)
class Rotary(Layer):
    """Rotary position embeddings: the halves of each head, turned by an angle of the position.

    Attributes
    ----------
    input : Quantity
        Of codes of shape (..., positions, heads * size), of at most 16 bits less their zero point; from position 0 on.
    cosines, sines : ndarray of int16, shape (positions, size / 2)
        With 14 fraction bits; :func:`rotary_tables` makes them.
    output : Rescale
        Of ``first * cosine - second * sine`` and ``second * cosine + first * sine``; one multiplier.

    Notes
    -----
    Source: Su et al., arXiv 2104.09864, in the layout of Llama: element i of a head goes with element i + size / 2.
    """

    operation = "rotary"
    input: Quantity
    cosines: npt.NDArray[np.int16]
    sines: npt.NDArray[np.int16]
    output: Rescale

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("cosines", "sines"):
            self.check_parameter(name, "int16", (None, None) if name == "cosines" else self.cosines.shape)
            inside = np.abs(getattr(self, name).astype(int)) <= ONE
            self.require(bool(inside.all()), f"{name} are beyond {ONE}, which is 1")
        self.output.check_channels(1, self.operation)

    @classmethod
    def from_tables(
        cls,
        input: Quantity,
        tables: tuple[npt.NDArray[np.int16], npt.NDArray[np.int16]],
        scheme: str | RequantizeScheme,
        result: Quantity,
    ) -> Rotary:
        """The layer with the multiplier that a requantisation scheme derives from the scales."""
        factor = input.scale / ONE / result.scale
        return cls(input, *tables, Rescale.from_scale(factor, scheme, result))

    @property
    def result(self) -> Quantity:
        return self.output.result

    def steps(self, *codes: Array) -> Iterator[Step]:
        (array,) = codes
        rows, half = self.cosines.shape
        fits = array.ndim >= 2 and array.shape[-2] <= rows and array.shape[-1] % (2 * half) == 0
        self.require(fits, f"input has shape {array.shape}, not (..., at most {rows}, heads * {2 * half})")
        positions, heads = array.shape[-2], array.shape[-1] // (2 * half)
        parts = centred(array, self.input.zero_point).reshape(*array.shape[:-1], heads, 2, half)
        first, second = parts[..., 0, :], parts[..., 1, :]
        cosines, sines = (table[:positions, None].astype(np.int32) for table in (self.cosines, self.sines))
        turned = np.stack([first * cosines - second * sines, second * cosines + first * sines], axis=-2)
        return finished(self.output, turned.reshape(array.shape))

    def bounds(self, *ranges: Interval) -> Iterator[Bound]:
        codes = ranges[0].whole().less(self.input.zero_point)
        cosines, sines = (Interval.of(table.min(), table.max()) for table in (self.cosines, self.sines))
        first, second = products_of(codes, cosines), products_of(codes, sines)
        negative = Interval(-second.high, -second.low)
        low = first.low + min(second.low, negative.low)
        yield from finished_bounds(self.output, Interval(low, first.high + max(second.high, negative.high)))


def rotary_tables(
    positions: int, size: int, *, base: float = 10000.0
) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.int16]]:
    """Cosines and sines of ``position * base**(-2 i / size)`` with 14 fraction bits, to nearest.

    Parameters
    ----------
    positions, size : int
        How many positions; the length of a head, even.
    base : float

    Returns
    -------
    cosines, sines : ndarray of int16, shape (positions, size / 2)

    Examples
    --------
    >>> [table.tolist() for table in rotary_tables(2, 2)]
    [[[16384], [8852]], [[0], [13787]]]
    """
    if size % 2 or size < 2:
        raise InputError(f"size = {size} is not even: rotary embeddings turn pairs")
    angles = np.arange(positions)[:, None] * base ** (-np.arange(0, size, 2) / size)
    return np.rint(np.cos(angles) * ONE).astype(np.int16), np.rint(np.sin(angles) * ONE).astype(np.int16)
