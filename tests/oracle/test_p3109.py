"""P3109 v4.0, clauses 4.7.3 to 4.7.6, transcribed with fractions and compared with the presets.

RoundToPrecision is the text's formula; Saturate is the text's table, a row a tuple, the first that matches wins.
"""

from fractions import Fraction
from itertools import pairwise

import pytest

from lowbit.exact import INFINITY, MINUS_INFINITY, finite
from lowbit.format.registry import get_format
from lowbit.oracle import project
from lowbit.policy.cast import CAST_PRESETS
from tests.thinned import thinned

PLUS, MINUS, NOT_A_NUMBER = "+inf", "-inf", "nan"
ROUNDINGS = {
    "TowardZero": "toward_zero",
    "TowardPositive": "toward_positive",
    "TowardNegative": "toward_negative",
    "NearestTiesToAway": "nearest_away",
    "NearestTiesToEven": "nearest_even",
    "ToOdd": "to_odd",
    "StochasticA": "stochastic_a",
    "StochasticB": "stochastic_b",
    "StochasticC": "stochastic_c",
}
SATURATIONS = {
    "SatFinite": "p3109_v4_0_sat_finite",
    "SatPropagate": "p3109_v4_0_sat_propagate",
    "SatNone": "p3109_v4_0",
}
LOW, HIGH, ANY = "X < Mlo", "X > Mhi", None
DOWN, UP = ("TowardZero", "TowardNegative"), ("TowardZero", "TowardPositive")
# 4.7.5: saturation, roundings, X, signedness, domain -> result
SATURATE = [
    ("SatFinite", ANY, PLUS, ANY, ANY, "Mhi"),
    ("SatFinite", ANY, MINUS, ANY, ANY, "Mlo"),
    ("SatFinite", ANY, LOW, ANY, ANY, "Mlo"),
    ("SatFinite", ANY, HIGH, ANY, ANY, "Mhi"),
    ("SatPropagate", ANY, PLUS, ANY, "Extended", PLUS),
    ("SatPropagate", ANY, PLUS, ANY, ANY, "Mhi"),
    ("SatPropagate", ANY, MINUS, "Signed", "Extended", MINUS),
    ("SatPropagate", ANY, MINUS, ANY, ANY, "Mlo"),
    ("SatPropagate", ANY, LOW, ANY, ANY, "Mlo"),
    ("SatPropagate", ANY, HIGH, ANY, ANY, "Mhi"),
    ("SatNone", ANY, PLUS, ANY, "Extended", PLUS),
    ("SatNone", ANY, PLUS, ANY, ANY, "Mhi"),
    ("SatNone", ANY, MINUS, "Signed", "Extended", MINUS),
    ("SatNone", ANY, MINUS, "Unsigned", ANY, NOT_A_NUMBER),
    ("SatNone", ANY, MINUS, ANY, ANY, "Mlo"),
    ("SatNone", ("ToOdd",), HIGH, "Unsigned", "Extended", "Mhi"),
    ("SatNone", DOWN, HIGH, ANY, ANY, "Mhi"),
    ("SatNone", UP, LOW, ANY, ANY, "Mlo"),
    ("SatNone", ANY, LOW, "Signed", "Extended", MINUS),
    ("SatNone", ANY, LOW, "Unsigned", ANY, NOT_A_NUMBER),
    ("SatNone", ANY, LOW, ANY, ANY, "Mlo"),
    ("SatNone", ANY, HIGH, ANY, "Extended", PLUS),
    ("SatNone", ANY, HIGH, ANY, ANY, "Mhi"),
]


