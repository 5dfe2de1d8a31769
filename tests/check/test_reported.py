"""The faults of public bug reports: each is planted, and the sentence must name it, or say what is true of it.

A kernel runs in this process, without the safeguards of a worker: other tests are about those.
"""

import ctypes
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from lowbit.check.cast.operation import CastOperation
from lowbit.check.gemm.operation import GemmOperation
from lowbit.check.nonlinear.operation import NonlinearOperation
from lowbit.check.report.sentence import sentence
from lowbit.check.requantize.operation import RequantizeOperation
from lowbit.check.run import answered, conclude
from lowbit.dut.shared_object import SharedObjectDevice
from lowbit.errors import DeviceError
from lowbit.format.registry import get_format
from lowbit.policy.accumulator import get_accumulator
from lowbit.policy.cast import get_policy
from lowbit.policy.requantize import REQUANTIZE_SCHEMES
from lowbit.vectors.flags.nonlinear import EVERY_CODE
from lowbit.vectors.gemm.values import Operands
from lowbit.vectors.nonlinear.cases import make_case
from lowbit.vectors.nonlinear.rule import chosen
from tests.check import (
    test_gemm,
    test_nonlinear,
    test_planted_bugs,
    test_planted_casts,
    test_planted_products,
    test_planted_requantizations,
    test_requantize,
)
from tests.check.answers import compared, require_true
from tests.thinned import thinned

SOURCE = Path(__file__).with_name("reported_kernel.c")
LARGEST, MANY_RULES_LARGEST = 1 << 15, 1 << 12
EXACT = "and is otherwise exact"
NEIGHBOURS = "gives one of the two neighbours of every input in range, as stochastic rounding does"

