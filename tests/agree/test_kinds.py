"""A kind of scalar format is one file: a kind that lowbit has never seen goes through everything by its ``decode``."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lowbit
from lowbit import oracle, testing
from lowbit.cli import main
from lowbit.exact import FINITE, INFINITY, NAN, NOT_A_NUMBER, Exact, finite, from_fraction
from lowbit.format import registry
from lowbit.format.protocol import Scalar
from lowbit.format.table import TableFormat
from lowbit.policy.cast import CAST_PRESETS, ROUNDINGS, Policy
from lowbit.testing.places import as_float
from tests.thinned import examples, thinned


@dataclass(frozen=True, kw_only=True)
class Geometric(Scalar):
    """Three bits: two negative values, one infinity, one NaN, and an order of the codes that is not that of values."""

    bits: int = 3

    @property
    def kind(self) -> str:
        return "geometric"

    def decode(self, code: int) -> Exact:
        values = (finite(0), finite(1), finite(3, -1), finite(9, -2), finite(-1, -1), finite(-3, -2), INFINITY)
        return values[code] if code < 7 else NOT_A_NUMBER


TOY = Geometric(id="toy_geometric", default_policy="ocp_sat", summary="a kind of three bits")
SIGNED = TableFormat(id="table_signed", bits=3, values=(0.0, 0.5, 1.0, 4.0, -0.0, -0.25, -1.0, float("nan")))
POSITIVE = TableFormat(id="table_positive", bits=2, values=(0.25, 0.5, 2.0, 2.5), default_policy="ocp_sat")
CODEBOOK = TableFormat(
    id="table_codebook",
    bits=4,
    values=tuple(float(np.float32(value)) for value in np.linspace(-1, 1, 16) ** 3 + 0.01),
    default_policy="ocp_sat",
)
KINDS = [TOY, SIGNED, POSITIVE, CODEBOOK, lowbit.get_format("bnb_fp4")]
NAMED = ["float8_e4m3fn", "float8_e8m0fnu", "float4_e2m1fn", "int8", "uint4", "q4.4", "bfloat16", "float16"]
SOURCES = ["float32", "float64", "int32", "uint64", "q8.8", *NAMED]
every_kind = pytest.mark.parametrize("fmt", KINDS, ids=str)


def test_what_follows_from_the_values():
    assert (TOY.codes, TOY.code_dtype, TOY.container_bits) == (range(8), "uint8", 8)
    line = ["-1", "-0.75", "-0.5", "0", "1", "1.5", "2.25", "3"]  # the ends go on as the gap before them
    assert [str(TOY.value_at(ordinal)) for ordinal in range(-3, 5)] == line
    assert (TOY.ordinals, TOY.infinities, TOY.nan_ranges) == (range(-2, 5), (6,), ((7, 7),))
    assert (str(TOY.max), str(TOY.min), str(TOY.smallest), TOY.finite_count) == ("2.25", "-0.75", "1", 6)
    assert (TOY.precision, TOY.smallest_exponent, TOY.max_exponent) == (4, -2, 1)
    assert [TOY.classify(code) for code in (0, 1, 6, 7)] == ["zero", "value", "infinity", "nan"]
    assert (SIGNED.negative_zero, SIGNED.zero_code(negative=True)) == (True, 4)
    assert (POSITIVE.signed, POSITIVE.zero) == (False, False)


FLOATS = [name for name in lowbit.formats(kind="scalar") if lowbit.get_format(name).bits <= 8]
PROTOCOL = [
    *("nan_ranges", "infinities", "has_nan", "has_infinity", "nan_count", "infinity_count", "zero", "negative_zero"),
    *("lowest_code", "ordinals", "max", "min", "max_exponent", "finite_count", "smallest_exponent"),
]


@dataclass(frozen=True, kw_only=True)
class Listed(Scalar):
    """Another format with nothing known of it but what each code is worth."""

    inner: Scalar = TOY

    @property
    def codes(self) -> range:
        return self.inner.codes

    def decode(self, code: int) -> Exact:
        return self.inner.decode(code)


@pytest.mark.parametrize("name", [*FLOATS, "binary6p3sf", "binary5p1ue", "q3.3", "int4_narrow", "own"])
def test_closed_forms_are_what_the_list_of_values_gives(name):
    own = {"exponent_bits": 3, "mantissa_bits": 2, "bias": 3, "zero": False, "subnormals": False, "nan": 30}
    fmt = lowbit.FloatFormat(id="own", bits=6, **own) if name == "own" else lowbit.get_format(name)
    listed = Listed(id=name, bits=fmt.bits, inner=fmt)
    for member in PROTOCOL:
        pair = [getattr(kind, member) for kind in (fmt, listed)]
        said, seen = (value.reduced() if isinstance(value, Exact) else value for value in pair)
        assert said == seen, member
    assert fmt.zero_code() == listed.zero_code()
    assert fmt.zero_code(negative=True) == listed.zero_code(negative=True)
    for code in fmt.codes:
        assert fmt.ordinal(code) == listed.ordinal(code)
        assert fmt.decode(code).reduced() == oracle.decode(code, fmt).reduced()
        assert fmt.from_pattern(fmt.pattern(code)) == code
    for ordinal in fmt.ordinals:
        assert fmt.ordinal(fmt.from_ordinal(ordinal)) == ordinal
        assert listed.ordinal(listed.from_ordinal(ordinal)) == ordinal
    for ordinal in range(fmt.ordinal(fmt.lowest_code), fmt.ordinal(fmt.largest_code()) + 1):
        assert fmt.value_at(ordinal).reduced() == listed.value_at(ordinal).reduced()


@every_kind
def test_codes_and_values(fmt):
    assert lowbit.get_format(fmt) is fmt
    codes = np.arange(1 << fmt.bits, dtype=np.uint8)
    values = lowbit.decode(codes, fmt)
    kind, significand, exponent = lowbit.decode_exact(codes, fmt)
    for code in fmt.codes:
        exact = oracle.decode(code, fmt)
        assert (kind[code], significand[code], exponent[code]) == exact.reduced()[:3]
        assert exact.kind == NAN or float(values[code]) == as_float(exact)
    assert (lowbit.unpack(lowbit.pack(codes, fmt), fmt, count=codes.size) == codes).all()
    with pytest.raises(lowbit.InputError, match=f"is not a code of {fmt.id}"):
        lowbit.decode([1 << fmt.bits], fmt)


@every_kind
def test_steps_along_the_number_line(fmt):
    line = [fmt.from_ordinal(ordinal) for ordinal in fmt.ordinals]
    ordinals = lowbit.ordinal(np.array(line), fmt)
    assert ordinals.tolist() == list(fmt.ordinals)
    assert lowbit.from_ordinal(ordinals, fmt).tolist() == line
    above = [fmt.zero_code(negative=True) if fmt.zero and code == fmt.zero_code() else code for code in line]
    assert lowbit.next_after(line, fmt).tolist() == [*above[1:], line[-1]]
    assert lowbit.next_after(line, fmt, direction="down").tolist() == [line[0], *line[:-1]]
    assert lowbit.ulp_distance(line[0], line[-1], fmt) == len(line) - 1
    values = [oracle.decode(code, fmt) for code in line]
    numbers = [value.fraction() for value in values if value.kind == FINITE]
    assert numbers == sorted(set(numbers))


def places(fmt):
    """Every value and every eighth of the way to the next, well beyond both ends, what lies beside, and specials."""
    values = [fmt.value_at(ordinal).fraction() for ordinal in range(fmt.ordinals[0] - 3, fmt.ordinals[-1] + 4)]
    floats = [float(low + (high - low) * part / 8) for low, high in pairwise(values) for part in range(8)]
    beside = [float(np.nextafter(value, end)) for value in floats for end in (-np.inf, np.inf)]
    return np.array([*floats, *beside, 0.0, -0.0, np.inf, -np.inf, np.nan, -np.nan, 1e300, -1e300, 5e-324, -5e-324])


AXES = ["rounding", "overflow", "infinity", "without_infinity", "nan", "negative", "negative_zero", "underflow"]


@st.composite
def policies(draw):
    axes = {axis: draw(st.sampled_from(Policy.choices(axis))) for axis in [*AXES, "flush_inputs"]}
    if axes["overflow"] == "wrap":
        axes["overflow"] = "saturate"
    if axes["rounding"].startswith("stochastic"):
        axes["random_bits"] = draw(st.integers(1, 12))
    return Policy(**axes, via=draw(st.sampled_from(["", "", "float32"])))


@settings(max_examples=examples(150))
@given(policy=policies(), fmt=st.sampled_from(KINDS), source=st.sampled_from(SOURCES), seed=st.integers(0, 99))
def test_the_array_path_is_the_oracle(agree, policy, fmt, source, seed):
    drawn = np.random.default_rng(seed)
    codes = lowbit.encode(drawn.choice(places(fmt), 60), source)
    random = drawn.integers(0, 1 << policy.random_bits, codes.size) if policy.stochastic else None
    agree(codes, source, fmt, policy, random)


@pytest.mark.parametrize("rounding", [name for name in ROUNDINGS if not name.startswith("stochastic")])
@every_kind
def test_every_place_in_every_mode(agree, fmt, rounding):
    for overflow in ("saturate", "ieee", "nan"):
        agree(places(fmt).view(np.uint64), "float64", fmt, Policy(rounding=rounding, overflow=overflow, nan="zero"))


@pytest.mark.parametrize("name", thinned(lowbit.formats(kind="table"), 2))
def test_named_tables(agree, name):
    fmt = lowbit.get_format(name)
    values = np.random.default_rng(3).choice(places(fmt), 150)
    for policy in (CAST_PRESETS["ocp_sat"], Policy(rounding="nearest_down", overflow="saturate", nan="zero")):
        agree(values.view(np.uint64), "float64", fmt, policy)


@pytest.mark.parametrize("name", NAMED)
@every_kind
def test_from_and_to_other_kinds(agree, fmt, name):
    codes = np.arange(1 << fmt.bits, dtype=np.uint8)
    for preset in ("ieee", "ocp_sat", "integer"):
        agree(codes, fmt, name, CAST_PRESETS[preset])
    other = lowbit.get_format(name)
    every = np.arange(other.codes[0], other.codes[-1] + 1)
    agree(every[:: max(every.size // 500, 1)].astype(other.code_dtype), name, fmt, CAST_PRESETS["ocp_sat"])
    for kind in KINDS:
        agree(codes, fmt, kind, Policy(rounding="nearest_zero", nan="zero"))


@every_kind
def test_exact_triples(fmt):
    numbers = [Fraction(n, 64) for n in range(-300, 301)] + [Fraction(2) ** 5000, -(Fraction(2) ** -5000)]
    exact = [*map(from_fraction, numbers), INFINITY, NOT_A_NUMBER]
    kind, significand, exponent = zip(*(value.reduced()[:3] for value in exact), strict=True)
    odd = Policy(rounding="to_odd", overflow="saturate", via="float32", nan="zero")
    for policy in (CAST_PRESETS["ocp_sat"], CAST_PRESETS["ieee"], odd):
        got = lowbit.encode_exact(kind, significand, exponent, fmt, policy=policy)
        assert got.tolist() == [oracle.encode(value, fmt, policy).code for value in exact]


def test_ties_and_directions_by_hand():
    def encoded(rounding, *values):
        return lowbit.encode(np.array(values), TOY, policy=Policy(rounding=rounding, overflow="saturate")).tolist()

    assert encoded("nearest_even", 0.5, 1.25, 1.875, -0.25, -0.625) == [0, 2, 2, 0, 4]
    assert encoded("nearest_odd", 0.5, 1.25, 1.875, -0.25, -0.625) == [1, 1, 3, 4, 5]
    assert encoded("toward_zero", 0.99, 1.49, -0.49, 99.0) == [0, 1, 0, 3]
    assert encoded("toward_negative", 0.99, -0.01, -0.51, -99.0) == [0, 4, 5, 5]
    assert lowbit.encode(np.array([2.6, 2.7, 9.0]), TOY, policy="ocp_nosat").tolist() == [3, 6, 6]
    with pytest.raises(lowbit.PolicyError, match="overflow 'wrap' means nothing in the geometric format"):
        lowbit.encode(1.0, TOY, policy=Policy(overflow="wrap"))
    with pytest.raises(lowbit.InputError, match="policy says nan = error"):
        lowbit.encode(np.nan, POSITIVE, policy=Policy(nan="error"))


@pytest.fixture
def registered(monkeypatch):
    """The toy kind, as an entry point gives it."""
    catalogue = registry.Catalogue()
    catalogue.add(TOY, "a plug-in")
    monkeypatch.setattr(registry, "_plugin_catalogue", lambda: catalogue)


def test_the_command_line(registered, capsys):
    assert main(["show", "toy_geometric", "--values"]) == 0
    rows = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    for row in ("largest 2.25 (0x3)", "lowest -0.75 (0x5)", "infinity 0x6", "NaN 0x7", "0x5 101 value -0.75 -0.75"):
        assert row in rows
    assert "values 6 finite in 2^3 codes, held in uint8" in rows
    assert main(["encode", "toy_geometric", "1.25", "--explain"]) == 0
    assert "a tie, to the even code" in capsys.readouterr().out
    assert main(["decode", "toy_geometric", "0b101"]) == 0
    assert "-0.75" in capsys.readouterr().out
    assert main(["formats", "--bits", "3"]) == 0
    assert "toy_geometric" in capsys.readouterr().out
    assert main(["gen", "encode", "--from", "float16", "--to", "toy_geometric"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines() if not line.startswith("//")]
    assert {"3c00", "3e00", "4080", "b800", "ba00"} <= {row[0] for row in rows}  # 1, 1.5, 2.25, -0.5 and -0.75
    assert next(row[1] for row in rows if row[0] == "3d00") == "02"  # 1.25, a tie whose lower neighbour is odd


@given(data=st.data())
def test_strategies(data):
    fmt = data.draw(st.sampled_from(KINDS))
    assert data.draw(testing.codes(fmt)) in fmt.codes
    assert fmt.classify(data.draw(testing.codes(fmt, nan=False, infinity=False))) in ("zero", "value")
    tie = from_fraction(Fraction(data.draw(testing.ties(fmt))))
    modes = ("nearest_up", "nearest_down")
    down, up = (oracle.encode(tie, fmt, Policy(rounding=mode, overflow="saturate")) for mode in modes)
    assert "a tie" in down.rule
    assert "a tie" in up.rule
    policy = data.draw(testing.policies(fmt))
    values = data.draw(testing.value_arrays(fmt, 5, dtype=np.float64))
    codes = lowbit.encode(values, fmt, policy=policy)
    testing.assert_bits_equal(codes, codes.copy(), fmt, inputs=values, policy=policy)
    assert data.draw(testing.near_overflow(fmt)) is not None


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        ({"bits": 17}, "outside 1..16"),
        ({"bits": 2, "values": (0.0, 1.0)}, r"2 values for 2\^2 codes"),
        ({"bits": 1, "values": [0.0, 1.0]}, "not a tuple"),
        ({"bits": 1, "values": (0.0, "1")}, "neither an Exact nor a float"),
        ({"bits": 1, "values": (0.0, finite((1 << 54) + 1))}, "more than 53 significant bits"),
        ({"bits": 1, "values": (0.0, finite(1, 1 << 21))}, "beyond"),
        ({"bits": 1, "values": (0.0, -0.0)}, "no value differs from zero"),
    ],
)
def test_tables_that_are_refused(fields, match):
    with pytest.raises(lowbit.FormatError, match=match):
        TableFormat(id="test", **fields)


def test_a_wide_kind_must_know_its_figures():
    wide = Geometric(id="wide", bits=24)
    with pytest.raises(lowbit.FormatError, match="24 bits are too many to list every code"):
        _ = wide.max