class Member:
    """A format of the family by its parameters."""

    def __init__(self, bits, precision, signed, extended):
        self.bits, self.precision, self.signed, self.extended = bits, precision, signed, extended
        self.bias = 2 ** (bits - precision - 1) if signed else 2 ** (bits - precision)
        magnitudes = 2 ** (bits - 1) if signed else 2**bits - 1
        self.infinity = magnitudes - 1 if extended else None
        self.high = self.decode(magnitudes - 1 - int(extended))
        self.low = -self.high if signed else Fraction(0)
        self.name = f"binary{bits}p{precision}{'s' if signed else 'u'}{'e' if extended else 'f'}"

    def decode(self, code):
        trailing, exponent = code % 2 ** (self.precision - 1), code // 2 ** (self.precision - 1)
        significand = Fraction(trailing, 2 ** (self.precision - 1))
        if exponent == 0:
            return significand * Fraction(2) ** (1 - self.bias)
        return (1 + significand) * Fraction(2) ** (exponent - self.bias)

    def encode(self, value):
        """4.7.6."""
        if value == NOT_A_NUMBER:
            return 2 ** (self.bits - 1) if self.signed else 2**self.bits - 1
        if value == PLUS:
            return self.infinity
        if value == MINUS:
            return self.infinity + 2 ** (self.bits - 1)
        if value < 0:
            return self.encode(-value) + 2 ** (self.bits - 1)
        if value == 0:
            return 0
        exponent = max(floor_log2(value), 1 - self.bias)
        significand = value / Fraction(2) ** exponent * 2 ** (self.precision - 1)
        assert significand.denominator == 1
        trailing = int(significand) % 2 ** (self.precision - 1)
        if significand < 2 ** (self.precision - 1):
            return trailing
        return trailing + (exponent + self.bias) * 2 ** (self.precision - 1)


def floor_log2(value):
    exponent = value.numerator.bit_length() - value.denominator.bit_length()
    return exponent if Fraction(2) ** exponent <= value else exponent - 1


def nearest_even(value):
    floor = value.numerator // value.denominator
    if value < floor + Fraction(1, 2) or (value == floor + Fraction(1, 2) and floor % 2 == 0):
        return floor
    return floor + 1


def round_to_precision(value, member, mode, count=0, draw=0):
    """4.7.4, for a finite nonzero value; ``count`` is N and ``draw`` is R."""
    quantum = max(floor_log2(abs(value)), 1 - member.bias) - member.precision + 1
    scaled = abs(value) / Fraction(2) ** quantum
    floor = scaled.numerator // scaled.denominator
    rest = scaled - floor
    half = Fraction(1, 2)
    even = floor % 2 == 0 if member.precision > 1 else floor == 0 or (quantum + member.bias) % 2 == 0
    away = {
        "TowardZero": False,
        "TowardPositive": rest > 0 and value > 0,
        "TowardNegative": rest > 0 and value < 0,
        "NearestTiesToAway": rest >= half,
        "NearestTiesToEven": rest > half or (rest == half and not even),
        "ToOdd": rest > 0 and even,
        "StochasticA": int(rest * 2**count) + draw >= 2**count,
        "StochasticB": int(rest * 2 ** (count + 1)) + 2 * draw + 1 >= 2 ** (count + 1),
        "StochasticC": nearest_even(rest * 2**count) + draw >= 2**count,
    }[mode]
    return (1 if value > 0 else -1) * (floor + int(away)) * Fraction(2) ** quantum


def saturate(member, saturation, mode, value):
    """4.7.5: the result and the number of the row that gave it."""
    if value not in (PLUS, MINUS) and member.low <= value <= member.high:
        return value, None
    place = value if value in (PLUS, MINUS) else LOW if value < member.low else HIGH
    signedness = "Signed" if member.signed else "Unsigned"
    domain = "Extended" if member.extended else "Finite"
    for number, (row_saturation, modes, operand, row_signedness, row_domain, result) in enumerate(SATURATE):
        if (
            row_saturation == saturation
            and (modes is ANY or mode in modes)
            and operand == place
            and row_signedness in (ANY, signedness)
            and row_domain in (ANY, domain)
        ):
            return {"Mhi": member.high, "Mlo": member.low}.get(result, result), number
    raise AssertionError("no row matches")


def policy_for(saturation, mode, count=0):
    return CAST_PRESETS[SATURATIONS[saturation]].choose(rounding=ROUNDINGS[mode], random_bits=count)


def members(sizes):
    return list(_members(sizes))


def _members(sizes):
    for bits in sizes:
        for precision in range(1, bits + 1):
            for signed in (True, False):
                if precision < bits or not signed:
                    yield from (Member(bits, precision, signed, extended) for extended in (True, False))


def operands(member):
    """All values, quarters and points beside the middle between them, and beyond the range."""
    top = member.encode(member.high)
    values = [member.decode(code) for code in range(top + 3)]
    for low, high in pairwise(values):
        step = high - low
        yield from (low + step * Fraction(place, 16) for place in (0, 1, 4, 7, 8, 9, 12, 15))
    yield from (values[-1], values[-1] * 2, values[-1] * 100)


