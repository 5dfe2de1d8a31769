"""Comparison of codes, groups of differences, and the explanation of one."""

import numpy as np
import pytest

from lowbit.check.cast.classify import CLASS_NAMES, input_kinds
from lowbit.check.cast.operation import CastOperation
from lowbit.check.comparison import compare
from lowbit.check.report.cast import explain_mismatch
from lowbit.check.report.json import result_document
from lowbit.check.report.sentence import hint, sentence
from lowbit.check.run import conclude
from lowbit.format.registry import get_format
from lowbit.ops.arrays import is_nan
from lowbit.oracle.cast.decode import decode
from lowbit.policy.cast import get_policy
from lowbit.vectors.case import rows_case
from lowbit.vectors.cast.boundary import boundary
from lowbit.vectors.flags.cast import FLAGS, RANDOM


@pytest.mark.parametrize(
    "name",
    ["float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e8m0fnu", "float6_e2m3fn", "binary8p3ue", "int8"],
)
def test_nan_codes_are_those_of_the_oracle(name):
    fmt = get_format(name)
    low = fmt.min_code if fmt.kind == "integer" else 0
    codes = np.arange(low, low + (1 << fmt.bits)).astype(fmt.code_dtype)
    assert is_nan(codes, fmt).tolist() == [decode(int(code), fmt).kind == 3 for code in codes]


def comparison(got, any_nan=False, flags=RANDOM):
    operation = CastOperation(
        get_format("float32"), get_format("float8_e4m3fn"), get_policy("ocp_sat"), any_nan=any_nan
    )
    case = rows_case(np.array([0x3F800000, 0x7FC00000, 0x3F880000, 0xC47A0000], np.uint32), flags)
    expected = np.array([0x38, 0x7F, 0x38, 0xFE], np.uint8)
    assert np.array_equal(operation.expected(case), expected)
    return compare(operation, [case], [np.array(got, np.uint8)], [expected])


def wrong_rows(found):
    return np.flatnonzero(found.wrong).tolist()


def test_rows_that_differ():
    assert comparison([0x38, 0x7F, 0x38, 0xFE]).differences == 0
    assert wrong_rows(comparison([0x38, 0xFF, 0x39, 0xFE])) == [1, 2]
    assert wrong_rows(comparison([0x38, 0xFF, 0x39, 0xFE], any_nan=True)) == [2]
    assert wrong_rows(comparison([0x7F, 0x7F, 0x38, 0xFE], any_nan=True)) == [0]


@pytest.mark.parametrize("any_nan", [False, True])
@pytest.mark.parametrize("name", ["float8_e4m3fn", "float64", "int8"])
def test_what_was_not_written_differs_whatever_stands_there(name, any_nan):
    source, target = get_format("float16"), get_format(name)
    operation = CastOperation(source, target, get_policy(target.default_policy, target), any_nan=any_nan)
    case = rows_case(np.arange(4, dtype=np.uint16) << 14 | 0x3E00, RANDOM)  # a NaN among them
    expected = operation.expected(case)
    found = compare(operation, [case], [np.ma.masked_array(expected, [False, True, False, True])], [expected])
    assert wrong_rows(found) == [1, 3]
    assert found.unwritten.tolist() == [False, True, False, True]
    result = conclude("kernel", found)
    assert result.verdict == "MISMATCH"
    assert "2 of 4 results were not written" in sentence(result)
    assert "otherwise exact" not in sentence(result)
    assert not hint(result)
    examples = [example for group in result_document(result)["groups"] for example in group["examples"]]
    assert {example["got"] for example in examples} == {None}
    assert all("got       not written" in example["text"] for example in examples)


def groups_of(found):
    return found.operation.groups(found)


def test_groups_without_flags_are_classes_of_inputs():
    groups = groups_of(comparison([0x39, 0xFF, 0x39, 0x00]))
    assert sorted(group.name for group in groups) == ["Exact", "NanSign", "OverflowBand", "TieEven"]
    assert all(len(group.rows) == 1 for group in groups)


def test_groups_by_flag_count_their_rows():
    flags = np.array([0, 13, 1, 10], np.uint8)
    groups = {group.name: group for group in groups_of(comparison([0x38, 0xFF, 0x39, 0xFE], flags=flags))}
    assert {name: (len(group.rows), group.total) for name, group in groups.items()} == {
        "NanSign": (1, 1),
        "TieEven": (1, 1),
    }


