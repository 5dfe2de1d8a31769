"""Directed inputs of a linear layer, whose sums are the accumulators that tell requantisations apart.

``a`` is (m, k), ``b`` is (k, n), and each column has a bias, a multiplier and a shift (or a scale) of its own; ``b``
has a zero point where ``Operands.zero_points`` says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lowbit.errors import InputError
from lowbit.format.scalar import FixedFormat
from lowbit.policy.multiplier import derive_multiplier
from lowbit.policy.requantize import RequantizeScheme
from lowbit.vectors.case import Case, Number, numbered
from lowbit.vectors.flags import gemm as g
from lowbit.vectors.flags.cast import RANDOM
from lowbit.vectors.gemm.values import Codes, Operands
from lowbit.vectors.patterns import random_codes
from lowbit.vectors.requantize.cases import directed_requantizations
from lowbit.vectors.splitmix import splitmix64

FARTHEST = 1 << 19
"""Sums up to there are made of products; larger ones are mostly bias."""
ROWS = 24
"""So many sums of a scale are looked at, and half as many of each other column."""
LARGEST_BIAS = (1 << 31) - 1
"""Sums of products of 16 bits may be larger, and wrap."""
SPREAD = (-3, -2, -1, 0, 1, 2, 3)
TAILS = (1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129)

Integers = NDArray[np.int64]


def require_layer_scheme(scheme: RequantizeScheme) -> None:
    """Raise an InputError unless a scheme takes every int32 accumulator and has a zero point of the result."""
    if scheme.accumulator_bits != 32 or scheme.bounded or scheme.zero_point == "before_product":
        raise InputError(
            f"scheme {scheme.name} does not take every int32 accumulator, or has no zero point of the result",
            hint="tflite_double, single_up, hawq, xnnpack_fp32, ...",
        )


def linear_case(
    flag: int,
    matrices: tuple[Codes, Codes],
    bias: Sequence[int],
    scales: Sequence[Mapping[str, Number]],
    zero_points: tuple[int, int],
    b_zero_point: int | None = None,
) -> Case:
    """A case: the scales of its columns are parameters as a scheme takes them; the zero points of a and the result."""
    a, b = matrices
    types = {"multiplier": np.int32, "shift": np.int32, "scale": np.float64}
    arrays: dict[str, Any] = {"a": np.ascontiguousarray(a), "b": np.ascontiguousarray(b)}
    arrays["bias"] = np.array(bias, np.int32)
    for name in scales[0]:
        arrays[name] = np.array([scale[name] for scale in scales], types[name])
    sizes = {"m": len(a), "n": b.shape[1], "k": len(b)}
    of_b = {} if b_zero_point is None else {"b_zero_point": b_zero_point}
    scalars = {"a_zero_point": zero_points[0], **of_b, "zero_point": zero_points[1]}
    return Case(flag, arrays, sizes, (len(a), b.shape[1]), scalars)


def directed_linear(operands: Operands, scheme: RequantizeScheme, result: FixedFormat) -> list[Case]:
    """All directed cases, numbered within each flag."""
    return numbered([*_ties(operands, scheme, result), *_tails(operands, scheme, result)])


def random_linear(
    operands: Operands, scheme: RequantizeScheme, result: FixedFormat, count: int, seed: int
) -> list[Case]:
    """Random matrices of random sizes up to 80, with random zero points."""
    sizes = (splitmix64(seed, 3 * count) % np.uint64(80)).astype(np.int64).reshape(count, 3) + 1
    places = enumerate(sizes.tolist())
    return numbered(
        [drawn_linear(RANDOM, size, operands, scheme, result, (seed << 20) + 8 * at) for at, size in places]
    )


def _zero_points(fmt: FixedFormat) -> tuple[int, ...]:
    """Zero points near the middle, which leave differences of both signs."""
    middle = 0 if fmt.signed else 1 << (fmt.bits - 1)
    return middle, middle + 1, middle - 1


def _ties(operands: Operands, scheme: RequantizeScheme, result: FixedFormat) -> Iterator[Case]:
    """The accumulators that tell schemes apart, in the first column of each case; bias and another scale in others."""
    directed = directed_requantizations(scheme, result)
    of_b = 0 if operands.zero_points else None
    for index, given in enumerate(directed):
        scale = {name: value for name, value in given.scalars.items() if name != "zero_point"}
        other = {name: value for name, value in directed[index - 1].scalars.items() if name != "zero_point"}
        zeros = _zero_points(operands.a)[index % 3], int(given.scalars["zero_point"])
        sums = given.arrays["accumulators"].astype(np.int64)
        near, far = sums[np.abs(sums) <= FARTHEST], sums[np.abs(sums) > FARTHEST]
        if len(near):
            rows = _spread(near, ROWS)
            bias = [0, 17 * index + 5, -int(rows[len(rows) // 2])]
            matrices = _with_sums(rows, operands, zeros[0], (1, 1, -1))
            yield linear_case(given.flag, matrices, bias, [scale, scale, other], zeros, of_b)
        if len(far) and scheme.accumulator_bits == 32:
            ends = np.clip(_spread(far, 4), -(1 << 31) + 8, (1 << 31) - 9)
            matrices = _with_sums(np.array(SPREAD), operands, zeros[0], (1,) * len(ends))
            yield linear_case(given.flag, matrices, ends.tolist(), [scale] * len(ends), zeros, of_b)


def _spread(values: Integers, count: int) -> Integers:
    """So many of them, evenly spread."""
    return np.asarray(values[np.unique(np.linspace(0, len(values) - 1, count).astype(int))])


def _with_sums(sums: Integers, operands: Operands, zero_point: int, signs: Sequence[int]) -> tuple[Codes, Codes]:
    """Matrices whose products have these sums in each row, of the sign of the column where ``b`` has signs.

    ``b`` is 1, then its largest code again and again; the differences of ``a`` count them.
    """
    a, b = operands.a, operands.b
    most = min(a.max_code - zero_point, zero_point - a.min_code)
    wholes, ones = np.divmod(sums + b.max_code // 2, b.max_code)
    ones = ones - b.max_code // 2
    length = int(-(-np.abs(wholes).max() // most)) if len(sums) else 0
    columns = [ones] if b.max_code // 2 <= most else [ones // 2, ones - ones // 2]
    for _ in range(max(length, 1)):
        columns.append(np.clip(wholes, -most, most))
        wholes = wholes - columns[-1]
    left = (np.stack(columns, axis=1) + zero_point).astype(a.code_dtype)
    first = len(columns) - max(length, 1)
    right = np.array([1] * first + [b.max_code] * max(length, 1))[:, None]
    usable = [sign if b.signed else 1 for sign in signs]
    return left, (right * np.array(usable)).astype(b.code_dtype)


def _tails(operands: Operands, scheme: RequantizeScheme, result: FixedFormat) -> Iterator[Case]:
    """Every kind of length, with a few rows and columns."""
    for index, k in enumerate(TAILS):
        for flag, m, n in ((g.K_TAIL, 3, 17), (g.SHAPE, 1 + index % 7, 1 + index % 9)):
            yield drawn_linear(flag, (m, n, k), operands, scheme, result, 90_000 + 16 * index + 8 * (flag == g.SHAPE))
    ends = [(fmt.min_code, fmt.max_code, *_zero_points(fmt)) for fmt in (operands.a, operands.b)]
    for index, zeros in enumerate(zip(*ends, strict=True)):
        size = (5, 4, 19 + index)
        yield drawn_linear(g.ZERO_POINT, size, operands, scheme, result, 95_000 + 8 * index, zeros)


def drawn_linear(
    flag: int,
    size: Sequence[int],
    operands: Operands,
    scheme: RequantizeScheme,
    result: FixedFormat,
    seed: int,
    zero_points: tuple[int, int] | None = None,
) -> Case:
    """Random codes, with scales that take most sums into the range of the result; zero points of a and b, or drawn."""
    m, n, k = size
    a, b = random_codes(operands.a, (m, k), seed), random_codes(operands.b, (k, n), seed + 1)
    draws = splitmix64(seed + 2, 3 * n + 2)
    drawn = _drawn_code(operands.a, draws[-1]), _drawn_code(operands.b, draws[2 * n])
    zero, of_b = zero_points or drawn
    sums = (a.astype(np.int64) - zero) @ (b.astype(np.int64) - (of_b if operands.zero_points else 0))
    largest = min(max(int(np.abs(sums).max()), 16), LARGEST_BIAS)
    bias = [int(draw) % (2 * largest + 1) - largest for draw in draws[:n].tolist()]
    reach = result.max_code - result.min_code
    scales = [
        _parameters((reach * (1 + int(draw) % 1000 / 1000)) / (4 * largest), scheme)
        for draw in draws[n : 2 * n].tolist()
    ]
    zeros = zero, result.min_code + int(draws[-2]) % (reach + 1)
    return linear_case(flag, (a, b), bias, scales, zeros, of_b if operands.zero_points else None)


def _drawn_code(fmt: FixedFormat, draw: Any) -> int:
    return fmt.min_code + int(draw) % (fmt.max_code - fmt.min_code + 1)


def _parameters(scale: float, scheme: RequantizeScheme) -> dict[str, Number]:
    if scheme.takes_scale:
        return {"scale": float(np.float32(scale)) if scheme.multiplier_bits <= 24 else scale}
    multiplier, shift = derive_multiplier(scale, scheme)
    return {"multiplier": multiplier, "shift": shift}
