"""Sets of nonlinearities in ``.vec`` files: a row of codes, how many of them count, and the row of results.

A row shorter than the set's length has zeros beyond its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from lowbit.errors import InputError, LowbitError, VectorFileError
from lowbit.format.scalar import FixedFormat
from lowbit.vectors.case import Case
from lowbit.vectors.cast.points import Unsigned
from lowbit.vectors.elements import elements, elements_of
from lowbit.vectors.flags import nonlinear as f
from lowbit.vectors.nonlinear.cases import make_case, operands_of
from lowbit.vectors.nonlinear.rows import Flagged, directed_rows
from lowbit.vectors.nonlinear.rule import Nonlinearity, chosen, integer_format
from lowbit.vectors.recipe import Recipe
from lowbit.vectors.vec import Column, VectorFile, assemble, read_vectors

LENGTH_DIGITS = 4
MOST_LENGTH = (1 << 4 * LENGTH_DIGITS) - 1
SINGLE_FLAGS = (f.EVERY_CODE, f.TABLE_EDGE)
MOST_CODES = 1000
"""About that many single codes of wide types are in a set; codes of 8 bits are all there."""


def nonlinear_set(recipe: Recipe) -> VectorFile:
    """The set of a recipe, with the results that the oracle computes.

    Arguments: ``length``, how many codes a row has; ``rows``, at most that many; ``scale``, and the scheme's own.
    """
    nonlinearity, codes, results = nonlinearity_of(recipe)
    length, most = int(recipe.arguments["length"]), int(recipe.arguments["rows"])
    if not 1 <= length <= MOST_LENGTH:
        raise InputError(f"length = {length} is not from 1 to {MOST_LENGTH}", code="LB100")
    answered = list(_answered(nonlinearity, codes, length, most))
    rows = [row for _, row, _ in answered]

    def column(name: str, values: Iterable[list[int]], fmt: FixedFormat) -> tuple[Column, Unsigned]:
        return elements(name, np.array([row + [0] * (length - len(row)) for row in values], np.int64), fmt)

    columns = [
        (Column("length", LENGTH_DIGITS), np.array([len(row) for row in rows], np.uint64)),
        column("codes", rows, codes),
    ]
    for name, dtype in nonlinearity.per_element.items():
        values = (operands_of(nonlinearity, len(row))[name].tolist() for row in rows)
        columns.append(column(name, values, integer_format(dtype)))
    columns.append(column("expected", [answer for _, _, answer in answered], results))
    scale = [f"scale={nonlinearity.scale}"] if nonlinearity.scale else []
    header = recipe.header(
        f"{codes.id}, {codes.bits} bits, up to {length} elements",
        f"{results.id}, {results.bits} bits",
        " ".join([*scale, f"overflow={nonlinearity.overflow}"]),
    )
    return assemble(header, columns, [flag for flag, _, _ in answered])


def nonlinearity_of(recipe: Recipe) -> tuple[Nonlinearity, FixedFormat, FixedFormat]:
    """The nonlinearity of a recipe, whose policy is ``scheme`` or ``scheme+variant=name``, and its formats."""
    scheme, _, choice = recipe.policy.partition("+")
    options = {name: value for name, value in recipe.arguments.items() if name not in ("length", "rows", "scale")}
    return chosen(
        recipe.op,
        scheme,
        variant=choice.removeprefix("variant="),
        scale=recipe.arguments.get("scale"),
        source=recipe.source,
        target=recipe.target,
        options=options,
    )


def _answered(
    nonlinearity: Nonlinearity, source: FixedFormat, length: int, most: int
) -> Iterator[tuple[int, list[int], list[int]]]:
    """Rows that the scheme is defined for, spread evenly over the directed ones, in the order of their flags."""
    answered = []
    for flag, row in _short_rows(nonlinearity, source, length):
        operands = {name: array.tolist() for name, array in operands_of(nonlinearity, len(row)).items()}
        try:
            answered.append((flag, row, nonlinearity.by_oracle(row, operands)))
        except (LowbitError, ValueError):
            continue
    by_flag: dict[int, list[Any]] = {}
    for item in answered:
        by_flag.setdefault(item[0], []).append(item)
    share = -(-most // max(1, len(by_flag)))
    for flag in sorted(by_flag):
        items = by_flag[flag]
        step = 1 if flag in SINGLE_FLAGS else max(1, -(-len(items) // share))
        yield from items[::step]


def _short_rows(nonlinearity: Nonlinearity, source: FixedFormat, length: int) -> Iterator[Flagged]:
    """The rows that fit; what is about single codes is cut into rows, and thinned where there are too many codes."""
    single: dict[int, list[int]] = {}
    for flag, row in directed_rows(nonlinearity, source):
        if not nonlinearity.by_row or flag == f.EVERY_CODE:
            single.setdefault(flag, []).extend(row)
        elif len(row) <= length:
            yield flag, row
    for flag, codes in single.items():
        chosen_codes = codes[:: max(1, len(codes) // MOST_CODES | 1)]
        for start in range(0, len(chosen_codes), length):
            yield flag, chosen_codes[start : start + length]


def read_nonlinearities(path: str, nonlinearity: Nonlinearity, source: FixedFormat) -> list[Case]:
    """The rows of a file as calls of one row each."""
    file = read_vectors(path)
    names = {column.name for column in file.columns}
    if not {"length", "codes"} <= names:
        raise VectorFileError(
            f"{path}: does not hold rows of codes", hint=f"`lowbit gen {nonlinearity.operation}` makes files of them"
        )
    held = (file.header.get("op", ""), file.header.get("source", "").split(",")[0])
    if held != (nonlinearity.operation, source.id):
        raise InputError(f"{path}: holds {' of '.join(held)}, the check is of {nonlinearity.operation} of {source.id}")
    codes = elements_of(file, "codes", source)
    operands = {
        name: elements_of(file, name, integer_format(dtype))
        for name, dtype in nonlinearity.per_element.items()
        if name in names
    }
    cases = []
    lengths = file.column("length").tolist()
    for row, (flag, length) in enumerate(zip(file.flags.tolist(), lengths, strict=True)):
        case = make_case(flag, codes[row : row + 1, :length], nonlinearity)
        arrays = {**case.arrays, **{name: array[row, :length] for name, array in operands.items()}}
        cases.append(replace(case, arrays=arrays, number=row))
    return cases
