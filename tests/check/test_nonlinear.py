"""Integer-only nonlinearities: planted bugs are named, and every scheme is identified from its answers."""

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lowbit.check.nonlinear.bugs import nonlinear_bugs
from lowbit.check.nonlinear.operation import NonlinearOperation
from lowbit.check.nonlinear.rules import NonlinearRule, candidates
from lowbit.check.operation import UNDEFINED
from lowbit.check.report.sentence import example_text, sentence
from lowbit.dut.shared_object import SharedObjectDevice
from lowbit.errors import DeviceError, InputError
from lowbit.nonlinear.binary32 import binary32
from lowbit.nonlinear.ibert import gelu_constants
from lowbit.nonlinear.scheme import NONLINEARITIES, OPERATIONS, get_scheme, schemes
from lowbit.vectors.case import Case
from lowbit.vectors.flags import nonlinear as f
from lowbit.vectors.flags.cast import RANDOM
from lowbit.vectors.nonlinear.rule import chosen
from tests.check.answers import checked as check_cases
from tests.check.answers import compared, concluded, rules_of
from tests.thinned import thinned

SOURCE = Path(__file__).parents[1] / "dut" / "nonlinear_kernel.c"
SCALE = 0.05
NAMED = {
    "TVM": ["follows ivit, variant tvm"],
    "HALF_UP": ["rounds result half up", "and is otherwise exact"],
    "SUM_16": ["keeps the sum in 16 bits (unsigned), where it wraps"],
    "NO_MAXIMUM": ["does not subtract the row's maximum"],
    "ZERO_MAXIMUM": ["starts the maximum at 0 instead of the lowest code"],
    "NUMERATOR_30": ["divides 2^30 by the sum"],
    "DROPPED_TAIL": ["drops the tail of a row: only whole groups of 8 codes are added"],
    "COLUMNS": ["runs along the columns instead of the rows"],
    "TWICE": ["gives results 2 times as large"],
    "SOMETIMES": ["follows no scheme that lowbit knows", "by one unit at most, too low"],
    "PADDED": ["counts zeros that fill rows up to groups of 16 codes"],
}


def operation(name, scheme, variant="", scale=SCALE, target=""):
    record = get_scheme(name, scheme)
    options = {
        key: value for key, value in record.examples[-1].parameters.items() if key not in ("scale", "zero_point")
    }
    scale = scale if record.needs_scale(options) else None
    return NonlinearOperation(*chosen(name, scheme, variant=variant, scale=scale, target=target, options=options))


def everything():
    return [
        (name, scheme, variant)
        for name in NONLINEARITIES
        for scheme, record in schemes(name).items()
        for variant in record.variants
    ]


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    compiler = shutil.which("cc") or shutil.which("gcc")
    assert compiler, "the tests need a C compiler"
    directory = tmp_path_factory.mktemp("nonlinear")
    constants = gelu_constants(binary32(SCALE), "code")
    macros = [f"-DGELU_{name.upper()}={value}" for name, value in constants._asdict().items()]

    def build(bug):
        path = directory / f"{bug}.so"
        command = [compiler, "-O2", "-w", "-shared", "-fPIC", "-fwrapv", f"-DBUG={bug}", *macros, "-o", path, SOURCE]
        subprocess.run(command, check=True)
        return path

    return build


def check(path, symbol, checked, kind="directed"):
    cases = checked.cases(kind, 50, 1)
    with SharedObjectDevice(f"{path}:{symbol}", checked.prototype) as kernel:
        return check_cases(kernel, checked, cases, max_errors=1)


def shiftmax():
    return operation("softmax", "ivit", "torch", target="int8")


PLACED = {
    "reversed": (lambda g: g[:, ::-1], "writes the results of a row from the last to the first"),
    "rolled": (lambda g: np.roll(g, 1, axis=1), "writes each result of a row a place too late, the last one first"),
    "unwritten": (lambda g: g * (np.arange(g.shape[1]) < g.shape[1] - 1), "writes 0 for the last code of a row"),
    "one number": (lambda g: g * 0, "gives 0 whatever its inputs are"),
}


@pytest.mark.parametrize("name", thinned(PLACED, 2))
def test_results_in_other_places_are_named(name):
    change, words = PLACED[name]
    checked = shiftmax()
    cases = [case for case in checked.cases("directed", 0, 0) if case.shape[1] < 40]
    assert sentence(concluded(checked, cases, [change(checked.expected(case)) for case in cases])).startswith(words)


