"""Every named format from all 65,536 bfloat16 and float16 codes, under its default policy, flags included."""

import numpy as np
import pytest

from lowbit.format.registry import formats, get_format
from lowbit.policy.cast import get_policy

FLOATS = [name for name in formats() if get_format(name).kind == "float"]
INTEGERS = ["int1", "int2", "int4", "int8", "int16", "uint1", "uint4", "uint8", "int4_narrow", "int8_narrow"]
FIXED = ["q4.4", "uq2.6", "q1.15", "int32", "uint32", "int64", "uint64"]
ALL = np.arange(1 << 16, dtype=np.uint16)


def default_policy(name):
    fmt = get_format(name)
    return get_policy(fmt.default_policy, fmt)


@pytest.mark.parametrize("source", ["bfloat16", "float16"])
@pytest.mark.parametrize("target", FLOATS)
def test_floats(agree, source, target):
    agree(ALL, source, target, default_policy(target))


@pytest.mark.parametrize("source", ["bfloat16", "float16"])
@pytest.mark.parametrize("target", INTEGERS + FIXED)
def test_integers(agree, source, target):
    step = 1 if source == "float16" and target in ("int8", "uint4") else 11
    agree(ALL[::step], source, target, default_policy(target))


@pytest.mark.exhaustive
@pytest.mark.parametrize("source", ["bfloat16", "float16"])
@pytest.mark.parametrize("target", [name for name in formats() if get_format(name).kind != "float"])
def test_every_integer_format(agree, source, target):
    agree(ALL, source, target, default_policy(target))
