"""Kernels that quantise by a scale and a zero point: planted bugs are named, and what libraries do is found out."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest

from lowbit.check import installed
from lowbit.check.block.linear import LinearOperation
from lowbit.check.block.linear_back import DequantizeLinearOperation, DynamicQuantizeOperation
from lowbit.check.operation import UNDEFINED
from lowbit.check.report.sentence import sentence
from lowbit.dut.shared_object import SharedObjectDevice
from lowbit.format.registry import get_format
from lowbit.policy.block import get_block_policy
from tests.check.answers import checked as check_cases
from tests.check.answers import concluded
from tests.thinned import thinned

SOURCE = Path(__file__).parents[1] / "dut" / "quantize_linear_kernel.c"
OTHERWISE = ", and is otherwise exact"
NAMED = {
    "HALF_ADDED": "adds 0.5 and truncates",
    "NO_ZERO_POINT": "ignores the zero point",
    "MINUS_ZERO_POINT": "subtracts the zero point instead of adding it",
    "HALF_FLOOR": "rounds by floor(x + 0.5)",
    "WRAPS": "wraps instead of saturating",
    "CLAMPED_FIRST": "clamps before the zero point is added, and again after it",
    "MULTIPLIES": "multiplies by the scale instead of dividing",
    "NARROW": "never gives the lowest code",
    "TIES_AWAY": "elements: rounding = 'nearest_away'",
    "TRUNCATES": "elements: rounding = 'toward_zero'",
    "BEFORE_ROUNDING": "zero_point_place = 'before_rounding'",
    "NAN_LOWEST": "elements: nan = 'minimum'",
    "RECIPROCAL": "quotient_steps = 'reciprocal'",
}


def operation(target="uint8"):
    return LinearOperation(get_format(target), get_block_policy("onnx"))


@pytest.fixture
def compiled(build_kernel):
    return partial(build_kernel, SOURCE)


def check(path):
    checked = operation()
    with SharedObjectDevice(f"{path}:quantize", checked.prototype) as kernel:
        return check_cases(kernel, checked, checked.cases("directed", 0, 0))


def test_right_kernel_passes(compiled):
    assert check(compiled("RIGHT")).verdict == "pass"


@pytest.mark.parametrize("bug", thinned(NAMED, 2))
def test_bug_is_named(compiled, bug):
    result = check(compiled(bug))
    assert NAMED[bug] in sentence(result)
    assert OTHERWISE in sentence(result)


def test_bug_without_a_name_is_found(compiled):
    assert "follow no rule that lowbit knows" in sentence(check(compiled("ONE_CODE_WRONG")))


@pytest.mark.parametrize(
    "checked", [DequantizeLinearOperation(get_format("int8")), DynamicQuantizeOperation(get_format("uint8"))]
)
def test_bugs_of_the_other_operators_are_named(checked):
    cases = checked.cases("directed", 0, 0)
    for bug in checked.rule.bugs():
        rule = checked.changed([{"bug": bug.name}])
        words = sentence(concluded(checked, cases, [rule.run(case) for case in cases]))
        assert bug.words in words


def test_cases_are_defined_and_have_names_of_their_own():
    for target in ("uint8", "int4", "int16", "float8_e4m3fn"):
        cases = operation(target).cases("directed", 0, 0)
        assert all((operation(target).expected(case) != UNDEFINED).all() for case in cases)
        assert len({case.name for case in cases}) == len(cases)
        assert any(np.isnan(case.arrays["values"]).any() for case in cases)


def test_a_library_differs_where_it_is_published(monkeypatch):
    pytest.importorskip("onnxruntime", reason="ONNX Runtime is the library")
    results = list(installed.check_installed("quantize_linear", ["onnxruntime"], source="float32", target="uint8"))
    assert {(result.option, result.verdict) for result in results} == {
        ("QuantizeLinear", "known"), ("DynamicQuantizeLinear", "known")
    }  # fmt: skip
    monkeypatch.setattr(installed, "known_differences", lambda: ())
    results = installed.check_installed("quantize_linear", ["onnxruntime"], source="float32", target="uint8")
    words = {result.option: sentence(result) for result in results}
    assert "elements: nan = 'minimum'" in words["QuantizeLinear"]
    assert "keeps a scale that is rounded to 0, and divides by it" in words["DynamicQuantizeLinear"]
