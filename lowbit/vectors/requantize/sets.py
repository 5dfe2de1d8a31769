"""Sets of requantisations in ``.vec`` files: one accumulator a row, with its parameters and the code it becomes.

Columns: accumulator, multiplier and shift or scale (the bits of a float or double), zero_point, expected, flag.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from lowbit.errors import VectorFileError
from lowbit.format.registry import integer_format
from lowbit.format.scalar import FixedFormat
from lowbit.oracle.requantize.requantize import requantize
from lowbit.policy.requantize import RequantizeScheme, get_requantize_scheme
from lowbit.vectors.case import Case, Number
from lowbit.vectors.cast.points import Unsigned
from lowbit.vectors.recipe import Recipe
from lowbit.vectors.requantize.cases import directed_requantizations, multiplier_of
from lowbit.vectors.vec import Column, VectorFile, assemble, digits_for, read_vectors

Row = tuple[int, dict[str, Number], int]


def requantize_set(recipe: Recipe) -> VectorFile:
    """The set of a recipe, with the codes that the oracle computes.

    The argument ``rows``: about that many, spread evenly over the directed cases.
    """
    scheme, result = get_requantize_scheme(recipe.policy), integer_format(recipe.target)
    rows = list(_rows(scheme, result, int(recipe.arguments["rows"])))

    def column(name: str, digits: int, values: list[Any]) -> tuple[Column, Unsigned]:
        return Column(name, digits), np.array([value & ((1 << 4 * digits) - 1) for value in values], np.uint64)

    digits = digits_for(result.bits)
    columns = [
        column("accumulator", scheme.accumulator_bits // 4, [accumulator for _, _, accumulator in rows]),
        *(
            column(name, width, [_pattern(scalars[name], name, scheme) for _, scalars, _ in rows])
            for name, width in _parameters(scheme).items()
        ),
        column("zero_point", digits, [scalars["zero_point"] for _, scalars, _ in rows]),
        column("expected", digits, [expected_code(row, scheme, result) for row in rows]),
    ]
    header = recipe.header(
        f"int{scheme.accumulator_bits}, {scheme.accumulator_bits} bits",
        f"{result.id}, {result.bits} bits",
        " ".join(f"{axis}={getattr(scheme, axis)}" for axis in scheme.AXES),
    )
    return assemble(header, columns, [flag for flag, _, _ in rows])


def _parameters(scheme: RequantizeScheme) -> dict[str, int]:
    """What the scheme takes, and in how many digits."""
    return {"scale": 2 * _scale_type(scheme).itemsize} if scheme.takes_scale else {"multiplier": 8, "shift": 2}


def _scale_type(scheme: RequantizeScheme) -> np.dtype[Any]:
    return np.dtype(np.float32 if scheme.multiplier_bits <= 24 else np.float64)


def _pattern(value: Number, name: str, scheme: RequantizeScheme) -> int:
    if name != "scale":
        return int(value)
    dtype = _scale_type(scheme)
    return int(np.array(value, dtype).view(f"u{dtype.itemsize}"))


def expected_code(row: Row, scheme: RequantizeScheme, result: FixedFormat) -> int:
    """What the oracle says of a row."""
    _, scalars, accumulator = row
    zero_point = int(scalars["zero_point"])
    low, high = result.min_code, result.max_code
    given = multiplier_of(scheme, scalars)
    return requantize(accumulator, scheme, *given, zero_point=zero_point, low=low, high=high).code


def _rows(scheme: RequantizeScheme, result: FixedFormat, count: int) -> Iterator[Row]:
    """Every accumulator of short cases, evenly spread ones of long cases."""
    cases = directed_requantizations(scheme, result)
    step = max(1, sum(case.outputs for case in cases) // count)
    for index, case in enumerate(cases):
        accumulators = case.arrays["accumulators"].tolist()
        for accumulator in accumulators if len(accumulators) <= step else accumulators[index % step :: step]:
            yield case.flag, dict(case.scalars), accumulator


def read_requantizations(path: str, scheme: RequantizeScheme) -> list[Case]:
    """The rows of a file as cases of one accumulator, with the parameters in the scheme's convention."""
    file = read_vectors(path)
    bits = {column.name: 4 * column.digits for column in file.columns}
    wanted = list(_parameters(scheme))
    if not {"accumulator", *wanted} <= set(bits):
        raise VectorFileError(
            f"{path}: has no columns accumulator, {', '.join(wanted)}",
            hint=f"`lowbit gen requantize --scheme {scheme.name}` makes such files",
        )

    def numbers(name: str) -> list[Any]:
        patterns = file.column(name)
        if name == "scale":
            dtype = _scale_type(scheme)
            return patterns.astype(f"u{dtype.itemsize}").view(dtype).tolist()  # type: ignore[no-any-return]
        if name == "zero_point" and "uint" in file.header["target"]:
            return patterns.tolist()  # type: ignore[no-any-return]
        shift = np.int64(64 - bits[name])
        return ((patterns.view(np.int64) << shift) >> shift).tolist()  # type: ignore[no-any-return]

    names = [*wanted, "zero_point"]
    rows = zip(file.flags.tolist(), numbers("accumulator"), *(numbers(name) for name in names), strict=True)
    dtype = np.int32 if scheme.accumulator_bits == 32 else np.int64
    return [
        Case(
            flag,
            {"accumulators": np.array([value], dtype)},
            {"n": 1},
            (1,),
            dict(zip(names, scalars, strict=True)),
            row,
        )
        for row, (flag, value, *scalars) in enumerate(rows)
    ]
