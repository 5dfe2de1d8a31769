"""The files of formats/: valid, complete, and true to what their sources print."""

import json
import tomllib
from dataclasses import replace
from fractions import Fraction
from math import isfinite, isinf, isnan
from pathlib import Path

import jsonschema
import pytest

import lowbit
from lowbit.errors import FormatError
from lowbit.format.files.document import read_document, read_format
from lowbit.format.files.facts import MEANINGS, derive, parse_fact
from lowbit.format.files.formula import evaluate, evaluate_integer
from lowbit.format.files.patterns import parse_pattern
from lowbit.format.registry import data_directory, families, formats, get_format
from lowbit.policy.block import BLOCK_PRESETS
from lowbit.policy.cast import CAST_PRESETS
from lowbit.quantizers.pyramid import vector_count

DIRECTORY = data_directory("formats")
FILES = sorted(DIRECTORY.glob("*.toml"))
NAMED = [path.stem for path in FILES if "id" in tomllib.loads(path.read_text(encoding="utf-8"))]


def load(path):
    return tomllib.loads(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def validator():
    schema = json.loads((DIRECTORY / "schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_file_is_valid(path, validator):
    assert [error.message for error in validator.iter_errors(load(path))] == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_file_has_its_name_a_source_and_facts(path):
    document = load(path)
    assert path.stem == document.get("id", document.get("family"))
    assert document["source"]["url"].startswith("https://")
    assert document["facts"]
    assert document["summary"]
    assert document["defaults"]["policy"] in (BLOCK_PRESETS if document["kind"] == "block" else CAST_PRESETS)


def test_the_schema_refuses_what_the_loader_refuses(validator):
    document = load(DIRECTORY / "float8_e4m3fn.toml")
    assert validator.is_valid(document)
    assert not validator.is_valid({**document, "biass": 7})
    assert not validator.is_valid({**document, "bits": "8"})
    assert not validator.is_valid({**document, "kind": "decimal"})
    assert not validator.is_valid({**document, "facts": {"maximum": "448"}})
    assert not validator.is_valid({key: value for key, value in document.items() if key != "specials"})


def test_the_schema_knows_every_fact():
    schema = json.loads((DIRECTORY / "schema.json").read_text(encoding="utf-8"))
    assert set(schema["$defs"]["facts"]["properties"]) == set(MEANINGS)


def printed_facts():
    """The figures of scalar formats; those of block formats follow from them."""
    documents = {name: load(DIRECTORY / f"{name}.toml") for name in NAMED}
    scalars = {name: document for name, document in documents.items() if document["kind"] != "block"}
    rows = [(name, fact, text) for name, document in scalars.items() for fact, text in document["facts"].items()]
    for family in families():
        rows += [(member, fact, text) for member, facts in family.facts.items() for fact, text in facts.items()]
    return rows


def enumerated_figure(fmt, fact):
    """A fact from the decoded values of every code; None where it counts or bounds nothing that is there."""
    if fmt.kind == "table":
        values = [float(value) for value in load(DIRECTORY / f"{fmt.id}.toml")["values"]]
        numbers = {value for value in values if isfinite(value)}
        positive = min(value for value in numbers if value > 0)
        figures = {"max": max(numbers), "min": min(numbers), "smallest": positive, "finite_values": len(numbers)}
        return {**figures, "nan_codes": sum(map(isnan, values)), "infinity_codes": sum(map(isinf, values))}[fact]
    if fmt.kind == "vector":  # a pyramid: Fischer's recursion, and ends that are all pulses at one place
        parts = load(DIRECTORY / f"{fmt.id}.toml")["pyramid"]
        count = vector_count(parts["dimension"], parts["pulses"])
        ends = {"max": parts["pulses"], "min": -parts["pulses"]}
        return {**ends, "vectors": count, "dimension": parts["dimension"]}[fact]
    if fmt.kind != "float":
        ends = [code * Fraction(1, 2**fmt.fraction_bits) for code in (fmt.min_code, fmt.max_code)]
        return {"min": ends[0], "max": ends[1], "finite_values": fmt.max_code - fmt.min_code + 1}[fact]
    positive = [fmt.magnitude(code).fraction() for code in range(fmt.max_code + 1)]
    normal = [value for code, value in enumerate(positive) if code >> fmt.mantissa_bits or not fmt.subnormals]
    subnormal = [value for value in positive if value and value not in normal]
    everything = set(positive) | {-value for value in positive if fmt.signed}
    figures = {
        "max": max(everything),
        "min": min(everything),
        "smallest": min(value for value in positive if value),
        "finite_values": len(everything),
        "min_normal": min(normal, default=None),
        "max_subnormal": max(subnormal, default=None),
        "min_subnormal": min(subnormal, default=None),
        "precision": fmt.mantissa_bits + 1,
        "nan_codes": 2**fmt.bits - len(everything) - fmt.infinity_count - int(fmt.negative_zero),
        "infinity_codes": sum(code % 2**fmt.magnitude_bits == fmt.infinity for code in range(2**fmt.bits)),
    }
    figures["max_exponent"] = len(bin(int(figures["max"]))) - 3
    figures["min_exponent"] = -(len(bin(int(1 / figures["min_normal"]))) - 3) if figures["min_normal"] else None
    return figures[fact]


SMALL_FACTS = [row for row in printed_facts() if get_format(row[0]).bits <= 8 or get_format(row[0]).kind != "float"]


@pytest.mark.parametrize(("name", "fact", "text"), SMALL_FACTS)
def test_facts_follow_from_the_codes(name, fact, text):
    assert parse_fact(text, fact) == enumerated_figure(get_format(name), fact)


@pytest.mark.parametrize(("name", "fact", "text"), [row for row in printed_facts() if row not in SMALL_FACTS])
def test_facts_of_wide_formats_follow_from_the_fields(name, fact, text):
    # Clause 3.3 of IEEE 754-2019: emax, emin and p give everything else.
    document = load(DIRECTORY / f"{name}.toml")
    mantissa, bias = document["fields"]["mantissa"], document["fields"]["bias"]
    ulp = Fraction(1, 2**mantissa)
    top = 2 ** document["fields"]["exponent"] - 2 - bias
    expected = {
        "precision": mantissa + 1,
        "max_exponent": top,
        "min_exponent": 1 - bias,
        "max": (2 - ulp) * Fraction(2) ** top,
        "min_normal": Fraction(2) ** (1 - bias),
        "min_subnormal": ulp * Fraction(2) ** (1 - bias),
    }
    assert parse_fact(text, fact) == expected[fact]


# Of the value tables published with the P3109 interim report v4.0: bias, largest finite value and its code.
P3109_EIGHT_BITS = {
    "se": [
        (64, "2^62", 0x7E),
        (32, "2^31", 0x7E),
        (16, "49152", 0x7E),
        (8, "224", 0x7E),
        (4, "15", 0x7E),
        (2, "3.875", 0x7E),
        (1, "63/32", 0x7E),
    ],
    "sf": [
        (64, "2^63", 0x7F),
        (32, "3*2^30", 0x7F),
        (16, "57344", 0x7F),
        (8, "240", 0x7F),
        (4, "15.5", 0x7F),
        (2, "3.9375", 0x7F),
        (1, "127/64", 0x7F),
    ],
    "ue": [
        (128, "2^125", 0xFD),
        (64, "3*2^61", 0xFD),
        (32, "5*2^29", 0xFD),
        (16, "53248", 0xFD),
        (8, "232", 0xFD),
        (4, "15.25", 0xFD),
        (2, "3.90625", 0xFD),
        (1, "253/128", 0xFD),
    ],
    "uf": [
        (128, "2^126", 0xFE),
        (64, "2^63", 0xFE),
        (32, "3*2^30", 0xFE),
        (16, "57344", 0xFE),
        (8, "240", 0xFE),
        (4, "15.5", 0xFE),
        (2, "3.9375", 0xFE),
        (1, "127/64", 0xFE),
    ],
}


@pytest.mark.parametrize(
    ("suffix", "precision", "bias", "largest", "code"),
    [(suffix, p, *row) for suffix, rows in P3109_EIGHT_BITS.items() for p, row in enumerate(rows, 1)],
)
def test_p3109_of_eight_bits(suffix, precision, bias, largest, code):
    fmt = get_format(f"binary8p{precision}{suffix}")
    assert (fmt.bias, fmt.max_code) == (bias, code)
    assert fmt.max.fraction() == parse_fact(largest, "max")
    assert fmt.smallest.fraction() == Fraction(2) ** (2 - precision - bias)
    assert fmt.nan_count == 1
    assert fmt.infinity_count == {"se": 2, "ue": 1}.get(suffix, 0)
    assert fmt.canonical_nan == (0x80 if fmt.signed else 0xFF)
    # 3.1 and annex B: 1.0 stands in the middle of the positive codes.
    assert fmt.magnitude(0x40 if fmt.signed else 0x80).fraction() == 1


def test_p3109_has_all_its_members():
    # Signed precisions are 1..K-1, unsigned ones 1..K, each extended and finite.
    members = formats(family="p3109")
    assert len(members) == len(set(members)) == sum(4 * bits - 2 for bits in range(3, 17))
    assert {get_format(name).family for name in members} == {"p3109"}
    assert all(fact in MEANINGS for name in members[::7] for fact in derive(get_format(name)))


@pytest.mark.parametrize(("left", "right"), [("float8_e4m3fnuz", "binary8p4sf"), ("float8_e5m2fnuz", "binary8p3sf")])
def test_fnuz_formats_are_p3109_finite_ones(left, right):
    primary = ("bits", "signed", "exponent_bits", "mantissa_bits", "bias", "nan", "infinity", "nan_at_negative_zero")
    assert [getattr(get_format(left), name) for name in primary] == [
        getattr(get_format(right), name) for name in primary
    ]


@pytest.mark.parametrize("name", ["float8_e4m3fn", "float8_e8m0fnu", "bfloat16", "float32", "float4_e0m3"])
def test_canonical_nan_pattern_is_the_canonical_code(name):
    document = load(DIRECTORY / f"{name}.toml")
    fmt = get_format(name)
    text = document["specials"].get("canonical_nan")
    if text is None:
        assert fmt.canonical_nan is None
    else:
        fields = text.split(".")
        widths = [width for width in (int(fmt.signed), fmt.exponent_bits, fmt.mantissa_bits) if width]
        bits = "".join("1" * width if field == "ones" else field for field, width in zip(fields, widths, strict=True))
        assert int(bits, 2) == fmt.canonical_nan


# Files that contradict themselves

GOOD = """
id = "mine_e4m3"
kind = "float"
bits = 8
aliases = ["mine"]
[fields]
signed = true
exponent = 4
mantissa = 3
bias = 7
[specials]
zero = true
negative_zero = true
subnormals = true
infinity = ["s.1111.000"]
nan = ["s.1111.nonzero"]
canonical_nan = "0.1111.100"
[defaults]
policy = "ieee"
[facts]
max = "240"
"""


def write(directory: Path, text: str) -> Path:
    path = directory / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_good_file_is_good(tmp_path):
    fmt = read_format(read_document(write(tmp_path, GOOD)))
    assert (fmt.id, str(fmt.max), fmt.nan, fmt.infinity) == ("mine_e4m3", "240", 0x79, 0x78)


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        ('id = "mine_e4m3"', "", "id: the field is missing"),
        ('id = "mine_e4m3"', 'id = "Mine"', "id: 'Mine' is not an id"),
        ('id = "mine_e4m3"', "id = 3", "id: 3 is not a string"),
        ('kind = "float"', 'kind = "posit"', "kind: 'posit' is unknown"),
        ("bits = 8", 'bits = "8"', "bits: '8' is not an integer"),
        ("bits = 8", "bits = true", "bits: True is not an integer"),
        ("bits = 8", "bits = 7", "overlap or leave a gap"),
        ("mantissa = 3", "mantissa = 4", "overlap or leave a gap"),
        ("exponent = 4", "exponent = -4", "overlap or leave a gap"),
        ("bias = 7", "biass = 7", "fields.biass: unknown field"),
        ("bias = 7", "", "fields.bias: the field is missing"),
        ("bias = 7", "bias = 8", "facts.max = '240'.* give 120"),
        ('max = "240"', 'max = "448"', "facts.max = '448'.* give 240"),
        ('max = "240"', "max = 240", "facts.max: 240 is not a string"),
        ('max = "240"', 'max = "big"', "facts.max = 'big' is not an exact number"),
        ('max = "240"', 'nan_codes = "2"', "facts.nan_codes = '2'.* give 14"),
        ('max = "240"', 'maximum = "240"', "facts.maximum is not a figure"),
        ('nan = ["s.1111.nonzero"]', 'nan = ["s.1111.any"]', "specials.infinity: .*clashes with nan"),
        ('nan = ["s.1111.nonzero"]', 'nan = ["s.any.any"]', "clashes with"),
        ('nan = ["s.1111.nonzero"]', 'nan = ["s.1111.01x"]', "neither the top of the range"),
        ('nan = ["s.1111.nonzero"]', 'nan = ["0.1111.nonzero"]', "neither the top of the range"),
        ('nan = ["s.1111.nonzero"]', 'nan = ["1.0000.000"]', "negative_zero: true contradicts"),
        ('nan = ["s.1111.nonzero"]', 'nan = ["s.1111.x11"]', "not consecutive"),
        ('nan = ["s.1111.nonzero"]', 'nan = ["1111.nonzero"]', "has 2 fields, the format 3"),
        ('nan = ["s.1111.nonzero"]', 'nan = ["s.11111.nonzero"]', "exponent field of 4 bits"),
        ('nan = ["s.1111.nonzero"]', 'nan = ["x.1111.nonzero"]', "the sign 'x'"),
        ('nan = ["s.1111.nonzero"]', 'nan = "s.1111.nonzero"', "is not a list"),
        ('nan = ["s.1111.nonzero"]', "nan = []", "canonical_nan: it is given, but nan = "),
        ('infinity = ["s.1111.000"]', 'infinity = ["0.1111.000"]', "not one magnitude with every sign"),
        ('infinity = ["s.1111.000"]', 'infinity = ["s.1110.000"]', "at the top or just below"),
        ('infinity = ["s.1111.000"]', 'infinity = ["s.1111.00x"]', "clashes with nan"),
        ('canonical_nan = "0.1111.100"', 'canonical_nan = "0.1111.1xx"', "more than one code"),
        ('canonical_nan = "0.1111.100"', 'canonical_nan = "0.1110.100"', "not one of the NaN codes"),
        ('canonical_nan = "0.1111.100"', "", "canonical_nan: the field is missing"),
        ("negative_zero = true", "negative_zero = false", "contradicts the other fields, which imply true"),
        ("subnormals = true", "subnormals = false", "both be present or both be absent"),
        ('policy = "ieee"', 'policy = "iee"', "defaults.policy: 'iee' is not a preset"),
        ('aliases = ["mine"]', 'aliases = ["mine", "MINE"]', "stands there twice"),
        ('aliases = ["mine"]', 'aliases = [" mine"]', "blanks around it"),
        ('aliases = ["mine"]', "aliases = [3]", "aliases: 3 is not a string"),
        ('[facts]\nmax = "240"', '[source]\ntitle = ""', "source.title: it is empty"),
        ("[fields]", "[feilds]", "feilds: unknown field"),
        ("[fields]", "[fields", "not a TOML file"),
    ],
)
def test_a_bad_file_is_refused_by_file_field_and_reason(tmp_path, old, new, match):
    assert old in GOOD
    path = write(tmp_path, GOOD.replace(old, new, 1))
    with pytest.raises(FormatError, match=f"(?s)^{path}: .*{match}"):
        read_format(read_document(path))


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ('kind = "integer"\nbits = 8\n[fields]\nsigned = true\nfraction = 3', "contradicts kind = 'integer'"),
        ('kind = "fixed"\nbits = 8\n[fields]\nsigned = true', "contradicts kind = 'fixed'"),
        ('kind = "fixed"\nbits = 80\n[fields]\nsigned = true\nfraction = 3', "bits = 80 is outside"),
        ('kind = "integer"\nbits = 8\n[specials]\n[fields]\nsigned = true', "no special values"),
        ('kind = "integer"\nbits = 8\n[fields]\nsigned = false\nnarrow = true', "narrow range needs a sign"),
    ],
)
def test_a_bad_fixed_point_file_is_refused(tmp_path, text, match):
    path = write(tmp_path, f'id = "mine"\n{text}\n[defaults]\npolicy = "integer"\n')
    with pytest.raises(FormatError, match=f"(?s)^{path}: .*{match}"):
        read_format(read_document(path))


