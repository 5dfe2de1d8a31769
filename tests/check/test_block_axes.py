"""Axes of block policies that MXFP4 lacks, planted: two levels, scales by sign, zero points, blocks of several rows."""

from dataclasses import replace
from pathlib import Path

import pytest

import lowbit
from lowbit.check.block.operation import QuantizeOperation
from lowbit.check.report.sentence import sentence
from lowbit.dut.shared_object import SharedObjectDevice
from lowbit.policy.block import BlockPolicy, get_block_policy
from tests.check.answers import checked as check_cases
from tests.check.answers import concluded
from tests.check.test_block import BINARY32, FP8, MXFP4, NVFP4
from tests.thinned import thinned

SOURCE = Path(__file__).parents[1] / "dut" / "block_axes_kernel.c"
OTHERWISE = ", and is otherwise exact"
FORMATS = {
    "nvfp4": "nvfp4",
    "nvfp4_16x16": "nvfp4_16x16",
    "asymmetric": "int8.g32.asymmetric.float32",
    "symmetric": "int8.g32.float32",
    "by_sign": "float4_e2m1fn.g32.by_sign.float32",
    "nf4": "nf4.g32.float32",
    "bfp4": "bfp4_b",
}
RIGHT = [(name, "", "-DEXACT") for name in ("nvfp4", "nvfp4_16x16", "by_sign")]
RIGHT += [("asymmetric", "onnx"), ("symmetric", "onnx"), ("bfp4", "")]
STEPS = [
    ("nvfp4", "RIGHT", "arithmetic = 'bfloat16'", "", "-DNARROW"),
    ("nvfp4", "FOUR_OVER_SIX_SQUARED", "search = 'four_over_six_squared'", ""),
    ("nvfp4", "FOUR_OVER_SIX_ABSOLUTE", "search = 'four_over_six_absolute'", ""),
    ("nf4", "BINS", "quotient_bins = 'uniform_65536'", "bitsandbytes"),
    ("bfp4", "EIGHT_BITS_FIRST", "quotient_format = 'sm2.6:ocp_sat:rounding=nearest_away'", ""),
]
RANGES = [
    ("asymmetric", bug, words, "onnx")
    for bug, words in {
        "MINMAX": "value_range = 'minmax'",
        "RANGE_RECIPROCAL": "range_steps = 'reciprocal'",
        "ZERO_POINT_QUOTIENT": "zero_point_steps = 'quotient'",
        "BEFORE_ROUNDING": "zero_point_place = 'before_rounding' or 'fused'",  # the same where x is divided
        "FUSED": "zero_point_place = 'fused'",
        "QUOTIENT_RECIPROCAL": "quotient_steps = 'reciprocal'",
        "TIES_AWAY": "elements: rounding = 'nearest_away'",
        "NO_ZERO_POINT": "does not add the zero point",
        "MINUS_ZERO_POINT": "subtracts the zero point instead of adding it",
    }.items()
]
RANGES += [
    ("asymmetric", "RIGHT", "arithmetic = 'binary32'", ""),
    ("symmetric", "HALF_RANGE", "scale_rule = 'amax_over_half_range'", "onnx"),
    ("symmetric", "SUM", "rounding_steps = 'sum'", "onnx"),
]
SIGNS = [
    ("by_sign", bug, words, "", "-DEXACT")
    for bug, words in {
        "SIGNS_SWAPPED": "divides values by the scale of the other sign",
        "POSITIVE_FOR_BOTH": "divides values of both signs by the positive ones' scale",
        "ONE_MAXIMUM": "makes the scales of both signs from the largest magnitude of either",
        "TIES_DOWN": "elements: rounding = 'nearest_down'",
    }.items()
]
TILES = [
    ("nvfp4_16x16", bug, words, "", "-DEXACT")
    for bug, words in {
        "TILE_ROW": "takes the maximum of the first row of a block only",
        "TILE_COLUMNS_FIRST": "writes the scales column by column (transposed)",
        "TILE_BEFORE": "divides a block by the scale of the one before it",
        "TIES_AWAY": "elements: rounding = 'nearest_away'",
    }.items()
]
PLANTED = [*STEPS, *RANGES, *SIGNS, *TILES]


def check(build_kernel, symbol, bug, policy, *definitions):
    fmt = lowbit.get_format(FORMATS[symbol])
    operation = QuantizeOperation(fmt, get_block_policy(policy or fmt.default_policy))
    with SharedObjectDevice(f"{build_kernel(SOURCE, bug, *definitions)}:{symbol}", operation.prototype) as kernel:
        return check_cases(kernel, operation, operation.cases("directed", 0, 0), max_errors=1)


@pytest.mark.parametrize("kernel", thinned([(row,) for row in RIGHT], 3), ids=lambda kernel: kernel[0])
def test_right_kernels_pass(build_kernel, kernel):
    symbol, policy, *definitions = kernel
    assert check(build_kernel, symbol, "RIGHT", policy, *definitions).verdict == "pass"


def named(build_kernel, planted):
    """Whether the sentence about a planted kernel has the words, and says that all else is right."""
    symbol, bug, words, policy, *definitions = planted
    result = check(build_kernel, symbol, bug, policy, *definitions)
    assert result.verdict == "MISMATCH"
    return words in sentence(result) and OTHERWISE in sentence(result)


@pytest.mark.parametrize("planted", thinned([(row,) for row in PLANTED], 1), ids=lambda row: f"{row[0]}-{row[1]}")
def test_axis_is_found_and_named(build_kernel, planted):
    assert named(build_kernel, planted)


@pytest.mark.slow
def test_scales_of_scales_by_another_policy_are_named():
    fmt, asked = lowbit.get_format("nf4.g64.nested"), get_block_policy("bitsandbytes_nested")
    operation = QuantizeOperation(fmt, asked)
    cases = operation.cases("directed", 0, 0)[:6]
    other = replace(operation.rule, policy=asked.choose(nested=""))
    words = sentence(concluded(operation, cases, [other.run(case) for case in cases]))
    assert words.startswith("has nested = ''")
    assert words.endswith("and is otherwise exact")


def test_every_axis_is_planted():
    """But for what a kernel makes of a shorter last block, which shows where one is asked for, as a bug or as none."""
    tables = (MXFP4, NVFP4, BINARY32, FP8)
    words = " ".join([*(text for table in tables for text in table.values()), *(row[2] for row in PLANTED), "nested ="])
    fields = {"element": "elements:", "scale": "scales:", "tensor": "the tensor's scale:"}
    assert [axis for axis in BlockPolicy.AXES if fields.get(axis, f"{axis} =") not in words] == ["tail"]