def as_exact(value):
    if value in (PLUS, MINUS):
        return INFINITY if value == PLUS else MINUS_INFINITY
    return finite(value.numerator, 1 - value.denominator.bit_length())


@pytest.mark.parametrize(
    "member",
    thinned([*members([3, 4]), Member(5, 1, False, True), Member(6, 1, True, True), Member(7, 3, True, True)], 9),
    ids=lambda member: member.name,
)
def test_projection(member):
    """Project = Encode(Saturate(RoundToPrecision)), every mode and saturation, all points."""
    fmt = get_format(member.name)
    draws = {"StochasticA": (2, 1), "StochasticB": (3, 5), "StochasticC": (2, 2)}
    for mode in ROUNDINGS:
        count, draw = draws.get(mode, (0, 0))
        for magnitude in operands(member):
            for value in (magnitude, -magnitude) if magnitude else (magnitude,):
                rounded = round_to_precision(value, member, mode, count, draw) if value else value
                for saturation in SATURATIONS:
                    expected = member.encode(saturate(member, saturation, mode, rounded)[0])
                    result = project(as_exact(value), fmt, policy_for(saturation, mode, count), draw)
                    assert result.code == expected, (mode, saturation, str(value))


@pytest.mark.exhaustive
@pytest.mark.parametrize("member", members([5, 6, 7, 8]), ids=lambda member: member.name)
def test_projection_of_larger_members(member):
    test_projection(member)


@pytest.mark.parametrize("number", range(len(SATURATE)))
def test_saturation_row(number):
    """Each row of the table, on every mode and kind of format that reaches it."""
    reached = 0
    for member in members([4, 5]):
        fmt = get_format(member.name)
        for mode in ROUNDINGS:
            count = 1 if mode.startswith("Stochastic") else 0
            for value in (PLUS, MINUS, member.high * 4, -member.high * 4):
                for saturation in SATURATIONS:
                    expected, row = saturate(member, saturation, mode, value)
                    if row == number:
                        reached += 1
                        result = project(as_exact(value), fmt, policy_for(saturation, mode, count))
                        assert result.code == member.encode(expected), (member.name, mode, value)
    assert reached > 0


def test_later_text_gives_nan_in_a_finite_domain():
    fmt = get_format("binary4p2sf")
    policy = CAST_PRESETS["p3109_2026_07"]
    assert project(INFINITY, fmt, policy).code == 0x8
    assert project(finite(1000), fmt, policy).code == 0x8
    assert project(finite(1000), fmt, policy.choose(rounding="toward_zero")).code == 0x7


@pytest.mark.parametrize("mode", ["StochasticA", "StochasticB", "StochasticC"])
@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_stochastic_modes_draw_by_draw(mode, count):
    """All R for N up to 4, over fine fractions; the share that goes up is the truncated fraction."""
    member = Member(8, 4, True, True)
    fmt = get_format(member.name)
    policy = policy_for("SatNone", mode, count)
    low, high = member.decode(0x31), member.decode(0x32)
    for place in range(129):
        fraction = Fraction(place, 128)
        value = low + (high - low) * fraction
        ups = 0
        for draw in range(2**count):
            code = project(as_exact(value), fmt, policy, draw).code
            assert code == member.encode(round_to_precision(value, member, mode, count, draw))
            ups += code - 0x31
        scaled = fraction * 2**count
        shares = {
            "StochasticA": int(scaled),
            "StochasticB": nearest_ties_up(scaled),
            "StochasticC": nearest_even(scaled),
        }
        assert ups == (2**count if place == 128 else shares[mode])


def nearest_ties_up(scaled):
    """StochasticB rounds the fraction to nearest, ties up: floor(2x) + 2R + 1 >= 2^(N+1)."""
    return int(scaled + Fraction(1, 2))


def test_stochastic_holds_below_the_smallest_value():
    """Between zero and the smallest value the fraction is that of the smallest value."""
    fmt = get_format("binary8p3se")
    smallest = fmt.smallest.fraction()
    policy = policy_for("SatNone", "StochasticA", 3)
    for eighths in range(1, 8):
        value = as_exact(smallest * Fraction(eighths, 8))
        assert sum(project(value, fmt, policy, draw).code for draw in range(8)) == eighths
