"""Sets of dot products in ``.vec`` files: two rows of elements, the sum that an accumulator makes of their products.

Each operand is one wide column: element 0 in the last digits, every element in whole digits (2 for int8, 1 for int4,
4 for int16), two's complement. Rows shorter than the set's length end in zeros.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lowbit.errors import InputError, VectorFileError
from lowbit.format.registry import integer_format
from lowbit.format.scalar import FixedFormat
from lowbit.oracle.gemm.gemm import dot
from lowbit.policy.accumulator import Accumulator, get_accumulator
from lowbit.vectors.case import Case
from lowbit.vectors.cast.patterns import from_patterns, to_patterns
from lowbit.vectors.cast.points import Unsigned
from lowbit.vectors.flags import gemm as f
from lowbit.vectors.flags.cast import RANDOM
from lowbit.vectors.gemm.cases import directed_cases, gemm_case
from lowbit.vectors.gemm.values import Codes, Operands, random_codes
from lowbit.vectors.vec import Column, VectorFile, digits_for, read_vectors

GENERATOR_VERSION = 1
ORACLE = "lowbit.oracle 1"
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


def generate_dot_products(
    operands: Operands, accumulator: Accumulator, arguments: Mapping[str, Any], header: Mapping[str, str]
) -> VectorFile:
    """A set with the sums that the oracle computes.

    The argument ``length`` is the number of elements of a row.
    """
    length = int(arguments["length"])
    rows = dot_rows(operands, length)
    result_bits = 32 if accumulator.result_width <= 32 else 64
    mask = (1 << result_bits) - 1
    sums = [dot(a.tolist(), b.tolist(), accumulator).value & mask for _, a, b in rows]
    columns = (
        Column("a", length * digits_for(operands.a.bits)),
        Column("b", length * digits_for(operands.b.bits)),
        Column("expected", digits_for(result_bits)),
        Column("flag", 2),
    )
    parts = [
        pack_elements(np.array([row[1] for row in rows]), operands.a),
        pack_elements(np.array([row[2] for row in rows]), operands.b),
        np.array(sums, np.uint64)[:, None],
        np.array([row[0] for row in rows], np.uint64)[:, None],
    ]
    return VectorFile(dict(header), columns, np.concatenate(parts, axis=1))


def dot_rows(operands: Operands, length: int) -> list[Row]:
    """(flag, a, b) of every row: rows and columns of directed matrices, each kind in turn until the file is full."""
    if length < 1:
        raise InputError(f"length = {length}: a dot product has at least one element")
    width = length * (digits_for(operands.a.bits) + digits_for(operands.b.bits)) + 16
    budget = max(8, min(MOST_ROWS, BYTES // width))
    short = [case for case in directed_cases(operands) if case.sizes["k"] <= length]
    sources = [_group_rows(operands, length, flag, short) for flag in GROUPS]
    rows: list[Row] = []
    seen: set[bytes] = set()
    while sources and len(rows) < budget:
        for source in list(sources):
            row = next(source, None)
            if row is None:
                sources.remove(source)
                continue
            key = row[1].tobytes() + row[2].tobytes()
            if key not in seen and len(rows) < budget:
                seen.add(key)
                rows.append(row)
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


def pack_elements(codes: NDArray[Any], fmt: FixedFormat) -> Unsigned:
    """Rows of codes, shape (rows, length), as the words of a wide column."""
    digits = digits_for(fmt.bits)
    patterns = to_patterns(codes, fmt)
    nibbles = [(patterns >> np.uint64(4 * digit)) & np.uint64(15) for digit in range(digits)]
    flat = np.stack(nibbles, axis=-1).reshape(len(codes), -1)  # the least significant digit first
    count = -(-flat.shape[1] // 16)
    flat = np.pad(flat, ((0, 0), (0, 16 * count - flat.shape[1])))
    shifts = np.arange(0, 64, 4, dtype=np.uint64)
    words = (flat.reshape(len(codes), count, 16) << shifts).sum(axis=-1, dtype=np.uint64)
    return np.asarray(words[:, ::-1])


def unpack_elements(words: Unsigned, digits: int, fmt: FixedFormat) -> Codes:
    """The inverse of ``pack_elements`` for a column of so many digits."""
    each = digits_for(fmt.bits)
    shifts = np.arange(0, 64, 4, dtype=np.uint64)
    flat = ((words[:, ::-1, None] >> shifts) & np.uint64(15)).reshape(len(words), -1)[:, :digits]
    grouped = flat.reshape(len(words), -1, each) << (np.arange(each, dtype=np.uint64) * np.uint64(4))
    return np.asarray(from_patterns(grouped.sum(axis=-1, dtype=np.uint64), fmt)).astype(fmt.code_dtype)


def read_dot_products(path: str, operands: Operands) -> list[Case]:
    """The rows of a file as cases of one row and one column."""
    file = read_vectors(path)
    digits = {column.name: column.digits for column in file.columns}
    if not {"a", "b"} <= set(digits):
        raise VectorFileError(f"{path}: holds no dot products", hint="`lowbit gen gemm` makes files of them")
    source = file.header.get("source", "").split(",")[0]
    if source != operands.words:
        raise InputError(
            f"{path}: holds {source}, the check is of {operands.words}", hint="--a and --b name the formats"
        )
    a = unpack_elements(file.words("a"), digits["a"], operands.a)
    b = unpack_elements(file.words("b"), digits["b"], operands.b)
    flags = file.flags.tolist()
    cases = [
        gemm_case(flag, left[None, :], right[:, None], operands) for flag, left, right in zip(flags, a, b, strict=True)
    ]
    return [Case(case.flag, case.arrays, case.sizes, case.shape, case.scalars, row) for row, case in enumerate(cases)]


def dot_header(
    set_id: str, operands: Operands, accumulator: Accumulator, arguments: Mapping[str, Any]
) -> dict[str, str]:
    """The header of a set."""
    result_bits = 32 if accumulator.result_width <= 32 else 64
    choices = " ".join(f"{axis}={value}" for axis, value, _ in accumulator.describe())
    return {
        "set": set_id,
        "op": "gemm",
        "source": f"{operands.words}, {operands.a.bits} and {operands.b.bits} bits, {arguments['length']} elements",
        "target": f"int{result_bits}, {result_bits} bits",
        "policy": accumulator.name,
        "choices": choices,
        "generator": f"directed {GENERATOR_VERSION} length={arguments['length']}",
        "oracle": ORACLE,
    }


def dot_set(set_id: str, source: str, policy: str, arguments: Mapping[str, Any]) -> VectorFile:
    """The set of a recipe: ``int8_int8`` under an accumulator's name."""
    operands, accumulator = parse_operands(source), get_accumulator(policy)
    return generate_dot_products(operands, accumulator, arguments, dot_header(set_id, operands, accumulator, arguments))
