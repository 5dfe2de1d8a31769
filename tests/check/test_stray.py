"""Answers that are no code of the target are differences, whoever gives them."""

import numpy as np
import pytest

from lowbit.check.cast.compare import compare
from lowbit.check.cast.reference import reference
from lowbit.check.cast.stray import is_code, stray_hexadecimal, stray_rows, stray_words, without_stray_bits
from lowbit.check.result import conclude
from lowbit.format.registry import get_format
from lowbit.policy.cast import get_policy
from lowbit.vectors.cast.boundary import boundary


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
        ("float4_e2m1fn", 0x80, "0x80 is no code of float4_e2m1fn: upper bits are not zero"),
        ("float8_e4m3fn", 0x138, "0x138 is no code of float8_e4m3fn: upper bits are not zero"),
        ("int4", 15, "0x0f = 15 is no code of int4: the codes are -8 to 7, sign-extended to int8"),
        ("int4", -100, "0x9c = -100 is no code of int4: the codes are -8 to 7"),
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
    policy = get_policy(policy, target)
    vectors = boundary(source, target)
    codes = np.asarray(vectors.codes).astype(np.uint32)
    expected = reference(codes, source, target, policy)
    wrong = codes >> 31 != 0
    got = np.where(wrong, (expected & 0xF) | (0 if name == "int4" else 0x40), expected).astype(target.code_dtype)
    wrong = got != expected
    result = conclude(compare(source, target, policy, codes, expected, got, flags=vectors.flags), "kernel")
    assert result.verdict == "MISMATCH"
    assert result.differences == wrong.sum()
    assert sum(group.differences for group in result.groups) == result.differences
    assert f"{wrong.sum()} of {len(codes)} answers are no code of {name}" in result.words
    assert f"the low 4 bits are right in {wrong.sum()} of them" in result.words
    assert not result.complete
    assert all("no code of" in example.text for group in result.groups for example in group.examples)


def test_nothing_but_stray_answers():
    source, target, policy = get_format("float16"), get_format("float4_e2m1fn"), get_policy("ocp_sat")
    codes = np.array([0x3C00, 0x4000], np.uint16)
    got = np.array([0x20, 0x40], np.uint8)
    result = conclude(compare(source, target, policy, codes, reference(codes, source, target, policy), got), "kernel")
    assert result.words.startswith("gives no codes: 2 of 2 answers are no code of float4_e2m1fn")
    assert "void cast(const uint16_t *, uint8_t *, size_t)" in result.hint


def test_a_stray_answer_is_never_any_nan():
    source, target, policy = get_format("float32"), get_format("float8_e4m3fnu"), get_policy("ocp_sat")
    codes = np.array([0x7FC00000], np.uint32)
    expected = reference(codes, source, target, policy)
    for got, differences in (([0x7F], 0), ([0xFF], 1)):
        assert (
            compare(source, target, policy, codes, expected, np.array(got, np.uint8), nan="any").differences
            == differences
        )
