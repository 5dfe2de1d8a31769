from fractions import Fraction

import pytest

from lowbit.errors import FormatError
from lowbit.exact import finite
from lowbit.format.registry import formats, get_format
from lowbit.format.scalar import FixedFormat, FloatFormat, Format

SMALL_FLOATS = [name for name in formats(kind="float") if get_format(name).bits <= 8]
E4M3 = {"id": "test", "bits": 8, "exponent_bits": 4, "mantissa_bits": 3, "bias": 7}


def enumerate_values(fmt):
    """Code -> value, from the primary fields alone and in fractions, unlike ``magnitude``."""
    values = {}
    for code in range(1 << fmt.bits):
        sign = -1 if fmt.signed and code >> (fmt.bits - 1) else 1
        magnitude = code & ((1 << (fmt.bits - int(fmt.signed))) - 1)
        special = magnitude == fmt.infinity or (fmt.nan is not None and magnitude >= fmt.nan)
        if special or (fmt.nan_at_negative_zero and sign < 0 and magnitude == 0):
            continue
        exponent, mantissa = divmod(magnitude, 2**fmt.mantissa_bits)
        significand = Fraction(mantissa, 2**fmt.mantissa_bits)
        if fmt.subnormals and exponent == 0:
            exponent = 1
        else:
            significand += 1
        values[code] = sign * significand * Fraction(2) ** (exponent - fmt.bias)
    return values


@pytest.mark.parametrize("name", SMALL_FLOATS)
def test_derived_figures_are_those_of_the_enumeration(name):
    fmt = get_format(name)
    values = enumerate_values(fmt)
    positive = sorted(value for value in values.values() if value > 0)
    assert fmt.max.fraction() == max(values.values())
    assert fmt.min.fraction() == min(values.values())
    assert fmt.smallest.fraction() == positive[0]
    assert fmt.finite_count == len(set(values.values()))
    assert fmt.nan_count + fmt.infinity_count == 2**fmt.bits - len(values)
    assert all(fmt.magnitude(code).fraction() == value for code, value in values.items() if code <= fmt.max_code)
    normal = [value for value in positive if not fmt.subnormals or value >= Fraction(2) ** (1 - fmt.bias)]
    assert (fmt.min_normal.fraction() if fmt.min_normal else None) == (normal[0] if normal else None)
    subnormal = [value for value in positive if value not in normal]
    assert (fmt.min_subnormal.fraction() if fmt.min_subnormal else None) == (subnormal[0] if subnormal else None)
    assert fmt.negative_zero == (len(values) > len(set(values.values())))


@pytest.mark.parametrize("name", SMALL_FLOATS)
def test_magnitudes_rise_with_their_codes(name):
    fmt = get_format(name)
    values = [fmt.magnitude(code).fraction() for code in range(fmt.max_code + 1)]
    assert values == sorted(set(values))


def test_magnitude_goes_on_beyond_the_largest_code():
    assert get_format("float8_e4m3fn").magnitude(0x7F) == finite(15, 5)
    assert get_format("float8_e5m2").magnitude(0x7C).fraction() == 65536


@pytest.mark.parametrize(
    ("bits", "container"), [(1, "uint8"), (2, "uint8"), (8, "uint8"), (9, "uint16"), (19, "uint32"), (33, "uint64")]
)
def test_codes_live_in_the_smallest_dtype(bits, container):
    assert FixedFormat(id="test", bits=bits, signed=False).code_dtype == container
    assert FixedFormat(id="test", bits=bits).code_dtype == container.removeprefix("u")


@pytest.mark.parametrize(("bits", "narrow", "ends"), [(4, False, (-8, 7)), (4, True, (-7, 7)), (1, False, (-1, 0))])
def test_the_range_of_signed_integers(bits, narrow, ends):
    fmt = FixedFormat(id="test", bits=bits, narrow=narrow)
    assert (fmt.min_code, fmt.max_code) == ends
    assert fmt.finite_count == ends[1] - ends[0] + 1


