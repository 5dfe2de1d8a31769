"""Requantisations: planted bugs are named, and every scheme is identified from its answers."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from lowbit.check.operation import UNDEFINED
from lowbit.check.report.sentence import example_text, sentence
from lowbit.check.requantize.operation import RequantizeOperation
from lowbit.check.requantize.rules import RequantizeRule, converted
from lowbit.dut.shared_object import SharedObjectDevice
from lowbit.format.registry import get_format
from lowbit.policy.requantize import REQUANTIZE_SCHEMES
from lowbit.vectors.flags.cast import FLAGS
from lowbit.vectors.requantize.cases import NEAR_TIES_OF_53_BITS, real_scale
from tests.check.answers import checked as check_cases
from tests.check.answers import compared, concluded, rules_of
from tests.thinned import thinned

SOURCE = Path(__file__).parents[1] / "dut" / "requantize_kernel.c"
INT8 = get_format("int8")
NAMED = {
    "RIGHT_SINGLE": ["follows single_up", "one rounding, half up"],
    "AWAY": ["follows single_away", "half away from zero"],
    "EVEN": ["follows single_even", "half to even"],
    "UP_UP": ["follows double_up_up", "then half up"],
    "FLOORS": ["shifts without rounding (toward -infinity), and is otherwise exact"],
    "TRUNCATES": ["truncates (toward zero), and is otherwise exact"],
    "NO_ZERO_POINT": ["ignores the zero point, and is otherwise exact"],
    "WRAPS": ["follows tflite_double but for overflow wrap, and is otherwise exact"],
    "CLAMPS_TWICE": ["clamps before the zero point is added, and again after it, and is otherwise exact"],
}


def operation(name, result=INT8):
    return RequantizeOperation(REQUANTIZE_SCHEMES[name], result)


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    compiler = shutil.which("cc") or shutil.which("gcc")
    assert compiler, "the tests need a C compiler"
    directory = tmp_path_factory.mktemp("requantize")

    def build(bug):
        path = directory / f"{bug}.so"
        command = [compiler, "-O2", "-w", "-shared", "-fPIC", "-fwrapv", f"-DBUG={bug}", "-o", path, SOURCE, "-lm"]
        subprocess.run(command, check=True)
        return path

    return build


def check(path, symbol, checked):
    cases = checked.cases("directed", 0, 0)
    with SharedObjectDevice(f"{path}:{symbol}", checked.prototype) as kernel:
        return check_cases(kernel, checked, cases, max_errors=1)


def test_right_kernels_pass(compiled):
    assert check(compiled("RIGHT_DOUBLE"), "requantize", operation("tflite_double")).verdict == "pass"
    assert check(compiled("RIGHT_SINGLE"), "requantize", operation("single_up")).verdict == "pass"
    assert check(compiled("RIGHT_DOUBLE"), "by_float", operation("xnnpack_fp32")).verdict == "pass"


@pytest.mark.parametrize("bug", thinned(NAMED, 3))
def test_bug_is_named(compiled, bug):
    result = check(compiled(bug), "requantize", operation("tflite_double"))
    assert result.verdict == "MISMATCH"
    for words in NAMED[bug]:
        assert words in sentence(result)
    assert result.command.startswith("lowbit gen requantize --scheme tflite_double --to int8 --case ")


def test_bug_of_a_scaled_kernel_is_named(compiled):
    result = check(compiled("FLOORS"), "by_float", operation("onnxruntime"))
    assert "shifts without rounding" in sentence(result)


def test_closest_scheme_is_named():
    asked, near = operation("tflite_double"), operation("double_up_up")
    cases = asked.cases("directed", 0, 0)
    got = [near.expected(case).copy() for case in cases]
    largest = int(np.iinfo(np.int32).max)
    for case, answers in zip(cases, got, strict=True):  # as where the half is added in 32 bits
        answers[case.arrays["accumulators"] == largest] = -128
    words = sentence(concluded(asked, cases, got))
    assert "follows no scheme that lowbit knows" in words
    assert "closest is double_up_up, from which" in words
    assert words.endswith(f"the first for accumulator {largest}")


def test_tie_is_explained(compiled):
    result = check(compiled("EVEN"), "requantize", operation("tflite_single"))
    group = next(group for group in result.groups if group.name == "TieOfPower")
    assert "(a tie)" in example_text(group.examples[0], result)
    assert "accumulator" in example_text(group.examples[0], result)
    assert "ties up, away or to even" in group.catches


@pytest.mark.parametrize(
    ("asked", "step"),
    [
        ("tflite_double", 5),
        pytest.param("tflite_double", 1, marks=pytest.mark.slow),
        *(pytest.param(name, 1, marks=pytest.mark.exhaustive) for name in ("xnnpack_fp32", "tosa_single")),
    ],
)
def test_every_scheme_is_identified_from_its_answers(asked, step):
    checked = operation(asked)
    cases = checked.cases("directed", 0, 0)
    for name, scheme in list(REQUANTIZE_SCHEMES.items())[::step]:
        rule = RequantizeRule(scheme, checked.scheme, INT8)
        answers = [rule.run(case) for case in cases]
        # A kernel of a scheme that is not defined everywhere answers something: what the asked scheme gives.
        defined = [bool((answer != UNDEFINED).all()) for answer in answers]
        kept = [index for index, good in enumerate(defined) if good]
        some, got = [cases[index] for index in kept], [answers[index] for index in kept]
        rules = rules_of(checked.identify(compared(checked, some, got)))
        assert name in {rule.scheme.name for rule in rules}, name
        for rule in rules:
            assert all(np.array_equal(rule.run(case), answer) for case, answer in zip(some, got, strict=True))
    assert len(cases) > 40


def test_schemes_of_one_scale_are_told_apart():
    # The roundings that the field confuses: each pair differs on some directed input.
    checked = operation("tflite_double")
    cases = checked.cases("directed", 0, 0)
    answers = {}
    for name in ("single_up", "single_away", "single_even", "double_up_away", "double_up_up", "double_down_up",
                 "float32_even", "float32_floor_half", "float64_away", "product53_even", "multiplier24_up",
                 "multiplier16_away", "rndnu16", "int64_upper15_up"):  # fmt: skip
        rule = RequantizeRule(REQUANTIZE_SCHEMES[name], checked.scheme, INT8)
        answers[name] = np.concatenate([rule.run(case) for case in cases])
    for name, own in answers.items():
        alike = [other for other, theirs in answers.items() if other != name and np.array_equal(own, theirs)]
        assert alike == [], name


def test_near_ties_of_53_bits():
    for accumulator, multiplier in NEAR_TIES_OF_53_BITS:
        product = accumulator * multiplier
        odd, distance = divmod(product + 64, 1 << 53)
        assert odd % 2 == 1
        assert 0 < abs(distance - 64) <= 6
        assert int(float(product)) == odd << 53


def test_parameters_are_converted_between_conventions():
    tflite, tosa, floating = (REQUANTIZE_SCHEMES[name] for name in ("tflite_double", "tosa_double", "xnnpack_fp32"))
    given = {"multiplier": 1583594044, "shift": -9, "zero_point": 3}
    assert converted(tosa, tflite, given) == {"multiplier": 1583594044, "shift": 40}
    assert converted(floating, tflite, given) == {"scale": 1583594044 / 2**40}
    assert real_scale(tosa, converted(tosa, tflite, given)) == real_scale(tflite, given)


@pytest.mark.parametrize("name", ["tflite_double", "xnnpack_fp32", "nvdla"])
def test_cases_have_every_flag_and_stay_in_the_domain(name):
    checked = operation(name)
    cases = checked.cases("directed", 0, 0)
    assert {"TieOfPower", "NearTieOfScale", "LargeAccumulator"} <= {FLAGS[case.flag].name for case in cases}
    assert len({case.name for case in cases}) == len(cases)
    for case in cases:
        assert (checked.expected(case) != UNDEFINED).all()


def test_random_cases_are_the_same_for_a_seed():
    checked = operation("tflite_double")
    first, second, other = (checked.cases("random", 5, seed) for seed in (1, 1, 2))
    for left, right, third in zip(first, second, other, strict=True):
        assert np.array_equal(left.arrays["accumulators"], right.arrays["accumulators"])
        assert not np.array_equal(left.arrays["accumulators"], third.arrays["accumulators"])


@pytest.mark.parametrize("scheme", sorted(REQUANTIZE_SCHEMES))
def test_an_example_goes_from_the_accumulator_to_the_code_step_by_step(scheme):  # F14
    operation = RequantizeOperation(REQUANTIZE_SCHEMES[scheme], INT8)
    case = max(operation.cases("directed", 0, 0), key=lambda case: case.outputs)
    expected = operation.expected(case)
    for index in range(0, case.outputs, max(case.outputs // 20, 1)):
        detail = operation.detail(case, (index,))
        last = detail.steps[-1][1]
        assert {"rounded"} <= {name for name, _ in detail.steps}
        assert (last - int(expected[index])) % 256 == 0 or expected[index] in (-128, 127)  # wrapped, or clamped


def test_the_high_half_is_shown():  # F14: -511 at 2^-2 is -127.75, and -255 before it is shifted
    operation = RequantizeOperation(REQUANTIZE_SCHEMES["tflite_double"], INT8)
    (case,) = [case for case in operation.cases("directed", 0, 0) if case.name == "TieOfPower.1"]
    index = int(np.flatnonzero(case.arrays["accumulators"] == -510)[0])
    steps = operation.detail(case, (index,)).steps
    assert steps == (("high half", -255), ("rounded", -128))
