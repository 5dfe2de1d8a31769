"""Integer-only nonlinearities at the array layer: bad input, traps that can be read, scales that come back."""

from __future__ import annotations

import inspect
import math
import re
from functools import partial

import numpy as np
import pytest

import lowbit
from lowbit.errors import InputError, IntermediateOverflowError
from lowbit.nonlinear.scheme import OPERATIONS, get_scheme, resolve, schemes
from lowbit.nonlinear.widths import Intermediate
from tests.agree.schemes import CALLS, over

ROW = np.array([[10, 0, -10, 3]], np.int8)
WITH_SCALE = [(name, scheme) for name in ("softmax", "gelu") for scheme in ("ivit", "ibert", "lowbit")]
ALL = [*WITH_SCALE, *(("layernorm", scheme) for scheme in ("ivit", "ibert", "lowbit"))]


@pytest.mark.parametrize(("operation", "scheme"), WITH_SCALE)
@pytest.mark.parametrize("scale", [0, -0.05, np.nan, np.inf, 1e-50, None, "big", [0.1, 0.2], 1e-12])
def test_bad_scales(operation, scheme, scale):
    with pytest.raises(InputError, match="scale"):
        getattr(lowbit, operation)(ROW, scheme=scheme, scale=scale)


@pytest.mark.parametrize(("operation", "scheme"), ALL)
def test_other_bad_input(operation, scheme):
    call = getattr(lowbit, operation)
    options = {"scheme": scheme, "scale": 0.05}
    with pytest.raises(InputError, match="not integers"):
        call(ROW.astype(np.float32), **options)
    with pytest.raises(InputError, match="axis"):
        call(ROW, axis=2, **options)
    with pytest.raises(InputError, match="variant"):
        call(ROW, variant="torhc", **options)
    with pytest.raises(InputError, match="overflow"):
        call(ROW, overflow="clamp", **options)
    with pytest.raises(InputError, match="threads"):
        call(ROW, threads=0, **options)
    with pytest.raises(InputError, match="argument"):
        call(ROW, temperature=2, **options)
    with pytest.raises(InputError, match="out must be"):
        call(ROW, out=np.empty(4, np.float32), **options)
    with pytest.raises(InputError, match="does not fit"):
        call(np.array([1 << 40, 0]), **options)


@pytest.mark.parametrize(("operation", "scheme"), [pair for pair in ALL if pair[1] == "ivit" or pair[0] != "gelu"])
def test_empty_rows(operation, scheme):
    with pytest.raises(InputError, match="empty"):
        getattr(lowbit, operation)(np.zeros((3, 0), np.int8), scheme=scheme, scale=0.05)
    none = getattr(lowbit, operation)(np.zeros((0, 5), np.int8), scheme=scheme, scale=0.05)
    assert none.shape == (0, 5)


def test_unknown_scheme_lists_the_known_ones():
    with pytest.raises(InputError, match="did you mean 'ivit'"):
        lowbit.softmax(ROW, scheme="i-vit", scale=0.1)


def test_rows_longer_than_the_scheme_allows():
    with pytest.raises(InputError, match="longer than"):
        lowbit.layernorm(np.zeros((1, (1 << 16) + 1), np.int8), scheme="lowbit")


def test_the_longest_rows_of_lowbits_layernorm():
    codes = np.full((1, 1 << 16), -(1 << 15), np.int16)
    assert not lowbit.layernorm(codes, scheme="lowbit", overflow="trap").any()
    codes[0, ::2] = (1 << 15) - 1
    got = lowbit.layernorm(codes.astype(np.int32), scheme="lowbit", overflow="trap")
    assert np.array_equal(got, np.where(codes > 0, 1 << 20, -(1 << 20)))


def test_trap_names_the_first_overflow_and_its_operands():
    # int32 of the paper: 4096 exponentials of 20 * 2^15 pass 2^31 at the 3277th.
    codes = np.zeros((2, 4096), np.int8)
    codes[0, 1:] = -100
    with pytest.raises(IntermediateOverflowError, match=r"row 1, element 3,276 \(code 0\).*'sum'") as caught:
        lowbit.softmax(codes, scale=0.05, variant="paper", overflow="trap")
    error = caught.value
    assert (error.row, error.element, error.name, error.bits) == (1, 3276, "sum", 32)
    assert error.value == 3277 * 20 * 2**15 > 2**31 - 1
    assert lowbit.softmax(codes, scale=0.05, variant="paper", overflow="saturate").shape == codes.shape


def test_trap_finds_the_lowest_row_at_any_number_of_threads():
    codes = np.zeros((400, 4096), np.int8)
    codes[:, 1:] = -100
    codes[[123, 124, 399]] = 0
    for threads in (1, 3):
        with pytest.raises(IntermediateOverflowError) as caught:
            lowbit.softmax(codes, scale=0.05, variant="paper", overflow="trap", threads=threads)
        assert caught.value.row == 123


