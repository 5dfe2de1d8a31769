"""NSNQuant: tokens of a KV cache normalised, centred and normalised again, so that one table fits all caches."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations, product

import numpy as np
import numpy.typing as npt

from lowbit.errors import InputError
from lowbit.quantizers.inputs import Doubles, weight_matrix
from lowbit.quantizers.method import Method
from lowbit.quantizers.methods.vector_quantization import nearest_in_table
from lowbit.quantizers.options import Numbers, Option
from lowbit.quantizers.transform import Hadamard
from lowbit.quantizers.weight import QuantizedWeight

LENGTH = 8
COUNT = 256
FORMATS = {"table8.vector8": 1, "table8.vector8.signs": 2}
"""Bits a number, but for what a token and a channel have."""

STEP = 61 / 64
"""Of the table of magnitudes: about where the squared error of normal numbers is least."""


@dataclass(frozen=True, eq=False)
class NormalizedVectors:
    """Codes of normalised tokens, and what gives their length and place back.

    Attributes
    ----------
    codes : ndarray of uint8, shape (tokens, vectors)
        Places in the table.
    signs : ndarray of uint8, shape (tokens, vectors), or None
        Bit i is 1 where number i of the vector is negative.
    table : ndarray of float32, shape (256, 8)
    lengths : ndarray of float16, shape (tokens, 2)
        The root mean square of each token, before and after the shift.
    means : ndarray of float16, shape (blocks, channels)
        What is taken off the tokens of a block.
    block : int
        Tokens.
    """

    codes: npt.NDArray[np.uint8]
    signs: npt.NDArray[np.uint8] | None
    table: npt.NDArray[np.float32]
    lengths: npt.NDArray[np.float16]
    means: npt.NDArray[np.float16]
    block: int

    @property
    def shape(self) -> tuple[int, ...]:
        return self.codes.shape[0], self.codes.shape[1] * LENGTH

    @property
    def bits_per_value(self) -> Fraction:
        """Codes, signs, lengths and means; the table is one for all caches."""
        bits = 8 * self.codes.size * (1 if self.signs is None else 2) + 16 * (self.lengths.size + self.means.size)
        return Fraction(bits, self.codes.size * LENGTH)

    def values(self) -> Doubles:
        """Vectors of the table, each token of length ``sqrt(channels)``, turned back, times its length and shifted."""
        vectors = self.table.astype(np.float64)[self.codes]
        if self.signs is not None:
            vectors = vectors * (1.0 - 2.0 * np.unpackbits(self.signs[..., None], axis=-1, bitorder="little"))
        tokens = vectors.reshape(self.shape)
        tokens /= np.sqrt((tokens * tokens).mean(axis=1, keepdims=True))
        first, second = self.lengths.astype(np.float64).T[..., None]
        shift = np.repeat(self.means, self.block, axis=0)[: len(tokens)]
        result: Doubles = first * (second * _turn(self.shape[1]).undo(tokens) + shift)
        return result


def nsnquant(
    weights: npt.ArrayLike,
    activations: npt.ArrayLike | None = None,  # noqa: ARG001 - all methods are called alike
    *,
    to: str = "table8.vector8.signs",
    variant: str = "shifted",
    block: int = 64,
    table: npt.ArrayLike | None = None,
) -> QuantizedWeight:
    """Quantise keys or values of a cache, one or two bits a number, without calibration.

    Parameters
    ----------
    weights : array_like, shape (tokens, channels)
        What is quantised is a cache, not weights: keys before their rotation by position, or values, of one head.
    to : str
        ``"table8.vector8"``: a code of eight bits for eight numbers. ``"table8.vector8.signs"``: for the magnitudes of
        eight numbers, with their signs beside it.
    table : array_like, shape (256, 8), optional
        Vectors in place of those below.

    Returns
    -------
    QuantizedWeight
        ``dequantize()`` gives tokens and channels back.

    Raises
    ------
    InputError
        Channels are not whole vectors, or a token is longer than binary16 holds.

    Notes
    -----
    ``x / s1`` with s1 the root mean square of a token; less the mean of each channel over the block; over s2, its root
    mean square again; turned by Sylvester's Hadamard matrix. Every token then has the length ``sqrt(channels)``, and so
    have the vectors of the table that stand for it, once they are scaled. The paper's tables are learned from normal
    numbers. Those here are given by a rule and the same everywhere: the 240 shortest vectors of the lattice E8 with the
    16 of their length on the axes; and, of magnitudes, 256 vectors of halves of odd numbers, the 227 shortest of which
    are those of QuIP# (arXiv 2402.04396). Lengths and means are binary16. Source: Son et al., "NSNQuant",
    NeurIPS 2025 (arXiv 2505.18231), section 3.

    Examples
    --------
    >>> keys = np.random.default_rng(0).normal(size=(64, 32)) + np.where(np.arange(32) == 3, 20, 0)
    >>> [round(nsnquant(keys, variant=variant).error(keys), 3) for variant in ("shifted", "unshifted")]
    [0.007, 0.101]
    """
    if str(to) not in FORMATS:
        what = f"nsnquant has tables of 256 vectors of 8, and {to!r} is not one of them"
        raise InputError(what, hint=" or ".join(FORMATS))
    matrix, signed = weight_matrix(weights), FORMATS[str(to)] == 2
    if matrix.shape[1] % LENGTH:
        raise InputError(
            f"vectors of {LENGTH} do not divide the {matrix.shape[1]} channels", hint="pad them with zeros"
        )
    vectors = _checked(table) if table is not None else (_magnitudes() if signed else _directions())
    first, tokens = _normalized(matrix)
    block = min(block, len(tokens))
    starts = np.arange(0, len(tokens), block)
    sizes = np.diff([*starts, len(tokens)])
    means = np.add.reduceat(tokens, starts, axis=0) / sizes[:, None] if variant == "shifted" else 0 * tokens[starts]
    stored = means.astype(np.float16)
    second, tokens = _normalized(tokens - np.repeat(stored.astype(np.float64), sizes, axis=0))
    turned = _turn(matrix.shape[1]).weights(tokens).reshape(-1, LENGTH)
    codes = nearest_in_table(np.abs(turned) if signed else turned, vectors.astype(np.float64), 1)[:, 0]
    grid = (len(matrix), matrix.shape[1] // LENGTH)
    signs = np.packbits(turned < 0, axis=1, bitorder="little").reshape(grid) if signed else None
    lengths = np.concatenate((first, second), axis=1)
    coded = NormalizedVectors(codes.astype(np.uint8).reshape(grid), signs, vectors, lengths, stored, block)
    return QuantizedWeight(coded)


def _normalized(tokens: Doubles) -> tuple[npt.NDArray[np.float16], Doubles]:
    """The root mean square of each token in binary16, and tokens over it."""
    lengths = np.sqrt((tokens * tokens).mean(axis=1, keepdims=True))
    if lengths.max() > float(np.finfo(np.float16).max):
        raise InputError(f"token {lengths.argmax()} is longer than binary16 holds", hint="scale the cache")
    stored = lengths.astype(np.float16)
    return stored, tokens / np.where(stored > 0, stored, 1).astype(np.float64)


def _turn(channels: int) -> Hadamard:
    return Hadamard(np.ones(channels), channels & -channels)


def _directions() -> npt.NDArray[np.float32]:
    """Two of eight are 1 or -1; all are 1/2 or -1/2, an even number negative; one is the root of 2 or minus it."""
    pairs = np.zeros((112, LENGTH))
    for row, (places, signs) in enumerate(product(combinations(range(LENGTH), 2), product((1, -1), repeat=2))):
        pairs[row, places] = signs
    halves = [signs for signs in product((0.5, -0.5), repeat=LENGTH) if sum(sign < 0 for sign in signs) % 2 == 0]
    axes = np.sqrt(2) * np.concatenate((np.eye(LENGTH), -np.eye(LENGTH)))
    return np.concatenate((pairs, halves, axes)).astype(np.float32)


def _magnitudes() -> npt.NDArray[np.float32]:
    """Halves of odd numbers, the shortest vectors first, of equal ones those with the largest number, times STEP."""
    vectors = product((0.5, 1.5, 2.5), repeat=LENGTH)
    ordered = sorted(vectors, key=lambda vector: (sum(number * number for number in vector), -max(vector), vector))
    return (STEP * np.array(ordered[:COUNT])).astype(np.float32)


def _checked(table: npt.ArrayLike) -> npt.NDArray[np.float32]:
    vectors = weight_matrix(table, "table").astype(np.float32)
    if vectors.shape != (COUNT, LENGTH) or not vectors.any(axis=1).all():
        raise InputError(
            f"the table, of shape {vectors.shape}, is not of {COUNT} vectors of {LENGTH}, none of them zero",
            hint="without a table the method has one of its own",
        )
    return vectors


METHOD = Method(
    name="nsnquant",
    quantize=nsnquant,
    title="tokens of a KV cache normalised, centred and normalised again, then vectors of one table",
    source="Son et al., NeurIPS 2025 (arXiv 2505.18231)",
    variants={
        "shifted": "means of channels taken off between the normalisations",
        "unshifted": "tokens normalised only",
    },
    needs_activations=False,
    to="table8.vector8.signs",
    own={
        "block": Option("tokens that share a mean; the last block may have fewer", Numbers(1, whole=True)),
        "table": Option("vectors, (256, 8), in place of those that the method has"),
    },
    layer_alone="it is for keys and values of a cache, and takes the outputs of a layer for tokens here",
)
