import re

import ml_dtypes
import numpy as np
import pytest

from lowbit.errors import FormatError, InputError, UnknownFormatError
from lowbit.format import registry
from lowbit.format.files.family import Family
from lowbit.format.registry import data_directory, families, formats, get_format
from lowbit.format.scalar import FixedFormat, FloatFormat

ML_DTYPES = sorted(
    name
    for name in dir(ml_dtypes)
    if name.startswith(("float", "bfloat", "int", "uint")) and isinstance(getattr(ml_dtypes, name), type)
)


# Names


def all_aliases():
    return [(name, alias) for name in formats() for alias in (name, *get_format(name).aliases)]


def test_no_name_belongs_to_two_formats():
    owners = {}
    for name, alias in all_aliases():
        assert owners.setdefault(alias.lower(), name) == name
    ambiguous = {word for catalogue in registry._all_catalogues() for word in catalogue.ambiguous}
    assert not ambiguous & set(owners)


@pytest.mark.parametrize("change", [str, str.lower, str.upper, " {} ".format])
def test_every_alias_is_found_in_any_case(change):
    for name, alias in all_aliases():
        assert get_format(change(alias)).id == name


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("E4M3FN", "float8_e4m3fn"),
        ("__nv_fp8_e4m3", "float8_e4m3fn"),
        ("FLOAT8E4M3FN", "float8_e4m3fn"),
        ("Float8E4M3FN", "float8_e4m3fn"),
        ("ocp_e4m3", "float8_e4m3fn"),
        ("torch.float8_e4m3fn", "float8_e4m3fn"),
        ("TensorProto.FLOAT8E4M3FN", "float8_e4m3fn"),
        ("E5M2", "float8_e5m2"),
        ("ue8m0", "float8_e8m0fnu"),
        ("ue4m3", "float8_e4m3fnu"),
        ("ue5m3", "float8_e5m3fnu"),
        ("e2m1", "float4_e2m1fn"),
        ("bf16", "bfloat16"),
        ("half", "float16"),
        ("binary16", "float16"),
        ("fp32", "float32"),
        ("single", "float32"),
        ("torch.double", "float64"),
        ("np.float16", "float16"),
        ("int4_symmetric", "int4_narrow"),
        ("Binary8p4se", "binary8p4se"),
        ("Q3.5", "q3.5"),
        ("UQ0.8", "uq0.8"),
    ],
)
def test_the_names_of_the_neighbours(alias, name):
    assert get_format(alias).id == name


@pytest.mark.parametrize(
    ("name", "candidates", "figures"),
    [
        ("e4m3", ["float8_e4m3fn", "float8_e4m3", "float8_e4m3fnuz", "float8_e4m3b11fnuz"], ["448", "240", "30"]),
        ("fp8", ["float8_e4m3fn", "float8_e5m2", "float8_e8m0fnu"], ["57344", "2^127"]),
        ("float8", ["float8_e4m3fn", "float8_e5m2fnuz"], ["448"]),
        ("e3m4", ["float8_e3m4"], ["15.5"]),
        ("fp6", ["float6_e2m3fn", "float6_e3m2fn"], ["7.5", "28"]),
        ("fp4", ["float4_e2m1fn", "float4_e1m2", "float4_e3m0", "float4_e0m3"], ["6", "1.75", "16", "7"]),
        ("bf8", ["float8_e5m2", "float8_e5m2fnuz"], ["57344"]),
        ("float", ["float32", "float64"], ["3.4"]),
    ],
)
def test_ambiguous_names_list_the_candidates_and_what_tells_them_apart(name, candidates, figures):
    with pytest.raises(UnknownFormatError, match="ambiguous") as caught:
        get_format(name.upper())
    assert caught.value.code == "LB202"
    lines = caught.value.message.splitlines()[1:]
    assert set(candidates) <= {line.split()[0] for line in lines}
    assert all(f"max {figure}" in caught.value.message or f"~{figure}" in caught.value.message for figure in figures)


@pytest.mark.parametrize(
    ("name", "example"),
    [("fp8", "float8_e4m3fn"), ("e4m3", "float8_e4m3fn"), ("bf8", "float8_e5m2"), ("fp4", "float4_e2m1fn")],
)
def test_the_example_for_an_ambiguous_name_is_the_ocp_format(name, example):
    with pytest.raises(UnknownFormatError) as caught:
        get_format(name)
    assert caught.value.hint == f"name the one you mean, for example {example!r}"


@pytest.mark.parametrize("name", ["float", "e3m4"])
def test_without_an_ocp_format_there_is_no_example(name):
    with pytest.raises(UnknownFormatError) as caught:
        get_format(name)
    assert caught.value.hint == "name the one you mean"