def test_a_sum_that_wraps_to_zero_is_refused():
    # 2^13 equal codes, each with the exponential 16 * 2^15, add up to 2^32.
    codes = np.zeros((1, 8192), np.int8)
    for narrow in (codes, codes.astype(np.int16)):
        with pytest.raises(InputError, match="row 0: sum is 0 after an intermediate has wrapped") as caught:
            lowbit.softmax(narrow, scale=1 / 16, variant="paper")
        assert "'saturate' avoids it" in caught.value.hint


@pytest.mark.parametrize("overflow", ["wrap", "saturate", "trap"])
def test_a_variance_of_zero_has_not_wrapped(overflow):  # B9
    codes = np.array([[1, 2, 3], [5, 5, 5]], np.uint16)
    with pytest.raises(InputError, match="row 1: variance is 0, and the scheme divides by it") as caught:
        lowbit.layernorm(codes, scheme="fqvit", result_scale=0.05, overflow=overflow)
    assert "wrap" not in caught.value.hint
    assert "saturate" not in caught.value.hint


@pytest.mark.parametrize(("variant", "value"), [("tvm", 1284483683340543498125312), ("paper", None)])
def test_a_trap_says_what_it_would_have_been(variant, value):  # C6; beyond what 64 bits hold
    codes = np.full((1, 2), -450, np.int32)
    with pytest.raises(IntermediateOverflowError) as caught:
        lowbit.gelu(codes, scheme="ivit", variant=variant, overflow="trap", scale=0.05)
    assert caught.value.value > 1 << 64
    assert value in (None, caught.value.value)
    assert f"is {caught.value.value:,} and" in str(caught.value)


@pytest.mark.parametrize(("operation", "scheme"), WITH_SCALE)
def test_scales_come_back(operation, scheme):
    rng = np.random.default_rng(0)
    scale = float(np.float32(1 / 32 if operation == "softmax" else 1 / 4096))
    codes = rng.normal(0, 1.5 / scale, (50, 60)).clip(-4 / scale, 4 / scale).astype(np.int16)
    variant = "paper" if (operation, scheme) == ("gelu", "ivit") else None
    if operation == "gelu" and scheme == "ivit":
        codes, scale = (codes * scale * 16).astype(np.int8), 1 / 16
    got, unit = getattr(lowbit, operation)(codes, scheme=scheme, scale=scale, variant=variant, return_scale=True)
    values = codes * scale
    if operation == "softmax":
        exact = np.exp(values - values.max(-1, keepdims=True))
        exact /= exact.sum(-1, keepdims=True)
    else:
        from math import erf

        exact = values * (1 + np.vectorize(erf)(values / np.sqrt(2))) / 2
    limit = {"ivit": 0.35 if operation == "gelu" else 0.06, "ibert": 0.03, "lowbit": 6e-4}[scheme]
    assert np.abs(got * unit - exact).max() < limit


@pytest.mark.parametrize("scheme", ["ivit", "ibert", "lowbit"])
def test_layernorm_scale_comes_back(scheme):
    rng = np.random.default_rng(0)
    codes = rng.normal(0, 3000, (50, 192)).astype(np.int16)
    gamma, beta = rng.normal(1, 0.2, 192), rng.normal(0, 0.5, 192)
    got, unit = lowbit.layernorm(codes, scheme=scheme, gamma=gamma, beta=beta, return_scale=True)
    exact = (codes - codes.mean(-1, keepdims=True)) / codes.std(-1, keepdims=True) * gamma + beta
    assert np.abs(got * unit - exact).max() < 1e-3


def test_fqvit():
    # exp(0) against exp(-0.05 * 100): 1 / (1 + e^-5) and its complement, as -log2 rounded.
    assert lowbit.softmax([0, -100], scheme="fqvit", scale=0.05).tolist() == [0, 7]
    far = np.array([0, -1000, -2000], np.int16)
    assert lowbit.softmax(far, scheme="fqvit", scale=0.05).tolist() == [0, 16, 16]
    assert lowbit.softmax(far, scheme="fqvit", scale=0.05, variant="paper").tolist() == [0, 15, 15]
    with pytest.raises(InputError, match="too small for rows"):
        lowbit.softmax(np.zeros((1, 4096), np.int8), scheme="fqvit", scale=4e-4)
    codes = np.array([[4, -4, 8, -8]], np.int8)
    assert lowbit.layernorm(codes, scheme="fqvit", result_scale=0.1).tolist() == [[6, -6, 13, -13]]
    with pytest.raises(InputError, match="result_scale"):
        lowbit.layernorm(codes, scheme="fqvit")
    with pytest.raises(InputError, match="factors must lie"):
        lowbit.layernorm(codes, scheme="fqvit", result_scale=0.1, factors=4)
    for overflow in ("wrap", "trap"):
        with pytest.raises(InputError, match="row 0: variance is 0"):
            lowbit.layernorm([[3, 3]], scheme="fqvit", result_scale=0.1, overflow=overflow)


