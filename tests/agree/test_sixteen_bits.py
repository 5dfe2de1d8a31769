"""Every named format from bfloat16 and float16 codes, under its default policy, flags included.

``make test`` takes a sample of the codes, of another phase for each target; ``make test-all`` takes all 65,536.
The ties and edges of each target are in both: ``test_boundaries.py`` has them from wider sources.
"""

import numpy as np
import pytest

from lowbit.format.registry import formats, get_format
from lowbit.policy.cast import get_policy

FLOATS = [name for name in formats(kind="scalar") if get_format(name).kind == "float"]
INTEGERS = ["int1", "int2", "int4", "int8", "int16", "uint1", "uint4", "uint8", "int4_narrow", "int8_narrow"]
FIXED = ["q4.4", "uq2.6", "q1.15", "int32", "uint32", "int64", "uint64"]
ALL = np.arange(1 << 16, dtype=np.uint16)


def default_policy(name):
    fmt = get_format(name)
    return get_policy(fmt.default_policy, fmt)


def sample(target, step):
    """Every so many codes, and those next to the powers of two, where exponent fields begin and end."""
    edges = {(field << 7) + beside & 0xFFFF for field in range(1 << 9) for beside in (-1, 0, 1)}
    return np.array(sorted(edges | set(range(sum(target.encode()) % step, 1 << 16, step))), dtype=np.uint16)


@pytest.mark.parametrize("source", ["bfloat16", "float16"])
@pytest.mark.parametrize("target", FLOATS)
def test_floats(agree, source, target):
    agree(sample(target, 29), source, target, default_policy(target))


@pytest.mark.parametrize("source", ["bfloat16", "float16"])
@pytest.mark.parametrize("target", INTEGERS + FIXED)
def test_integers(agree, source, target):
    agree(sample(target, 29), source, target, default_policy(target))


@pytest.mark.slow
@pytest.mark.parametrize("source", ["bfloat16", "float16"])
@pytest.mark.parametrize("target", [*FLOATS, "int8", "uint4"])
def test_every_code(agree, source, target):
    agree(ALL, source, target, default_policy(target))


@pytest.mark.exhaustive
@pytest.mark.parametrize("source", ["bfloat16", "float16"])
@pytest.mark.parametrize("target", [name for name in formats(kind="scalar") if get_format(name).kind != "float"])
def test_every_integer_format(agree, source, target):
    agree(ALL, source, target, default_policy(target))
