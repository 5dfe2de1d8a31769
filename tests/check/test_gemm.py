"""Planted bugs of compiled matrix products are found and named; accumulators are identified from their answers."""

import shutil
import subprocess
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest

from lowbit.check.gemm.operation import GemmOperation
from lowbit.check.gemm.rules import GemmRule, presets
from lowbit.check.report.sentence import example_text, sentence
from lowbit.dut.shared_object import SharedObjectDevice
from lowbit.format.registry import get_format
from lowbit.oracle.gemm.gemm import dot
from lowbit.policy.accumulator import ACCUMULATORS, Accumulator, get_accumulator
from lowbit.vectors.flags.cast import FLAGS
from lowbit.vectors.gemm.values import Operands
from tests.check.answers import checked as check_cases
from tests.check.answers import compared, concluded, rules_of
from tests.thinned import thinned

SOURCE = Path(__file__).parents[1] / "dut" / "gemm_kernel.c"

BUGS = {
    "K_TAIL": "drops the tail of k: only whole groups of 16 products are added, and is otherwise exact",
    "BITS_24": "accumulates in 24 bits, wrapping (as fpga_24), and is otherwise exact",
    "PAIR_SATURATES": "saturates each pair of products to 16 bits, accumulates in",
    "A_UNSIGNED": "takes a for unsigned, and is otherwise exact",
    "B_TRANSPOSED": "takes b for transposed: n rows of k, and is otherwise exact",
    "SATURATES": "accumulates in 32 bits, saturating at each product (as int32_saturate), and is otherwise exact",
    "BITS_16_SATURATING": "accumulates in 16 bits, saturating at each product, and is otherwise exact",
    "B_STRIDE": "steps from row to row of b by n - 1 instead of n, and is otherwise exact",
    "LAST_PRODUCT": "drops the last product of each sum, and is otherwise exact",
    "BINARY32": "accumulates in binary32 (float), one product after another, and is otherwise exact",
    # The kernel adds in 64 bits: what wraps in 32 is another sum before it is cut to 16.
    "FINAL_SATURATION": "saturates the finished sum to 16 bits, and accumulates in 32 or 48 or 64 bits, ",
    "RESULT_TRANSPOSED": "writes the result transposed, and is otherwise exact",
    "SPILLS": "saturating at each product, spilling every 8 products into 32 bits, and is otherwise exact",
    "LANES_20": "accumulates in 20 bits, saturating at each product, adding in 8 lanes (sequential at the end)",
    "BLOCKS": "accumulates in 20 bits, saturating at each product, adding blocks of 16 products",
    "WRONG_ROWS": "right wherever m is a multiple of 4; only rows after the last whole group of 4 are wrong",
}
ZERO_BUGS = {
    1: "ignores the zero point of a",
    2: "adds the zero point of b instead of subtracting it",
    3: "forgets the product of the zero points",
    4: "wraps a less its zero point to 8 bits",
}