@pytest.mark.parametrize("wrong", ["nosuch_g128", "mxfp4_g32", "int4_g0", "int4" + "_g2" * 4000])
def test_a_group_of_what_is_not_a_scalar_format_is_not_suggested(wrong):
    with pytest.raises(UnknownFormatError, match="is unknown") as caught:
        get_format(wrong)
    assert not re.search(r"'[^']*\.g\d+'", caught.value.hint)


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("float8_e4m3fnn", "float8_e4m3fn"),
        ("bloat16", "bfloat16"),
        ("binary8p4", "binary8p4se"),
        ("flaot32", "float32"),
        ("int4_g128", "int4.g128"),
        ("INT4g128", "int4.g128"),
        ("float8_e4m3fn-64", "float8_e4m3fn.g64"),
        ("itn4", "int4"),
        ("q4_0", "ggml_q4_0"),
        ("Q4_K_M", "ggml_q4_k"),
        ("IQ4_XS", "ggml_iq4_xs"),
    ],
)
def test_unknown_names_are_answered_with_the_nearest(wrong, right):
    with pytest.raises(UnknownFormatError, match="is unknown") as caught:
        get_format(wrong)
    assert repr(right) in caught.value.hint
    assert isinstance(caught.value, LookupError)


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("int0", "N = 0 is outside 1..16"),
        ("int17", "N = 17 is outside 1..16"),
        ("uint128", "and not 32 or 64"),
        ("int1_narrow", "N = 1 is outside 2..16"),
        ("q0.8", "counts|sign bit"),
        ("q60.5", "F = 5 is outside 0..4"),
        ("uq0.0", "F = 0 is outside 1..64"),
        ("binary8p8se", "P = 8 is outside 1..7"),
        ("binary2p1se", "K = 2 is outside 3..16"),
        ("binary8p0uf", "P = 0 is outside 1..8"),
    ],
)
def test_members_out_of_range_say_which_parameter(name, match):
    with pytest.raises(UnknownFormatError, match=match):
        get_format(name)


@pytest.mark.parametrize(
    "name",
    ["int08", "int+8", "int8.0", "", " ", "../float32", "float32.toml", "q1.02", "int\u0668", "a" * 300, "a/b", "a\0b"],
)
def test_spellings_that_are_no_names(name):
    with pytest.raises(UnknownFormatError, match="is unknown"):
        get_format(name)


# Formats and dtypes as names


def test_a_format_is_its_own_name():
    fmt = FloatFormat(id="mine", bits=5, exponent_bits=2, mantissa_bits=2, bias=1)
    assert get_format(fmt) is fmt
    assert get_format(get_format("int4")) == get_format("int4")


@pytest.mark.parametrize("name", ML_DTYPES)
def test_every_ml_dtypes_type_is_known(name):
    scalar = getattr(ml_dtypes, name)
    assert get_format(scalar).id == name
    assert get_format(np.dtype(scalar)).id == name


@pytest.mark.parametrize(
    ("dtype", "name"),
    [
        (np.float16, "float16"),
        (np.dtype(">f4"), "float32"),
        (np.dtype("f8"), "float64"),
        (float, "float64"),
        (np.int8, "int8"),
        (np.dtype("uint64"), "uint64"),
    ],
)
def test_numpy_dtypes(dtype, name):
    assert get_format(dtype).id == name


@pytest.mark.parametrize("name", [name for name in ML_DTYPES if name.startswith(("float", "bfloat"))])
def test_figures_are_those_of_ml_dtypes(name):
    fmt, figures = get_format(name), ml_dtypes.finfo(getattr(ml_dtypes, name))
    assert float(fmt.max.fraction()) == float(figures.max)
    assert float(fmt.smallest.fraction()) == float(figures.smallest_subnormal)
    assert float(fmt.min_normal.fraction()) == float(figures.tiny)
    assert (fmt.bits, fmt.mantissa_bits) == (figures.bits, figures.nmant)


def test_torch_dtypes():
    torch = pytest.importorskip("torch")
    assert get_format(torch.float8_e4m3fn).id == "float8_e4m3fn"
    assert get_format(torch.bfloat16).id == "bfloat16"


@pytest.mark.parametrize("wrong", [None, 8, 1.5, np.zeros(3), np.dtype("complex64"), bool, object, [1], b"float32"])
def test_what_is_no_format_is_refused(wrong):
    with pytest.raises(UnknownFormatError):
        get_format(wrong)


# Listing


