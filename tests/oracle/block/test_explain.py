"""The trace of a block is what quantising makes, and its numbers follow from each other."""

from fractions import Fraction

import numpy as np
import pytest

from lowbit.errors import InputError
from lowbit.exact import FINITE
from lowbit.format.registry import block_format_of, scalar_format
from lowbit.oracle.block.encode import quantize
from lowbit.oracle.block.explain import explain_blocks
from lowbit.oracle.cast.decode import decode
from lowbit.policy.block import get_block_policy
from lowbit.vectors.block.sets import block_rows, parse_block_policy, row_shape
from lowbit.vectors.manifest import read_manifest, read_set
from tests.thinned import thinned

SETS = [entry for entry in read_manifest().values() if entry.recipe.op == "quantize"]
ROWS = 9


@pytest.mark.parametrize("entry", thinned(SETS, 8), ids=lambda entry: entry.id)
def test_the_trace_is_what_quantising_makes(entry):
    fmt, policy = block_format_of(entry.recipe.target), parse_block_policy(entry.recipe.policy)
    rows, source = block_rows(read_set(entry), fmt), scalar_format("float32")
    count = len(rows["codes"])
    for number in range(0, count, count // ROWS):
        values = [decode(int(bits), source) for bits in rows["values"][number]]
        trace = explain_blocks(values, row_shape(fmt), fmt, policy)
        codes = [step.code for step in trace.elements][:: fmt.element.dimension]
        assert codes == rows["codes"][number].tolist()
        for field in fmt.scales:
            codes = [step.code for step in trace.scales if step.field == field]
            assert codes == rows[field.name][number].tolist()


def values(*numbers):
    source = scalar_format("float32")
    return [decode(int(np.float32(number).view(np.uint32)), source) for number in numbers]


def test_steps_by_hand():
    # OCP MX v1.0 6.3: floor(log2 6.5) - emax = 2 - 2 = 0; 2.5 lies halfway between 2 and 3, and 2 has the even code.
    fmt = block_format_of("mxfp4")
    trace = explain_blocks(values(2.5, -6.5, 0.3), (3,), fmt, get_block_policy("ocp_mx").choose(tail="short"))
    (scale,) = trace.scales
    assert scale.span[0].fraction() == Fraction(13, 2)
    assert scale.places == (1,)
    assert (scale.code, scale.value.fraction()) == (127, 1)
    tie = trace.elements[0]
    assert tie.rounding.midpoint.fraction() == tie.quotient.fraction() == Fraction(5, 2)
    assert "tie" in tie.rounding.rule
    assert [step.result.fraction() for step in trace.elements] == [2, -6, Fraction(1, 2)]


def test_two_scales_by_hand():
    # amax of the tensor 2688 = 6 * 448, so its scale is 1; block 1 has amax 3 and the scale 3 / 6.
    fmt = block_format_of("nvfp4")
    trace = explain_blocks(values(2688, *[0] * 15, 3, *[0] * 15), (32,), fmt, get_block_policy("nvfp4"))
    names = [(step.field.name, step.block, step.value.fraction()) for step in trace.scales]
    assert names == [("tensor", 0, 1), ("block", 0, 448), ("block", 1, Fraction(1, 2))]
    assert trace.elements[16].scales["block"] == trace.scales[2].code


def test_a_scale_that_a_rule_replaces_has_no_rounding():
    fmt = block_format_of("float4_e2m1fn.g4")
    trace = explain_blocks(values(1e-9, 0, 0, 0), (4,), fmt, get_block_policy("nearest"))
    assert trace.scales[0].rounding is None
    assert trace.scales[0].code == 1
    zeros = explain_blocks(values(0, 0, 0, 0), (4,), fmt, get_block_policy("nearest"))
    assert zeros.scales[0].rounding is not None
    assert zeros.scales[0].value.fraction() == 1


def test_each_sign_has_its_own_largest_value():
    fmt = block_format_of("float4_e2m1fn.g4.by_sign")
    trace = explain_blocks(values(2, -3, 3, -2), (4,), fmt, get_block_policy("nearest"))
    assert [step.places for step in trace.scales] == [(2,), (1,)]


def test_a_zero_point_follows_from_the_range():
    fmt = block_format_of("int4.g4.asymmetric")
    trace = explain_blocks(values(-2, 5.5, 0, 1), (4,), fmt, get_block_policy("nearest"))
    scale, zero = trace.scales
    assert [end.fraction() for end in scale.span] == [-2, Fraction(11, 2)]
    assert (scale.value.fraction(), zero.code) == (Fraction(1, 2), -4)
    assert [step.code for step in trace.elements] == [-8, 7, -4, -2]


def test_scales_that_have_scales_follow_from_each_other():
    # double quantisation by hand: scales 1, 3 and 5 have the mean 3; less it -2, 0 and 2, and over 2 they are -1, 0, 1
    fmt = block_format_of("nf4.g2.nested.float32")
    trace = explain_blocks(values(1, 0, -3, 0, 5, 0), (6,), fmt, get_block_policy("bitsandbytes_nested"))
    assert [step.value.fraction() for step in trace.within.first] == [1, 3, 5]
    offset, above, *blocks = trace.scales
    assert [step.field.name for step in trace.scales] == ["offset", "super", "block", "block", "block"]
    assert (offset.value.fraction(), above.value.fraction()) == (3, 2)
    assert [step.span[0].fraction() for step in blocks] == [-2, 0, 2]
    worths = [decode(step.code, fmt.scales[0].format).fraction() * 2 + 3 for step in blocks]
    assert [float(worth) for worth in worths] == pytest.approx([1, 3, 5], rel=2e-2)
    assert [step.result.fraction() for step in trace.elements[::2]] == [worths[0], -worths[1], worths[2]]


FAMILIES = {
    "float4_e2m1fn.g4": ("nearest", "torchao_nvfp4", "afpq"),
    "float4_e2m1fn.g4.by_sign.float32": ("nearest", "afpq"),
    "int4.g4.asymmetric": ("nearest", "compressed_tensors"),
    "uint4.g4.asymmetric.float32": ("onnxruntime", "torch", "hqq", "llm_awq", "torchao", "omniquant"),
    "int4.g4.offset.float32": ("nearest", "decoupleq"),
    "nf4.g4.nested.float32": ("bitsandbytes_nested",),
    "mxfp4": ("ocp_mx", "microxcaling"),
    "nvfp4": ("nvfp4", "modelopt_nvfp4"),
    "hifloat4": ("hifloat4", "hifloat4_bfloat16"),
    "bfp4_b": ("tenstorrent_host", "tenstorrent_device"),
    "dfp8": ("dynamic_fixed_point",),
}


@pytest.mark.parametrize(("name", "preset"), [(name, policy) for name, own in FAMILIES.items() for policy in own])
def test_a_code_is_what_its_number_is_rounded_to(name, preset):
    """Of elements and of scales, in every family: the number that is shown has the code that is shown."""
    fmt, policy = block_format_of(name), get_block_policy(preset).choose(tail="short")
    trace = explain_blocks(values(1, 2.5, -3, 0.1, 7, 6, -0.7, 1.3), (8,), fmt, policy)
    assert all(step.rounding is None or step.rounding.code == step.code for step in trace.scales)
    if fmt.of_role("zero_point") and policy.zero_point_place == "after_rounding":
        low, high = fmt.element.codes[0], fmt.element.codes[-1]
        zeros = [fmt.scales[1].format.decode(step.scales["zero_point"]) for step in trace.elements]
        sums = [step.rounding.code + int(zero.fraction()) for step, zero in zip(trace.elements, zeros, strict=True)]
        assert [step.code for step in trace.elements] == [min(max(total, low), high) for total in sums]
    else:
        assert [step.rounding.decoded for step in trace.elements] == [
            decode(step.code, fmt.element) for step in trace.elements
        ]


def test_what_quantising_refuses_is_refused():
    fmt = block_format_of("mxfp4")
    for numbers, policy in (((1, 2), "ocp_mx"), (([np.nan] * 32), get_block_policy("ocp_mx").choose(nan="error"))):
        with pytest.raises(InputError):
            explain_blocks(values(*numbers), (len(numbers),), fmt, get_block_policy(policy))
        with pytest.raises(InputError):
            quantize(values(*numbers), (len(numbers),), fmt, get_block_policy(policy))
    trace = explain_blocks(values(np.nan, *[1] * 31), (32,), fmt, get_block_policy("ocp_mx"))
    assert trace.scales[0].value.kind != FINITE
