"""The files of presets: valid, complete, and the choices that they stood for when they were last looked at."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import jsonschema
import pytest

from lowbit.errors import PolicyError
from lowbit.format.registry import formats, get_format
from lowbit.policy.accumulator import ACCUMULATORS, Accumulator
from lowbit.policy.block import BLOCK_PRESETS, BlockPolicy
from lowbit.policy.cast import CAST_PRESETS, Policy
from lowbit.policy.presets import EVIDENCE, reader
from lowbit.policy.presets.reader import read_presets
from lowbit.policy.requantize import REQUANTIZE_SCHEMES, RequantizeScheme

FOLDER = Path(reader.__file__).parent
FILES = sorted(FOLDER.glob("*.toml"))
VOCABULARIES = {
    "block": (BlockPolicy, BLOCK_PRESETS),
    "cast": (Policy, CAST_PRESETS),
    "accumulator": (Accumulator, ACCUMULATORS),
    "requantize": (RequantizeScheme, REQUANTIZE_SCHEMES),
}
ENTRIES = [(name, preset) for name, (_, presets) in VOCABULARIES.items() for preset in presets]


@pytest.fixture(scope="module")
def validator():
    schema = json.loads((FOLDER / "schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_file_is_valid(path, validator):
    document = tomllib.loads(path.read_text(encoding="utf-8"))
    assert [error.message for error in validator.iter_errors(document)] == []
    assert list(VOCABULARIES[path.stem][1]) == list(document)


def test_the_schema_refuses_what_the_reader_refuses(validator):
    assert not validator.is_valid({"mine": {}})
    assert not validator.is_valid({"mine": {"summary": "x", "choice": {}}})
    assert not validator.is_valid({"mine": {"summary": "x", "product": "y"}})
    assert not validator.is_valid({"mine": {"summary": "x", "product": "y", "evidence": "hearsay"}})
    assert not validator.is_valid({"mine": {"summary": "x", "choices": {"width": 8.5}}})
    assert not validator.is_valid({"mine": {"summary": "x", "overrides": [{"choices": {"width": 8}}]}})


def test_choices_are_what_they_were():
    # A line for each preset and override: a changed choice is a changed bit, which CHANGELOG.md has to mention.
    lines = (Path(__file__).parent / "presets.txt").read_text(encoding="utf-8").splitlines()
    assert len(lines) >= 150
    for line in lines:
        vocabulary, place, choices = line.split(" ", 2)
        kind, presets = VOCABULARIES[vocabulary]
        name, _, target = place.partition("/")
        overrides = presets.overrides.get(name, {})
        preset = overrides.get(target, presets[name])
        values = {
            axis: tuple(value) if isinstance(value, list) else value for axis, value in json.loads(choices).items()
        }
        plain = kind(**values)
        assert preset == kind(**values, name=name), line
        assert [getattr(preset, axis) for axis in kind.CHOICES] == [getattr(plain, axis) for axis in kind.CHOICES], line


def test_the_defaults_of_formats_are_there():
    # `name in CAST_PRESETS` is answered for these without reading the file: every format is asked for its default.
    usual = {fmt.default_policy for fmt in map(get_format, (*formats(kind="scalar"), "binary8p4se", "q3.5"))}
    assert usual <= set(CAST_PRESETS._usual) <= set(CAST_PRESETS)
    blocks = {fmt.default_policy for fmt in map(get_format, (*formats(kind="block"), "int4.g128"))}
    assert blocks <= set(BLOCK_PRESETS._usual) <= set(BLOCK_PRESETS)


@pytest.mark.parametrize(("vocabulary", "name"), ENTRIES)
def test_every_claim_is_whole(vocabulary, name):
    _, presets = VOCABULARIES[vocabulary]
    claim = presets.claims[name]
    assert claim.summary
    assert presets.summaries[name] == claim.summary
    assert claim.evidence in EVIDENCE if claim.product else not (claim.evidence or claim.version or claim.source)
    assert bool(claim.source) or claim.evidence in ("", "fitted")
    for target in presets.overrides.get(name, {}):
        assert target == "integer" or get_format(target).id == target


def read(tmp_path, text, kind=Policy):
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return read_presets(kind, path)


def test_a_base_may_come_later_and_overrides_start_from_the_preset(tmp_path):
    file = read(
        tmp_path,
        '[b]\nsummary = "x"\nbase = "a"\nchoices = { overflow = "nan" }\n[[b.overrides]]\ntargets = ["int4"]\n'
        'choices = { nan = "zero" }\n[[b.overrides]]\ntargets = ["int8"]\nbase = "default"\n'
        '[a]\nsummary = "y"\nchoices = { rounding = "to_odd" }\ndefects = ["e8m0_lowest_binade"]\n',
    )
    assert file.presets["b"] == Policy(rounding="to_odd", overflow="nan", defects=("e8m0_lowest_binade",), name="b")
    assert file.overrides["b"]["int4"].differences(file.presets["b"]) == {"nan": ("zero", "maximum")}
    assert file.overrides["b"]["int8"] == Policy(name="b")
    assert list(file.overrides) == ["b"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[a", "cannot be read"),
        ("a = 1", "a: 1 is not a table"),
        ("[a]", "a.summary: the field is missing"),
        ('[a]\nsummary = "x"\nbasis = "b"', "a.basis: unknown field.*did you mean 'base'"),
        ('[a]\nsummary = "x"\nbase = "b"', "a.base: 'b' is not a preset"),
        ('[a]\nsummary = "x"\nbase = "a"', "a.base: a -> a is a circle"),
        ('[a]\nsummary = "x"\nbase = "b"\n[b]\nsummary = "x"\nbase = "a"', "b.base: a -> b -> a is a circle"),
        ('[a]\nsummary = "x"\nchoices = { roundin = "to_odd" }', "a.choices.roundin: unknown field.*did you mean"),
        ('[a]\nsummary = "x"\nchoices = { rounding = "odd" }', "a.choices: rounding = 'odd' is unknown"),
        ('[a]\nsummary = "x"\nchoices = { name = "b" }', "a.choices.name: unknown field"),
        ('[a]\nsummary = "x"\ndefects = ["none"]', "a.choices: defects = 'none' is unknown"),
        ('[a]\nsummary = "x"\ndefects = [3]', "a.defects: 3 is not a string"),
        ('[a]\nsummary = "x"\nproduct = "y"', "a.evidence: '' is not how a claim is founded"),
        ('[a]\nsummary = "x"\nproduct = "y"\nevidence = "hearsay"', "a.evidence: 'hearsay' is not"),
        ('[a]\nsummary = "x"\n[[a.overrides]]\ntarget = ["int4"]', r"a.overrides\[0\].target: unknown field"),
        ('[a]\nsummary = "x"\n[[a.overrides]]\nchoices = { nan = "none" }', r"a.overrides\[0\].choices: nan = 'none'"),
    ],
)
def test_a_damaged_file_says_where(tmp_path, text, message):
    with pytest.raises(PolicyError, match=rf"(?s)mine.toml:? ?{message}"):
        read(tmp_path, text)


def test_presets_are_read_when_they_are_asked_for():
    code = (
        "import sys, lowbit; lowbit.CAST_PRESETS, lowbit.ACCUMULATORS, lowbit.REQUANTIZE_SCHEMES; "
        "from lowbit.policy.presets import reader; files = []; plain = reader.read_presets; "
        "reader.read_presets = lambda kind, path: files.append(path.stem) or plain(kind, path); "
        "lowbit.Policy().choose(overflow='nan'); assert files == [], files; "
        "lowbit.CAST_PRESETS['ieee'], lowbit.get_policy('cuda'), len(lowbit.CAST_PRESETS.overrides); "
        "assert files == ['cast'], files"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
