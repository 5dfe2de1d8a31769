"""Keys and values in fewer bits: what a decoder computes that keeps a quantised cache.

A window is computed at once, and yet every token sees the cache as it is when that token comes: of the tokens before it
the latest ones as they are, the others quantised.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lowbit.errors import InputError, UnknownFormatError
from lowbit.format.registry import block_format_of
from lowbit.ops.arrays import Array
from lowbit.ops.block.dequantize import dequantize
from lowbit.ops.block.quantize import quantize
from lowbit.printable import excerpt
from lowbit.quantizers import METHODS

Quantized = Callable[[Array], tuple[Array, float]]
"""Of keys or values of all heads, shape (heads, tokens, channels): what they become, and the bits of a number."""

SCHEMES = ("kivi2", "kivi4", "nsnquant1", "nsnquant2")
"""Those that are not a block format."""
KIVI_GROUP, KIVI_RESIDUAL, NSN_BLOCK = 32, 128, 64


@dataclass(frozen=True)
class CacheScheme:
    """How a cache is kept.

    Attributes
    ----------
    name : str
    keys, values : callable
        What becomes of them.
    residual : int
        Tokens are quantised once as many as this are there, and stay as they are before that; 0 for at once.
    one_by_one : bool
        Whether values are quantised as soon as that many tokens have come after them, and not together.
    before_rotation : bool
        Whether keys are quantised before they are turned by their place.
    """

    name: str
    keys: Quantized
    values: Quantized
    residual: int = 0
    one_by_one: bool = False
    before_rotation: bool = False


def cache_scheme(name: str) -> CacheScheme:
    """A scheme by its name.

    Parameters
    ----------
    name : str
        A block format, along the channels of all heads of a token, at once, keys after their rotation. ``kivi2`` or
        ``kivi4``: Liu et al., "KIVI" (arXiv 2402.02750), Algorithm 1: keys a channel, 32 tokens share a scale, values a
        token, the latest 128 tokens as they are. ``nsnquant1`` or ``nsnquant2``: Son et al., "NSNQuant" (arXiv
        2505.18231), 64 tokens a block, keys before their rotation.

    Raises InputError: it is neither.
    """
    if name in SCHEMES[:2]:
        fmt = f"uint{name[-1]}.g{KIVI_GROUP}.asymmetric"
        return CacheScheme(name, _blocks(fmt, axis=-2), _blocks(fmt, axis=-1), KIVI_RESIDUAL, one_by_one=True)
    if name in SCHEMES[2:]:
        part = _normalized("table8.vector8" if name[-1] == "1" else "table8.vector8.signs")
        return CacheScheme(name, part, part, NSN_BLOCK, before_rotation=True)
    rows = _rows(name)
    return CacheScheme(name, rows, rows)


def _rows(fmt: str) -> Quantized:
    try:
        target = block_format_of(fmt)
    except UnknownFormatError as error:
        what = f"a cache {excerpt(fmt)} is unknown: it is neither a scheme nor a block format"
        raise InputError(what, hint=f"{', '.join(SCHEMES)}, or int8.g64, say") from error

    def function(heads: Array) -> tuple[Array, float]:
        tokens = np.swapaxes(heads, 0, 1)
        coded = quantize(tokens.reshape(len(tokens), -1), target)
        values = dequantize(coded, dtype=np.float32).reshape(tokens.shape)
        return np.swapaxes(values, 0, 1), float(coded.bits_per_value)

    return function


def _blocks(fmt: str, axis: int) -> Quantized:
    def function(heads: Array) -> tuple[Array, float]:
        coded = quantize(heads, fmt, axis=axis)
        return dequantize(coded, dtype=np.float32), float(coded.bits_per_value)

    return function


def _normalized(fmt: str) -> Quantized:
    method = METHODS["nsnquant"]

    def function(heads: Array) -> tuple[Array, float]:
        results = [method.quantize(head, to=fmt, block=NSN_BLOCK) for head in heads]
        bits = float(np.mean([float(result.bits_per_weight) for result in results]))
        return np.stack([result.dequantize(dtype=np.float32) for result in results]), bits

    return function


@dataclass
class QuantizedCache:
    """The hook of a forward pass that keeps keys and values as a scheme has them, one attention after the other.

    Attributes
    ----------
    scheme : CacheScheme
    bits : list of float
        Of the numbers of every cache that was quantised.
    """

    scheme: CacheScheme
    bits: list[float] = field(default_factory=list)
    _keys: Array = field(default_factory=lambda: np.empty(0))
    _values: Array = field(default_factory=lambda: np.empty(0))

    def __call__(self, kind: str, name: str, function: Callable[..., Any], *inputs: Any) -> Any:
        """See :mod:`lowbit.models.hook`."""
        if kind == "rotary" and name.endswith(".key"):
            return self._turned(function, *inputs)
        if kind == "scores":
            return self._scores(function, *inputs)
        if kind == "mix":
            return self._mixed(function, *inputs)
        return function(*inputs)

    def _turned(self, function: Callable[[Array], Array], keys: Array) -> Array:
        turned = function(keys)
        before = self.scheme.before_rotation
        kept = self._kept(self.scheme.keys, keys if before else turned)
        self._keys = function(kept) if before else kept
        return turned

    def _scores(self, function: Callable[[Array, Array], Array], query: Array, key: Array) -> Array:
        """Products with keys as the cache has them when the query comes: quantised, or as they are."""
        places = np.arange(key.shape[-2])
        ready = self._ready(places, together=True)
        return np.where(places < ready[:, None], function(query, shared(self._keys, key)), function(query, key))

    def _mixed(self, function: Callable[[Array, Array], Array], shares: Array, value: Array) -> Array:
        own = value[:: value.shape[-3] // self._keys.shape[-3]]
        places = np.arange(value.shape[-2])
        old = places < self._ready(places, together=not self.scheme.one_by_one)[:, None]
        quantised = shared(self._kept(self.scheme.values, own), value)
        return function(shares * old, quantised) + function(shares * ~old, value)

    def _ready(self, places: Array, *, together: bool) -> Array:
        """How many tokens are quantised when each token comes."""
        residual = self.scheme.residual
        if not residual:
            return places + 1
        return (places + 1) // residual * residual if together else np.maximum(places + 1 - residual, 0)

    def _kept(self, part: Quantized, tokens: Array) -> Array:
        """All that are ever quantised in this window, and the others as they are."""
        residual = self.scheme.residual or 1
        whole = tokens.shape[-2] // residual * residual
        if not whole:
            return tokens
        values, bits = part(np.ascontiguousarray(tokens[..., :whole, :]))
        self.bits.append(bits)
        return np.concatenate([values, tokens[..., whole:, :]], axis=-2)


def shared(heads: Array, like: Array) -> Array:
    """Heads of keys or values, each as often as groups of queries share it."""
    return np.repeat(heads, like.shape[-3] // heads.shape[-3], axis=-3)
