"""Sets of requantisations in ``.vec`` files: one accumulator a row, with its parameters and the code it becomes."""

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
from lowbit.vectors.requantize.cases import directed_requantizations, real_scale
from lowbit.vectors.vec import Column, VectorFile, digits_for, read_vectors

GENERATOR_VERSION = 1
ORACLE = "lowbit.oracle 1"
Row = tuple[int, dict[str, Number], int]


def requantize_set(set_id: str, result_name: str, scheme_name: str, arguments: dict[str, Any]) -> VectorFile:
    """The set of a recipe, with the codes that the oracle computes.

    The argument ``rows``: about that many, spread evenly over the directed cases.
    """
    scheme, result = get_requantize_scheme(scheme_name), integer_format(result_name)
    rows = list(_rows(scheme, result, int(arguments["rows"])))
    columns = set_columns(scheme, result)
    table = [[*_patterns(row, scheme), expected_code(row, scheme, result), row[0]] for row in rows]
    masks = [(1 << (4 * column.digits)) - 1 for column in columns]
    patterns = [[value & mask for value, mask in zip(line, masks, strict=True)] for line in table]
    return VectorFile(_header(set_id, scheme, result, arguments), columns, np.array(patterns, np.uint64))


def set_columns(scheme: RequantizeScheme, result: FixedFormat) -> tuple[Column, ...]:
    """accumulator, multiplier and shift or scale (the bits of a float or double), zero_point, expected, flag."""
    if scheme.takes_scale:
        given = [Column("scale", 8 if scheme.multiplier_bits <= 24 else 16)]
    else:
        given = [Column("multiplier", 8), Column("shift", 2)]
    digits = digits_for(result.bits)
    accumulator = Column("accumulator", scheme.accumulator_bits // 4)
    return accumulator, *given, Column("zero_point", digits), Column("expected", digits), Column("flag", 2)


def expected_code(row: Row, scheme: RequantizeScheme, result: FixedFormat) -> int:
    """What the oracle says of a row."""
    _, scalars, accumulator = row
    zero_point = int(scalars["zero_point"])
    if scheme.takes_scale:
        scale = real_scale(scheme, scalars)
        multiplier, shift = scale.numerator, scale.denominator.bit_length() - 1
    else:
        multiplier, shift = int(scalars["multiplier"]), int(scalars["shift"])
    limits = {"low": result.min_code, "high": result.max_code}
    return requantize(accumulator, scheme, multiplier, shift, zero_point=zero_point, **limits).code


def _rows(scheme: RequantizeScheme, result: FixedFormat, count: int) -> Iterator[Row]:
    """Every accumulator of short cases, every so-manieth of long ones."""
    cases = directed_requantizations(scheme, result)
    step = max(1, sum(case.outputs for case in cases) // count)
    for index, case in enumerate(cases):
        accumulators = case.arrays["accumulators"].tolist()
        chosen = accumulators if len(accumulators) <= step else accumulators[index % step :: step]
        for accumulator in chosen:
            yield case.flag, dict(case.scalars), accumulator


def _patterns(row: Row, scheme: RequantizeScheme) -> list[int]:
    _, scalars, accumulator = row
    if scheme.takes_scale:
        dtype = np.float32 if scheme.multiplier_bits <= 24 else np.float64
        given = [int(np.array(scalars["scale"], dtype).view(np.uint32 if dtype is np.float32 else np.uint64))]
    else:
        given = [int(scalars["multiplier"]), int(scalars["shift"])]
    return [accumulator, *given, int(scalars["zero_point"])]


def _header(set_id: str, scheme: RequantizeScheme, result: FixedFormat, arguments: dict[str, Any]) -> dict[str, str]:
    return {
        "set": set_id,
        "op": "requantize",
        "source": f"int{scheme.accumulator_bits}, {scheme.accumulator_bits} bits",
        "target": f"{result.id}, {result.bits} bits",
        "policy": scheme.name,
        "choices": " ".join(f"{axis}={getattr(scheme, axis)}" for axis in scheme.AXES),
        "generator": f"directed {GENERATOR_VERSION} rows={arguments['rows']}",
        "oracle": ORACLE,
    }


def read_requantizations(path: str, scheme: RequantizeScheme) -> list[Case]:
    """The rows of a file as cases of one accumulator, with the parameters in the scheme's convention."""
    file = read_vectors(path)
    names = [column.name for column in file.columns]
    wanted = ["scale"] if scheme.takes_scale else ["multiplier", "shift"]
    if "accumulator" not in names or not set(wanted) <= set(names):
        raise VectorFileError(
            f"{path}: has no columns accumulator, {', '.join(wanted)}",
            hint=f"`lowbit gen requantize --scheme {scheme.name}` makes such files",
        )
    bits = {column.name: 4 * column.digits for column in file.columns}

    def signed(name: str) -> list[int]:
        shift = np.int64(64 - bits[name])
        return ((file.column(name).view(np.int64) << shift) >> shift).tolist()  # type: ignore[no-any-return]

    low_zero = file.column("zero_point").tolist() if "uint" in file.header["target"] else signed("zero_point")
    rows = zip(signed("accumulator"), low_zero, file.flags.tolist(), _given(file, scheme, signed), strict=True)
    dtype = np.int32 if scheme.accumulator_bits == 32 else np.int64
    return [
        Case(flag, {"accumulators": np.array([value], dtype)}, {"n": 1}, (1,), {**given, "zero_point": zero}, row)
        for row, (value, zero, flag, given) in enumerate(rows)
    ]


def _given(file: VectorFile, scheme: RequantizeScheme, signed: Any) -> list[dict[str, Number]]:
    if not scheme.takes_scale:
        pairs = zip(signed("multiplier"), signed("shift"), strict=True)
        return [{"multiplier": multiplier, "shift": shift} for multiplier, shift in pairs]
    patterns = file.column("scale")
    if scheme.multiplier_bits <= 24:
        return [{"scale": float(value)} for value in patterns.astype(np.uint32).view(np.float32)]
    return [{"scale": float(value)} for value in patterns.view(np.float64)]
