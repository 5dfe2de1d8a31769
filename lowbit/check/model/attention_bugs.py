"""Attention and rotary embeddings that are computed otherwise: heads, masks, positions, the scale of the scores."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from math import sqrt

import numpy as np

from lowbit.check.model.hypothesis import LayerBug, altered, of_inputs, of_result, result_of, same_but, with_value
from lowbit.check.model.rescale_bugs import factors_of
from lowbit.layers import Attention, Layer, Nonlinearity, Quantity, Rescale, Rotary, Step
from lowbit.layers.attention import ONE
from lowbit.ops.nonlinear.dispatch import Answer
from lowbit.ops.types import Array


@dataclass(frozen=True, eq=False)
class MaskedSoftmax(Nonlinearity):
    """A softmax over all keys, in which those that a query must not see have a code of their own."""

    group: int = 1
    code: int = 0

    def answer(self, codes: Array, input: Quantity) -> Answer:
        """The results."""
        if codes.ndim > 1:
            rows, count = codes.shape[-2:]
            position = np.arange(rows)[:, None] // self.group + count - rows // self.group
            codes = np.where(np.arange(count) > position, np.array(self.code, codes.dtype), codes)
        return super().answer(codes, input)


def attention_bugs(layer: Layer) -> Iterator[LayerBug]:
    """Every hypothesis on the order of an attention's or a rotary embedding's codes, the likely ones first."""
    if isinstance(layer, Attention):
        yield from _head_bugs(layer)
        yield from _scale_bugs(layer)
        if layer.causal:
            yield from _mask_bugs(layer)
    elif isinstance(layer, Rotary):
        yield from _rotary_bugs(layer)


def _head_bugs(layer: Attention) -> Iterator[LayerBug]:
    heads, size = layer.heads, layer.size
    shared = heads if layer.key_value_heads is None else layer.key_value_heads

    def interleaved(codes: Array) -> Array:
        """Heads whose codes lie one beside the other, as heads one after the other."""
        return np.ascontiguousarray(_swapped(codes.reshape(*codes.shape[:-1], size, -1)).reshape(codes.shape))

    def back(codes: Array) -> Array:
        return np.ascontiguousarray(_swapped(codes.reshape(*codes.shape[:-1], heads, size)).reshape(codes.shape))

    def by_head(codes: Array) -> Array:
        """Memory of (heads, positions, size) in the place of (positions, heads, size)."""
        return np.swapaxes(codes.reshape(*codes.shape[:-1], heads, size), -3, -2).reshape(codes.shape)

    def reversed_heads(codes: Array) -> Array:
        return codes.reshape(*codes.shape[:-1], heads, size)[..., ::-1, :].reshape(codes.shape)

    if heads > 1:
        words = "joins the heads without putting them beside each other: (heads, positions, size)"
        yield of_result(layer, by_head, words, by_item=False)
        yield of_result(layer, back, "joins the heads element by element: (size, heads)")
        yield of_result(layer, reversed_heads, "joins the heads in the other order")
        words = "takes the heads for interleaved, element by element: (size, heads)"
        yield of_inputs(layer, lambda *codes: tuple(map(interleaved, codes)), words)
    if 1 < shared < heads:
        order = np.argsort(np.arange(heads) % shared, kind="stable")
        words = "takes the keys and values of head h modulo their number, not those of h's group"
        yield LayerBug(words, _regrouped(layer, order))
    if shared > 1:
        for name, places in (("keys", (1,)), ("values", (2,)), ("keys and values", (1, 2))):
            words = f"takes the {name} of the first head for all heads"
            yield of_inputs(layer, lambda *codes, places=places: _first_head(codes, places, shared), words)


def _swapped(codes: Array) -> Array:
    return np.swapaxes(codes, -1, -2)


def _first_head(codes: tuple[Array, ...], places: tuple[int, ...], shared: int) -> tuple[Array, ...]:
    def first(array: Array) -> Array:
        return np.tile(array[..., : array.shape[-1] // shared], shared)

    return tuple(first(array) if place in places else array for place, array in enumerate(codes))


def _regrouped(layer: Attention, order: Array) -> Callable[..., Iterator[Step]]:
    def steps(queries: Array, keys: Array, values: Array) -> Iterator[Step]:
        apart = (*queries.shape[:-1], layer.heads, layer.size)
        moved = np.ascontiguousarray(queries.reshape(apart)[..., order, :].reshape(queries.shape))
        *_, last = layer.steps(moved, keys, values)
        result = np.empty(apart, last.codes.dtype)
        result[..., order, :] = last.codes.reshape(apart)
        yield last._replace(codes=result.reshape(queries.shape))

    return steps


def _scale_bugs(layer: Attention) -> Iterator[LayerBug]:
    root = sqrt(layer.size)
    for factor, words in (
        (root, "does not divide scores by the root of the heads' size"),
        (1 / root, "divides scores by the root of the heads' size twice"),
    ):

        def scaled(scores: Rescale, factor: float = factor) -> Rescale:
            return Rescale.from_scale(factors_of(scores) * factor, scores.scheme, scores.result)

        yield altered(layer, ("scores",), scaled, words)


def _mask_bugs(layer: Attention) -> Iterator[LayerBug]:
    """The mask itself is a field that the hypotheses on fields turn."""

    def more(queries: Array, keys: Array, values: Array) -> Array:
        early = result_of(layer.steps(queries[..., :-1, :], keys, values))
        last = result_of(layer.steps(queries[..., -1:, :], keys, values))
        return np.concatenate([early, last], axis=-2)

    def fewer(queries: Array, keys: Array, values: Array) -> Array:
        first = result_of(layer.steps(queries, keys, values))[..., :1, :]
        rest = result_of(layer.steps(queries[..., 1:, :], keys[..., :-1, :], values[..., :-1, :]))
        return np.concatenate([first, rest], axis=-2)

    for function, words in (
        (more, "lets each query see one key too many"),
        (fewer, "hides from each query the key at its own position"),
    ):
        yield LayerBug(words, _as_result(layer, function), by_item=False)
    group = layer.heads // (layer.key_value_heads or layer.heads)
    lowest = layer.scores.result.scalar.codes[0]
    for code, what in ((lowest, f"{lowest}, the lowest one,"), (layer.scores.result.zero_point, "0")):
        softmax = same_but(layer.softmax, MaskedSoftmax, group=group, code=code)
        words = f"gives masked scores the code {what} and lets them count in the softmax"
        masked = replace(layer, causal=False)
        yield with_value(masked, ("softmax",), softmax, words)


def _as_result(layer: Layer, function: Callable[..., Array]) -> Callable[..., Iterator[Step]]:
    fmt = layer.result.scalar

    def steps(*codes: Array) -> Iterator[Step]:
        yield Step("requantised", function(*codes), fmt.bits, fmt.signed)

    return steps


def _rotary_bugs(layer: Rotary) -> Iterator[LayerBug]:
    half = layer.cosines.shape[1]

    def pairs(codes: Array, rows: int, columns: int) -> Array:
        apart = codes.reshape(*codes.shape[:-1], -1, rows, columns)
        return np.ascontiguousarray(_swapped(apart)).reshape(codes.shape)

    def neighbours(codes: Array) -> Iterator[Step]:
        *_, last = layer.steps(pairs(codes, half, 2))
        yield last._replace(codes=pairs(last.codes, 2, half))

    def with_tables(change: Callable[[Array, Array], tuple[Array, Array]], words: str) -> LayerBug:
        def steps(codes: Array) -> Iterator[Step]:
            cosines, sines = change(layer.cosines, layer.sines)
            return replace(layer, cosines=cosines, sines=sines).steps(codes)

        return LayerBug(words, steps)

    yield LayerBug("turns neighbouring elements, not those half a head apart", neighbours)
    yield with_tables(lambda cosines, sines: (cosines[1:], sines[1:]), "counts positions from 1, not from 0")
    late = "turns by the angle of the position before"
    yield with_tables(lambda cosines, sines: (_late(cosines), _late(sines)), late)
    yield with_tables(lambda cosines, sines: (cosines, -sines), "turns the other way: the sign of the sines")
    yield with_tables(lambda cosines, sines: (sines, cosines), "takes cosines for sines, and sines for cosines")
    yield with_tables(lambda c, s: (np.full_like(c, ONE), np.zeros_like(s)), "does not turn: it only requantises")


def _late(table: Array) -> Array:
    return np.concatenate([table[:1], table[:-1]])
