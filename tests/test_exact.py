import math
import time
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lowbit.exact import (
    INFINITY,
    MINUS_INFINITY,
    NAN,
    NEGATIVE_ZERO,
    ZERO,
    Exact,
    finite,
    floor_log2,
    format_decimal,
    format_exact,
    format_hexfloat,
    from_float,
    parse_exact,
)

EXPONENTS = st.integers(-2100, 2100)
FINITE = st.builds(finite, st.integers(-(2**60), 2**60), EXPONENTS).map(Exact.reduced)
NONZERO = FINITE.filter(lambda value: value.significand != 0)


@given(FINITE)
def test_exact_printing_reads_back(value):
    assert parse_exact(format_exact(value)) == value


@given(FINITE)
def test_hexfloat_reads_back(value):
    assert parse_exact(format_hexfloat(value)) == value


@given(st.floats(allow_nan=False))
def test_hexfloat_is_pythons(value):
    assert float.fromhex(format_hexfloat(from_float(value))).hex() == value.hex()


@given(FINITE)
def test_decimal_says_when_it_is_not_the_whole_value(value):
    text = format_decimal(value)
    if text.startswith("~"):
        read = Fraction(text[1:])
        assert read != value.fraction()
        assert abs(read - value.fraction()) <= abs(value.fraction()) / 10**8
    else:
        assert parse_exact(text) == value


@given(NONZERO)
def test_floor_log2_brackets_the_value(value):
    power = Fraction(2) ** floor_log2(value)
    assert power <= abs(value.fraction()) < 2 * power


@given(NONZERO, st.integers(0, 40))
def test_reduced_is_one_form_of_a_value(value, zeros):
    same = Exact(value.kind, value.significand << zeros, value.exponent - zeros, value.negative)
    assert same.reduced() == value
    assert value.significand % 2 == 1


@given(st.floats())
def test_from_float_is_exact(value):
    exact = from_float(value)
    if math.isnan(value):
        assert exact.kind == NAN
        assert exact.significand != 0
    elif math.isinf(value):
        assert exact == (INFINITY if value > 0 else MINUS_INFINITY)
    else:
        assert exact.fraction() == Fraction(value)
        assert exact.negative == (math.copysign(1, value) < 0)


@pytest.mark.parametrize(
    ("value", "exact", "decimal", "hexfloat"),
    [
        (finite(448), "448", "448", "0x1.cp+8"),
        (finite(31, -1), "15.5", "15.5", "0x1.fp+3"),
        (finite(-1, -4), "-0.0625", "-0.0625", "-0x1p-4"),
        (finite(1, -5), "2^-5", "0.03125", "0x1p-5"),
        (finite(7, -9), "7/4*2^-7", "0.013671875", "0x1.cp-7"),
        (finite(1, 127), "2^127", "~1.70141183e+38", "0x1p+127"),
        (finite(1, -149), "2^-149", "~1.40129846e-45", "0x1p-149"),
        (finite(3, 2000), "3/2*2^2001", "3/2*2^2001", "0x1.8p+2001"),
        (ZERO, "0", "0", "0x0p+0"),
        (NEGATIVE_ZERO, "-0", "-0", "-0x0p+0"),
        (INFINITY, "inf", "inf", "inf"),
        (MINUS_INFINITY, "-inf", "-inf", "-inf"),
        (Exact(NAN, 0, 0, True), "-nan", "-nan", "-nan"),
    ],
)
def test_the_printed_forms(value, exact, decimal, hexfloat):
    assert (format_exact(value), format_decimal(value), format_hexfloat(value)) == (exact, decimal, hexfloat)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("7/4*2^-7", finite(7, -9)),
        ("-7/4*2^-7", finite(-7, -9)),
        ("1.75*2^-7", finite(7, -9)),
        (".5*2^3", finite(1, 2)),
        ("-2^3", finite(-1, 3)),
        (" 0X1.C0P-7 ", finite(7, -9)),
        ("-0x0p+5", NEGATIVE_ZERO),
        ("-0", NEGATIVE_ZERO),
        ("-0*2^4", NEGATIVE_ZERO),
        ("+1e3", finite(125, 3)),
        ("3/8", finite(3, -3)),
        ("+Infinity", INFINITY),
        ("-INF", MINUS_INFINITY),
        ("-NaN", Exact(NAN, 0, 0, True)),
    ],
)
def test_parsing(text, value):
    assert parse_exact(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0.1",
        "1/3",
        "1/0",
        "1/0*2^3",
        "0.1*2^4",
        "two",
        "2^",
        "0x10",
        "+-nan",
        "--inf",
        "1e-1",
        "2^99999999",
        "1e99999999",
    ],
)
def test_what_is_no_dyadic_number_is_refused(text):
    with pytest.raises(ValueError, match=r"exact binary number|multiple of a power of two|beyond"):
        parse_exact(text)


@pytest.mark.parametrize("value", [INFINITY, MINUS_INFINITY, Exact(NAN)])
def test_special_values_are_no_fractions(value):
    with pytest.raises(ValueError, match="not a finite number"):
        value.fraction()


LONG = "1" * 100_000


@pytest.mark.parametrize("text", [LONG, f"{LONG}*2^", f"0x{LONG}", f"1.{LONG}*"], ids=lambda text: text[-3:])
def test_the_time_to_refuse_long_text_grows_with_its_length_alone(text):
    start = time.process_time()
    with pytest.raises(ValueError, match="is not an exact binary number"):
        parse_exact(text)
    assert time.process_time() - start < 1
