"""Answers that are no code of the target are differences, whoever gives them."""

import numpy as np
import pytest

from lowbit.check.cast.operation import CastOperation
from lowbit.check.comparison import compare
from lowbit.check.report.cast import stray_hexadecimal, stray_words
from lowbit.check.report.sentence import example_text, hint, sentence
from lowbit.check.requantize.operation import RequantizeOperation
from lowbit.check.run import conclude
from lowbit.check.stray import is_code, stray_rows, without_stray_bits
from lowbit.format.registry import get_format
from lowbit.policy.cast import get_policy
from lowbit.policy.requantize import REQUANTIZE_SCHEMES
from lowbit.vectors.case import rows_case
from lowbit.vectors.flags.cast import RANDOM


@pytest.mark.parametrize(
    ("name", "codes", "stray"),
    [
        ("float4_e2m1fn", np.array([0, 0xF, 0x10, 0x80], np.uint8), [False, False, True, True]),
        ("float8_e4m3fn", np.array([0, 0xFF], np.uint8), [False, False]),
        ("float8_e4m3fn", np.array([-1, 0, 255, 256]), [True, False, False, True]),
        ("int4", np.array([-9, -8, 7, 8], np.int8), [True, False, False, True]),
        ("int4_narrow", np.array([-8, -7], np.int8), [True, False]),
        ("tf32", np.array([0x7FFFF, 0x80000], np.uint32), [False, True]),
    ],
)
def test_stray_rows(name, codes, stray):
    fmt = get_format(name)
    assert stray_rows(codes, fmt).tolist() == stray
    assert [not is_code(int(code), fmt) for code in codes] == stray


@pytest.mark.parametrize(
    ("name", "code", "words"),
    [
        ("float4_e2m1fn", 0x80, "0x80 is not a code of float4_e2m1fn: upper bits are not zero"),
        ("float8_e4m3fn", 0x138, "0x138 is not a code of float8_e4m3fn: upper bits are not zero"),
        ("int4", 15, "0x0f = 15 is not a code of int4: the codes are -8 to 7, sign-extended to int8"),
        ("int4", -100, "0x9c = -100 is not a code of int4: the codes are -8 to 7"),
    ],
)
def test_words(name, code, words):
    assert stray_words(code, get_format(name)) == words


def test_hexadecimal_of_a_negative_number():
    assert stray_hexadecimal(-1, get_format("float8_e4m3fn")) == "0xffffffffffffffff"


def test_low_bits():
    assert without_stray_bits(np.array([0x13, 0xFF], np.uint8), get_format("float4_e2m1fn")).tolist() == [3, 15]
    assert without_stray_bits(np.array([15, 7, -100], np.int64), get_format("int4")).tolist() == [-1, 7, -4]


@pytest.mark.parametrize(("name", "policy"), [("float4_e2m1fn", "ocp_sat"), ("int4", "integer")])
def test_unextended_codes_are_differences_that_are_named(name, policy):
    source, target = get_format("float32"), get_format(name)
    operation = CastOperation(source, target, get_policy(policy, target))
    (case,) = operation.cases("directed", 0, 0)
    expected = operation.expected(case)
    negative = case.arrays["codes"] >> 31 != 0
    got = np.where(negative, (expected & 0xF) | (0 if name == "int4" else 0x40), expected).astype(target.code_dtype)
    wrong = got != expected
    result = conclude("kernel", compare(operation, [case], [got], [expected]))
    assert result.verdict == "MISMATCH"
    assert result.differences == wrong.sum()
    assert sum(group.differences for group in result.groups) == result.differences
    assert f"{wrong.sum():,} of {len(wrong):,} answers are not codes of {name}" in sentence(result)
    assert f"the low 4 bits are right in {wrong.sum():,} of them" in sentence(result)
    assert "otherwise exact" not in sentence(result)
    assert not result.complete
    texts = [example_text(example, result) for group in result.groups for example in group.examples]
    assert all("not a code of" in text for text in texts)


def test_nothing_but_stray_answers():
    operation = CastOperation(get_format("float16"), get_format("float4_e2m1fn"), get_policy("ocp_sat"))
    case = rows_case(np.array([0x3C00, 0x4000], np.uint16), RANDOM)
    got = np.array([0x20, 0x40], np.uint8)
    result = conclude("kernel", compare(operation, [case], [got], [operation.expected(case)]))
    assert sentence(result).startswith("gives no codes: 2 of 2 answers are not codes of float4_e2m1fn")
    assert "void cast(const uint16_t *codes, uint8_t *out, size_t n)" in hint(result)


def test_a_stray_answer_is_never_any_nan():
    operation = CastOperation(get_format("float32"), get_format("float8_e4m3fnu"), get_policy("ocp_sat"), any_nan=True)
    case = rows_case(np.array([0x7FC00000], np.uint32), RANDOM)
    for got, differences in (([0x7F], 0), ([0xFF], 1)):
        found = compare(operation, [case], [np.array(got, np.uint8)], [operation.expected(case)])
        assert found.differences == differences


def test_stray_answers_of_other_operations_are_told_apart_from_wrong_ones():
    operation = RequantizeOperation(REQUANTIZE_SCHEMES["tflite_double"], get_format("int4"))
    cases = operation.cases("directed", 0, 0)
    expected = [operation.expected(case) for case in cases]
    got = [np.where(codes < 0, codes & 0xF, codes) for codes in expected]  # as where the sign is not extended
    result = conclude("kernel", compare(operation, cases, got, expected))
    count = sum(int((codes < 0).sum()) for codes in expected)
    assert sentence(result).startswith(f"is exact in all other answers; but {count:,} of {result.vectors:,} answers")
    assert f"the low 4 bits are right in {count:,} of them" in sentence(result)
