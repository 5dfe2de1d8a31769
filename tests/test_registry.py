import os
import subprocess
import sys
from importlib.metadata import EntryPoint

import ml_dtypes
import numpy as np
import pytest

import lowbit
from lowbit import registry
from lowbit.errors import FormatError, UnknownFormatError
from lowbit.format_files.catalogue import Catalogue
from lowbit.registry import data_directory, families, formats, get_format, load_format
from lowbit.spec import FixedFormat, FloatFormat

ML_DTYPES = sorted(
    name
    for name in dir(ml_dtypes)
    if name.startswith(("float", "bfloat", "int", "uint")) and isinstance(getattr(ml_dtypes, name), type)
)
OURS = """
id = "float7_e3m3"
kind = "float"
bits = 7
aliases = ["Mine"]
ambiguous = ["fp7"]
[fields]
signed = true
exponent = 3
mantissa = 3
bias = 3
[specials]
zero = true
negative_zero = true
subnormals = true
infinity = []
nan = []
[defaults]
policy = "ocp_sat"
"""


@pytest.fixture(autouse=True)
def fresh_user_formats(monkeypatch):
    """Whatever a test loads is forgotten afterwards."""
    monkeypatch.setattr(registry, "_loaded", Catalogue())
    monkeypatch.delenv("LOWBIT_FORMATS", raising=False)
    registry._environment_catalogue.cache_clear()
    registry._plugin_catalogue.cache_clear()
    yield
    registry._environment_catalogue.cache_clear()
    registry._plugin_catalogue.cache_clear()


