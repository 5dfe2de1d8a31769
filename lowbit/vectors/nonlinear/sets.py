"""Sets of nonlinearities in ``.vec`` files: a row of codes, how many of them count, and the row of results.

Codes and results are one wide column each: element 0 in the last digits, every element in whole digits, two's
complement. A row shorter than the set's length has zeros beyond its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from lowbit.errors import InputError, LowbitError, VectorFileError
from lowbit.format.scalar import FixedFormat
from lowbit.vectors.case import Case
from lowbit.vectors.flags import nonlinear as f
from lowbit.vectors.gemm.sets import pack_elements, unpack_elements
from lowbit.vectors.nonlinear.cases import make_case, operands_of
from lowbit.vectors.nonlinear.rows import Flagged, directed_rows
from lowbit.vectors.nonlinear.rule import Nonlinearity, chosen, integer_format
from lowbit.vectors.vec import Column, VectorFile, digits_for, read_vectors

GENERATOR_VERSION = 1
ORACLE = "lowbit.oracle 1"
LENGTH_DIGITS = 4
MOST_LENGTH = (1 << 4 * LENGTH_DIGITS) - 1
SINGLE_FLAGS = (f.EVERY_CODE, f.TABLE_EDGE)
MOST_CODES = 1000
"""About that many single codes of wide types are in a set; codes of 8 bits are all there."""


def nonlinear_set(
    set_id: str, operation: str, source: str, target: str, policy: str, arguments: Mapping[str, Any]
) -> VectorFile:
    """The set of a recipe, with the results that the oracle computes.

    The policy is ``scheme`` or ``scheme+variant=name``. Arguments: ``length``, how many codes a row has; ``rows``, at
    most that many; ``scale``, and the scheme's own parameters.
    """
    nonlinearity, codes, results = parse_policy(operation, source, target, policy, arguments)
    length, most = int(arguments["length"]), int(arguments["rows"])
    if not 1 <= length <= MOST_LENGTH:
        raise InputError(f"length = {length} is not from 1 to {MOST_LENGTH}", code="LB100")
    rows = list(_answered(nonlinearity, codes, length, most))
    columns = [Column("length", LENGTH_DIGITS), Column("codes", length * digits_for(codes.bits))]
    parts = [
        np.array([len(row) for _, row, _ in rows], np.uint64)[:, None],
        pack_elements(np.array([_padded(row, length) for _, row, _ in rows], np.int64), codes),
    ]
    for name, array in operands_of(nonlinearity, length).items():
        fmt = integer_format(array.dtype.name)
        columns.append(Column(name, length * digits_for(fmt.bits)))
        whole = [_padded(operands_of(nonlinearity, len(row))[name].tolist(), length) for _, row, _ in rows]
        parts.append(pack_elements(np.array(whole, np.int64), fmt))
    columns += [Column("expected", length * digits_for(results.bits)), Column("flag", 2)]
    parts.append(pack_elements(np.array([_padded(answer, length) for _, _, answer in rows], np.int64), results))
    parts.append(np.array([flag for flag, _, _ in rows], np.uint64)[:, None])
    header = _header(set_id, nonlinearity, codes, results, policy, arguments)
    return VectorFile(header, tuple(columns), np.concatenate(parts, axis=1))


def parse_policy(
    operation: str, source: str, target: str, policy: str, arguments: Mapping[str, Any]
) -> tuple[Nonlinearity, FixedFormat, FixedFormat]:
    """The nonlinearity of a recipe, and its formats."""
    scheme, _, choice = policy.partition("+")
    options = {name: value for name, value in arguments.items() if name not in ("length", "rows", "scale")}
    return chosen(
        operation,
        scheme,
        variant=choice.removeprefix("variant="),
        scale=arguments.get("scale"),
        source=source,
        target=target,
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


def _padded(row: list[int], length: int) -> list[int]:
    return row + [0] * (length - len(row))


def _header(
    set_id: str,
    nonlinearity: Nonlinearity,
    source: FixedFormat,
    target: FixedFormat,
    policy: str,
    arguments: Mapping[str, Any],
) -> dict[str, str]:
    stated = " ".join(f"{name}={value}" for name, value in sorted(arguments.items()))
    scale = [f"scale={nonlinearity.scale}"] if nonlinearity.scale else []
    return {
        "set": set_id,
        "op": nonlinearity.operation,
        "source": f"{source.id}, {source.bits} bits, up to {arguments['length']} elements",
        "target": f"{target.id}, {target.bits} bits",
        "policy": policy,
        "choices": " ".join([*scale, f"overflow={nonlinearity.overflow}"]),
        "generator": f"directed {GENERATOR_VERSION} {stated}",
        "oracle": ORACLE,
    }


def read_nonlinearities(path: str, nonlinearity: Nonlinearity, source: FixedFormat) -> list[Case]:
    """The rows of a file as calls of one row each."""
    file = read_vectors(path)
    digits = {column.name: column.digits for column in file.columns}
    if not {"length", "codes"} <= set(digits):
        raise VectorFileError(
            f"{path}: does not hold rows of codes", hint=f"`lowbit gen {nonlinearity.operation}` makes files of them"
        )
    held = (file.header.get("op", ""), file.header.get("source", "").split(",")[0])
    if held != (nonlinearity.operation, source.id):
        raise InputError(f"{path}: holds {' of '.join(held)}, the check is of {nonlinearity.operation} of {source.id}")
    codes = unpack_elements(file.words("codes"), digits["codes"], source)
    operands = {
        name: unpack_elements(file.words(name), digits[name], integer_format(dtype))
        for name, dtype in nonlinearity.per_element.items()
        if name in digits
    }
    cases = []
    lengths = file.column("length").tolist()
    for row, (flag, length) in enumerate(zip(file.flags.tolist(), lengths, strict=True)):
        case = make_case(flag, codes[row : row + 1, :length], nonlinearity)
        arrays = {**case.arrays, **{name: array[row, :length] for name, array in operands.items()}}
        cases.append(Case(flag, arrays, case.sizes, case.shape, case.scalars, row))
    return cases
