"""binary32 into listed formats: the lanes by intervals are the comparison with all values."""

from itertools import pairwise

import numpy as np
import pytest

import lowbit
from lowbit.format.registry import get_format
from lowbit.ops.cast import comparison, intervals
from lowbit.ops.cast.paths import Cast
from lowbit.policy.cast import ROUNDINGS, Policy, get_policy
from tests.thinned import thinned

NEAREST = [name for name in ROUNDINGS if name.startswith("nearest")]
SATURATING = {"overflow": "saturate", "infinity": "saturate"}
POLICIES = [
    *(Policy(rounding=name, **SATURATING) for name in NEAREST),
    *(Policy(rounding=name) for name in ("toward_zero", "toward_negative", "toward_positive")),
    Policy(nan="inverted_zero", negative_zero="positive", flush_inputs="always"),
    Policy(nan="signed_maximum", negative="absolute", via="float32"),
]
OWN = (
    lowbit.table_format([float("-inf"), -1.0, -0.5, float("nan"), 0.5, 2.0, 3.0, float("inf")], id="own_specials"),
    lowbit.table_format([1e-41, 1e-40, 2e-38, 3e38], id="own_extremes"),
    lowbit.table_format([-4.0, -3.0], id="own_negative"),
)
TABLES = [*map(get_format, lowbit.formats(kind="table")), *OWN]


def lanes_and_comparison(target, policy, bits):
    cast = Cast(get_format("float32"), target, policy)
    lanes = intervals.applies(cast)
    found, expected = np.empty((2, bits.size), np.uint8)
    if lanes is not None:
        lanes(bits.view(np.int32), found)
    comparison.run(comparison.lower(cast), bits, expected)
    return lanes is not None, found, expected


def telling_bits(target):
    values = [target.value_at(ordinal).fraction() for ordinal in range(target.ordinals[0] - 1, target.ordinals[-1] + 2)]
    numbers = np.float64([*values, *((low + high) / 2 for low, high in pairwise(values))])
    with np.errstate(over="ignore"):
        places = np.abs(np.float32([*numbers, 0, 2.0**-126, np.inf])).view(np.uint32).astype(np.int64)
    beside = (places[:, None] + np.arange(-3, 4)).ravel()
    beside = beside[(beside >= 0) & (beside < 1 << 31)]
    random = np.random.default_rng(5).integers(0, 1 << 31, 3000)
    magnitudes = np.concatenate([beside, random]).astype(np.uint32)
    return np.concatenate([magnitudes, magnitudes | np.uint32(1 << 31)])


@pytest.mark.parametrize("target", thinned(TABLES, 3), ids=str)
def test_lanes_are_the_comparison(target):
    bits = telling_bits(target)
    for policy in POLICIES[:: 3 if target.bits == 8 else 1]:
        applies, found, expected = lanes_and_comparison(target, policy, bits)
        assert applies or policy.flush_inputs == "always" or target.id == "own_extremes", policy
        if applies:
            wrong = np.flatnonzero(found != expected)
            assert not wrong.size, (policy, [hex(code) for code in bits[wrong[:5]]])


@pytest.mark.parametrize("name", ["nf4", "bnb_fp4"])
def test_bitsandbytes(agree, name):
    """Its formula: `torch.bucketize` of a value among binary32 midpoints (backends/default/ops.py, quantize_4bit)."""
    target, policy = get_format(name), get_policy("bitsandbytes")
    bits = telling_bits(target)
    bits = bits[~np.isnan(bits.view(np.float32))]
    values, table = bits.view(np.float32), lowbit.decode(range(16), target)
    order = np.argsort(table, kind="stable")  # of FP4, two zeros: codes 0 and 8
    middles = (table[order][1:] + table[order][:-1]) / np.float32(2)
    codes = lowbit.encode(values, target, policy=policy)
    assert (codes == order[np.searchsorted(middles, np.clip(values, -1, 1), side="left")]).all()
    agree(bits[:400], "float32", target, policy)
    plain = lowbit.encode(values, target, policy=policy.without_defects())
    assert np.unique(values[table[plain] != table[codes]]).size == 6
    assert (lowbit.encode(values.astype(np.float64), target, policy=policy) == plain).all()


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", ["nf4", "bnb_fp4", "bnb_dynamic8"])
def test_every_binary32_number(name):
    for start in range(0, 1 << 32, 1 << 24):
        bits = np.arange(start, start + (1 << 24), dtype=np.uint64).astype(np.uint32)
        applies, found, expected = lanes_and_comparison(get_format(name), POLICIES[0], bits)
        assert applies
        assert (found == expected).all(), hex(start)


@pytest.mark.parametrize("name", ["nf4", "bnb_fp4", "bnb_dynamic8"])
def test_tables_have_the_defects(name):
    target, policy = get_format(name), get_policy("bitsandbytes")
    cast = Cast(get_format("float32"), target, policy)
    tables = intervals.tables_with_defects(
        cast, lambda bits: lowbit.encode(bits.view(np.float32), target, policy=policy)
    )
    bits = telling_bits(target)
    codes = lowbit.encode(bits.view(np.float32), target, policy=policy)
    assert (intervals.look_up(tables, bits.view(np.int32)) == codes).all()
    assert name == "bnb_dynamic8" or (lowbit.encode(bits.view(np.float32), target, policy=POLICIES[0]) != codes).any()
