"""Pyramid vector quantisation: a gain and the index of a vector of integers for a few neighbouring weights."""

from __future__ import annotations

import re
from math import log2

import numpy as np
import numpy.typing as npt
import scipy.linalg
import scipy.special

from lowbit.errors import InputError
from lowbit.ops.arrays import Array
from lowbit.quantizers.clusters import nearest_places
from lowbit.quantizers.inputs import Doubles, activation_rows, weight_matrix
from lowbit.quantizers.method import Method
from lowbit.quantizers.objective import OutputError, inverse_factor
from lowbit.quantizers.options import Option
from lowbit.quantizers.pyramid import (
    LARGEST,
    ORDERS,
    PyramidVectors,
    Vectors,
    nearest_vectors,
    vector_count,
    vector_indices,
)
from lowbit.quantizers.transform import hadamard
from lowbit.quantizers.weight import QuantizedWeight

MOST_LEVEL_BITS = 8
FLOATS = {16: np.float16, 32: np.float32}


def pvq(
    weights: npt.ArrayLike,
    activations: npt.ArrayLike | None = None,
    *,
    to: str = "pulses32.vector16.gain4",
    variant: str = "weights",
    order: str = "fischer",
    rotate: bool = True,
    seed: int = 0,
    damping: float = 0.01,
) -> QuantizedWeight:
    """Replace neighbouring weights by a gain times a vector of integers whose magnitudes add up to a number of pulses.

    Parameters
    ----------
    activations : array_like, shape (rows, inputs), optional
        For "hessian".
    to : str
        ``"pulses32.vector16.gain4"``: vectors of 16 weights, magnitudes that add up to 32, gains of four bits. Gains of
        up to eight bits are places in a table of levels, those of 16 and 32 bits are binary16 and binary32.

    Returns
    -------
    QuantizedWeight
        ``report["vectors"]``, shape (outputs, vectors, length): the integers; ``report["index_bits"]``: log2 of their
        number over the length, which a whole number of bits an index exceeds.

    Raises
    ------
    InputError
        ``to`` is not such a format, its vectors do not divide the inputs, or the Hessian is singular.

    Notes
    -----
    The gain is that of least squares, over the length of the row. The squared length of some of the coordinates of a
    random point of a sphere has a Beta distribution, (length / 2, (inputs - length) / 2): levels are the roots of its
    quantiles (i + 1/2) / 2^bits. Vectors of zeros keep the least level. Sources: van der Ouderaa et al., "Pyramid
    Vector Quantization for LLMs" (arXiv 2410.16926), sections 3 and 4, which has no public code; Fischer, IEEE
    Transactions on Information Theory 32 (1986); RFC 6716, section 4.3.4.2.

    Examples
    --------
    >>> result = pvq([[3.0, 0.9, -2.1, 0.0]], to="pulses6.vector4.gain32", rotate=False)
    >>> result.report["vectors"].tolist(), result.tensor.indices.tolist()
    ([[[3, 1, -2, 0]]], [[501]])
    """
    pulses, length, bits = _parsed(to)
    matrix = weight_matrix(weights)
    if matrix.shape[1] % length:
        raise InputError(f"vectors of {length} weights do not divide rows of {matrix.shape[1]}", hint="another length")
    turn = hadamard(matrix.shape[1], seed=seed) if rotate else None
    factor = None
    if variant == "hessian":
        rows = activation_rows(activations, matrix.shape[1], METHOD.name)
        factor = inverse_factor(OutputError.of(rows if turn is None else turn.activations(rows)).gram, damping)
    left = matrix if turn is None else turn.weights(matrix)
    scales = _row_lengths(left)
    levels = _levels(length, matrix.shape[1], bits) if bits <= MOST_LEVEL_BITS else None
    vectors, gains = _coded(left, pulses, length, scales, levels, FLOATS.get(bits, np.uint8), factor)
    tensor = PyramidVectors(vector_indices(vectors, order=order), gains, levels, scales, length, pulses, order)
    report = {"vectors": vectors, "index_bits": log2(vector_count(length, pulses)) / length}
    return QuantizedWeight(tensor, transform=turn, report=report)