def test_a_file_that_is_no_text_is_refused(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(FormatError, match="not a TOML file"):
        read_document(path)
    absent = tmp_path / "absent.toml"
    with pytest.raises(FormatError, match="cannot be read: No such file or directory") as caught:
        read_document(absent)
    assert str(caught.value).count(str(absent)) == 1
    assert "give the path of a TOML file" in caught.value.hint


MAKERS = [
    lambda text: lowbit.block_format("int4", id=text),
    lambda text: lowbit.float_format(4, 3, id=text),
    lambda text: lowbit.table_format([0, 1], id=text),
]
CONSTRUCTORS = [
    lambda text: lowbit.FixedFormat(id=text, bits=8),
    lambda text: lowbit.FloatFormat(id=text, bits=8, exponent_bits=4, mantissa_bits=3, bias=7),
    lambda text: replace(lowbit.get_format("mxfp4"), id=text),
]


@pytest.mark.parametrize(
    ("make", "text"),
    [
        *((make, text) for make in MAKERS for text in ("Int4", "größe")),
        *((make, text) for make in MAKERS + CONSTRUCTORS for text in ("a b", "a\n", "", " ", "a\0")),
    ],
)
def test_an_id_is_an_id_whatever_makes_the_format(make, text):
    with pytest.raises(FormatError, match="is not an id") as caught:
        make(text)
    assert "lower-case letters" in caught.value.hint


# The small languages of the files


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2^(K - P - 1)", 8),
        ("max(0, 1 - K)", 0),
        ("min(K, 3) * 2", 6),
        ("-K + 10", 2),
        ("K / 3", Fraction(8, 3)),
        ("2^-2", Fraction(1, 4)),
    ],
)
def test_formulas(text, value):
    assert evaluate(text, {"K": 8, "P": 4}) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "K +",
        "J",
        "__import__('os')",
        "K.real",
        "[K]",
        "2^(1/2)",
        "2^(2^40)",
        "1/0",
        "max()",
        "abs(K, K)",
        "1.5",
        "K % 2",
    ],
)
def test_what_is_no_formula_is_refused(text):
    with pytest.raises(FormatError, match="is not a formula"):
        evaluate(text, {"K": 8})


def test_a_field_formula_must_give_an_integer():
    assert evaluate_integer(3, {}) == 3
    with pytest.raises(FormatError, match="not an integer"):
        evaluate_integer("K / 3", {"K": 8})


@pytest.mark.parametrize(
    ("text", "signs", "low", "high"),
    [
        ("s.1111.111", "s", 0x7F, 0x7F),
        ("1.0000.000", "1", 0, 0),
        ("s.ones.zeros", "s", 0x78, 0x78),
        ("s.ones.nonzero", "s", 0x79, 0x7F),
        ("0.11xx.any", "0", 0x60, 0x7F),
    ],
)
def test_patterns(text, signs, low, high):
    found = parse_pattern(text, signed=True, exponent_bits=4, mantissa_bits=3)
    assert (found.signs, found.low, found.high) == (signs, low, high)


def test_a_pattern_leaves_out_fields_of_no_bits():
    assert parse_pattern("11111111", signed=False, exponent_bits=8, mantissa_bits=0).low == 0xFF
    assert parse_pattern("s.111", signed=True, exponent_bits=0, mantissa_bits=3).low == 7
