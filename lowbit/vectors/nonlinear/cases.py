"""The calls that ``lowbit check`` makes of a nonlinearity: directed and random rows, one length a call."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from lowbit.format.scalar import FixedFormat
from lowbit.vectors.case import Array, Case, numbered
from lowbit.vectors.flags import nonlinear as f
from lowbit.vectors.flags.cast import RANDOM
from lowbit.vectors.nonlinear.rows import directed_rows, random_rows, several_rows
from lowbit.vectors.nonlinear.rule import Nonlinearity
from lowbit.vectors.patterns import random_codes
from lowbit.vectors.splitmix import splitmix64

POOL_LENGTHS = (3, 17, 64, 197)
POOL_ROWS = 48
POOL_SEED = 77
OPERAND_BITS = {"int16": 14, "int32": 22}
"""Weights of 14 bits and biases of 22: products of normal size, as an LSTM has them."""


def make_case(flag: int, codes: Array, nonlinearity: Nonlinearity) -> Case:
    """A call with rows of codes, shape (rows, length); operations on single codes get all of them as n."""
    if not nonlinearity.by_row:
        flat = np.ascontiguousarray(codes.reshape(-1))
        return Case(flag, {"codes": flat}, {"n": flat.size}, flat.shape)
    rows, length = codes.shape
    arrays = {"codes": np.ascontiguousarray(codes), **operands_of(nonlinearity, length)}
    return Case(flag, arrays, {"rows": rows, "length": length}, (rows, length))


def operands_of(nonlinearity: Nonlinearity, length: int) -> dict[str, Array]:
    """Weights, biases and the like for rows of a length, where the scheme takes them."""
    operands = nonlinearity.per_element
    drawn = splitmix64(length, len(operands) * length).view(np.int64).reshape(-1, length)
    return {
        name: (numbers >> (64 - OPERAND_BITS[dtype])).astype(dtype)
        for (name, dtype), numbers in zip(operands.items(), drawn, strict=True)
    }


def directed_nonlinearities(nonlinearity: Nonlinearity, source: FixedFormat) -> list[Case]:
    """All directed calls, those of the scheme's undefined rows included."""
    groups: dict[tuple[int, int], list[list[int]]] = {}
    for flag, row in directed_rows(nonlinearity, source):
        groups.setdefault((flag, len(row) if nonlinearity.by_row else 0), []).append(row)
    cases = []
    for (flag, _), rows in groups.items():
        if nonlinearity.by_row:
            cases.append(make_case(flag, np.array(rows, source.code_dtype), nonlinearity))
        else:
            codes = [code for row in rows for code in row]
            cases.append(make_case(flag, np.array(codes, source.code_dtype), nonlinearity))
    if nonlinearity.by_row:
        blocks = several_rows(source, source.min_code, source.max_code)
        cases += [make_case(f.SEVERAL_ROWS, np.array(block, source.code_dtype), nonlinearity) for block in blocks]
    return numbered(cases)


def random_nonlinearities(nonlinearity: Nonlinearity, source: FixedFormat, count: int, seed: int) -> list[Case]:
    """Random rows, one a call."""
    rows = random_rows(source, count, seed, source.min_code, nonlinearity.highest(source))
    return numbered(make_case(RANDOM, np.array([row], source.code_dtype), nonlinearity) for row in rows)


def pool(nonlinearity: Nonlinearity, source: FixedFormat) -> Iterator[Case]:
    """Calls with many rows of one length, in which rows are looked for that tell schemes apart."""
    for length in POOL_LENGTHS:
        codes = random_codes(source, (POOL_ROWS, length), POOL_SEED * length).astype(np.int64)
        divisors = 1 + np.arange(POOL_ROWS)[:, None] % 8
        yield make_case(RANDOM, (codes // divisors).astype(source.code_dtype), nonlinearity)