def _coded(
    left: Doubles,
    pulses: int,
    length: int,
    scales: npt.NDArray[np.float32],
    levels: npt.NDArray[np.float32] | None,
    dtype: npt.DTypeLike,
    factor: Doubles | None,
) -> tuple[Vectors, Array]:
    """Vectors (outputs, vectors, length) and gains (outputs, vectors), column of vectors after column of vectors."""
    shape, long = (len(left), left.shape[1] // length), scales.astype(np.float64)
    vectors, gains = np.empty((*shape, length), np.int64), np.empty(shape, dtype)
    for place in range(shape[1]):
        inside, after = slice(place * length, (place + 1) * length), slice((place + 1) * length, None)
        own = nearest_vectors(left[:, inside], pulses)
        unit = own / np.sqrt((own * own).sum(axis=1))[:, None]
        gain = (left[:, inside] * unit).sum(axis=1) / np.where(long > 0, long, 1)
        coded = gain.astype(dtype) if levels is None else nearest_places(gain, levels.astype(np.float64)).astype(dtype)
        vectors[:, place], gains[:, place] = own, coded
        if factor is not None:
            values = unit * ((coded if levels is None else levels[coded]) * long)[:, None]
            error = scipy.linalg.solve_triangular(factor[inside, inside], (left[:, inside] - values).T, trans="T").T
            left[:, after] -= error @ factor[inside, after]
    return vectors, gains


def _row_lengths(matrix: Doubles) -> npt.NDArray[np.float32]:
    lengths = np.sqrt((matrix * matrix).sum(axis=1))
    if lengths.max() > float(np.finfo(np.float32).max):
        raise InputError(f"row {lengths.argmax()} of weights is longer than binary32 holds", hint="scale the weights")
    result: npt.NDArray[np.float32] = lengths.astype(np.float32)
    return result


def _levels(length: int, inputs: int, bits: int) -> npt.NDArray[np.float32]:
    """Lengths of a part of a random unit vector, as many above as below each of even shares of them."""
    shares = (np.arange(1 << bits) + 0.5) / (1 << bits)
    if length == inputs:
        return np.ones(1 << bits, np.float32)
    squares = scipy.special.betaincinv(length / 2, (inputs - length) / 2, shares)
    result: npt.NDArray[np.float32] = np.sqrt(squares).astype(np.float32)
    return result


def _parsed(to: object) -> tuple[int, int, int]:
    """Pulses, length and bits of a gain."""
    match = (
        re.fullmatch(r"pulses([1-9]\d{0,2})\.vector([1-9]\d{0,2})\.gain([1-8]|16|32)", to)
        if isinstance(to, str)
        else None
    )
    numbers = [int(part) for part in match.groups()] if match else [LARGEST + 1]
    if max(numbers) > LARGEST:
        raise InputError(
            f"pvq needs pulses, the length of vectors and the bits of a gain, and {to!r} does not say them",
            hint=f"pulses32.vector16.gain4: up to {LARGEST} pulses and weights, gains of 1 to 8, 16 or 32 bits",
        )
    pulses, length, bits = numbers
    return pulses, length, bits


METHOD = Method(
    name="pvq",
    quantize=pvq,
    title="a gain and a vector of integers of fixed magnitude for a few weights",
    source="van der Ouderaa et al. (arXiv 2410.16926); Fischer, IEEE Transactions on Information Theory 32 (1986)",
    variants={
        "weights": "vectors near the weights",
        "hessian": "errors spread over the inputs after them, by the Hessian",
    },
    needs_activations=False,
    to="pulses32.vector16.gain4",
    own={
        "order": Option("in which order the vectors of integers are counted", choices=ORDERS),
        "rotate": Option("whether inputs are turned by a Hadamard matrix with random signs first", flag=True),
    },
    report={
        "vectors": "the integers of each vector of weights",
        "index_bits": "log2 of the number of such vectors, over their length",
    },
)
