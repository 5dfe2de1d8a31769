"""Flags: the numbers that the generators write are those of the table, and every one of the table has a name there."""

from __future__ import annotations

from lowbit.vectors.flags import block, cast, gemm, nonlinear, requantize


def test_numbers_and_table_agree():
    numbers = {
        name: number
        for module in (block, cast, gemm, nonlinear, requantize)
        for name, number in vars(module).items()
        if isinstance(number, int)
    }
    assert {name.title().replace("_", ""): number for name, number in numbers.items()} == {
        flag.name: number for number, flag in cast.FLAGS.items()
    }
    assert all(flag.catches and flag.source for flag in cast.FLAGS.values())
