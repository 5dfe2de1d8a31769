"""Faults of matrix products, planted into right answers: the sentence names each, and what it claims is replayed."""

import numpy as np
import pytest

from lowbit.check.gemm.operation import GemmOperation
from lowbit.check.report.sentence import sentence
from lowbit.format.registry import get_format
from lowbit.policy.accumulator import get_accumulator
from lowbit.vectors.gemm.values import Operands
from tests.check.answers import concluded
from tests.thinned import thinned

LARGEST = 1 << 12
SEVERAL = """accumulates in 16 bits, wrapping, accumulates in 16 bits, wrapping, spilling every 512 products into 32 \
bits or one of 3 more, which these inputs cannot tell apart"""
EXACT = ", and is otherwise exact"


def wrapped(x, bits):
    half = 1 << (bits - 1)
    return (x + half) % (2 * half) - half


def by_products(change):
    """The sum of the products, each changed first."""
    return lambda a, b: sum(change(np.outer(left, right)) for left, right in zip(a.T, b, strict=True))


def by_transposed(a, b):
    return wrapped(a @ np.ascontiguousarray(b).reshape(b.shape[::-1]).T, 16)


def by_half(a, b):
    sums = np.zeros((len(a), b.shape[1]), np.float16)
    with np.errstate(all="ignore"):
        for left, right in zip(a.T, b, strict=True):
            sums = sums + np.outer(left, right).astype(np.float16)
    return np.clip(sums.astype(float), -65504, 65504)


def again(a, b, places):
    """Some of the products, in their sums."""
    return a[:, places] @ b[places]


def overlapping(a, b):
    """The last eight products of a sum are loaded once more where others are left."""
    k = a.shape[1]
    return a @ b + (again(a, b, range(k - 8, k // 8 * 8)) if k > 8 and k % 8 else 0)


def inside(c, axis, group):
    """Whether a result is in a whole group of rows or columns."""
    place = np.arange(c.shape[axis])
    return np.expand_dims(place < c.shape[axis] // group * group, 1 - axis)


PLANTED = {
    "products wrap": ("int8 int8", by_products(lambda x: wrapped(x, 8)), "wraps each product to 8 bits"),
    "products of 16 bits": ("uint8 uint8", by_products(lambda x: wrapped(x, 16)), "wraps each product to 16 bits"),
    "magnitudes": ("int8 int8", lambda a, b: a @ abs(b), "takes the magnitudes of b"),
    "narrow": (
        "int8 int8",
        lambda a, b: np.maximum(a, -127) @ b,
        "never takes the lowest code of a (a narrow range, as -127 to 127)",
    ),
    "negated": ("int8 int8", lambda a, b: -(a @ b), "negates every result"),
    "binary16": ("int8 int8", by_half, "accumulates in binary16 (half), one product after another"),
    "rows": (
        "int8 int8",
        lambda a, b: (a @ b) * inside(a @ b, 0, 4),
        "gives 0 for the rows after the last whole group of 4",
    ),
    "columns": (
        "int8 int8",
        lambda a, b: (a @ b) * inside(a @ b, 1, 8),
        "gives 0 for the columns after the last whole group of 8",
    ),
    "swapped": (
        "int8 int8",
        lambda a, b: (a @ b)[:, np.minimum(np.arange(b.shape[1]) ^ 1, b.shape[1] - 1)],
        "swaps the columns of each pair",
    ),
    "bias": ("int8 int8", lambda a, b: a @ b + 3, "adds 3 to every result"),
    "bias of products": ("int8 int8", lambda a, b: a @ b - a.shape[1], "adds -1 to each product"),
    "twice": ("int8 int8", lambda a, b: 2 * (a @ b), "gives results 2 times as large"),
    "shifted": ("int8 int8", lambda a, b: a @ b >> 8, "shifts results right by 8, rounded down"),
    "shifted, rounded": ("uint8 int8", lambda a, b: a @ b + 64 >> 7, "shifts results right by 7, rounded half up"),
    "rectified": ("int8 int8", lambda a, b: np.maximum(a @ b, 0), "clamps results to 0 at least"),
    "clamped": ("int8 int8", lambda a, b: np.clip(a @ b, -999, 1000), "clamps results to -999 to 1000"),
    "no signs": ("int8 int8", lambda a, b: abs(a @ b), "loses the sign of every result"),
    "uint16": ("int8 int8", lambda a, b: a @ b & 0xFFFF, "gives the low 16 bits of each result without their sign"),
    "moved": (
        "int8 int8",
        lambda a, b: (a + 128) @ b,
        "adds 128 to the codes of a, and does not make up for it in the sums",
    ),
    "last again": ("int8 int8", lambda a, b: a @ b + again(a, b, [-1]), "counts the last product of each sum twice"),
    "tail again": (
        "int8 int8",
        overlapping,
        "counts products twice where the last 8 of a sum overlap the whole groups before them",
    ),
    "two causes": (
        "int8 int8",
        by_transposed,
        "takes b for transposed: n rows of k, and accumulates in 16 bits, wrapping",
    ),
    "several accumulators": (
        "int8 int8",
        lambda a, b: wrapped(a @ b, 16),
        SEVERAL,
    ),
}
ZERO_POINTS = {
    "twice": (lambda a, b, za, zb: (a - 2 * za) @ (b - zb), "subtracts the zero point of a twice"),
    "sign of the product": (
        lambda a, b, za, zb: (a - za) @ (b - zb) - 2 * za * zb * a.shape[1],
        "subtracts the product of the zero points, k * a_zero_point * b_zero_point, instead of adding it",
    ),
    "no sums of a": (
        lambda a, b, za, zb: (a - za) @ b + za * zb * a.shape[1],
        "forgets to subtract the zero point of b times the sums of a",
    ),
}


def told(formats, kernel, zero_points=False):
    operation = GemmOperation(Operands(*map(get_format, formats.split()), zero_points), get_accumulator("int32"))
    cases = [case for case in operation.cases("directed", 0, 0) if np.prod(list(case.sizes.values())) <= LARGEST]
    got = []
    for case in cases:
        matrices = (case.arrays[name].astype(np.int64) for name in "ab")
        zeros = (int(case.scalars[f"{name}_zero_point"]) for name in "ab") if zero_points else ()
        got.append(np.asarray(kernel(*matrices, *zeros)).astype(np.int32))
    return sentence(concluded(operation, cases, got))


@pytest.mark.parametrize("name", thinned(PLANTED, 2))
def test_planted_fault_is_named(name):
    formats, kernel, words = PLANTED[name]
    assert told(formats, kernel) == words + EXACT


@pytest.mark.parametrize("name", thinned(ZERO_POINTS, 1))
def test_planted_fault_of_zero_points_is_named(name):
    kernel, words = ZERO_POINTS[name]
    assert told("uint8 int8", kernel, zero_points=True) == words + EXACT


def test_one_number_for_all_inputs():
    assert told("int8 int8", lambda a, b: 7 + 0 * (a @ b)) == "gives 7 whatever its inputs are"
