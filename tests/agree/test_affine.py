"""Blocks with a zero point: the oracle in fractions and the fast path agree on every convention of products."""

import itertools

import numpy as np
import pytest

import lowbit
from lowbit.errors import PolicyError
from lowbit.format.block_name import block_format
from lowbit.policy.block import BlockPolicy
from tests.agree.test_block import blocks, require_equal
from tests.thinned import thinned

AXES = ("range_steps", "quotient_steps", "zero_point_steps", "zero_point_place", "value_range")
POLICIES = [
    BlockPolicy(arithmetic=arithmetic, **dict(zip(AXES, choices, strict=True)))
    for arithmetic, *choices in itertools.product(
        ("exact", "binary32", "bfloat16"),
        ("divide", "reciprocal"),
        ("divide", "reciprocal"),
        *(BlockPolicy.choices(axis) for axis in AXES[2:]),
    )
]
PRESETS = ["torch", "torch_per_channel", "torchao", "compressed_tensors", "llm_awq", "gptq", "spqr", "omniquant", "hqq"]


def short(policy):
    """The choices that differ, as a test is named."""
    return " ".join([policy.arithmetic, *(getattr(policy, axis) for axis in AXES)])


INTEGERS = ["uint4.g16.asymmetric", "int4.g16.asymmetric.float32", "int8.g16.asymmetric", "int4_narrow.g16.asymmetric"]


def values():
    """Blocks of every kind, some of one value, whose range may be empty."""
    drawn = blocks(3, (2, 48))
    drawn[0, :16] = 0.75
    return np.clip(drawn, -1e4, 1e4)


@pytest.mark.parametrize("policy", thinned(POLICIES, 2), ids=short)
def test_integer_zero_points(policy):
    for name in INTEGERS:
        require_equal(values(), name, policy)


@pytest.mark.parametrize("policy", thinned(POLICIES, 6), ids=short)
@pytest.mark.parametrize("zero", ["float16", "int16"])
def test_zero_points_of_another_format(zero, policy):
    fmt = block_format("uint4", block=16, asymmetric=zero)
    if zero == "float16" and policy.zero_point_place == "after_rounding":
        with pytest.raises(PolicyError, match="before rounding"):
            lowbit.quantize(values(), fmt, policy=policy)
        return
    require_equal(values(), fmt, policy)
    if policy.arithmetic != "exact":
        require_equal(values(), fmt, policy.choose(quotient_scale="unrounded"))


@pytest.mark.parametrize("policy", thinned(POLICIES, 6), ids=short)
def test_offsets(policy):
    for name in ("int4.g16.offset.float32", "uint4.g16.offset", "int4_narrow.g16.offset.bfloat16"):
        require_equal(values(), name, policy)
        require_equal(values()[:, :40] * (1 + np.float64(2.0**-40)), name, policy.choose(tail="short"))
    if policy.arithmetic != "exact":
        require_equal(values(), "int4.g16.offset", policy.choose(quotient_scale="unrounded"))


def test_offsets_of_decoupleq():
    # Its own steps: s = (max - min) / 3, z = min + 2 s, and a tie goes up: (0.5 - 1) / 1 = -0.5 is 0.
    tensor = lowbit.quantize(np.float32([-1, 2, 0.5, 0, 1.5, -0.5]), "int2.channel.offset.float32", policy="decoupleq")
    assert (tensor.scales["block"].item(), tensor.scales["offset"].item()) == (1, 1)
    assert tensor.codes.tolist() == [-2, 1, 0, -1, 1, -1]
    assert lowbit.dequantize(tensor).tolist() == [-1, 2, 1, 0, 2, 0]
    ties = values() * np.float32([1, -1, 0.5] * 16)
    for name in ("int2.g16.offset.float32", "int4.g16.offset.float32", "int8.channel.offset.float32"):
        require_equal(ties, name, "decoupleq")


@pytest.mark.parametrize("preset", PRESETS)
def test_presets(preset):
    floats = preset in {"spqr", "hqq"}
    zeros = "float32" if floats else "int16" if preset == "omniquant" else True
    for element in ("uint3", "uint4", "uint8"):
        fmt = block_format(element, block=16, scale="float32", asymmetric=zeros)
        require_equal(values(), fmt, preset)
    if preset in {"torchao", "compressed_tensors"}:
        require_equal(values(), "int4.g16.float32", preset)


def test_the_range_of_a_symmetric_format_is_halved():
    tensor = lowbit.quantize([7.5, -7.5, 3.0, 0.4], "int4.g4.float32", policy="compressed_tensors")
    assert tensor.scales["block"].tolist() == [1.0]
    assert tensor.codes.tolist() == [7, -8, 3, 0]
    by_max = lowbit.quantize([7.5, -7.5, 3.0, 0.4], "int4.g4.float32")
    assert by_max.codes.tolist() == [7, -7, 3, 0]


def test_a_zero_point_may_lie_outside_of_the_codes():
    """OmniQuant does not clamp it, llm-awq does: a block far from zero keeps its range, or loses it."""
    block = np.linspace(100, 101.5, 16, dtype=np.float32)
    fmt = block_format("uint4", block=16, scale="float32", asymmetric="int16")
    kept = lowbit.quantize(block, fmt, policy="omniquant")
    assert kept.codes.tolist() == list(range(16))
    assert kept.scales["zero_point"].item() == -1000
    clamped = lowbit.quantize(block, "uint4.g16.asymmetric.float32", policy="llm_awq")
    assert clamped.scales["zero_point"].item() == 0
    assert set(clamped.codes.tolist()) == {15}