CASTS = [
    # report, kernel, what it converts under which policy, what the sentence says; "!" before what it must not say
    ("C01", "e2m1_half_subnormals", "float32 float4_e2m1fn ocp_sat", ["half as large", EXACT]),
    ("C01", "e4m3_half_subnormals", "float32 float8_e4m3fn ocp_sat", ["half as large", EXACT]),
    ("C01", "e4m3_odd_lost", "float32 float8_e4m3fn ocp_sat", ["clears the lowest bit of the result"]),
    ("C01", "e5m2_odd_lost", "float32 float8_e5m2 ocp_sat", ["clears the lowest bit of the result"]),
    ("C01", "e2m3_subnormal_sticky", "float32 float6_e2m3fn ocp_sat", ["sticky bit of subnormal results", EXACT]),
    ("C01", "e4m3_subnormal_sticky", "float32 float8_e4m3fn ocp_sat", ["sticky bit of subnormal results", EXACT]),
    ("C02", "e2m1_ties_away", "float32 float4_e2m1fn ocp_sat", ["is round-ties-away", EXACT]),
    ("C02", "e2m3_ties_away", "float32 float6_e2m3fn ocp_sat", ["is round-ties-away", EXACT]),
    ("C02", "e5m2_ties_away", "float32 float8_e5m2 ocp_sat", ["is round-ties-away", EXACT]),
    ("C03", "e4m3_top_binade", "float32 float8_e4m3fn ocp_sat",
     ["ties-away", "the whole top binade for overflow", EXACT]),
    ("C03", "fnuz_top_binade", "float32 float8_e4m3fnuz ocp_sat",
     ["ties-away", "the whole top binade for overflow", EXACT]),
    ("C06", "e4m3_by_half", "float32 float8_e4m3fn ocp_sat", ["rounds twice, through", "float16", EXACT]),
    ("C07", "e4m3_no_carry", "float32 float8_e4m3fn ocp_sat", ["loses the carry of a mantissa"]),
    ("C07", "e5m2_no_carry", "float32 float8_e5m2 ocp_sat", ["loses the carry of a mantissa"]),
    ("C07", "e2m3_no_carry", "float32 float6_e2m3fn ocp_sat", ["loses the carry of a mantissa"]),
    ("C07", "e4m3_mantissa_stays", "float32 float8_e4m3fn ocp_sat", ["does not round a mantissa of ones up"]),
    ("C09", "half_subnormals_flushed", "float32 float16 ieee", ["flushes subnormal results", "before rounding", EXACT]),
    ("C09", "e4m3_flush", "float32 float8_e4m3fn ocp_sat", ["flushes subnormal results", EXACT]),
    ("C09", "e2m3_flush", "float32 float6_e2m3fn ocp_sat", ["flushes subnormal results", EXACT]),
    ("C10", "bf16_payload_cut", "float32 bfloat16 ieee", ["cuts the payload of a NaN", "becomes infinity", EXACT]),
    ("C12", "double_without_low_half", "float64 float16 ieee", ["drops the low 32 bits of its input", EXACT]),
    ("C12", "bf16_without_low_half", "float64 bfloat16 ieee", ["drops the low 32 bits of its input", EXACT]),
    ("C13", "half_to_e4m3_twice", "float16 float8_e4m3fn ocp_sat", ["rounds subnormal results twice", EXACT]),
    ("C13", "float_to_e4m3_twice", "float32 float8_e4m3fn ocp_sat", ["rounds subnormal results twice", EXACT]),
    ("C14", "fnuz_tiny", "float32 float8_e4m3fnuz ocp_sat", ["the code of -0 is the NaN", EXACT, "!become 0"]),
    ("C15", "e4m3_nan_of_zero", "float32 float8_e4m3fn ocp_sat", ["turns -0 into NaN", EXACT]),
    ("C16", "e8m0_infinite", "float8_e8m0fnu float32 ieee", ["a NaN becomes infinity", EXACT]),
    ("C17", "fnuz_as_numbers", "float8_e4m3fnuz float32 ieee", ["their codes are decoded as numbers"]),
    ("C18", "e4m3_as_numbers", "float8_e4m3fn float32 ieee", ["their codes are decoded as numbers", EXACT]),
    ("C18", "e5m2_as_numbers", "float8_e5m2 float32 ieee", ["their codes are decoded as numbers", EXACT]),
    ("C19", "e4m3_subnormal_as_normal", "float8_e4m3fn float32 ieee",
     ["takes subnormal inputs for normal ones", EXACT]),
    ("C20", "e4m3_one_nan_is_zero", "float8_e4m3fn float32 ieee", ["turns the negative NaN input into 0", EXACT]),
    ("C21", "ue5m3_half", "float8_e5m3fnu float16 ieee",
     ["takes subnormal inputs for zero \\(DAZ\\)", "overflowing to NaN"]),
    ("C22", "int8_range_first", "float32 int8 integer", ["looks at the range before it rounds"]),
    ("C25", "int32_to_bf16_by_float", "int32 bfloat16 ieee", ["rounds twice, through float32 first", EXACT]),
    ("C28", "e8m0_ceiling_into_nan", "float32 float8_e8m0fnu ocp_sat",
     ["away from zero|toward \\+infinity", "overflowing to NaN", EXACT]),
    ("C28", "e8m0_exponent_field", "float32 float8_e8m0fnu ocp_sat",
     ["is truncating", "drops the sign of negative inputs", EXACT]),
    ("C33", "int4_zero_extended", "int4 int8 integer", ["extends negative codes with zeros", EXACT]),
    ("C34", "int2_through_int8", "float32 int2 integer", ["saturates to 8 bits and keeps the low bits"]),
    ("C35", "uint8_absolute", "float32 uint8 integer", ["takes the absolute value of negative inputs"]),
    ("C36", "int8_ties_up", "float32 int8 integer", ["is round-ties-up", EXACT]),
    ("C37", "int8_narrow", "float32 int8 integer", ["never gives the lowest code"]),
    ("F1", "bf16_cut", "float32 bfloat16 ieee", ["truncating", "cuts the payload of a NaN|the bits of a NaN", EXACT]),
    ("F1", "bf16_even_no_nan_test", "float32 bfloat16 ieee", ["has no NaN test: its bits are rounded like", EXACT]),
    ("F1", "bf16_up_no_nan_test", "float32 bfloat16 ieee", ["has no NaN test: its bits are rounded like"]),
    ("F4", "int8_half_added", "float32 int8 integer", ["adds 0.5 and truncates"]),
    ("F4", "int8_half_added_floor", "float32 int8 integer",
     ["takes the floor of x \\+ 0.5, a sum that is itself rounded"]),
    ("F4", "int8_half_added_away", "float32 int8 integer", ["truncates \\|x\\| \\+ 0.5, a sum that is itself rounded"]),
    ("F4", "uint8_half_added", "float32 uint8 integer", ["."]),
    ("F6", "e5m2_infinite", "float32 float8_e4m3fn ocp_sat", ["float8_e5m2"]),
    ("F6", "e4m3_right", "float32 float8_e5m2 ocp_sat", ["float8_e4m3fn"]),
    ("F6", "e4m3_as_e5m2", "float8_e4m3fn float32 ieee", ["float8_e5m2"]),
    ("F6", "e4m3_bias_8", "float32 float8_e4m3fn ocp_sat", ["twice as large: an exponent bias is off by one"]),
    ("", "int8_ties_away", "float32 int8 integer", ["is round-ties-away", EXACT]),
    ("", "int8_truncates", "float32 int8 integer", ["is truncating", EXACT]),
    ("", "int8_wraps_low", "float32 int8 integer", ["wrapping"]),
    ("", "e4m3_cut_subnormals", "float32 float8_e4m3fn ocp_sat", ["truncates subnormal results", EXACT]),
    ("", "e5m2_cut_subnormals", "float32 float8_e5m2 ocp_sat", ["truncates subnormal results", EXACT]),
    ("", "e4m3_one_code_low", "float32 float8_e4m3fn ocp_sat", ["never gives the largest value"]),
    ("", "e4m3_ieee_infinite", "float32 float8_e4m3 ocp_sat", ["overflowing"]),
    ("", "e4m3_daz", "float8_e4m3fn float32 ieee", ["takes subnormal inputs for zero", EXACT]),
    ("C41", "e5m2_by_input", "float32 float8_e5m2 ocp_sat", [f"^{NEIGHBOURS}", "!is round", f"!{EXACT}"]),
    ("C41", "e5m2_drawn", "float32 float8_e5m2 ocp_sat", [f"^{NEIGHBOURS}", "!is round", f"!{EXACT}"]),
    ("", "e4m3_half_no_carry", "float32 float8_e4m3fn ocp_sat",
     ["loses the carry of a mantissa", "half as large", EXACT]),
    ("", "e4m3_cut_no_carry", "float32 float8_e4m3fn ocp_sat",
     ["loses the carry of a mantissa", "truncates subnormal results", EXACT]),
    ("", "e4m3_odd_no_carry", "float32 float8_e4m3fn ocp_sat",
     ["clears the lowest bit of the result, loses the carry of a mantissa", EXACT]),
    ("", "e4m3_twice_stays", "float32 float8_e4m3fn ocp_sat",
     ["does not round a mantissa of ones up", "rounds subnormal results twice", EXACT]),
    ("", "e5m2_half_odd", "float32 float8_e5m2 ocp_sat", ["clears the lowest bit", "half as large", EXACT]),
    ("", "double_by_float", "float64 float16 ieee", ["rounds twice, through float32", EXACT]),
]  # fmt: skip