def test_fixed_point_scales_the_code():
    fmt = FixedFormat(id="test", bits=8, fraction_bits=7)
    assert (fmt.min.fraction(), fmt.max.fraction(), fmt.smallest.fraction()) == (
        -1,
        Fraction(127, 128),
        Fraction(1, 128),
    )
    assert (fmt.kind, FixedFormat(id="test", bits=8).kind) == ("fixed", "integer")


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"mantissa_bits": 4}, "overlap or leave a gap"),
        ({"bits": 9}, "overlap or leave a gap"),
        ({"bits": 1, "exponent_bits": 0, "mantissa_bits": 0}, "outside 2..64"),
        ({"exponent_bits": -1, "mantissa_bits": 8}, "negative"),
        ({"exponent_bits": 4.0}, "not an integer"),
        ({"infinity": 0x7F, "nan": 0x78}, "just below the NaNs"),
        ({"infinity": 0x70}, "at the top or just below"),
        ({"infinity": 0x80}, "not a nonzero magnitude"),
        ({"nan": 0}, "not a nonzero magnitude"),
        ({"nan": 1}, "leave no finite value"),
        ({"nan": 0x7F, "nan_at_negative_zero": True}, "both at the top"),
        ({"canonical_nan": 0x7F}, "has no NaN"),
        ({"nan": 0x79, "infinity": 0x78, "canonical_nan": 0x78}, "not one of the NaN codes"),
        ({"nan_at_negative_zero": True, "canonical_nan": 0x7F}, "must be the code of negative zero"),
        ({"signed": False, "bits": 7, "nan_at_negative_zero": True}, "no negative zero"),
        ({"zero": False, "subnormals": False, "nan_at_negative_zero": True}, "no negative zero"),
        ({"zero": False}, "both be present or both be absent"),
        ({"subnormals": False}, "both be present or both be absent"),
        ({"bits": 32, "exponent_bits": 28}, "exponent range is too wide"),
        ({"bits": 64, "exponent_bits": 11, "mantissa_bits": 53, "signed": False}, "64 bits together, more than 63"),
        ({"bits": 64, "exponent_bits": 12, "mantissa_bits": 52, "signed": False}, "64 bits together, more than 63"),
        ({"bits": 64, "exponent_bits": 3, "mantissa_bits": 60}, "more than binary64"),
        ({"nan": 127.0}, "nan = 127.0 is not an integer"),
        ({"nan": "x"}, "nan = 'x' is not an integer"),
        ({"nan": True}, "nan = True is not an integer"),
        ({"infinity": 120.0}, "infinity = 120.0 is not an integer"),
        ({"nan": 127, "canonical_nan": "0x7f"}, "canonical_nan = '0x7f' is not an integer"),
        ({"signed": "yes"}, "signed = 'yes' is neither True nor False"),
        ({"signed": 2, "bits": 9}, "signed = 2 is neither True nor False"),
        ({"subnormals": 1, "zero": 1}, "subnormals = 1 is neither True nor False"),
        ({"zero": None}, "zero = None is neither True nor False"),
        ({"nan_at_negative_zero": 1}, "nan_at_negative_zero = 1 is neither True nor False"),
        ({"bits": True}, "bits = True is not an integer"),
        ({"id": 7}, "id = 7 is not a string"),
        ({"default_policy": None}, "default_policy = None is not a string"),
        ({"aliases": "e4m3"}, "aliases = 'e4m3' is not a tuple of names"),
    ],
)
def test_contradictory_floats_are_refused(changes, match):
    FloatFormat(**E4M3)
    with pytest.raises(FormatError, match=match):
        FloatFormat(**{**E4M3, **changes})


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        ({"bits": 0}, "outside 1..64"),
        ({"bits": 65}, "outside 1..64"),
        ({"bits": 8.0}, "not an integer"),
        ({"bits": 8, "signed": False, "narrow": True}, "needs a sign"),
        ({"bits": 1, "narrow": True}, "2 bits"),
        ({"bits": 8, "fraction_bits": 1001}, "fraction_bits = 1001 is outside -1000..1000"),
        ({"bits": 8, "fraction_bits": -1001}, "fraction_bits = -1001 is outside"),
        ({"bits": 8, "fraction_bits": 2.0}, "fraction_bits = 2.0 is not an integer"),
        ({"bits": 8, "signed": 1}, "signed = 1 is neither True nor False"),
        ({"bits": 8, "narrow": "no"}, "narrow = 'no' is neither True nor False"),
        ({"bits": 8, "aliases": ("byte", 8)}, "not a tuple of names"),
    ],
)
def test_contradictory_fixed_formats_are_refused(fields, match):
    with pytest.raises(FormatError, match=f"format 'test': .*{match}"):
        FixedFormat(id="test", **fields)


@pytest.mark.parametrize("signed", [True, False])
def test_the_widest_floats(signed):
    fmt = FloatFormat(
        id="test",
        bits=63 + signed,
        signed=signed,
        exponent_bits=12,
        mantissa_bits=51,
        bias=2047,
        infinity=4095 << 51,
        nan=(4095 << 51) + 1,
    )
    assert fmt.magnitude_bits == 63
    assert fmt.max.fraction() == (2 - Fraction(1, 2**51)) * Fraction(2) ** 2047


@pytest.mark.parametrize("fraction_bits", [-1000, 1000])
def test_the_widest_scales(fraction_bits):
    fmt = FixedFormat(id="test", bits=24, fraction_bits=fraction_bits)
    assert fmt.smallest.fraction() == Fraction(2) ** -fraction_bits
    assert float(fmt.max.fraction()) == fmt.max.fraction()


def test_canonical_nan_is_the_quiet_one_unless_told():
    assert FloatFormat(**E4M3, infinity=0x78, nan=0x79).canonical_nan == 0x7C
    assert FloatFormat(**E4M3, nan=0x7F).canonical_nan == 0x7F
    assert FloatFormat(**E4M3, nan_at_negative_zero=True).canonical_nan == 0x80
    assert FloatFormat(**E4M3).canonical_nan is None


@pytest.mark.parametrize("name", formats(kind="float"))
def test_ieee_like_is_said_of_exactly_the_formats_with_payloads(name):
    fmt = get_format(name)
    assert fmt.ieee_like == (fmt.nan_count > 2)


def test_formats_are_values():
    fmt = get_format("float8_e4m3fn")
    assert len({fmt, get_format("E4M3FN")}) == 1
    with pytest.raises(AttributeError):
        fmt.bias = 8


def test_the_base_class_has_no_kind():
    with pytest.raises(TypeError, match="abstract"):
        _ = Format(id="test").kind