def test_zero_gamma_is_refused():
    with pytest.raises(InputError, match=r"gamma\[2\] = 0"):
        lowbit.layernorm(ROW, gamma=[1, 1, 0, 1])
    with pytest.raises(InputError, match="shape"):
        lowbit.layernorm(ROW, gamma=[1, 1])
    with pytest.raises(InputError, match="finite"):
        lowbit.layernorm(ROW, beta=[1, 1, np.nan, 1])


def test_scalars_and_ml_dtypes():
    ml_dtypes = pytest.importorskip("ml_dtypes")
    assert lowbit.gelu(0, scale=0.1) == 0
    codes = np.array([-8, 7, 0], ml_dtypes.int4)
    assert lowbit.softmax(codes, scale=0.5).tolist() == lowbit.softmax([-8, 7, 0], scale=0.5).tolist()


def test_lowbits_own_scheme_never_overflows():
    rng = np.random.default_rng(0)
    for scale in (1e-6, 0.002, 0.05, 1.0, 30.0):
        for dtype in (np.int8, np.int16):
            codes = rng.integers(np.iinfo(dtype).min, np.iinfo(dtype).max, (20, 500)).astype(dtype)
            for name in ("softmax", "gelu", "layernorm"):
                getattr(lowbit, name)(codes, scheme="lowbit", scale=scale, overflow="trap")


RECORDS = [record for operation in OPERATIONS for record in schemes(operation).values()]


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: f"{record.operation}-{record.id}")
def test_every_record_is_whole(record):
    """Its functions exist on every floor, its intermediates are declared once, its examples are ones that it takes."""
    floors = ("ops", "oracle", "proof") if record.audited else ("ops", "oracle")
    assert all(callable(resolve(floor, record.home)) for floor in floors)
    assert set(record.operands) <= set(record.options)
    assert record.examples or not OPERATIONS[record.operation].has_vectors
    for variant in record.variants:
        for bits in (None, *record.bits):
            names = [step.name for step in record.with_parameters(variant, bits=bits).widths.steps]
            assert len(set(names)) == len(names)
            assert names[-1] in ("result", "exponential")
            assert all(1 <= step.bits <= 64 for step in record.with_parameters(variant, bits=bits).widths.steps)
    for example in record.examples:
        assert set(example.parameters) <= {"scale", *record.options}
        assert set(example.variants) in (set(), set(record.variants))
        assert record.needs_scale(example.parameters) == ("scale" in example.parameters)
        assert example.bits is None or example.bits in record.bits


def test_the_default_scheme_is_one():
    for operation in OPERATIONS.values():
        assert operation.scheme in schemes(operation.name)
    with pytest.raises(InputError, match=r"(?s)unknown operation: 'sofmax'.*did you mean 'softmax'"):
        get_scheme("sofmax", "ivit")
    with pytest.raises(InputError, match="no intermediate"):
        get_scheme("softmax", "ivit").with_parameters().widths["summ"]


@pytest.mark.parametrize("name", OPERATIONS)
def test_docstrings_describe_every_argument_and_scheme(name):
    """What the functions share is written into their docstrings: numpydoc and help() show the whole."""
    function = resolve("ops", OPERATIONS[name].function)
    section = re.compile(r"^    (\w+)\n    -{4,}\n(.*?)(?=^    \w+\n    -{4,}\n|\Z)", re.MULTILINE | re.DOTALL)
    sections = dict(section.findall(function.__doc__))
    assert {"Parameters", "Returns", "Raises", "Notes", "Examples"} <= set(sections)
    described = re.findall(r"^    \*{0,2}(\w+)(?: :.*)?\n        ", sections["Parameters"], re.MULTILINE)
    assert described == list(inspect.signature(function).parameters)
    assert all(f'- "{scheme}"' in sections["Parameters"] for scheme in schemes(name))
    assert not re.search(r"^ *\{\w+\}$", function.__doc__, re.MULTILINE)
    assert all(len(line) <= 120 for line in function.__doc__.splitlines())


def test_intermediate_limits():
    step = Intermediate("x", 8)
    assert (step.low, step.high, step.wrapped(128), step.wrapped(-129), step.wrapped(300)) == (-128, 127, -128, 127, 44)
    plain = Intermediate("x", 8, signed=False)
    assert (plain.low, plain.high, plain.wrapped(256), plain.wrapped(-1)) == (0, 255, 0, 255)


