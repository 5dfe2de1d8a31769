"""The survivors of an identification contain the true policy, and each of them explains every input."""

from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lowbit.check.cast.bugs import CAST_BUGS, LOW_BIT_BUGS
from lowbit.check.cast.factors import Factor, Survivors
from lowbit.check.cast.identify import identify
from lowbit.check.cast.input_classes import decode_inputs, input_classes
from lowbit.check.cast.operation import CastOperation
from lowbit.check.cast.rules import CastRule, as_assignment, as_policy, axis_values, reference
from lowbit.check.cast.table_bugs import table_bugs
from lowbit.check.claims import Neighbour, Unexplained
from lowbit.check.comparison import compare
from lowbit.check.report.cast import AXIS_WORDS, ROUNDING_WORDS
from lowbit.check.report.sentence import choice_rows, sentence
from lowbit.check.run import conclude
from lowbit.format.registry import get_format
from lowbit.policy.cast import Policy, get_policy
from lowbit.vectors.case import rows_case
from lowbit.vectors.cast.boundary import boundary
from lowbit.vectors.flags.cast import FLAGS
from tests.thinned import examples, thinned

PAIRS = [
    ("float8_e5m2", "float6_e2m3fn"),
    ("float8_e5m2", "float4_e2m1fn"),
    ("float8_e4m3", "float8_e4m3fnuz"),
    ("float6_e3m2fn", "binary4p2ue"),
    ("float8_e3m4", "float8_e5m2"),
    ("float8_e5m2", "int4"),
    ("float8_e5m2", "uint4"),
    ("int8", "float6_e3m2fn"),
    ("float16", "float8_e4m3fn"),
    ("float32", "float8_e8m0fnu"),
    ("float64", "float8_e5m2"),
    ("float32", "float16"),
    ("float8_e5m2", "nf3"),
    ("float16", "bnb_fp4"),
    ("bnb_dynamic8", "float8_e4m3fn"),
]


def inputs(source, target):
    return np.asarray(boundary(source, target).codes).astype(source.code_dtype)


def concluded(codes, got, source, target, policy=None):
    """The result of a check whose answers are these."""
    operation = CastOperation(source, target, policy or Policy())
    case = rows_case(codes, 0)
    return conclude("kernel", compare(operation, [case], [got], [operation.expected(case)]))


@st.composite
def conversions(draw):
    source, target = (get_format(name) for name in draw(st.sampled_from(PAIRS)))
    values = axis_values(source, target)
    return source, target, as_policy({axis: draw(st.sampled_from(choices)) for axis, choices in values.items()})


def survives(policy, survivors):
    assignment = as_assignment(policy)
    return all(tuple(assignment[axis] for axis in factor.axes) in factor.choices for factor in survivors.factors)


@settings(max_examples=examples(40))
@given(conversions())
def test_survivors_hold_the_truth_and_nothing_but(conversion):
    source, target, policy = conversion
    codes = inputs(source, target)
    got = reference(codes, source, target, policy)
    found = identify(codes, got, source, target)
    assert not any(item.bugs or len(item.left) for item in found.classes)
    assert survives(policy, found.survivors)
    survivors = list(islice(found.survivors.assignments(), 0, 200, 9))
    assert survivors
    for survivor in map(as_policy, survivors):
        assert np.array_equal(reference(codes, source, target, survivor), got), survivor
    assert all(np.array_equal(reference(codes, source, target, near), got) for near in found.nearest(Policy()))


def test_a_policy_that_differs_somewhere_does_not_survive():
    source, target = get_format("float32"), get_format("float8_e4m3fn")
    codes = inputs(source, target)
    got = reference(codes, source, target, get_policy("ocp_sat"))
    found = identify(codes, got, source, target)
    for changes in ({"rounding": "nearest_away"}, {"nan_sign": "drop"}, {"flush_results": "after_rounding"}):
        assert not survives(get_policy("ocp_sat").choose(**changes), found.survivors)


def test_indistinguishable_choices_are_named_together():
    source, target = get_format("float16"), get_format("float8_e5m2")
    codes = inputs(source, target)
    result = concluded(
        codes, reference(codes, source, target, Policy()), source, target, Policy(nan="zero", nan_code="all_ones")
    )
    choices = {axis: values for axis, values, _, _ in choice_rows(result)}
    assert choices["overflow"] == "ieee|infinity"
    assert choices["rounding"] == "nearest_even"


