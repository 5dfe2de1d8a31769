"""Formats of one's own: load_format, $LOWBIT_FORMATS, entry points."""

import os
from importlib.metadata import EntryPoint

import pytest

from lowbit.cli import main
from lowbit.errors import FormatError, UnknownFormatError
from lowbit.format import registry
from lowbit.format.files.catalogue import Catalogue
from lowbit.format.registry import data_directory, formats, get_format, load_format
from lowbit.format.scalar import FloatFormat

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


def write_table(directory, values, more=""):
    text = f'id = "mine"\nkind = "table"\nbits = 2\nvalues = {values}\n{more}[defaults]\npolicy = "ocp_sat"\n'
    return write(directory, text)


def test_a_table_of_ones_own(tmp_path, monkeypatch, capsys):
    fmt = load_format(write_table(tmp_path, "[-1, -0.25, 0.0, inf]"))
    assert [str(value) for value in fmt.values[:3]] == ["-1", "-0.25", "0"]
    assert fmt.infinity_code() == 3
    monkeypatch.setenv("LOWBIT_FORMATS", str(tmp_path))
    assert main(["encode", "mine", "-0.6"]) == 0
    assert "-0.25" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("values", "more", "match"),
    [
        ("[0, 1, 2]", "", "3 values for 2"),
        ("[0, 1, 2, '3']", "", r"values\[3\]: '3' is not a number"),
        ("[0, 1, 2, true]", "", r"values\[3\]: True is not a number"),
        ("[0, 2, 1, 3]", "", "mine.toml: values: code 2 is worth 1, less than code 1"),
        ("[0, 2, 2, 3]", "ordered = false\n", "codes 1 and 2 are both worth 2"),
        ("[0, 1, 2, 3]", "ordered = 1\n", "ordered: 1 is not true or false"),
        ("'many'", "", "'many' is not a list"),
        ("[0, 1, 2, 3]", "[fields]\nsigned = true\n", "fields: unknown field"),
        ("[0, 1, 2, 3]", "[facts]\nmax = '4'\n", "but the fields of 'mine' give 3"),
    ],
)
def test_tables_that_are_refused(tmp_path, values, more, match):
    with pytest.raises(FormatError, match=match):
        load_format(write_table(tmp_path, values, more))