RECTIFIED = {
    "rectified": (lambda g: np.maximum(g, 0), "gives no negative results"),
    "magnitude": (lambda g: abs(g.astype(np.int8)), "loses the sign of the results"),
    "low bit": (lambda g: g & ~1, "clears the lowest bit of the results"),
    "added": (lambda g: np.clip(g + 3, -128, 127), "adds 3 to the results, which saturate"),
    "clamped": (lambda g: np.minimum(g, 99), "clamps its results to 99 at most"),
    "bits": (lambda g: ~g, "inverts the bits of the results"),
}


@pytest.mark.parametrize("name", RECTIFIED)
def test_signs_of_results_are_named(name):
    change, words = RECTIFIED[name]
    checked = operation("logistic", "tflite_int8")
    cases = checked.cases("directed", 0, 0)
    got = [change(checked.expected(case)) for case in cases]
    told = sentence(concluded(checked, cases, got))
    assert told.startswith(words)
    assert told.endswith("and is otherwise exact")


ENDS = {
    "low": (-30, 127, "takes codes below -30 for -30, as at the end of a table"),
    "high": (-128, 20, "takes codes above 20 for 20, as at the end of a table"),
    "both": (-25, 30, "takes codes below -25 for -25 and above 30 for 30, as at the end of a table"),
}


@pytest.mark.parametrize("name", ENDS)
def test_a_table_that_ends_early_is_named(name):
    low, high, words = ENDS[name]
    checked = operation("logistic", "tflite_int8")
    cases = checked.cases("directed", 0, 0)
    clamped = [replace(case, arrays={"codes": np.clip(case.arrays["codes"], low, high)}) for case in cases]
    told = sentence(concluded(checked, cases, [checked.expected(case) for case in clamped]))
    assert told.endswith(f" or {words}, and is otherwise exact")  # of a function that rises, the results are clamped


@pytest.mark.parametrize(("scheme", "last"), [("ivit", 63), ("tflite_int8", 128)])
def test_a_table_of_differences_that_ends_early_is_named(scheme, last):
    checked = operation("softmax", scheme)
    cases = [case for case in checked.cases("directed", 0, 0) if case.shape[1] < 40]
    got = []
    for case in cases:
        codes = case.arrays["codes"].astype(np.int64)
        ended = np.maximum(codes, codes.max(axis=1, keepdims=True) - last).astype(case.arrays["codes"].dtype)
        got.append(checked.expected(replace(case, arrays={"codes": ended})))
    told = sentence(concluded(checked, cases, got))
    assert f"takes codes more than {last} below the maximum for {last} below it" in told
    assert told.endswith("and is otherwise exact")


def test_no_maximum_is_spoken_of_where_there_is_none():
    checked = operation("gelu", "ibert", "code")
    cases = [case for case in checked.cases("directed", 0, 0) if case.outputs < 200]
    got = [np.where(checked.expected(case) % 7 == 3, 1, checked.expected(case)) for case in cases]
    assert "maximum" not in sentence(concluded(checked, cases, got))


def test_right_kernels_pass(compiled):
    path = compiled("RIGHT")
    assert check(path, "shiftmax", shiftmax()).verdict == "pass"
    assert check(path, "shiftmax", shiftmax(), "random").verdict == "pass"
    assert check(path, "layernorm", operation("layernorm", "ivit", "torch")).verdict == "pass"
    assert check(path, "gelu", operation("gelu", "ibert", "code")).verdict == "pass"


@pytest.mark.parametrize("bug", thinned(NAMED, 3))
def test_bug_is_named(compiled, bug):
    result = check(compiled(bug), "shiftmax", shiftmax())
    assert result.verdict == "MISMATCH"
    for words in NAMED[bug]:
        assert words in sentence(result)
    assert result.command.startswith(
        "lowbit gen softmax --scheme ivit --variant torch --scale 0.05 --from int8 --to int8"
    )


@pytest.mark.parametrize(
    ("symbol", "bug", "words"),
    thinned(
        [
            ("layernorm", "ROUNDS_DOWN", "rounds the mean down"),
            ("layernorm", "DROPPED_TAIL", "only whole groups of 8 codes"),
            ("gelu", "ROUNDS_DOWN", "rounds erf toward zero"),
            ("gelu", "TWICE", "gives results 2 times as large"),
        ],
        2,
    ),
)
def test_bug_of_another_operation(compiled, symbol, bug, words):
    scheme = "ivit" if symbol == "layernorm" else "ibert"
    assert words in sentence(check(compiled(bug), symbol, operation(symbol, scheme)))


