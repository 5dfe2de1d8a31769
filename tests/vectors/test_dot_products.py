"""Wide columns of .vec files, and the cases that dot products and checks are made of."""

import numpy as np
import pytest

from lowbit.errors import InputError, VectorFileError
from lowbit.format.registry import get_format
from lowbit.oracle.gemm.gemm import exact_dot
from lowbit.policy.accumulator import get_accumulator
from lowbit.vectors.elements import pack_elements, unpack_elements
from lowbit.vectors.flags.cast import FLAGS
from lowbit.vectors.gemm.cases import directed_cases, random_cases
from lowbit.vectors.gemm.sets import dot_set, read_dot_products
from lowbit.vectors.gemm.values import Operands, with_sum
from lowbit.vectors.patterns import random_codes
from lowbit.vectors.recipe import Recipe
from lowbit.vectors.vec import parse_vectors, render, write_vectors


def operands(a="int8", b="int8", zero_points=False):
    return Operands(get_format(a), get_format(b), zero_points)


def test_element_0_is_in_the_last_digits():
    int8 = get_format("int8")
    codes = np.array([[1, -1, 2, 3, 4, 5, 6, 7, 0x12]], np.int8)
    words = pack_elements(codes, int8)
    assert [f"{int(word):x}" for word in words[0]] == ["12", "70605040302ff01"]
    assert np.array_equal(unpack_elements(words, 18, int8), codes)


@pytest.mark.parametrize("name", ["int8", "uint8", "int4", "int16", "int5", "uint2"])
@pytest.mark.parametrize("length", [1, 7, 16, 33])
def test_elements_come_back(name, length):
    fmt = get_format(name)
    codes = random_codes(fmt, (5, length), 3)
    digits = length * -(-fmt.bits // 4)
    assert np.array_equal(unpack_elements(pack_elements(codes, fmt), digits, fmt), codes)


def test_file_of_wide_columns_comes_back(tmp_path):
    file = dot_set(Recipe("gemm", "int8_int4", "int32", "int32", "directed", {"length": 19}))
    assert [(column.name, column.digits) for column in file.columns] == [
        ("a", 38),
        ("b", 19),
        ("expected", 8),
        ("flag", 2),
    ]
    again = parse_vectors(render(file))
    assert np.array_equal(again.rows, file.rows)
    assert render(again) == render(file)
    with pytest.raises(VectorFileError, match="wider than 64 bits"):
        file.column("a")
    damaged = render(file).replace(b"\n0", b"\ng", 1)
    with pytest.raises(VectorFileError):
        parse_vectors(damaged)
    write_vectors(tmp_path / "dots.vec", file)
    cases = read_dot_products(str(tmp_path / "dots.vec"), operands("int8", "int4"))
    assert len(cases) == len(file.rows)
    for case, expected in zip(cases, file.column("expected").tolist(), strict=True):
        exact = exact_dot(case.arrays["a"][0].tolist(), case.arrays["b"][:, 0].tolist())
        assert exact & 0xFFFFFFFF == expected
    with pytest.raises(InputError, match="int8 x int4, the check is of int8 x int8"):
        read_dot_products(str(tmp_path / "dots.vec"), operands())


@pytest.mark.parametrize(
    ("a", "b"), [("int8", "int8"), ("uint8", "int8"), ("int4", "uint4"), ("int16", "int16"), ("uint2", "int2")]
)
def test_directed_cases_are_the_same_for_ever_and_fit_their_formats(a, b):
    kinds = operands(a, b, zero_points=True)
    cases, again = directed_cases(kinds), directed_cases(kinds)
    assert [case.name for case in cases] == [case.name for case in again]
    assert len({case.name for case in cases}) == len(cases)
    for case, other in zip(cases, again, strict=True):
        for name, fmt in (("a", kinds.a), ("b", kinds.b)):
            codes = case.arrays[name]
            assert codes.dtype == fmt.code_dtype
            assert fmt.min_code <= codes.min()
            assert codes.max() <= fmt.max_code
            assert np.array_equal(codes, other.arrays[name])
        assert case.shape == (case.sizes["m"], case.sizes["n"])
    flags = {FLAGS[case.flag].name for case in cases}
    assert {"Product", "OneHot", "Shape", "KTail", "ProductRail", "WidthLadder", "Swamping", "RailWalk"} <= flags
    assert {"Cancellation", "AllZero", "ZeroPoint", "LongRun"} <= flags


def test_shapes_and_tails_are_all_there():
    cases = directed_cases(operands())
    shapes = {tuple(case.sizes.values()) for case in cases if FLAGS[case.flag].name == "Shape"}
    assert {(m, n) for m, n, _ in shapes} >= {(m, n) for m in (1, 15, 33, 65) for n in (2, 16, 64)}
    assert {case.sizes["k"] for case in cases if FLAGS[case.flag].name == "KTail"} == set(range(1, 130))


@pytest.mark.parametrize("target", [0, 1, -1, 127, -128, 32767, -32768, 8388608, -8388609])
def test_sums_of_a_wanted_size(target):
    pairs = with_sum(target, operands())
    assert sum(left * right for left, right in pairs) == target
    assert all(-128 <= code <= 127 for pair in pairs for code in pair)


def test_ladder_reaches_both_ends_of_every_width():
    sums = set()
    for case in directed_cases(operands()):
        if FLAGS[case.flag].name == "WidthLadder":
            sums.add(int(case.arrays["a"][0].astype(int) @ case.arrays["b"][:, 0].astype(int)))
    for width in range(8, 33):
        edge = 1 << (width - 1)
        assert {edge - 1, edge, -edge, -edge - 1} <= sums


def test_random_cases_of_a_seed():
    first, second, other = (random_cases(operands(zero_points=True), 6, seed) for seed in (1, 1, 2))
    assert [case.sizes for case in first] == [case.sizes for case in second] != [case.sizes for case in other]
    assert all(np.array_equal(x.arrays["a"], y.arrays["a"]) for x, y in zip(first, second, strict=True))


@pytest.mark.parametrize("name", ["float8_e4m3fn", "uint16", "int32", "q4.4", "int1", "uint1"])
def test_formats_that_are_no_operands(name):
    with pytest.raises(InputError, match="a ="):
        operands(name)
    assert get_accumulator("int32").width == 32