GEMMS = [
    ("C45", "near_pairs", "uint8 int8", ["saturates each pair of products to 16 bits"]),
    (
        "C43",
        "far_pairs",
        "int8 int8",
        ["wraps the sum of the products k and k \\+ 8 to 16", EXACT, "!multiple of"],
    ),
    ("C47", "by_float", "int8 int8", ["accumulates in binary32 \\(float\\), one product after another", EXACT]),
    ("C47", "by_floats", "int8 int8", ["binary32 number", "accumulates in float", "!multiple of", "!is less than"]),
    ("C49", "as_int8", "int8 int8", ["accumulates in 8 bits, wrapping", EXACT]),
    ("C51", "borrows", "int8 int4", ["unpacks 4 codes of b by one subtraction", EXACT]),
    ("", "rare", "int8 int8", ["follows no rule", "!multiple of", "!is less than", "!only rows", "!only columns"]),
]

REQUANTIZATIONS = [
    ("C53", "bit_wraps", "single_up", ["product and its rounding bit in 32 bits", EXACT]),
    ("C53", "lost_when_large", "single_up", ["results follow no rule|follows no scheme", f"!{EXACT}"]),
    ("C56", "logical", "tflite_double", ["as if the product were unsigned", EXACT]),
    ("C56", "logical_64", "single_up", ["as if the product were unsigned", EXACT]),
    ("C57", "clamped_then_wraps", "single_up", ["clamps before the zero point is added, and wraps after it", EXACT]),
    ("C59", "half_away", "single_up", ["follows single_away"]),
    ("C60", "carried", "single_up", ["rounds the multiplier to 16 bits, where the largest ones carry"]),
    ("F4", "half_added", "xnnpack_fp32", ["adds 0.5 and truncates"]),
    ("F4", "narrow", "single_up", ["never gives the lowest code", EXACT]),
]

