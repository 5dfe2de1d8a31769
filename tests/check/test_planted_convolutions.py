"""Faults of convolutions, planted into right arithmetic: the sentence names each, and what it claims is replayed."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from lowbit.check.report.sentence import example_text, sentence
from lowbit.check.requantize.conv import ConvOperation
from lowbit.format.registry import get_format
from lowbit.layers import Conv, Quantity, Rescale
from lowbit.policy.requantize import REQUANTIZE_SCHEMES
from lowbit.vectors.gemm.values import Operands
from tests.check.answers import concluded
from tests.thinned import thinned

INT8 = get_format("int8")
EXACT = ", and is otherwise exact"


def as_if(array, shape, axes):
    """The array as who takes its memory for another order of axes reads it."""
    return array.reshape(shape).transpose(axes)


def convolution(case, **changes):
    """A convolution by lowbit's layer, of a case with changes."""
    given = {**case.arrays, **case.sizes, **case.scalars}
    change = {name: new(given) for name, new in changes.items()}
    p = {**given, **change}
    image, window = p["a"], (p["rows"], p["columns"])
    out, stride = (p["out_height"], p["out_width"]), (p["stride_height"], p["stride_width"])
    before = (p["above"], p["left"])
    edges = [(before[i], max((out[i] - 1) * stride[i] + window[i] - before[i] - image.shape[i], 0)) for i in (0, 1)]
    outside = p.get("outside", p["a_zero_point"])
    mode = {"mode": "edge"} if outside == "edge" else {"constant_values": outside}
    padded = np.pad(image, (*edges, (0, 0)), **mode)
    result = Quantity("int8", 1.0, int(p["zero_point"]))
    rescale = Rescale(p.get("scheme", "tflite_double"), p["multiplier"], p["shift"], result)
    parts = {"stride": stride, "groups": p.get("groups", 1)}
    layer = Conv(Quantity("int8", 1.0, int(p["a_zero_point"])), p["b"], rescale, p["bias"], **parts)
    codes = layer(np.ascontiguousarray(padded))[: out[0], : out[1]]
    return p["write"](codes) if "write" in p else codes


def planes(given):
    height, width, channels = given["a"].shape
    return as_if(given["a"], (channels, height, width), (1, 2, 0))


def outputs_last(given):
    outputs, rows, columns, channels = given["b"].shape
    return as_if(given["b"], (rows, columns, channels, outputs), (3, 0, 1, 2))  # with one channel: TensorFlow Lite's


def channels_first(given):
    outputs, rows, columns, channels = given["b"].shape
    return as_if(given["b"], (outputs, channels, rows, columns), (0, 2, 3, 1))


PLANTED = {
    "one rounding": ({"scheme": lambda _: "single_up"}, "follows single_up"),
    "magnitudes": ({"b": lambda given: np.abs(given["b"].astype(int)).clip(0, 127)}, None),
    "half even": ({"scheme": lambda _: "single_even"}, "follows single_even"),
    "no bias": ({"bias": lambda given: 0 * given["bias"]}, "ignores the bias"),
    "one bias": (
        {"bias": lambda given: 0 * given["bias"] + given["bias"][0]},
        "adds the bias of the first output to all",
    ),
    "one multiplier": (
        {"multiplier": lambda given: 0 * given["multiplier"] + given["multiplier"][0]},
        "uses the multiplier of the first output for all",
    ),
    "next scale": (
        {name: lambda given, name=name: np.roll(given[name], -1) for name in ("multiplier", "shift")},
        "uses the multiplier and the shift of the next output",
    ),
    "zeros outside": (
        {"outside": lambda _: 0},
        "takes what lies outside of an image for the code 0, not for the zero point of a",
    ),
    "edge outside": ({"outside": lambda _: "edge"}, "takes the codes at the edge for what lies outside of an image"),
    "turned": ({"b": lambda given: given["b"][:, ::-1, ::-1]}, "turns each window of b around"),
    "hwio": ({"b": outputs_last}, "takes b for (rows, columns, channels, outputs)"),
    "oihw": ({"b": channels_first}, "takes b for (outputs, channels, rows, columns)"),
    "chw": ({"a": planes}, "takes a for (channels, height, width)"),
    "planes": (
        {"write": lambda _: lambda codes: np.moveaxis(codes, -1, 0).reshape(codes.shape)},
        "writes c as (outputs, height, width)",
    ),
    "strides swapped": (
        {"stride_height": lambda given: given["stride_width"], "stride_width": lambda given: given["stride_height"]},
        "swaps the strides",
    ),
    "stride 1": ({name: lambda _: 1 for name in ("stride_height", "stride_width")}, "steps by 1 whatever the strides"),
    "padding swapped": (
        {"above": lambda given: given["left"], "left": lambda given: given["above"]},
        "swaps above and left",
    ),
    "no padding": ({"above": lambda _: 0, "left": lambda _: 0}, "ignores above and left"),
    "no zero point of a": ({"a_zero_point": lambda _: 0, "outside": lambda _: 0}, "ignores the zero point of a"),
    "no zero point": ({"zero_point": lambda _: 0}, "ignores the zero point"),
}