def test_the_list_holds_every_format_that_is_promised():
    promised = """float64 float32 float16 bfloat16 tf32 float8_e5m2 float8_e4m3fn float8_e4m3 float8_e3m4
        float8_e4m3fnuz float8_e5m2fnuz float8_e4m3b11fnuz float8_e8m0fnu float8_e4m3fnu float8_e5m3fnu
        float6_e2m3fn float6_e3m2fn float4_e2m1fn float4_e1m2 float4_e3m0 float4_e0m3 int1 uint1 int4
        int16 uint16 int2_narrow int16_narrow"""
    listed = formats()
    blocks = """mxfp8_e4m3 mxfp8_e5m2 mxfp6_e2m3 mxfp6_e3m2 mxfp4 mxint8 nvfp4 nvfp4_16x16 fp8_1x128 fp8_128x128
        bfp8_b bfp4_b bfp2_b msfp16 msfp12 dfp16 dfp8"""
    assert set(blocks.split()) <= set(formats(kind="block")) < set(listed)
    assert set(listed) - set(formats(kind="block")) == {*formats(kind="scalar"), *formats(kind="vector")}
    assert set(promised.split()) <= set(listed)
    assert len(listed) == len(set(listed))
    assert not [name for name in listed if get_format(name).family in ("p3109", "fixed", "sign_magnitude")]


@pytest.mark.parametrize(("name", "near"), [("flaot32", []), ("int08", ["integer"]), ("binary8q3se", ["p3109"])])
def test_only_families_of_like_names_are_searched_for_what_is_meant(monkeypatch, name, near):
    # 128,128 dyadic formats took a second.
    searched, members = [], Family.members
    monkeypatch.setattr(Family, "members", lambda family: searched.append(family.id) or members(family))
    with pytest.raises(UnknownFormatError):
        get_format(name)
    assert searched == near


@pytest.mark.parametrize("step", [11, pytest.param(1, marks=pytest.mark.slow)])
def test_every_listed_name_is_an_id(step):
    for name in formats(family="all")[::step]:
        assert get_format(name).id == name


def test_filters():
    assert {get_format(name).kind for name in formats(kind="integer")} == {"integer"}
    assert set(formats(bits=4, kind="float")) == {"float4_e2m1fn", "float4_e1m2", "float4_e3m0", "float4_e0m3"}
    assert len(formats(family="p3109", bits=8)) == 30
    assert formats(family="fixed", bits=2) == ["uq0.2", "q1.1", "uq1.1", "q2.0", "uq2.0"]


@pytest.mark.slow
def test_filters_of_all_members():
    assert {get_format(name).bits for name in formats(bits=8, family="all")} == {8}
    assert len(formats(family="all")) == len(set(formats(family="all")))


def test_unknown_filters_are_refused():
    with pytest.raises(UnknownFormatError, match="kind 'posit'"):
        formats(kind="posit")
    with pytest.raises(InputError, match="bits = '8' is not an integer"):
        formats(bits="8")
    with pytest.raises(UnknownFormatError, match="family 'posit'"):
        formats(family="posit")


def test_families_describe_themselves():
    found = {family.id: family for family in families()}
    assert set(found) == {"integer", "fixed", "sign_magnitude", "dyadic", "p3109"}
    assert found["p3109"].version == "4.0"
    assert found["p3109"].names == tuple(f"binary{{K}}p{{P}}{suffix}" for suffix in ("se", "sf", "ue", "uf"))
    assert [parameter.name for parameter in found["fixed"].parameters] == ["I", "F"]
    assert all(family.source.url for family in found.values())


@pytest.mark.parametrize(
    ("name", "figures"),
    [
        ("int8_narrow", ("-127", "127", "int8", "integer")),
        ("uint1", ("0", "1", "uint8", "integer")),
        ("int64", ("-2^63", "9223372036854775807/4611686018427387904*2^62", "int64", "integer")),
        ("q1.7", ("-1", "127/64*2^-1", "int8", "fixed")),
        ("q8.0", ("-128", "127", "int8", "integer")),
        ("uq4.4", ("0", "15.9375", "uint8", "fixed")),
    ],
)
def test_fixed_point_members(name, figures):
    fmt = get_format(name)
    assert (str(fmt.min), str(fmt.max), fmt.code_dtype, fmt.kind) == figures


def test_a_missing_data_directory_is_said():
    with pytest.raises(FormatError, match="the 'none_such' data of lowbit is missing"):
        data_directory("none_such")


def test_kinds_of_format_objects():
    assert isinstance(get_format("int4"), FixedFormat)
    assert isinstance(get_format("tf32"), FloatFormat)