TABLES = [
    ("F3", "table_low", ["reads its table one entry too low", EXACT]),
    ("F3", "table_unsigned", ["reads its table 128 entries off", EXACT]),
    ("F3", "table_entry", ["only at code 72, and always there: one entry", "!rows", "!length"]),
]


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    compiler = shutil.which("cc") or shutil.which("gcc")
    assert compiler, "the tests need a C compiler"
    path = tmp_path_factory.mktemp("reported") / "reported.so"
    subprocess.run([compiler, "-O1", "-w", "-shared", "-fPIC", SOURCE, "-o", path, "-lm"], check=True)
    return ctypes.CDLL(str(path))


def told(library, symbol, conversion):
    """The result of a check of a conversion, every claim of which is replayed."""
    source, target, policy = conversion.split()
    source, target = get_format(source), get_format(target)
    operation = CastOperation(source, target, get_policy(policy, target))
    return checked(library, symbol, operation)


def call(library, symbol, case, result):
    """What a C function answers to a case."""
    arrays = [np.ascontiguousarray(array) for array in case.arrays.values()]
    out = np.empty(case.shape, result.code_dtype)
    sizes = [ctypes.c_size_t(size) for size in case.sizes.values()]
    scalars = [ctypes.c_float(x) if isinstance(x, float) else ctypes.c_int32(x) for x in case.scalars.values()]
    pointers = [ctypes.c_void_p(array.ctypes.data) for array in (*arrays, out)]
    getattr(library, symbol)(*pointers, *sizes, *scalars)
    return out


def checked(library, symbol, operation, largest=LARGEST):
    """The result of a check, every claim of which is replayed; large products are left out."""
    cases = [case for case in operation.cases("directed", 0, 0) if np.prod(list(case.sizes.values())) <= largest]
    result = operation.prototype.result
    comparison = compared(operation, cases, [call(library, symbol, case, result) for case in cases])
    concluded = conclude("kernel", comparison)
    require_true(concluded, comparison)
    return concluded


def requires(words, text):
    """What the text has to say, as regular expressions, and after a "!" what it must not say."""
    for word in words:
        if word.startswith("!"):
            assert not re.search(word[1:], text)
        else:
            assert re.search(word, text), word


@pytest.mark.parametrize("row", thinned(((row,) for row in CASTS), 15), ids=lambda row: f"{row[0]}-{row[1]}")
def test_conversion_is_told_what_it_does(library, row):
    _, symbol, conversion, words = row
    result = told(library, symbol, conversion)
    assert result.verdict == "MISMATCH"
    requires(words, sentence(result))


@pytest.mark.slow  # make test has tests/check/test_gemm.py
@pytest.mark.parametrize("row", GEMMS, ids=lambda row: f"{row[0]}-{row[1]}")
def test_product_is_told_what_it_does(library, row):
    _, symbol, formats, words = row
    operands = Operands(*(get_format(name) for name in formats.split()))
    largest = MANY_RULES_LARGEST if symbol == "near_pairs" else LARGEST  # hundreds of accumulators agree with it
    requires(words, sentence(checked(library, symbol, GemmOperation(operands, get_accumulator("int32")), largest)))


@pytest.mark.parametrize("row", REQUANTIZATIONS, ids=lambda row: f"{row[0]}-{row[1]}")
def test_requantization_is_told_what_it_does(library, row):
    _, symbol, scheme, words = row
    operation = RequantizeOperation(REQUANTIZE_SCHEMES[scheme], get_format("int8"))
    requires(words, sentence(checked(library, symbol, operation)))


