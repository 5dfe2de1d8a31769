"""``lowbit encode`` and ``lowbit decode``."""

import pytest


def codes(result):
    assert result.status == 0, result.err
    return [line.split()[0] for line in result.lines]


def test_spellings_of_one_value(lowbit):
    spellings = ["0.0546875", "7/4*2^-5", "0x1.cp-5", "7/128", "0x3d600000@float32", "0x2b00@float16"]
    result = lowbit("encode", "float8_e4m3fn", *spellings)
    assert codes(result) == ["0x16"] * len(spellings)
    assert result.err == ""


def test_negative_values_are_no_options(lowbit):
    values = ["-1", "-0.5", "-7/4*2^-5", "-0x1p-3", "-inf", "-.25", "-nan", "-0"]
    assert codes(lowbit("encode", "float8_e5m2", *values)) == [
        "0xbc",
        "0xb8",
        "0xab",
        "0xb0",
        "0xfb",
        "0xb4",
        "0xfe",
        "0x80",
    ]


@pytest.mark.parametrize("text", ["1_0", "\u0663", "1_0/3", "0x1_0p3", "0.\u0661", "2^1_0"])
def test_numbers_are_ascii_digits_without_underscores(lowbit, text):
    result = lowbit("encode", "float8_e4m3fn", text)
    assert result.status == 2
    assert "is not a value" in result.err


@pytest.mark.parametrize("text", ["1_0", "\u0663", "0x\u0663"])
def test_codes_are_ascii_digits(lowbit, text):
    result = lowbit("decode", "float8_e4m3fn", text)
    assert result.status == 2
    assert "is not a code of float8_e4m3fn" in result.err


def test_split_bits_have_the_widths_of_the_fields(lowbit):
    assert codes(lowbit("decode", "float8_e4m3fn", "0.0111.100", "0b0_0111_100", "0b0.0111.100")) == ["0x3c"] * 3
    for text in ("0.0111.000.1", "0.0111.00", "0.111.1000", "00111.100", "0.0112.100", "0.0111.10_0", "."):
        result = lowbit("decode", "float8_e4m3fn", text)
        assert result.status == 2
        assert "the fields have other widths (sign 1, exponent 4, mantissa 3)" in result.err
        assert "0.0000.000" in result.err


@pytest.mark.parametrize(
    "verb",
    [
        ("encode", "float8_e4m3fn", "1"),
        ("gen", "encode", "--to", "float8_e4m3fn", "--expected"),
        ("check", "encode", "--from", "float32", "--to", "float8_e4m3fn", "--python", "none:none"),
    ],
)
@pytest.mark.parametrize("value", ["x", "", "8.0", "\u0663", "-1", "8_0"])
def test_random_bits_of_the_command_line_are_a_number(lowbit, verb, value):
    result = lowbit(*verb, "--rounding", "stochastic_a", "--choice", f"random_bits={value}")
    assert result.status == 2
    assert f"random_bits = {value!r} is not an integer" in result.err


@pytest.mark.parametrize("option", [("--seed", "1_0"), ("--n", "\u0663"), ("--n", "1.5")])
def test_options_are_decimal_integers(lowbit, option):
    result = lowbit("gen", "encode", "--to", "float8_e4m3fn", "--set", "random", *option)
    assert result.status == 2
    assert f"{option[1]!r} is not a decimal integer" in result.err


def test_an_error_does_not_steer_the_terminal(lowbit):
    result = lowbit("encode", "float8_e4m3fn\x1b]0;title\x07", "1")
    assert result.status == 2
    assert "\x1b]" not in result.err
    assert "\\x1b]0;title\\x07" in result.err


def test_a_rounded_input_is_said(lowbit):
    result = lowbit("encode", "float16", "0.1")
    assert codes(result) == ["0x2e66"]
    assert "note: 0.1 is not a float64 value: taken as 0x1.999999999999ap-4" in result.err
    # 1 + 2^-11 + 2^-30 lies above a tie of float16; rounded to float32 first it is the tie.
    nearly = "1.000488282181322574615478515625"
    assert codes(lowbit("encode", "float16", nearly)) == ["0x3c01"]
    through = lowbit("encode", "float16", nearly, "--from", "float32")
    assert codes(through) == ["0x3c00"]
    assert "is not a float32 value" in through.err


def test_exact_values_beyond_float64(lowbit):
    result = lowbit("encode", "binary16p1se", "2^5000", "--from", "exact")
    assert result.status == 0
    assert "2^5000" in result.out
    refused = lowbit("encode", "float16", "0.1", "--from", "exact")
    assert refused.status == 2
    assert "not a binary fraction" in refused.err


@pytest.mark.parametrize(
    "text", ["abc", "0x3c", "1/0", "", "1e999999999", "2^999999999", "0x1p-99999999", "0x100@float8_e5m2"]
)
def test_bad_values(lowbit, text):
    result = lowbit("encode", "float8_e5m2", text)
    assert result.status == 2
    assert "error[LB400]" in result.err