def order_in_turn(given):
    """The outputs of the first group, then of the second and so on, for who takes output % groups for the group."""
    outputs, groups = given["outputs"], given["groups"]
    return np.arange(outputs).reshape(-1, groups).T.ravel()


IN_TURN = {
    name: lambda given, name=name: given[name][order_in_turn(given)] for name in ("b", "bias", "multiplier", "shift")
}
GROUPED = {
    "no bias": ("any", {"bias": lambda given: 0 * given["bias"]}, "ignores the bias"),
    "outputs in turn": (
        "any",
        {**IN_TURN, "write": lambda given: lambda codes: codes[..., order_in_turn(given).argsort()]},
        "takes outputs for those of each group in turn: output % groups",
    ),
    "channels in turn": (
        "any",
        {"a": lambda given: given["a"][..., np.arange(given["channels"]).reshape(-1, given["groups"]).T.ravel()]},
        "takes channels for those of each group in turn: channel % groups",
    ),
    "one rounding": ("depthwise", {"scheme": lambda _: "single_up"}, "follows single_up"),
    "first channel": (
        "depthwise",
        {"a": lambda given: np.repeat(given["a"][..., :1], given["channels"], axis=-1)},
        "lets each output see the channels of the first group",
    ),
    "hwo": (
        "depthwise",
        {"b": outputs_last},
        "takes b for (rows, columns, channels of a group, outputs)",
    ),
    "next scale": (
        "depthwise",
        {name: lambda given, name=name: np.roll(given[name], -1) for name in ("multiplier", "shift")},
        "uses the multiplier and the shift of the next output",
    ),
    "zeros outside": (
        "depthwise",
        {"outside": lambda _: 0},
        "takes what lies outside of an image for the code 0, not for the zero point of a",
    ),
}


@pytest.fixture(scope="module")
def layer():
    return in_groups("")


@cache
def in_groups(groups, *, zero_points=False):
    operands = Operands(INT8, INT8, zero_points)
    operation = ConvOperation(operands, REQUANTIZE_SCHEMES["tflite_double"], INT8, groups)
    return operation, operation.cases("directed", 0, 0)


@pytest.mark.parametrize("groups", thinned(["depthwise", "any"], 1))
def test_right_groups_pass(groups):
    operation, cases = in_groups(groups)
    assert concluded(operation, cases, [convolution(case) for case in cases]).verdict == "pass"
    random = operation.cases("random", 8, 3)
    assert concluded(operation, random, [convolution(case) for case in random]).verdict == "pass"
    assert {case.scalars["groups"] == case.sizes["channels"] for case in random} >= {True}


@pytest.mark.parametrize("name", thinned(GROUPED, 2))
def test_planted_fault_of_groups_is_named(name):
    groups, changes, words = GROUPED[name]
    operation, cases = in_groups(groups)
    result = concluded(operation, cases, [convolution(case, **changes) for case in cases])
    told = sentence(result)
    assert told.startswith(words)
    assert told.endswith(EXACT)
    assert f"--groups {groups} " in result.command


def test_a_zero_point_of_b_is_subtracted():
    operation, cases = in_groups("any", zero_points=True)
    assert [case.scalars["b_zero_point"] for case in cases].count(0) < len(cases)
    ignored = [replace(case, scalars={**case.scalars, "b_zero_point": 0}) for case in cases]
    result = concluded(operation, cases, [operation.expected(case) for case in ignored])
    assert sentence(result) == "ignores the zero point of b, and is otherwise exact"
    assert "--zero-points --groups any " in result.command


def test_right_arithmetic_passes(layer):
    operation, cases = layer
    assert concluded(operation, cases, [convolution(case) for case in cases]).verdict == "pass"


@pytest.mark.parametrize("name", thinned(PLANTED, 2))
def test_planted_fault_is_named(layer, name):
    operation, cases = layer
    changes, words = PLANTED[name]
    result = concluded(operation, cases, [convolution(case, **changes) for case in cases])
    told = sentence(result)
    if words is None:
        assert told.startswith("follows no scheme that lowbit knows")
        return
    assert told.startswith(words)
    assert told.endswith(EXACT)


def test_an_example_and_random_cases(layer):
    operation, _ = layer
    cases = operation.cases("random", 6, 3)
    result = concluded(operation, cases, [convolution(case, bias=lambda given: 0 * given["bias"]) for case in cases])
    text = example_text(result.groups[0].examples[0], result)
    assert "element         row " in text
    assert ", output " in text
    assert result.command.startswith("lowbit gen conv --a int8 --b int8 ")