@pytest.mark.parametrize("scale", [2.0, 10.0, 1e30])
@pytest.mark.parametrize(("name", "scheme"), [("softmax", "ibert"), ("softmax", "fqvit"), ("exp", "ibert")])
def test_scales_for_which_i_exp_is_zero(name, scheme, scale):
    """c = floor(c/a / scale^2) is 0 from 1.67 on, and the code divides by the largest exponential, c * 2^30."""
    with pytest.raises(InputError, match="c from 1"):
        getattr(lowbit.fixed_point if name == "exp" else lowbit, name)(
            np.array([[-3, 0]], np.int8), scheme=scheme, scale=scale
        )


@pytest.mark.parametrize("overflow", [["wrap"], None, 0, "clamp"])
def test_unknown_overflow(overflow):
    with pytest.raises(InputError, match="unknown overflow"):
        lowbit.softmax(np.zeros((1, 2), np.int8), scale=0.1, overflow=overflow)


@pytest.mark.parametrize("bits", [8.0, "8", True, 9])
def test_bits_of_tflite_s_softmax(bits):
    for scheme in ("tflite_int8", "litert_int8"):
        with pytest.raises(InputError, match="bits"):
            lowbit.softmax(np.zeros((1, 2), np.int8), scheme=scheme, scale=0.1, bits=bits)


REAL = {
    "softmax": lambda x: np.exp(x) / np.exp(x).sum(-1, keepdims=True),
    "gelu": lambda x: x * (1 + np.vectorize(math.erf)(x / math.sqrt(2))) / 2,
    "layernorm": lambda x: (x - x.mean(-1, keepdims=True)) / x.std(-1, keepdims=True),
    "rmsnorm": lambda x: x / np.sqrt((x**2).mean(-1, keepdims=True)),
    "logistic": lambda x: 1 / (1 + np.exp(-x)),
    "tanh": np.tanh,
    "exp": np.exp,
    "l2norm": lambda x: x / np.sqrt((x**2).sum(-1, keepdims=True)),
}
"""What each operation approximates."""


WITHOUT_REAL = {
    ("layernorm", "tflite_int16", "double_rounding"): "does not say what its results are worth",
    ("layernorm", "tflite_int16", "single_rounding"): "does not say what its results are worth",
    ("gelu", "ibert", "code"): "is made for int32 accumulators",
    ("logistic", "tosa", ""): "looks codes up at a scale of its own",
    ("tanh", "tosa", ""): "looks codes up at a scale of its own",
}


@over([call for call in CALLS if (call[0].operation, call[0].id, call[1]) not in WITHOUT_REAL])
def test_values_of_the_results_come_back(record, variant):  # F41
    """Zero point and scale applied, so that they are what the operation approximates."""
    codes = np.array([[-90, -60, -40, -25, -12, -3, 0]], np.int16 if record.codes == "int16" else np.int8)
    scale = 1 / 32
    stated = {**record.examples[-1].parameters, **({"scale": scale} if record.takes_scale else {}), "zero_point": 0}
    stated = {name: value for name, value in stated.items() if name != "zero_point" or name in record.options}
    if record.operation == "layernorm":
        codes = codes.astype(np.int16) * 20  # ten steps of Newton's iteration do not reach the roots of small squares
    if record.id == "gemmlowp":
        stated, scale = {"integer_bits": 5}, 2.0 ** (5 - 15 if record.codes == "int16" else 5 - 31)
    call = partial(OPERATIONS[record.operation].call, codes, scheme=record.id, variant=variant or None)
    got, values = call(**stated, return_values=True)
    assert np.array_equal(got, call(**stated))
    assert (values.shape, values.dtype) == (codes.shape, np.float64)
    both = call(**stated, return_scale=True, return_values=True)
    assert np.array_equal(both[2], values)
    expected = REAL[record.operation](codes * scale)
    worst = {"gelu": 0.4, "softmax": 0.11}.get(record.operation, 0.07)
    assert np.abs(values - expected).max() < worst, (values, expected)


def test_values_where_the_scheme_does_not_say_what_they_are():
    row, ones = np.arange(8, dtype=np.int16), np.ones(8, np.int16)
    stated = {"weights": ones, "biases": ones.astype(np.int32), "multiplier": 1 << 30, "shift": 0}
    with pytest.raises(InputError, match="layernorm under tflite_int16 does not say what its results are worth"):
        lowbit.layernorm(row, scheme="tflite_int16", **stated, return_values=True)
    axis = lowbit.softmax(np.zeros((4, 2), np.int8), scheme="tflite_int8", scale=0.1, axis=0, return_values=True)[1]
    assert axis.tolist() == [[0.25, 0.25]] * 4