@pytest.mark.parametrize("row", TABLES, ids=lambda row: f"{row[0]}-{row[1]}")
def test_table_is_told_what_it_does(library, row):
    _, symbol, words = row
    operation = NonlinearOperation(*chosen("logistic", "tflite_int8", scale=0.05))
    entries = make_case(EVERY_CODE, np.arange(-128, 128, dtype=np.int8), operation.made)
    values = operation.expected(entries).astype(np.int8)
    library.set_table(ctypes.c_void_p(values.ctypes.data))
    assert checked(library, "table_right", operation).verdict == "pass"
    requires(words, sentence(checked(library, symbol, operation)))


@pytest.mark.parametrize(
    ("symbol", "words"),
    [
        ("e5m2_drawn", "gives two answers to the same call on rows"),
        ("e5m2_alternates", "gives two answers to the same call on rows"),
        ("e5m2_by_place", "in a call of 31 elements, and 0x.* in one of "),
    ],
)
def test_stochastic_kernels_are_not_compared(library, symbol, words):  # C41
    target = get_format("float8_e5m2")
    operation = CastOperation(get_format("float32"), target, get_policy("ocp_sat", target))
    (case,) = operation.cases("directed", 0, 0)
    with (
        SharedObjectDevice(f"{library._name}:{symbol}", operation.prototype) as kernel,
        pytest.raises(DeviceError, match=words) as caught,
    ):
        kernel.run(case)
    assert caught.value.code == "LB605"
    assert "random bits" in caught.value.hint


def test_random_bits_that_stand_too_low_round_hardly_anything_up(library):  # C41
    target = get_format("float8_e5m2")
    operation = CastOperation(get_format("float32"), target, get_policy("ocp_sat", target))
    (case,) = operation.cases("random", 20_000, 1)
    comparison = compared(operation, [case], [call(library, "e5m2_noise_too_low", case, target)])
    result = conclude("kernel", comparison)
    require_true(result, comparison)
    requires(["is truncating", "follow no rule that lowbit knows", f"!{EXACT}"], sentence(result))


def test_a_crash_is_told_with_its_case(library):  # C64
    operation = NonlinearOperation(*chosen("softmax", "ivit", scale=0.05, target="int8"))
    told = r"SIGABRT.* on case EqualCodes\.11 \(rows=1 length=1024\)"
    with (
        SharedObjectDevice(f"{library._name}:softmax_checked", operation.prototype) as kernel,
        pytest.raises(DeviceError, match=told) as caught,
    ):
        answered(kernel, operation, operation.cases("directed", 0, 0))
    assert caught.value.code == "LB601"


NAMED_AT_LEAST, PLANTED_AT_LEAST = 35, 200


def test_count_of_the_reports_whose_cause_is_named():
    # Of 37 public reports of a fault in a kernel, by the tests above.
    named = {row[0] for row in (*CASTS, *GEMMS, *REQUANTIZATIONS) if row[0].startswith("C")}
    print(f"{len(named)} of 37 public reports are named")
    assert len(named) >= NAMED_AT_LEAST


def test_count_of_the_planted_kernels_whose_claims_are_replayed():
    tables = [CASTS, GEMMS, REQUANTIZATIONS, TABLES, test_planted_bugs.NAMED, test_gemm.BUGS, test_gemm.ZERO_BUGS]
    tables += [test_planted_casts.PLANTED, test_planted_products.PLANTED, test_planted_products.ZERO_POINTS]
    tables += [test_planted_requantizations.PLANTED]
    planted = sum(map(len, (*tables, test_requantize.NAMED, test_nonlinear.NAMED)))
    print(f"the claims about {planted} planted kernels are replayed")
    assert planted >= PLANTED_AT_LEAST


@pytest.mark.parametrize(
    ("symbol", "conversion"),
    [
        ("e2m1_right", "float32 float4_e2m1fn ocp_sat"),
        ("e4m3_right", "float32 float8_e4m3fn ocp_sat"),
        ("fnuz_right", "float32 float8_e4m3fnuz ocp_sat"),
        ("int8_right", "float32 int8 integer"),
    ],
)
def test_what_is_right_but_for_nan(library, symbol, conversion):
    result = told(library, symbol, conversion)
    assert result.differences <= 34
    assert result.verdict == "pass" or result.exact