@pytest.mark.parametrize("bug", list(table_bugs()), ids=lambda bug: bug.name)
def test_bugs_of_codebooks_are_named(bug):
    source, target = get_format("float32"), get_format("bnb_fp4" if bug.name == "numbered_by_value" else "nf4")
    codes, policy = inputs(source, target), get_policy("ocp_sat")
    for rounding in ("nearest_even", "nearest_down"):
        rule = policy.choose(rounding=rounding)
        result = concluded(codes, CastRule(source, target, rule, bug).convert(codes), source, target, policy)
        assert bug.words in sentence(result)
        assert ("ties-down" in sentence(result)) == (rounding == "nearest_down")


def test_double_rounding_is_named():
    source, target = get_format("float64"), get_format("float8_e4m3fn")
    codes = inputs(source, target)
    policy = get_policy("ocp_sat").choose(via="float32")
    result = concluded(codes, reference(codes, source, target, policy), source, target, get_policy("ocp_sat"))
    assert "rounds twice, through float32 first" in sentence(result)


BUG_PAIRS = [
    ("float16", "float8_e4m3fn"),
    ("float32", "bfloat16"),
    ("float8_e5m2", "float32"),
    ("float8_e4m3fn", "float32"),
    ("float16", "float8_e4m3fnuz"),
    ("float32", "int8"),
    ("float16", "int4"),
    ("float64", "int8"),
    ("float16", "uint8"),
    ("int4", "int8"),
    ("float64", "bfloat16"),
    ("float16", "bnb_fp4"),
    ("uint4", "int8"),
    ("float32", "float8_e8m0fnu"),
]
OF_ANOTHER_POLICY = {
    "even_subnormal": Policy(rounding="toward_zero", overflow="infinity"),
    "underflow_signed": Policy(overflow="infinity", negative_zero="positive"),
}
"""Bugs that change nothing under the usual policy, and one under which they do."""


@pytest.mark.parametrize("bug", thinned([*CAST_BUGS, *LOW_BIT_BUGS[:4]], 10), ids=lambda bug: bug.name)
def test_bugs_that_are_no_policy_are_named(bug):
    seen = 0
    for names in BUG_PAIRS:
        source, target = (get_format(name) for name in names)
        codes = inputs(source, target)
        policy = Policy(overflow="saturate", nan="zero") if target.wraps else Policy(overflow="infinity")
        policy = policy if target.wraps else OF_ANOTHER_POLICY.get(bug.name, policy)
        got = CastRule(source, target, policy, bug).convert(codes)
        result = concluded(codes, got, source, target, policy)
        if result.verdict == "pass" or not result.complete:
            continue
        named = {rule.bug for claim in result.claims for rule in getattr(claim, "rules", ())}
        if bug in named and bug.words in sentence(result):
            numbers = np.unique(boundary(source, target).flags[got != reference(codes, source, target, policy)])
            seen += bug in LOW_BIT_BUGS or any(bug.name in FLAGS[number].bugs for number in numbers.tolist())
    assert seen, "named between none of the formats, or no flag of a wrong row says that it catches it"


def test_what_no_rule_explains_is_said():
    source, target = get_format("float16"), get_format("float8_e4m3fn")
    codes = inputs(source, target)
    got = reference(codes, source, target, get_policy("ocp_sat")).copy()
    row = int(np.flatnonzero(codes == 0x3C00)[0])
    got[row] = 0x55
    result = concluded(codes, got, source, target, get_policy("ocp_sat"))
    assert not result.complete
    assert [claim.rows.tolist() for claim in result.claims[1:]] == [[row]]
    assert "round-ties-even" in sentence(result)
    assert "1 of" in sentence(result)