def test_policies(lowbit):
    assert codes(lowbit("encode", "float8_e5m2", "1e9")) == ["0x7b"]
    assert codes(lowbit("encode", "float8_e5m2", "1e9", "--policy", "ocp_nosat")) == ["0x7c"]
    assert codes(lowbit("encode", "float8_e5m2", "1e9", "--overflow", "nan")) == ["0x7e"]
    assert codes(lowbit("encode", "float8_e4m3fn", "1.0625", "--rounding", "nearest_away")) == ["0x39"]
    assert codes(lowbit("encode", "float8_e4m3fn", "-0", "--choice", "negative_zero=positive")) == ["0x00"]
    stochastic = ["--rounding", "stochastic_a", "--choice", "random_bits=1"]
    assert codes(lowbit("encode", "float8_e4m3fn", "1.0625", *stochastic, "--random", 0)) == ["0x38"]
    assert codes(lowbit("encode", "float8_e4m3fn", "1.0625", *stochastic, "--random", 1)) == ["0x39"]


def test_explain_shows_the_arithmetic(lowbit):
    lines = lowbit("encode", "float8_e4m3fn", "0x3c100000@float32", "--explain").lines
    assert [line.split()[0] for line in lines] == [
        "value", "above", "midpoint", "below", "policy", "rule", "result", "flags",
    ]  # fmt: skip
    assert "9/8*2^-7 = 0.0087890625" in lines[0]
    assert lines[1].endswith("0x05  0.0000.101")
    assert "a tie" in lines[2]
    assert lines[3].endswith("0x04  0.0000.100")
    assert "even" in lines[5]
    assert lines[6].endswith("0x04  0.0000.100")
    assert "inexact" in lines[7]


def test_explain_of_an_exact_value_has_no_neighbours(lowbit):
    names = [line.split()[0] for line in lowbit("encode", "float8_e4m3fn", "1.5", "--explain").lines]
    assert names == ["value", "policy", "rule", "result", "flags"]


def test_explain_shows_the_first_rounding(lowbit):
    result = lowbit("encode", "float8_e4m3fn", "1.062500000001", "--policy", "ml_dtypes", "--explain")
    assert "to float32 first" in result.out
    assert codes(lowbit("encode", "float8_e4m3fn", "1.062500000001")) == ["0x39"]
    assert codes(lowbit("encode", "float8_e4m3fn", "1.062500000001", "--policy", "ml_dtypes")) == ["0x38"]


def test_json(lowbit):
    document = lowbit("encode", "float8_e5m2", "0.1", "1e9", "--output-format", "json").json
    assert document["policy"] == "ocp_sat"
    first, second = document["results"]
    assert (first["code"], first["result"]["exact"], first["flags"]) == ("0x2e", "3/2*2^-4", ["inexact"])
    assert (second["code"], second["flags"]) == ("0x7b", ["overflow", "inexact"])
    assert (first["value"]["decimal"], second["value"]["decimal"]) == (0.1, 1e9)


def test_decode_reads_every_spelling(lowbit):
    result = lowbit("decode", "float8_e4m3fn", "0x3c", "0b0_0111_100", "0.0111.100", "60")
    assert codes(result) == ["0x3c"] * 4
    assert result.lines[0].split() == ["0x3c", "0.0111.100", "normal", "1.5", "0x1.8p+0", "1.5"]


def test_decode_signed_codes(lowbit):
    document = lowbit("decode", "int4", "0xf", "-8", "0b1000", "7", "--output-format", "json").json
    assert [entry["decimal"] for entry in document["results"]] == [-1, -8, -8, 7]
    assert lowbit("decode", "int4", "8").status == 2
    assert lowbit("decode", "int4_narrow", "0x8").status == 2


def test_decode_specials(lowbit):
    document = lowbit("decode", "float8_e5m2", "0x80", "0x7c", "0xfc", "0x7f", "--output-format", "json").json
    assert [entry["exact"] for entry in document["results"]] == ["-0", "inf", "-inf", "nan"]
    assert str([entry["decimal"] for entry in document["results"]]) == "[-0.0, None, None, None]"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--rounding", "stochastic_a", "--choice", "random_bits=4"], "needs --random R, 0 <= R < 2**4"),
        (["--rounding", "stochastic_b", "--choice", "random_bits=4", "--random", "16"], "outside 0 <= R < 2**4"),
        (["--rounding", "stochastic_c", "--choice", "random_bits=4", "--random", "-1"], "outside 0 <= R < 2**4"),
        (["--random", "3"], "rounding 'nearest_even' uses none"),
    ],
)
def test_the_random_integer_is_never_assumed(lowbit, words, message):
    result = lowbit("encode", "float4_e2m1fn", "1.3", *words)
    assert (result.status, result.out) == (2, "")
    assert message in result.err