def operands(a="int8", b="int8", zero_points=False):
    return Operands(get_format(a), get_format(b), zero_points)


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """Compile the kernel with options of the preprocessor."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    assert compiler, "the tests need a C compiler"
    directory = tmp_path_factory.mktemp("gemm")

    def build(**definitions):
        name = "_".join(f"{key}{value}" for key, value in definitions.items()).replace("=", "")
        path = directory / f"{name}.so"
        options = [f"-D{key}={value}" for key, value in definitions.items()]
        subprocess.run([compiler, "-O2", "-w", "-shared", "-fPIC", *options, "-o", path, SOURCE], check=True)
        return path

    return build


def check(path, symbol="gemm", kinds=None, accumulator="int32", set_name="directed", flags=None, **options):
    operation = GemmOperation(kinds or operands(), get_accumulator(accumulator))
    cases = [case for case in operation.cases(set_name, 60, 1) if flags is None or FLAGS[case.flag].name in flags]
    with SharedObjectDevice(f"{path}:{symbol}", operation.prototype) as kernel:
        return check_cases(kernel, operation, cases, **options)


def test_right_kernel_passes(compiled):
    result = check(compiled(BUG="RIGHT"))
    assert (result.verdict, result.differences) == ("pass", 0)
    assert result.vectors > 100_000


@pytest.mark.parametrize(
    ("a", "b", "c_types"),
    thinned(
        [
            ("uint8", "int8", ("uint8_t", "int8_t")),
            ("int16", "int16", ("int16_t", "int16_t")),
            ("int4", "int8", ("int8_t", "int8_t")),
        ],
        1,
    ),
)
def test_right_kernel_of_other_formats_passes(compiled, a, b, c_types):
    path = compiled(BUG="RIGHT", A=c_types[0], B=c_types[1])
    assert check(path, kinds=operands(a, b)).verdict == "pass"
    assert check(path, "gemm_zero", operands(a, b, zero_points=True)).verdict == "pass"


@pytest.mark.parametrize("bug", thinned(BUGS, 1))
def test_bug_is_named(compiled, bug):
    result = check(compiled(BUG=bug), max_errors=1)
    assert result.verdict == "MISMATCH"
    assert BUGS[bug] in sentence(result)
    assert sum(group.differences for group in result.groups) == result.differences
    assert result.command.startswith("lowbit gen gemm --a int8 --b int8 --accumulator int32 --case ")


@pytest.mark.parametrize("bug", thinned(ZERO_BUGS, 1))
def test_bug_of_zero_points_is_named(compiled, bug):
    result = check(compiled(BUG="RIGHT", ZERO_BUG=bug), "gemm_zero", operands(zero_points=True), max_errors=1)
    assert ZERO_BUGS[bug] in sentence(result)
    assert "ZeroPoint" in {group.name for group in result.groups}


def test_example_says_where_and_what(compiled):
    result = check(compiled(BUG="K_TAIL"), flags={"KTail"}, max_errors=1)
    tails = next(group for group in result.groups if group.name == "KTail")
    text = example_text(tails.examples[0], result)
    assert text.startswith("case KTail.0 (m=3 n=17 k=1)")
    assert "row 0, column 0" in text
    assert "got - expected = " in text
    narrow = check(compiled(BUG="BITS_24"), flags={"WidthLadder"}, max_errors=1)
    walk = next(group for group in narrow.groups if group.name == "WidthLadder")
    assert "overflows first at k = " in example_text(walk.examples[0], narrow)


def test_random_matrices_miss_the_pairs_that_saturate_a_wide_accumulator(compiled):
    # Why directed sets are the default.
    assert check(compiled(BUG="SATURATES"), set_name="random").verdict == "pass"
    assert check(compiled(BUG="BITS_24"), set_name="random").verdict == "pass"
    assert check(compiled(BUG="K_TAIL"), set_name="random").verdict == "MISMATCH"


def operands_of(accumulator):
    a, _, b = {"any": "int8_int8"}.get(accumulator.operands, accumulator.operands).partition("_")
    return operands(a, b)


class Imitation:
    """A kernel that follows an accumulator."""

    def __init__(self, accumulator, bits):
        self.name, self.rule = "imitation", GemmRule(accumulator, bits)

    def run(self, case):
        return self.rule.run(case)


@lru_cache(maxsize=4)
def telling_cases(a, b):
    """The directed cases that tell accumulators apart."""
    idle = {"Shape", "OneHot", "Product", "AllZero", "KTail"}
    operation = GemmOperation(operands(a, b), get_accumulator("int64"))
    return [case for case in operation.cases("directed", 0, 0) if FLAGS[case.flag].name not in idle]


QUICK = {"x86_vpmaddubsw", "fpga_20"}
LONGER = {"int64", "int32_saturate", "x86_vpdpbusds", "fpga_24_saturate", "dfp16_15bit"}
WANTED = [
    pytest.param(name, marks=() if name in QUICK else pytest.mark.slow if name in LONGER else pytest.mark.exhaustive)
    for name in ACCUMULATORS
    if name != "int32"
]


def test_the_quick_presets_exist():
    assert set(ACCUMULATORS) >= QUICK | LONGER


@pytest.mark.parametrize("name", WANTED)
def test_every_preset_is_identified_from_its_answers(name):
    accumulator = ACCUMULATORS[name]
    kinds = operands_of(accumulator)
    operation = GemmOperation(kinds, get_accumulator("int64"))
    cases = telling_cases(kinds.a.id, kinds.b.id)
    got = [GemmRule(accumulator, 64).run(case) for case in cases]
    rules = rules_of(operation.identify(compared(operation, cases, got)))
    survivors = [rule.accumulator for rule in rules]
    assert accumulator in survivors
    for rule in rules:
        assert all(np.array_equal(rule.run(case), answer) for case, answer in zip(cases[:40], got[:40], strict=True))
    # Presets that agree everywhere (or cannot be told apart by these operands) are one class; no other is left.
    named = {item.name for item in survivors if item.name}
    alike = {
        item.name
        for item in presets(operation.operands)
        if all(np.array_equal(GemmRule(item, 64).run(case), answer) for case, answer in zip(cases, got, strict=True))
    }
    assert named == alike


@pytest.mark.parametrize(
    "accumulator",
    thinned(
        [
            Accumulator(width=17, overflow="saturate"),
            Accumulator(width=23),
            Accumulator(width=18, overflow="saturate", order="pairwise"),
            Accumulator(width=16, overflow="saturate", order="blocked", block=64),
            Accumulator(width=19, overflow="saturate", order="lanes", lanes=32, reduction="halves"),
            Accumulator(width=20, overflow="saturate", order="lanes", lanes=16, reduction="adjacent"),
            Accumulator(width=16, overflow="wrap", spill_every=32, spill_width=32),
            Accumulator(width=16, overflow="saturate", combine=4),
        ],
        1,
    ),
    ids=lambda item: "-".join(str(value) for _, value, _ in item.describe()[:6]),
)
def test_other_accumulators_are_identified(accumulator):
    operation = GemmOperation(operands(), get_accumulator("int32"))
    cases = telling_cases("int8", "int8")
    result = concluded(operation, cases, [GemmRule(accumulator, 32).run(case) for case in cases])
    survivors = {rule.accumulator for rule in rules_of(result.claims)}
    assert accumulator in survivors
    assert {item.order for item in survivors} == {accumulator.order}
    assert {item.lanes for item in survivors} == {accumulator.lanes}
    assert {item.reduction for item in survivors} == {accumulator.reduction}
    assert {item.overflow for item in survivors} == {accumulator.overflow}


def test_rules_are_the_oracle():
    # What the elimination takes for granted (no overflow, modular sums) against Python integers.
    operation = GemmOperation(operands(zero_points=True), get_accumulator("int32"))
    cases = [case for case in operation.cases("directed", 0, 0) if case.sizes["k"] <= 40][::23]
    others = (
        Accumulator(width=16, overflow="saturate", order="lanes", lanes=4),
        Accumulator(width=16, overflow="saturate", spill_every=2, spill_width=32),
        Accumulator(width=17, overflow="saturate", spill_every=8, spill_width=64),
    )
    for item in (*ACCUMULATORS.values(), *others):
        for case in cases:
            got = GemmRule(item, 64).run(case)
            zeros = {name: int(case.scalars[name]) for name in ("a_zero_point", "b_zero_point")}
            row, column = case.arrays["a"][-1].tolist(), case.arrays["b"][:, 0].tolist()
            assert got[-1, 0] == dot(row, column, item, **zeros).value


def test_wrong_answers_of_no_rule_are_not_named():
    operation = GemmOperation(operands(), get_accumulator("int32"))
    cases = operation.cases("directed", 0, 0)
    result = concluded(operation, cases, [operation.expected(case) ^ 1 for case in cases])
    assert "follows no rule that lowbit knows" in sentence(result)
    assert not result.complete