def test_stochastic_rounding_is_suspected():
    source, target = get_format("float16"), get_format("float8_e5m2")
    codes = inputs(source, target)[::3]
    policy = Policy(rounding="stochastic_a", random_bits=8, overflow="saturate")
    from lowbit.ops.cast.cast import convert

    bits = np.random.default_rng(3).integers(0, 256, len(codes))
    got = np.asarray(convert(codes, source, target, policy=policy, random_bits=bits))
    for answers, suspected in ((got, True), (got ^ 3, False)):
        result = concluded(codes, answers, source, target)
        assert any(isinstance(claim, Unexplained) for claim in result.claims)
        assert any(isinstance(claim, Neighbour) for claim in result.claims) == suspected
        assert ("as stochastic rounding gives" in sentence(result)) == suspected


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_every_input_is_in_exactly_one_class(source, target):
    source, target = get_format(source), get_format(target)
    codes = inputs(source, target)
    rows = np.concatenate([group.rows for group in input_classes(decode_inputs(codes, source), source, target)])
    assert np.array_equal(np.sort(rows), np.arange(len(codes)))


def test_factors_split_and_join():
    survivors = Survivors([Factor(("a",), ((1,), (2,)))])
    kept = [item for item in survivors.candidates(("a", "b"), {"b": (1, 2)}) if item["a"] == item["b"]]
    survivors.keep(kept)
    assert list(survivors.assignments()) == [{"a": 1, "b": 1}, {"a": 2, "b": 2}]
    survivors.keep([item for item in survivors.candidates(("b", "c"), {"c": "xy"}) if item["b"] == 1])
    assert [len(factor.axes) for factor in survivors.factors] == [1, 1, 1]
    assert survivors.values("c") == ("x", "y")
    assert survivors.values("d") == ()


def test_every_choice_has_words():
    values = axis_values(get_format("float32"), get_format("float8_e4m3fn"))
    assert set(values["rounding"]) == set(ROUNDING_WORDS)
    for axis, words in AXIS_WORDS.items():
        assert set(values[axis]) == set(words)


@pytest.mark.parametrize(
    ("source", "target", "changes", "beginning"),
    [
        (
            "float8_e5m2",
            "float32",
            {"flush_inputs": "always"},
            "takes subnormal inputs for zero (DAZ), and is otherwise exact",
        ),
        ("float16", "float8_e5m2", {"rounding": "toward_zero"}, "is truncating (toward zero), overflowing"),
    ],
)
def test_sentences_follow_their_subject(source, target, changes, beginning):
    source, target = get_format(source), get_format(target)
    codes = inputs(source, target)
    result = concluded(codes, reference(codes, source, target, Policy().choose(**changes)), source, target)
    words = sentence(result)
    assert words.startswith(beginning)
    assert words.endswith(", and is otherwise exact")


def test_sentence_where_no_rule_fits_at_all():
    source, target = get_format("float8_e5m2"), get_format("float32")
    codes = inputs(source, target)
    got = np.random.default_rng(1).integers(0, 2**32, len(codes), dtype=np.uint32)
    words = sentence(concluded(codes, got, source, target))
    assert " is is " not in f" is {words}"
    assert words.startswith("follows no rule that these inputs could tell; but ")


def test_defects_and_double_roundings_that_are_not_needed_are_left_out():
    source, target = get_format("float32"), get_format("float8_e4m3fn")
    codes = inputs(source, target)
    got = reference(codes, source, target, Policy(rounding="to_odd"))
    assert not {"defects", "via"} & set(concluded(codes, got, source, target).choices)


def test_a_sentence_about_other_formats_ends():
    # All answers are negated int64 codes: other formats fit the 34 NaNs, whose answers are codes, in every policy.
    source, target = get_format("float32"), get_format("float8_e4m3fn")
    codes = inputs(source, target)
    got = -reference(codes, source, target, get_policy("ocp_sat")).astype(np.int64)
    words = sentence(concluded(codes, got, source, target, get_policy("ocp_sat")))
    assert "answers are not codes of float8_e4m3fn" in words
    assert "it ;" not in words
    assert "it :" not in words


def test_the_nan_of_a_format_without_negative_zero_is_not_a_zero_with_a_sign():
    source, target = get_format("float32"), get_format("float8_e4m3fnuz")
    codes = inputs(source, target)
    values, got = codes.view(np.float32), reference(codes, source, target, Policy())
    inside = (np.abs(values) >= 1) & (np.abs(values) < 1.5)
    spoilt = np.where(inside, np.where(values < 0, target.sign_bit, 0), got).astype(got.dtype)
    words = sentence(concluded(codes, spoilt, source, target))
    assert "±" not in words
    assert "all inputs from 1 to 1.4" in words