def test_a_constant_is_told():
    checked = shiftmax()
    cases = checked.cases("directed", 0, 0)
    result = concluded(checked, cases, [np.zeros(case.shape, np.int64) for case in cases])
    assert sentence(result) == "gives 0 whatever its inputs are"


def test_crash_is_told(compiled):
    with pytest.raises(DeviceError, match="length=17"):
        check(compiled("CRASHES"), "shiftmax", shiftmax())


def test_result_is_explained(compiled):
    result = check(compiled("TVM"), "shiftmax", shiftmax())
    group = next(group for group in result.groups if group.name == "RowTail")
    text = example_text(group.examples[0], result)
    assert "maximum 127 at" in text
    assert "  factor  " in text
    assert "  clamped_sum  " in text
    assert result.choices == {"variant": ("tvm",)}
    assert result.asked == {"variant": "torch"}


@pytest.mark.parametrize("name", thinned(NONLINEARITIES, 3))
def test_every_scheme_is_identified_from_its_answers(name):
    for operation_name, scheme, variant in everything():
        if operation_name != name:
            continue
        # Scales at which the int16 schemes differ: a power of two for the optimised sigmoids.
        scale = 2.0**-12 if scheme.endswith("int16") and name in ("logistic", "tanh") else SCALE / 50
        scale = scale if scheme.endswith("int16") else SCALE
        checked = operation(name, scheme, variant, scale)
        cases = checked.cases("directed", 0, 0)
        got = [checked.expected(case) for case in cases]
        assert all((answer != UNDEFINED).all() for answer in got)
        rules = rules_of(checked.identify(compared(checked, cases, got)))
        assert (scheme, variant) in {(rule.made.scheme, rule.made.variant) for rule in rules}
        for rule in rules:
            assert all(np.array_equal(rule.run(case), answer) for case, answer in zip(cases, got, strict=True))
        _survivors_agree_on_other_rows(checked, rules)


def _survivors_agree_on_other_rows(checked, survivors):
    for case in checked.cases("random", 60, 99):
        answers = [rule.run(case) for rule in survivors]
        assert all(np.array_equal(answers[0], other) for other in answers[1:])


@pytest.mark.parametrize(
    ("name", "asked", "given"),
    [
        ("softmax", ("ivit", "torch"), ("tflite_int8", "double_rounding")),
        ("softmax", ("tflite_int8", "double_rounding"), ("litert_int8", "")),
        ("softmax", ("tflite_int16", "double_rounding"), ("cmsis_int16", "double_rounding")),
        ("softmax", ("tflite_int16", "double_rounding"), ("litert_int16", "double_rounding")),
        ("gelu", ("ivit", "torch"), ("lowbit", "")),
        ("layernorm", ("ibert", "code"), ("ivit", "paper")),
        ("logistic", ("tflite_int16", ""), ("litert_int16", "")),
        ("tanh", ("tflite_int16", ""), ("litert_int16", "")),
        ("exp", ("ivit", "torch"), ("ibert", "code")),
        ("l2norm", ("tflite_int8", "double_rounding"), ("tflite_int8", "single_rounding")),
    ],
)
def test_another_scheme_is_named(name, asked, given):
    scale = 2.0**-12 if asked[0].endswith("int16") else SCALE
    target = "int16" if asked == ("ivit", "torch") and name == "softmax" else ""
    checked = operation(name, *asked, scale=scale, target=target)
    other = NonlinearRule(operation(name, *given, scale=scale, target=target).made, checked.formats[1])
    cases = checked.cases("directed", 0, 0)
    answers = [other.run(case) for case in cases]
    kept = [index for index, answer in enumerate(answers) if (answer != UNDEFINED).all()]
    cases, answers = [cases[index] for index in kept], [answers[index] for index in kept]
    result = concluded(checked, cases, answers)
    names = {(rule.made.scheme, rule.made.variant) for rule in rules_of(result.claims)}
    assert given in names
    assert asked not in names
    assert f"follows {given[0]}" in sentence(result)


@pytest.mark.parametrize("case", thinned(((case,) for case in everything()), 12), ids="-".join)
def test_the_oracle_with_one_step_replaced_is_the_scheme(case):
    # Among the roundings of the last shift is the scheme's own: it changes nothing, or the table of shifts is wrong.
    checked = operation(*case, scale=SCALE / 50 if case[1].endswith("int16") else SCALE)
    if checked.made.record.last_rounding(checked.made.parameters) is None:
        pytest.skip("the last step is no shift")
    rows = [item for item in checked.cases("directed", 0, 0) if item.outputs <= 600][:12]
    bugs = [bug for bug in nonlinear_bugs(checked.made, checked.formats[0]) if bug.words.startswith("rounds ")]
    bugs = [bug for bug in bugs if "mean" not in bug.words]
    assert len(bugs) == 6
    right = [bug.name for bug in bugs if all(_agrees(checked, bug, item) for item in rows)]
    assert right
    assert len(right) < len(bugs)


