"""RESCALE of TOSA's reference model, bit for bit, on sets that tell its rounding modes from others."""

import numpy as np
import pytest

import lowbit
from tests.cross.tosa_graphs import rescale, serializer

ROUNDINGS = {"SINGLE_ROUND": "tosa_single", "DOUBLE_ROUND": "tosa_double"}


@pytest.fixture(scope="module", autouse=True)
def installed():
    serializer()


def accumulators(multiplier, shift, size=4000):
    """Ties of the scale and their neighbours, and random values, within the range that the shift allows."""
    limit = 1 << min(shift - 1, 31)
    rng = np.random.default_rng(shift)
    quotients = rng.integers(-300, 300, size)
    ties = ((2 * quotients + 1).astype(object) << (shift - 1)) // multiplier
    values = np.concatenate([ties + step for step in (-1, 0, 1)])
    spread = [rng.integers(-min(1 << bits, limit), min(1 << bits, limit), size // 4) for bits in (8, 14, 20, 31)]
    values = np.concatenate([values, *spread, [-limit, limit - 1]])
    return values[(values >= -limit) & (values < limit)].astype(np.int64)


PAIRS = [(1 << 30, 32), (1 << 30, 33), (1 << 30, 38), (1690499128, 37), (1583594044, 40), ((1 << 31) - 1, 31)]
PAIRS += [(1073741825, 2), (1900000001, 20), (1234567891, 45), (1999999999, 62), (5, 3), (1, 2)]


@pytest.mark.parametrize(("multiplier", "shift"), PAIRS)
@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_32_bits(rounding, multiplier, shift):
    values = accumulators(multiplier, shift).astype(np.int32)  # RESCALE takes no unsigned result of an int32
    for output, zero_point in (("int8", 5), ("int16", 0), ("int32", 0)):
        theirs = rescale(values, [multiplier], [shift], rounding=rounding, output=output, output_zero=zero_point)
        ours = lowbit.requantize(
            values,
            scheme=ROUNDINGS[rounding],
            multiplier=multiplier,
            shift=shift,
            zero_point=zero_point,
            result=output,
        )
        np.testing.assert_array_equal(ours, theirs)


def test_the_modes_are_told_apart():
    from_single = dict.fromkeys(("tosa_double", "single_away", "single_even"), 0)
    from_double = dict.fromkeys(("tosa_single", "double_up_up"), 0)
    for multiplier, shift in PAIRS[:5]:
        values = accumulators(multiplier, shift).astype(np.int32)
        for rounding, counts in (("SINGLE_ROUND", from_single), ("DOUBLE_ROUND", from_double)):
            theirs = rescale(values, [multiplier], [shift], rounding=rounding)
            for name in counts:
                left = lowbit.get_requantize_scheme(name).shift == "left"
                ours = lowbit.requantize(
                    values, scheme=name, multiplier=multiplier, shift=31 - shift if left else shift
                )
                counts[name] += np.count_nonzero(ours != theirs)
    assert all({**from_single, **from_double}.values()), (from_single, from_double)


def test_channels():
    multipliers, shifts = [1 << 30, 1690499128, 1234567891], [33, 37, 45]
    values = np.random.default_rng(0).integers(-(1 << 16), 1 << 16, (7, 5, 3)).astype(np.int32)
    theirs = rescale(values, multipliers, shifts, rounding="SINGLE_ROUND", output_zero=-4)
    ours = lowbit.requantize(values, scheme="tosa_single", multiplier=multipliers, shift=shifts, zero_point=-4)
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(("multiplier", "shift"), [(1 << 14, 16), (25795, 21), (32767, 15), (20001, 30), (3, 2)])
def test_16_bit_multipliers(multiplier, shift):
    # an int16 input less its zero point is far below 48 bits; the specification's range is that of the shift
    rng = np.random.default_rng(shift)
    values = np.concatenate([rng.integers(-(1 << 15), 1 << 15, 4000), np.arange(-40, 40)]).astype(np.int16)
    limit = 1 << (shift - 1)
    values = values[(values >= -limit) & (values < limit)]
    theirs = rescale(values, [multiplier], [shift], rounding="SINGLE_ROUND", scale32=False)
    ours = lowbit.requantize(values, scheme="tosa_single_48", multiplier=multiplier, shift=shift)
    np.testing.assert_array_equal(ours, theirs)


def test_48_bit_accumulators():
    rng = np.random.default_rng(1)
    values = np.concatenate([rng.integers(-(1 << bits), 1 << bits, 800) for bits in (10, 20, 30, 40, 47)])
    theirs = rescale_48(values, 25795, 40)
    ours = lowbit.requantize(values, scheme="tosa_single_48", multiplier=25795, shift=40, result="int32")
    np.testing.assert_array_equal(ours, theirs)


def rescale_48(values, multiplier, shift):
    """RESCALE of an INT48 tensor: a constant of the graph, since the bindings take none as an input."""
    from tests.cross.tosa_graphs import run_operator

    module = serializer()
    attribute = ("RescaleAttribute", (False, module.RoundingMode.SINGLE_ROUND, False, False, False))
    constants = [
        (values, "int48"),
        (np.array([multiplier], dtype=np.int16), ""),
        (np.array([shift], dtype=np.int8), ""),
        (np.array([0], dtype=np.int64), "int48"),
        (np.array([0], dtype=np.int32), ""),
    ]
    made = run_operator("RESCALE", attribute, [], (values.shape, "int32"), constants=constants)
    return made.reshape(-1).view(np.int32)
