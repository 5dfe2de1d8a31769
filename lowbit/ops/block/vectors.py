"""Elements that are vectors: from quotients to the codes of the nearest ones, and from codes to their numbers.

Of two vectors v and w, v is nearer to q where |v|^2 - 2 q.v is less than |w|^2 - 2 q.w: these scores are computed in
binary64. With u = 2^-53, n numbers of at most T in a vector, squares of at most N and A = T * sum |q_i|, the error of a
score is at most

    u N  (the rounded square)  +  2 (n u / (1 - n u)) A  (the sum of products, in any order, with or without fused
    steps: Higham, Accuracy and Stability of Numerical Algorithms, 2nd edition, 3.1)  +  4 u A  (the quotients, which
    are rounded to odd)  +  u (N + 2 A)  (the difference)

and so less than (n + 8) 2 u (N + 2 A), with a share for the factors 1 + u that are left out, and SMALL for quotients
that are cut off at 2^-1000 and products below 2^-1022. Where more than one vector is within twice that of the least
score, these are compared in fractions; a quotient beyond BEYOND, whose scores may overflow, is compared with all.

Nothing is rounded where all terms are multiples of a unit and N + 2 A is at most 2^53 of it: scores are exact then, and
equal ones a tie. A number whose last bit is set may be one that was rounded to odd, and is not counted as exact.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from lowbit.format.block import BlockFormat
from lowbit.format.protocol import Element
from lowbit.ops.arithmetic.exact_rounding import Doubles
from lowbit.ops.arrays import Array
from lowbit.ops.block.blocks import spread
from lowbit.ops.block.scales import Coarse, Fine
from lowbit.ops.block.tensor import BlockTensor, moved_back, moved_last
from lowbit.ops.cast.cast import decode, encode
from lowbit.policy.block import BlockPolicy

DOUBLE_BITS, DOUBLE_UNIT = 53, 2.0**-52
ANY_EXPONENT = 1 << 12
"""Zero is a multiple of any power, and a number that was rounded of none that is told."""
SMALL, BEYOND = 2.0**-700, 2.0**512
SCORES = 1 << 20
"""So many are computed at once."""

Exactly = Callable[[int], Sequence[Fraction]]
"""The quotients of the vector at a place, in C order."""


def of_components(tensor: BlockTensor) -> BlockTensor:
    """The same values with a code each: of a scalar element the tensor itself."""
    fmt = tensor.format
    if fmt.element.dimension == 1:
        return tensor
    codes = moved_last(tensor.codes, tensor.axis)
    wide = _component_codes(fmt.element)[codes].reshape(fmt.values_shape(codes.shape))
    scales = {field.name: tensor.scale_codes(field.name) for field in fmt.scales}
    return BlockTensor.trusted(fmt.of_components, tensor.axis, moved_back(wide, tensor.axis), scales)


def vector_codes(
    quotients: Array, fmt: BlockFormat, policy: BlockPolicy, exactly: Callable[[int], Fraction], *, to_odd: bool = True
) -> Array:
    """The codes of the nearest vectors, of a tensor with the axis of the blocks last.

    What is not finite becomes the number that the policy of the elements makes of it, among those of all vectors.
    ``exactly``: the quotient at a place, in C order, that is finite; ``to_odd``: as :func:`nearest_codes` has it.
    """
    special = ~np.isfinite(quotients)
    rows = np.array(quotients, np.float64)
    if special.any():
        codes = encode(rows[special], fmt.number, policy=policy.policy("element", fmt.number))
        rows[special] = decode(codes, fmt.number, dtype=np.float64)
    flat, size, chosen = special.reshape(-1), fmt.element.dimension, rows.reshape(-1)

    def row(place: int) -> list[Fraction]:
        places = range(place * size, (place + 1) * size)
        return [Fraction(float(chosen[at])) if flat[at] else exactly(at) for at in places]

    codes = nearest_codes(chosen.reshape(-1, size), fmt.element, row, to_odd=to_odd)
    return codes.reshape(fmt.codes_shape(quotients.shape))


def exact_quotients(
    values: Array, quotients: Array, scales: Sequence[Fine | Coarse], policy: BlockPolicy
) -> Callable[[int], Fraction]:
    """A function of places in C order: what is there over its scales, of which ``quotients`` are rounded to odd."""
    if policy.arithmetic != "exact" or policy.quotient_format:
        return lambda place: Fraction(float(quotients.flat[place]))
    wide = [spread(part.used, part.field, values.shape) for part in scales if isinstance(part, Fine)]
    over, under = [values], [np.where(np.signbit(values), wide[-1], wide[0])]
    for part in scales:
        if isinstance(part, Coarse):
            terms, numbers = (over, part.reciprocal) if part.divides else (under, part.scale)
            terms.append(spread(numbers, part.field, values.shape))
    sides = [[np.broadcast_to(array, values.shape) for array in terms] for terms in (over, under)]

    def exactly(place: int) -> Fraction:
        top, bottom = ([float(array.flat[place]) for array in terms] for terms in sides)
        if not np.isfinite([*top, *bottom]).all() or 0 in bottom:
            return Fraction(float(quotients.flat[place]))
        return math.prod(map(Fraction, top), start=Fraction(1)) / math.prod(map(Fraction, bottom), start=Fraction(1))

    return exactly


def nearest_codes(rows: Doubles, element: Element, exactly: Exactly, *, to_odd: bool = True) -> Array:
    """The codes of the vectors that are nearest to rows of finite numbers, the lowest of several.

    ``exactly``: what a row stands for, which it differs from by at most two units in the last place a number;
    ``to_odd``: only in numbers whose last bit is set.
    """
    table, squares = _table(element)
    unit = int(_lowest_bit(table).min())
    codes = np.empty(len(rows), element.code_dtype)
    step = max(SCORES // len(table), 1)
    for start in range(0, len(rows), step):
        part = rows[start : start + step]
        with np.errstate(all="ignore"):
            scores = squares - 2 * (part @ table.T)
            reach = squares.max() + 2 * np.abs(table).max() * np.abs(part).sum(axis=1)
            exact = reach <= np.ldexp(1.0, DOUBLE_BITS + np.minimum(_lowest_bit(part) + unit + 1, 2 * unit))
            exact &= to_odd
            error = np.where(exact, 0, (element.dimension + 8) * DOUBLE_UNIT * reach + SMALL)
            near = scores <= (scores.min(axis=1) + 2 * error)[:, None]
        near[~(np.abs(part) < BEYOND).all(axis=1)] = True
        codes[start : start + step] = near.argmax(axis=1)
        for place in np.flatnonzero((np.count_nonzero(near, axis=1) > 1) & ~exact).tolist():
            few = np.flatnonzero(near[place]).tolist()
            codes[start + place] = _nearest(tuple(few), tuple(exactly(start + place)), element)
    return codes


def _lowest_bit(rows: Doubles) -> npt.NDArray[np.int64]:
    """Numbers of each row are multiples of two to the power of this, very low where one has all 53 bits."""
    fractions, exponents = np.frexp(rows)
    whole = np.ldexp(fractions, DOUBLE_BITS).astype(np.int64)
    low = np.frexp((whole & -whole).astype(np.float64))[1] - 1 - DOUBLE_BITS
    powers = np.where(whole & 1 == 1, -ANY_EXPONENT, np.where(whole == 0, ANY_EXPONENT, exponents + low))
    return np.asarray(powers.min(axis=1), np.int64)


@lru_cache(maxsize=1 << 12)  # vectors of zeros are many, and often ties
def _nearest(codes: tuple[int, ...], numbers: tuple[Fraction, ...], element: Element) -> int:
    """The nearest of some vectors, in fractions."""

    def score(code: int) -> Fraction:
        vector = [own.fraction() for own in element.vector(code)]
        return sum((own * (own - 2 * number) for own, number in zip(vector, numbers, strict=True)), Fraction(0))

    return min(codes, key=score)


@lru_cache(maxsize=16)
def _table(element: Element) -> tuple[Doubles, Doubles]:
    """The vectors in binary64, and their squared lengths, rounded once."""
    vectors = [[own.fraction() for own in element.vector(code)] for code in element.codes]
    squares = [float(sum(own * own for own in vector)) for vector in vectors]
    return np.array(vectors, np.float64), np.array(squares)


@lru_cache(maxsize=16)
def _component_codes(element: Element) -> npt.NDArray[np.unsignedinteger]:
    """The codes of the numbers of each vector."""
    codes = encode(_table(element)[0], element.component)
    return np.asarray(codes)