def write(directory, text=OURS, name="mine.toml"):
    path = directory / name
    path.write_text(text, encoding="utf-8")
    return path


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
    ("wrong", "right"),
    [
        ("float8_e4m3fnn", "float8_e4m3fn"),
        ("bloat16", "bfloat16"),
        ("binary8p4", "binary8p4se"),
        ("flaot32", "float32"),
        ("itn4", "int4"),
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
    "name", ["int08", "int+8", "int8.0", "", " ", "../float32", "float32.toml", "q1.02", "int\u0668"]
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
        float6_e2m3fn float6_e3m2fn float4_e2m1fn float4_e1m2 float4_e3m0 float4_e0m3 int1 uint1 int4 int16 uint16 int2_narrow int16_narrow"""
    listed = formats()
    assert set(promised.split()) <= set(listed)
    assert len(listed) == len(set(listed))
    assert not [name for name in listed if get_format(name).family in ("p3109", "fixed")]


def test_every_listed_name_is_an_id():
    for name in formats(family="all"):
        assert get_format(name).id == name


def test_filters():
    assert {get_format(name).kind for name in formats(kind="integer")} == {"integer"}
    assert {get_format(name).bits for name in formats(bits=8, family="all")} == {8}
    assert set(formats(bits=4, kind="float")) == {"float4_e2m1fn", "float4_e1m2", "float4_e3m0", "float4_e0m3"}
    assert len(formats(family="p3109", bits=8)) == 30
    assert formats(family="fixed", bits=2) == ["uq0.2", "q1.1", "uq1.1", "q2.0", "uq2.0"]
    assert len(formats(family="all")) == len(set(formats(family="all")))


def test_unknown_filters_are_refused():
    with pytest.raises(UnknownFormatError, match="kind 'block'"):
        formats(kind="block")
    with pytest.raises(UnknownFormatError, match="family 'posit'"):
        formats(family="posit")


def test_families_describe_themselves():
    found = {family.id: family for family in families()}
    assert set(found) == {"integer", "fixed", "p3109"}
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


# Formats of one's own


def test_a_loaded_format_is_known_by_its_names(tmp_path):
    path = write(tmp_path)
    fmt = load_format(path)
    assert str(fmt.max) == "30"
    assert get_format("MINE") is fmt
    assert get_format("float7_e3m3") is fmt
    assert fmt.id in formats()
    assert fmt.id in formats(bits=7, kind="float")
    with pytest.raises(UnknownFormatError, match=r"(?s)'fp7' is ambiguous.*float7_e3m3"):
        get_format("fp7")


def test_loading_again_replaces(tmp_path):
    load_format(write(tmp_path))
    load_format(write(tmp_path, OURS.replace("bias = 3", "bias = 4").replace('["Mine"]', '["other"]')))
    assert get_format("float7_e3m3").bias == 4
    assert get_format("other").bias == 4
    with pytest.raises(UnknownFormatError):
        get_format("mine")


@pytest.mark.parametrize("name", ["float8_e4m3fn", "bf16", "int4", "binary8p4se", "q3.5", "e4m3"])
def test_the_names_of_others_cannot_be_taken(tmp_path, name):
    before = None if name == "e4m3" else get_format(name)
    path = write(tmp_path, OURS.replace('"Mine"', f'"{name.upper()}"'))
    with pytest.raises(FormatError, match=f"(?is){path}: the name '{name}' .* is taken"):
        load_format(path)
    assert before is None or get_format(name) is before
    with pytest.raises(UnknownFormatError):
        get_format("float7_e3m3")


def test_two_files_cannot_share_an_id(tmp_path):
    load_format(write(tmp_path))
    with pytest.raises(FormatError, match="is taken"):
        load_format(write(tmp_path, name="again.toml"))


def test_a_family_is_not_one_format():
    with pytest.raises(FormatError, match=r"integer\.toml: family: load_format reads one format"):
        load_format(data_directory("formats") / "integer.toml")


def test_the_environment_names_files_and_directories(tmp_path, monkeypatch):
    (tmp_path / "many").mkdir()
    write(tmp_path / "many", OURS.replace("float7_e3m3", "in_directory").replace("Mine", "a"))
    single = write(tmp_path, OURS.replace("float7_e3m3", "in_file").replace("Mine", "b"))
    monkeypatch.setenv("LOWBIT_FORMATS", f"{tmp_path / 'many'}{os.pathsep}{single}")
    assert get_format("in_directory").bits == get_format("B").bits == 7
    assert {"in_directory", "in_file"} <= set(formats())
    monkeypatch.setenv("LOWBIT_FORMATS", str(single))
    with pytest.raises(UnknownFormatError):
        get_format("in_directory")


def test_the_environment_can_bring_a_family(tmp_path, monkeypatch):
    text = (data_directory("formats") / "integer.toml").read_text(encoding="utf-8")
    text = text.replace('"integer"\nkind', '"mine"\nkind').replace("int{N}", "mine{N}").replace('"ui{N}"', '"vi{N}"')
    for letter in "isu":
        text = text.replace(f'"{letter}{{N}}', f'"w{letter}{{N}}')
    text = text[: text.index("[facts]")].replace('"i{N}_', '"wi{N}_').replace('"sint{N}"', '"sm{N}"')
    monkeypatch.setenv("LOWBIT_FORMATS", str(write(tmp_path, text)))
    assert get_format("mine5").family == "mine"
    assert "mine5" in formats(family="mine")


def test_a_wrong_path_in_the_environment_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setenv("LOWBIT_FORMATS", str(tmp_path / "absent"))
    assert get_format("float8_e4m3fn").bits == 8
    with pytest.raises(FormatError, match=r"\$LOWBIT_FORMATS names .*absent, which does not exist"):
        get_format("no_such_format")


@pytest.mark.parametrize("kind", ["path", "format", "function"])
def test_entry_points(tmp_path, monkeypatch, kind):
    fmt = FloatFormat(id="float7_e3m3", bits=7, exponent_bits=3, mantissa_bits=3, bias=3, aliases=("Mine",))
    values = {"path": str(write(tmp_path)), "format": fmt, "function": lambda: [fmt]}
    monkeypatch.setattr(EntryPoint, "load", lambda self: values[kind])
    points = [EntryPoint("plugin", "package:formats", "lowbit.formats")]
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: points if group == "lowbit.formats" else [])
    assert get_format("mine").bias == 3
    assert "float7_e3m3" in formats()


# float_format


@pytest.mark.parametrize(
    ("arguments", "options", "like"),
    [
        ((4, 3), {}, "float8_e4m3"),
        ((4, 3), {"specials": "fn"}, "float8_e4m3fn"),
        ((4, 3), {"specials": "fnuz"}, "float8_e4m3fnuz"),
        ((4, 3), {"specials": "fnuz", "bias": 11}, "float8_e4m3b11fnuz"),
        ((5, 2), {"default_policy": "ocp_sat"}, "float8_e5m2"),
        ((5, 3), {"specials": "fn", "signed": False}, "float8_e5m3fnu"),
        ((2, 1), {"specials": "none"}, "float4_e2m1fn"),
        ((1, 2), {"specials": "none", "bias": 1}, "float4_e1m2"),
        ((3, 0), {"specials": "none"}, "float4_e3m0"),
        ((0, 3), {"specials": "none"}, "float4_e0m3"),
        ((8, 23), {}, "float32"),
    ],
)
def test_float_format_makes_the_known_ones(arguments, options, like):
    fmt = lowbit.float_format(*arguments, **options)
    known = get_format(like)
    primary = ("bits", "signed", "exponent_bits", "mantissa_bits", "bias", "zero", "subnormals", "infinity", "nan")
    primary += ("nan_at_negative_zero", "canonical_nan", "default_policy")
    assert {name: getattr(fmt, name) for name in primary} == {name: getattr(known, name) for name in primary}
    assert fmt.id.startswith("custom_e")


def test_float_format_names():
    assert lowbit.float_format(4, 3, bias=9, specials="fn").id == "custom_e4m3b9fn"
    assert lowbit.float_format(5, 3, specials="fn", signed=False).id == "custom_e5m3fnu"
    assert lowbit.float_format(3, 2, id="mine", default_policy="cuda").default_policy == "cuda"


@pytest.mark.parametrize(
    ("arguments", "options", "match"),
    [
        ((4, 3), {"specials": "posit"}, "specials = 'posit' is unknown"),
        ((3, 0), {"specials": "ieee"}, "needs an exponent and a mantissa"),
        ((-1, 3), {}, "negative width"),
        ((4, 3), {"specials": "fnuz", "signed": False}, "no negative zero"),
        ((4, 3), {"id": "float8_e4m3fn"}, "belongs to another format"),
        ((4, 60), {}, "outside 2..64|more than binary64"),
    ],
)
def test_float_format_refuses(arguments, options, match):
    with pytest.raises(FormatError, match=match):
        lowbit.float_format(*arguments, **options)


# Cost and concurrency


def run(code):
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_a_look_up_by_id_reads_one_file_and_needs_no_numpy():
    code = """
import pathlib, sys
read, original = [], pathlib.Path.read_text
pathlib.Path.read_text = lambda self, *a, **k: (read.append(self.name), original(self, *a, **k))[1]
import lowbit
assert lowbit.get_format("float8_e4m3fn").bits == 8
print(read, sorted({"numpy", "numba", "ml_dtypes", "importlib.metadata"} & set(sys.modules)))
"""
    assert run(code).strip() == "['float8_e4m3fn.toml'] []"


def test_the_public_names_are_lazy_and_all_there():
    code = """
import sys, lowbit
heavy = {"numpy", "numba", "scipy", "rich", "ml_dtypes"} & set(sys.modules)
missing = [name for name in lowbit.__all__ if getattr(lowbit, name, None) is None]
print(sorted(heavy), missing, "formats" in dir(lowbit))
"""
    assert run(code).strip() == "[] [] True"


def test_an_unknown_public_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'encoded'"):
        _ = lowbit.encoded


def test_the_stub_names_what_the_package_exports():
    stub = (data_directory("formats").parent / "lowbit" / "__init__.pyi").read_text(encoding="utf-8")
    assert {line.split(" as ")[1] for line in stub.splitlines() if " as " in line} == set(lowbit.__all__)


def test_many_threads_look_up_at_once():
    code = """
import threading, lowbit
names = ["E4M3FN", "int4", "binary8p4se", "float32", "bf16", "q1.7"] * 4
found, start = [], threading.Barrier(len(names))
def look(name):
    start.wait()
    found.append(lowbit.get_format(name).bits)
threads = [threading.Thread(target=look, args=(name,)) for name in names]
[thread.start() for thread in threads]; [thread.join() for thread in threads]
print(sorted(found) == sorted([8, 4, 8, 32, 16, 8] * 4), len(lowbit.families()))
"""
    assert run(code).strip() == "True 3"


def test_a_missing_data_directory_is_said():
    with pytest.raises(FormatError, match="the 'none_such' data of lowbit is missing"):
        data_directory("none_such")


def test_kinds_of_format_objects():
    assert isinstance(get_format("int4"), FixedFormat)
    assert isinstance(get_format("tf32"), FloatFormat)
