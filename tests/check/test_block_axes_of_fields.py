"""Axes of block policies planted in formats with nested scales, zero points and offsets: found and named, or unseen."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from lowbit.check.block.operation import QuantizeOperation
from lowbit.check.block.variants import changed
from lowbit.check.operation import UNDEFINED
from lowbit.check.report.sentence import sentence
from lowbit.format.registry import block_format_of
from lowbit.policy.block import BlockPolicy, get_block_policy
from tests.check.answers import concluded
from tests.thinned import thinned

SHOWN_CASES, OTHER_CASES = 6, 3
NESTED, ASYMMETRIC, OFFSET = "nf4.g32.nested", "int4.g16.asymmetric", "int4.g16.offset"
BINARY32 = "int8.g16.asymmetric.float32"
POLICIES = {NESTED: "bitsandbytes_nested", ASYMMETRIC: "nearest", OFFSET: "nearest", BINARY32: "onnx"}
AXES = {axis: tuple(choices) for axis, choices in BlockPolicy.CHOICES.items() if axis != "tail"} | {
    "quotient_format": ("sm2.6:ocp_sat:rounding=nearest_away",),
    "nested": ("", "bitsandbytes", "ocp_mx"),
    "scale_maximum": (256,),
    "scale.rounding": ("nearest_away", "toward_zero"),
    "tensor.rounding": ("nearest_away", "toward_zero"),
    "element.rounding": ("nearest_away", "toward_zero"),
}
OF_ZERO_POINTS = {"arithmetic", "zero_block", "smallest_scale", "zero_scale", "value_range", "element.rounding"}
SEEN = {
    OFFSET: OF_ZERO_POINTS | {"scale.rounding"},
    ASYMMETRIC: OF_ZERO_POINTS | {"zero_point_place", "scale.rounding"},
    BINARY32: OF_ZERO_POINTS
    | {"quotient_steps", "quotient_scale", "range_steps", "rounding_steps", "zero_point_steps", "zero_point_place"},
    NESTED: {
        *("scale_rule", "arithmetic", "quotient_steps", "quotient_bins", "nan", "zero_block", "zero_scale", "nested"),
        *("quotient_format", "tensor.rounding", "element.rounding", "rounding_steps"),
    },
}
"""The axes that decide something in a format under a policy; where elements are not integers, the only step of rounding
is that of the least error."""


@cache
def asked(name):
    """The operation, its cases, and the right answers."""
    operation = QuantizeOperation(block_format_of(name), get_block_policy(POLICIES[name]))
    cases = operation.cases("directed", 0, 0)
    return operation, cases, [operation.rule.run(case) for case in cases]


def planted(name, axis, choice):
    """Cases that such a kernel answers otherwise, and others, and its answers; none where there is no such kernel."""
    operation, cases, right = asked(name)
    policy = changed(operation.rule, {axis: choice})
    if policy is None or policy == operation.policy:
        return operation, [], []
    answers = [replace(operation.rule, policy=policy).run(case) for case in cases]
    if any((answer == UNDEFINED).any() for answer in answers):  # a policy that refuses what the one asked for takes
        return operation, [], []
    differs = [not np.array_equal(*pair) for pair in zip(right, answers, strict=True)]
    places = [*np.flatnonzero(differs)[:SHOWN_CASES], *np.flatnonzero(np.logical_not(differs))[:OTHER_CASES]]
    places = places if any(differs) else []
    return operation, [cases[place] for place in places], [answers[place] for place in places]


@pytest.mark.parametrize(("name", "axis"), thinned([(name, axis) for name in SEEN for axis in sorted(SEEN[name])], 2))
def test_an_axis_that_decides_something_is_found_and_named(name, axis):
    """Every choice of the axis that other answers follow from; of choices that are alike, each is named."""
    count = 0
    for choice in AXES[axis]:
        operation, cases, answers = planted(name, axis, choice)
        if cases:
            words = sentence(concluded(operation, cases, answers))
            assert f"{axis.partition('.')[2] or axis} = " in words
            assert repr(choice) in words
            assert words.endswith("and is otherwise exact")
            count += 1
    assert count


@pytest.mark.slow
@pytest.mark.parametrize("name", SEEN)
def test_no_other_axis_can_be_told(name):
    """They are the ones that the format or the policy leaves without a meaning."""
    seen = {axis for axis, choices in AXES.items() if any(planted(name, axis, choice)[1] for choice in choices)}
    assert seen == SEEN[name]


@pytest.mark.slow
@pytest.mark.parametrize("name", SEEN)
def test_bugs_are_named(name):
    operation, cases, _ = asked(name)
    bugs = {bug.name: bug for bug in operation.rule.bugs()}
    names = {"previous_group", "swapped_nibbles"} | (bugs.keys() & {"zero_point_times_-1"})
    cases = [case for case in cases if case.arrays["values"].shape[1] > operation.format.block[0]][:SHOWN_CASES]
    for bug in sorted(names):
        answers = [replace(operation.rule, bug=bugs[bug]).run(case) for case in cases]
        assert bugs[bug].words in sentence(concluded(operation, cases, answers))