def test_kinds_of_inputs():
    source, target = get_format("float32"), get_format("float8_e4m3fn")
    values = np.array([1.0, 1.01, 1.0625, 1.1875, 1e-9, 464, 1e9, -0.0, np.inf, np.nan], np.float32)
    kinds = [CLASS_NAMES[kind] for kind in input_kinds(values.view(np.uint32), source, target)]
    assert kinds == [
        *("Exact", "Inexact", "TieEven", "TieOdd", "Underflow", "OverflowTie", "OverflowBand", "NegativeZero"),
        *("Infinity", "NanSign"),
    ]
    assert CLASS_NAMES[input_kinds(np.array([0xFF800001], np.uint32), source, target)[0]] == "NanPayload"


def test_kinds_of_inputs_of_other_targets():
    values = np.array([-1.0, 300.0, 0.25, 0.5], np.float32).view(np.uint32)
    kinds = [CLASS_NAMES[kind] for kind in input_kinds(values, get_format("float32"), get_format("uint8"))]
    assert kinds == ["Negative", "IntegerRail", "Underflow", "Underflow"]


def test_kinds_agree_with_the_flags_where_both_speak():
    source, target = get_format("float16"), get_format("float8_e5m2")
    vectors = boundary(source, target)
    kinds = input_kinds(np.asarray(vectors.codes).astype(np.uint16), source, target)
    for kind, flag in zip(kinds, vectors.flags, strict=True):
        if CLASS_NAMES[kind] in ("NanSign", "NanPayload", "Infinity", "NegativeZero", "OverflowTie"):
            assert FLAGS[int(flag)].name == CLASS_NAMES[kind]


def test_explanation_has_bits_values_neighbours_and_the_rule():
    source, target = get_format("float32"), get_format("float8_e4m3fn")
    text = explain_mismatch(source, target, get_policy("ocp_sat"), 0x3C100000, 0x08, 0x0A)
    lines = dict(line.split(maxsplit=1) for line in text.splitlines())
    assert lines["input"].startswith("0x3c100000  0.01111000.00100000000000000000000 = 9/8*2^-7")
    assert lines["got"].startswith("0x0a  0.0001.010 = 5/4*2^-6")
    assert lines["expected"].startswith("0x08  0.0001.000")


def test_explanation_of_a_tie():
    source, target = get_format("float32"), get_format("float8_e4m3fn")
    text = explain_mismatch(source, target, get_policy("ocp_sat"), 0x3F880000, 0x38, 0x39)
    assert "midpoint  1.0625; the input is this tie" in text
    assert "below     1  0x38" in text
    assert "above     1.125  0x39" in text
    assert "1 code up in magnitude" in text


@pytest.mark.parametrize(
    ("code", "name", "bits"),
    [(0x38, "float8_e4m3fn", "0.0111.000"), (-3, "int4", "1101"), (0x7F, "float8_e8m0fnu", "01111111")],
)
def test_fields(code, name, bits):
    assert get_format(name).split(code) == bits


@pytest.mark.parametrize(
    ("code", "rows"),
    [
        (
            0x43E00001,
            [
                "below     448  0x7e",
                "above     480, beyond the largest value",
                "between 448 and a missing 480; the input is below it",
            ],
        ),
        (0xC3E80000, ["below     -480, beyond the lowest value", "midpoint  -464, between -448 and a missing -480"]),
        (0x44000000, ["midpoint  464, between 448 and a missing 480; the input is above it"]),
    ],
)
def test_explanation_beyond_the_range(code, rows):
    source, target = get_format("float32"), get_format("float8_e4m3fn")
    text = explain_mismatch(source, target, get_policy("ocp_sat"), code, 0x7E, 0x7F)
    for row in rows:
        assert row in text
    assert (", beyond the" in text) == (code != 0x44000000)


def test_a_distance_that_says_nothing_is_left_out():
    source, target = get_format("float8_e4m3fn"), get_format("float32")
    for got, told in ((0x3F800001, True), (0x38, False)):
        text = explain_mismatch(source, target, get_policy("ieee"), 0x38, 0x3F800000, got)
        assert ("in magnitude" in text) == told