def _agrees(checked, bug, case):
    results = NonlinearRule(checked.made, checked.formats[1], bug).run(case)
    return bool(((results == checked.expected(case)) | (results == UNDEFINED)).all())


def test_every_code_is_asked_of_elementwise_operations():
    for scheme, bits in (("tflite_int8", 8), ("tflite_int16", 16)):
        cases = operation("logistic", scheme, scale=2.0**-12).cases("directed", 0, 0)
        codes = np.concatenate([case.arrays["codes"] for case in cases if case.flag == f.EVERY_CODE])
        assert np.array_equal(codes, np.arange(-(1 << bits - 1), 1 << bits - 1))


def test_kinds_of_rows():
    cases = shiftmax().cases("directed", 0, 0)
    lengths = {case.sizes["length"] for case in cases}
    assert {1, 2, 3, 197, 1024, 4096} <= lengths
    flags = {case.flag for case in cases}
    assert {f.EQUAL_CODES, f.ONE_HOT_ROW, f.MAXIMUM_PLACE, f.SUM_OF_POWER, f.SEVERAL_ROWS} <= flags
    places = {int(row.argmax()) for case in cases if case.flag == f.MAXIMUM_PLACE for row in case.arrays["codes"]}
    assert {0, 8} <= places


def test_candidates_have_the_types():
    made, source, target = chosen("softmax", "ivit", scale=SCALE, target="int8")
    names = {(item.scheme, item.variant) for item in candidates(made, source, target)}
    assert {("ivit", "tvm"), ("tflite_int8", "single_rounding"), ("litert_int8", "")} <= names
    assert not any(scheme.endswith("int16") for scheme, _ in names)


def test_bad_arguments():
    with pytest.raises(InputError, match="depends on the scale"):
        chosen("softmax", "ivit")
    with pytest.raises(InputError, match="unknown softmax scheme"):
        chosen("softmax", "ivt", scale=1.0)
    with pytest.raises(InputError, match="has no variant 'tvn'"):
        chosen("softmax", "ivit", variant="tvn", scale=1.0)
    with pytest.raises(InputError, match="gives int8, not int16"):
        chosen("logistic", "tflite_int8", scale=1.0, target="int16")
    with pytest.raises(InputError, match="positive"):
        chosen("softmax", "ivit", scale=-1.0)
    with pytest.raises(InputError, match="not a type of codes"):
        chosen("softmax", "ivit", scale=1.0, source="int4")


def test_a_rounding_of_the_exact_function_is_named():
    checked = operation("softmax", "exact")
    cases = [case for case in checked.cases("directed", 0, 0) if case.shape[1] < 20]
    scale = np.longdouble(np.float32(SCALE))

    def truncated(codes):
        powers = np.exp(scale * codes.astype(np.int64) - scale * codes.max(-1, keepdims=True).astype(np.int64))
        return np.minimum(np.floor(powers / powers.sum(-1, keepdims=True) * 2**15), 2**15 - 1).astype(np.int16)

    told = sentence(concluded(checked, cases, [truncated(case.arrays["codes"]) for case in cases]))
    assert told.startswith("follows exact, rounding toward_zero")


@pytest.mark.parametrize("scheme", ["lowbit", "exact"])
def test_a_layernorm_in_the_place_of_an_rmsnorm_is_named(scheme):
    checked = operation("rmsnorm", scheme)
    cases = [case for case in checked.cases("directed", 0, 0) if case.shape[1] < 20]
    got = [OPERATIONS["layernorm"].call(case.arrays["codes"], scheme=scheme) for case in cases]
    assert sentence(concluded(checked, cases, got)).startswith("subtracts the mean first, as LayerNorm does")


def test_differences_kept_unsigned_do_not_become_numbers_of_a_gigabit():
    made, codes, target = chosen("softmax", "ivit", scale=0.11)
    (bug,) = (bug for bug in nonlinear_bugs(made, codes) if bug.name == "difference_unsigned_32_wraps")
    case = Case(RANDOM, {"codes": np.array([[3, -7, 1]], np.int8)}, {}, (1, 3))
    with pytest.raises(OverflowError, match="a number is shifted left by as much"):
        bug.run(made, target, case)
