"""assert_bits_equal: silent on equal codes, and an explanation otherwise."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from lowbit.check.report.cast import explain_mismatch
from lowbit.errors import InputError
from lowbit.format.registry import get_format
from lowbit.policy.cast import CAST_PRESETS
from lowbit.testing import assert_bits_equal

VALUES = np.array([1.0, 1.0625, -300.0, np.nan], dtype=np.float32)
CODES = np.array([0x38, 0x38, 0xF9, 0x7F], dtype=np.uint8)


def failure(*arguments, **options):
    with pytest.raises(AssertionError) as caught:
        assert_bits_equal(*arguments, **options)
    return str(caught.value)


def changed(index, code):
    codes = CODES.copy()
    codes[index] = code
    return codes


def test_equal_codes_pass():
    assert_bits_equal(CODES, CODES.copy(), "float8_e4m3fn")
    assert_bits_equal(CODES, CODES.astype(np.int64), "float8_e4m3fn", inputs=VALUES)
    assert_bits_equal(7, 7, "int4")
    assert_bits_equal(np.array([], dtype=np.uint8), np.array([], dtype=np.uint8), "float8_e5m2")


def test_the_message_is_the_explanation_of_the_checker():
    text = failure(changed(1, 0x39), CODES, "float8_e4m3fn", inputs=VALUES)
    bits = int(VALUES[1:2].view(np.uint32)[0])
    formats = get_format("float32"), get_format("float8_e4m3fn")
    assert explain_mismatch(*formats, CAST_PRESETS["ocp_sat"], bits, 0x38, 0x39) in text
    assert text.startswith("1 of 4 codes of float8_e4m3fn differ (policy ocp_sat)")
    assert "at [1]:" in text
    assert "the input is this tie" in text
    assert "1.0625" in text


def test_the_policy_that_was_meant_is_explained():
    text = failure(changed(1, 0x39), CODES, "float8_e4m3fn", inputs=VALUES, policy="cuda")
    assert "(policy cuda)" in text


def test_inputs_as_codes_need_their_format():
    bits = VALUES.view(np.uint32)
    with_source = failure(changed(0, 0x39), CODES, "float8_e4m3fn", inputs=bits, source="float32")
    assert with_source == failure(changed(0, 0x39), CODES, "float8_e4m3fn", inputs=VALUES)
    with pytest.raises(InputError, match="their format is not given"):
        assert_bits_equal(changed(0, 0x39), CODES, "float8_e4m3fn", inputs=bits)


def test_without_inputs_both_codes_are_described():
    text = failure(changed(2, 0xFA), CODES, "float8_e4m3fn")
    assert "0xf9" in text
    assert "0xfa" in text
    assert "-288" in text
    assert "-320" in text


def test_nans():
    other = changed(3, 0xFF)
    assert "1 of 4" in failure(other, CODES, "float8_e4m3fn")
    assert_bits_equal(other, CODES, "float8_e4m3fn", nan="any")
    assert "1 of 4" in failure(changed(3, 0x7E), CODES, "float8_e4m3fn", nan="any")
    with pytest.raises(InputError, match="nan = 'some'"):
        assert_bits_equal(CODES, CODES, "float8_e4m3fn", nan="some")


def test_many_differences_are_counted():
    text = failure(np.zeros((10, 10), dtype=np.uint8), np.full((10, 10), 9, dtype=np.uint8), "float8_e5m2")
    assert text.startswith("100 of 100 codes")
    assert text.count("expected ") == 3
    assert text.endswith("and 97 more")
    assert "at [0, 2]:" in text


def test_shapes_and_dtypes():
    assert "shape (3,), expected has shape (4,)" in failure(CODES[:3], CODES, "float8_e4m3fn")
    with pytest.raises(InputError, match="not of float8_e4m3fn"):
        assert_bits_equal(VALUES, CODES, "float8_e4m3fn")
    with pytest.raises(InputError, match="inputs have shape"):
        assert_bits_equal(changed(0, 1), CODES, "float8_e4m3fn", inputs=VALUES[:2])


def test_ml_dtypes_arrays_are_taken_by_their_bits():
    typed = VALUES.astype(ml_dtypes.float8_e4m3fn)
    assert_bits_equal(typed, CODES, ml_dtypes.float8_e4m3fn, inputs=VALUES)
    assert "1 of 2" in failure(
        np.array([1, -3], dtype=ml_dtypes.int4), np.array([1, -4], dtype=np.int8), "int4", inputs=np.float32([1, -3.5])
    )
    assert_bits_equal(np.float16([1.5]), np.uint16([0x3E00]), "float16")


def test_a_code_that_is_none_is_shown():
    assert "not a code of float4_e2m1fn" in failure(np.uint8([0x1F]), np.uint8([0x0F]), "float4_e2m1fn")
