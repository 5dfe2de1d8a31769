"""Each planted bug of a compiled kernel is found, explained and named; the right kernel passes."""

import pytest

from lowbit.check.cast.operation import CastOperation
from lowbit.check.report.json import result_document
from lowbit.check.report.sentence import example_text, sentence
from lowbit.dut.shared_object import SharedObjectDevice
from lowbit.format.registry import get_format
from lowbit.policy.cast import get_policy
from tests.check.answers import checked as check_cases

NAMED = {
    "ties_away": ["round-ties-away", "saturating", "otherwise exact"],
    "truncate": ["truncating", "saturating", "otherwise exact"],
    "early_overflow": ["round-ties-even", "overflowing to NaN", "decides overflow before rounding"],
    "flush": ["round-ties-even", "flushes subnormal results to zero before rounding", "otherwise exact"],
    "wrong_nan": ["round-ties-even", "turns all 34 NaN inputs into ±448", "otherwise exact"],
    "lost_sticky": ["loses the sticky bit", "saturating"],
    "sign_of_zero": ["round-ties-even", "drops the sign of zero", "otherwise exact"],
}


def check(device, set_name="directed", count=1, seed=1, policy="ocp_sat", any_nan=False, **settings):
    source, target = get_format("float32"), get_format("float8_e4m3fn")
    operation = CastOperation(source, target, get_policy(policy, target), any_nan=any_nan)
    with SharedObjectDevice(device, operation.prototype, timeout=30.0) as dut:
        return check_cases(dut, operation, operation.cases(set_name, count, seed), **settings)


def test_right_kernel_passes(kernels):
    result = check(kernels["right"])
    assert result.verdict == "pass"
    assert result.differences == 0
    assert result.vectors > 1000


@pytest.mark.parametrize("bug", sorted(NAMED))
def test_bug_is_named(kernels, bug):
    result = check(kernels[bug])
    assert result.verdict == "MISMATCH"
    for words in NAMED[bug]:
        assert words in sentence(result)


def test_mismatch_is_grouped_by_flag_and_explained(kernels):
    result = check(kernels["ties_away"], max_errors=2)
    groups = {group.name: group for group in result.groups}
    assert "TieEven" in groups
    assert sum(group.differences for group in result.groups) == result.differences
    assert "ties away" in groups["TieEven"].catches
    assert len(groups["TieEven"].examples) == 2
    text = example_text(groups["TieEven"].examples[0], result)
    for word in ("input", "expected", "got", "below", "above", "midpoint", "a tie"):
        assert word in text


def test_random_inputs_of_a_seed_are_the_same(kernels):
    first, second = (check(kernels["truncate"], "random", count=20_000, seed=7) for _ in range(2))
    assert result_document(first) == result_document(second)
    assert first.vectors == 20_000
    assert {group.name for group in first.groups} <= {"Inexact", "Underflow", "OverflowBand"}
    assert check(kernels["truncate"], "random", count=20_000, seed=8).differences != first.differences


def test_random_inputs_miss_the_ties(kernels):
    # Why boundary sets are the default: 126 of 2^32 inputs tell ties away from ties to even.
    assert check(kernels["ties_away"], "random", count=50_000).verdict == "pass"


def test_any_nan_will_do_on_request(kernels):
    policy = get_policy("ocp_sat").choose(nan_sign="drop")
    assert check(kernels["right"], policy=policy).differences == 17
    assert check(kernels["right"], policy=policy, any_nan=True).differences == 0
