"""Sets of dot products in ``.vec`` files: two rows of elements, the sum that an accumulator makes of their products.

Rows shorter than the set's length end in zeros.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from lowbit.errors import InputError, VectorFileError
from lowbit.format.registry import integer_format
from lowbit.oracle.gemm.gemm import dot
from lowbit.policy.accumulator import get_accumulator
from lowbit.vectors.case import Case
from lowbit.vectors.elements import elements, elements_of
from lowbit.vectors.flags import gemm as f
from lowbit.vectors.flags.cast import RANDOM
from lowbit.vectors.gemm.cases import directed_cases, gemm_case
from lowbit.vectors.gemm.values import Codes, Operands
from lowbit.vectors.in_turn import in_turn
from lowbit.vectors.patterns import random_codes
from lowbit.vectors.recipe import Recipe
from lowbit.vectors.vec import Column, VectorFile, assemble, digits_for, read_vectors

BYTES = 40_000
"""About as large as the rows of a file may get."""
MOST_ROWS = 120
GROUPS = (
    f.PRODUCT_RAIL,
    f.RAIL_WALK,
    f.SWAMPING,
    f.WIDTH_LADDER,
    f.LONG_RUN,
    f.ONE_HOT,
    f.K_TAIL,
    f.CANCELLATION,
    RANDOM,
    f.ALL_ZERO,
)

Row = tuple[int, Codes, Codes]


def parse_operands(text: str) -> Operands:
    """The formats of ``int8_uint8``."""
    a, _, b = text.partition("_")
    return Operands(integer_format(a), integer_format(b))


def dot_set(recipe: Recipe) -> VectorFile:
    """The set of a recipe: ``int8_uint8`` under an accumulator. The argument ``length`` says how long the rows are."""
    operands, accumulator = parse_operands(recipe.source), get_accumulator(recipe.policy)
    length = int(recipe.arguments["length"])
    flags, left, right = zip(*dot_rows(operands, length), strict=True)
    bits = 32 if accumulator.result_width <= 32 else 64
    pairs = zip(left, right, strict=True)
    sums = [dot(a.tolist(), b.tolist(), accumulator).value & ((1 << bits) - 1) for a, b in pairs]
    source = f"{operands.words}, {operands.a.bits} and {operands.b.bits} bits, {length} elements"
    choices = " ".join(f"{axis}={value}" for axis, value, _ in accumulator.describe())
    columns = [
        elements("a", np.array(left), operands.a),
        elements("b", np.array(right), operands.b),
        (Column("expected", digits_for(bits)), np.array(sums, np.uint64)),
    ]
    return assemble(recipe.header(source, f"int{bits}, {bits} bits", choices), columns, flags)


def dot_rows(operands: Operands, length: int) -> list[Row]:
    """(flag, a, b) of every row: rows and columns of directed matrices, each kind in turn until the file is full."""
    if length < 1:
        raise InputError(f"length = {length}: a dot product has at least one element")
    width = length * (digits_for(operands.a.bits) + digits_for(operands.b.bits)) + 16
    budget = max(8, min(MOST_ROWS, BYTES // width))
    short = [case for case in directed_cases(operands) if case.sizes["k"] <= length]
    sources = [_group_rows(operands, length, flag, short) for flag in GROUPS]
    rows = in_turn(sources, budget, lambda row: row[1].tobytes() + row[2].tobytes())
    return sorted(rows, key=lambda row: row[0])


def _group_rows(operands: Operands, length: int, flag: int, cases: list[Case]) -> Iterator[Row]:
    if flag == RANDOM:
        for seed in range(40):
            a, b = random_codes(operands.a, (length,), 2 * seed + 1), random_codes(operands.b, (length,), 2 * seed + 2)
            yield flag, a, b
        return
    # The longest rows come first: they tell more accumulators apart.
    for case in sorted((case for case in cases if case.flag == flag), key=lambda case: -case.sizes["k"]):
        m, n = case.shape
        for index in range(max(m, min(n, 24))):
            a, b = case.arrays["a"][index % m], case.arrays["b"][:, (index * 7 + index // m) % n]
            yield flag, _padded(a, length), _padded(b, length)


def _padded(codes: Codes, length: int) -> Codes:
    return np.concatenate([codes, np.zeros(length - len(codes), codes.dtype)])


def read_dot_products(path: str, operands: Operands) -> list[Case]:
    """The rows of a file as cases of one row and one column."""
    file = read_vectors(path)
    if not {"a", "b"} <= {column.name for column in file.columns}:
        raise VectorFileError(f"{path}: holds no dot products", hint="`lowbit gen gemm` makes files of them")
    source = file.header.get("source", "").split(",")[0]
    if source != operands.words:
        raise InputError(
            f"{path}: holds {source}, the check is of {operands.words}", hint="--a and --b name the formats"
        )
    rows = zip(file.flags.tolist(), elements_of(file, "a", operands.a), elements_of(file, "b", operands.b), strict=True)
    return [
        replace(gemm_case(flag, left[None, :], right[:, None], operands), number=row)
        for row, (flag, left, right) in enumerate(rows)
    ]
