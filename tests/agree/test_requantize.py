"""Requantisation: the oracle, the plain kernels and the fast loops give the same codes for every scheme."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lowbit
from lowbit.oracle.requantize.requantize import requantize as oracle_requantize
from lowbit.policy.multiplier import derive_multiplier
from lowbit.policy.requantize import arithmetic_name
from tests.thinned import thinned

SCHEMES = sorted({arithmetic_name(scheme) for scheme in lowbit.REQUANTIZE_SCHEMES.values()})
SCALES = [0.5, 2.0**-11, 0.0123, 0.03827386349439621, 0.9999999, 2.0**-20, 1.5e-9]
RESULTS = {"int8": 3, "uint8": 128, "int16": -7, "uint16": 1000, "int4": -2, "uint4": 8, "int8_narrow": 0, "int32": 11}


def setting(name, scale):
    """Arguments for the library, and multiplier and shift for the oracle; None where the scheme refuses the scale."""
    scheme = lowbit.get_requantize_scheme(name)
    try:
        multiplier, shift = derive_multiplier(scale, scheme)
    except lowbit.InputError:
        return None
    given = {"scale": scale} if scheme.takes_scale else {"multiplier": multiplier, "shift": shift}
    return scheme, given, multiplier, shift


def directed(scheme, multiplier, shift, zero_point=0):
    """Ties and their neighbours, the ends of the range, small values, and a sample of the rest."""
    low, high = scheme.accumulator_range(shift)
    right = shift if scheme.takes_scale else scheme.right_shift(shift)
    rng = np.random.default_rng(abs(multiplier) % 1000)
    values = {low, low + 1, high, high - 1, *range(-70, 71)}
    for quotient in (*range(-140, 141), 255, 256, 32767, -32768, 65535):
        # accumulator * multiplier * 2^-right = quotient + 1/2
        middle = ((2 * quotient + 1) << max(right - 1, 0)) // max(abs(multiplier), 1)
        values.update(range(middle - 2, middle + 3))
    for bits in (8, 16, 24, 31, 47):
        values.update(rng.integers(-(1 << bits), 1 << bits, 40).tolist())
    shifted = {value + zero_point for value in values} if scheme.zero_point == "before_product" else set()
    return np.array(sorted(value for value in values | shifted if low <= value <= high), dtype=np.int64)


def expected(accumulators, scheme, multiplier, shift, zero_point, result):
    fmt = lowbit.get_format(result)
    limits = {"zero_point": zero_point, "low": fmt.min_code, "high": fmt.max_code}
    return [oracle_requantize(x, scheme, multiplier, shift, **limits) for x in accumulators.tolist()]


@pytest.mark.parametrize("scale", thinned(SCALES, 2))
@pytest.mark.parametrize("name", SCHEMES)
def test_every_scheme(name, scale):
    found = setting(name, scale)
    if found is None:
        pytest.skip("the scheme refuses this scale")
    scheme, given, multiplier, shift = found
    for result, zero_point in (("int8", 3), ("uint8", 128)):
        accumulators = directed(scheme, multiplier, shift, zero_point)
        wanted = expected(accumulators, scheme, multiplier, shift, zero_point, result)
        options = {**given, "scheme": scheme, "zero_point": zero_point, "result": result}
        codes = [answer.code for answer in wanted]
        np.testing.assert_array_equal(lowbit.requantize(accumulators, **options), codes)
        again, counts = lowbit.requantize(accumulators, return_counts=True, **options)
        np.testing.assert_array_equal(again, codes)
        assert counts["saturated"] == sum(answer.saturated for answer in wanted)
        assert counts["wrapped"] == sum(answer.wrapped for answer in wanted)


@pytest.mark.parametrize("result", thinned(RESULTS, 2))
@pytest.mark.parametrize("name", SCHEMES)
def test_every_result(name, result):
    scheme, given, multiplier, shift = setting(name, 0.0371)
    zero_point = RESULTS[result]
    if scheme.overflow == "wrap" and result.endswith("narrow"):
        with pytest.raises(lowbit.InputError, match="wraps modulo"):
            lowbit.requantize(1, scheme=scheme, result=result, **given)
        return
    accumulators = directed(scheme, multiplier, shift, zero_point)
    # test_every_scheme has all of them
    accumulators = np.concatenate([accumulators[:3], accumulators[3:-3:4], accumulators[-3:]])
    wanted = [answer.code for answer in expected(accumulators, scheme, multiplier, shift, zero_point, result)]
    got = lowbit.requantize(accumulators, scheme=scheme, zero_point=zero_point, result=result, **given)
    assert got.dtype == lowbit.get_format(result).code_dtype
    np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize("bits", [8, pytest.param(11, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", SCHEMES)
def test_small_ranges_exhaustively(name, bits):
    # every accumulator of few bits at small scales of fewer bits: all ties occur
    scheme = lowbit.get_requantize_scheme(name)
    accumulators = np.arange(-(1 << bits - 1), 1 << bits - 1)
    for eighths in (1, 2, 3, 4, 5, 7, 8, 12):
        found = setting(name, eighths / 8)
        if found is None:
            continue
        _, given, multiplier, shift = found
        got = lowbit.requantize(accumulators, scheme=scheme, result="int16", **given)
        wanted = expected(accumulators, scheme, multiplier, shift, 0, "int16")
        np.testing.assert_array_equal(got, [answer.code for answer in wanted])


@given(
    name=st.sampled_from(SCHEMES),
    exponent=st.integers(-130, 127),
    accumulators=st.lists(st.integers(-3, 3) | st.integers(-(1 << 31), (1 << 31) - 1), min_size=1, max_size=9),
    result=st.sampled_from(["int8", "uint8", "int16", "int32", "uint32"]),
)
def test_any_power_of_two(name, exponent, accumulators, result):
    """Scales up to the largest binary32 number: zero stays zero, and counting changes no bit."""
    found = setting(name, 2.0**exponent)
    if found is None or (found[0].overflow == "wrap" and result.endswith("narrow")):
        return
    scheme, given, multiplier, shift = found
    low, high = scheme.accumulator_range(shift)
    array = np.clip(np.array([0, *accumulators, 0]), low, high)
    options = {**given, "scheme": scheme, "result": result}
    wanted = expected(array, scheme, multiplier, shift, 0, result)
    codes = lowbit.requantize(array, **options)
    counted, counts = lowbit.requantize(array, return_counts=True, **options)
    assert codes.tolist() == counted.tolist() == [answer.code for answer in wanted]
    assert counts["saturated"] == sum(answer.saturated for answer in wanted)
    if low <= 0 <= high:
        assert codes[0] == codes[-1] == 0
    rows = lowbit.requantize(np.stack([array, array]), **options, axis=0) if scheme.takes_scale else codes[None]
    assert (rows == codes).all()


@given(
    name=st.sampled_from(SCHEMES),
    scale=st.floats(1e-6, 0.99),
    accumulators=st.lists(st.integers(-(1 << 31), (1 << 31) - 1), min_size=1, max_size=20),
    zero_point=st.integers(-128, 127),
)
def test_any_scale_and_accumulator(name, scale, accumulators, zero_point):
    scheme, given, multiplier, shift = setting(name, scale)
    low, high = scheme.accumulator_range(shift)
    array = np.clip(np.array(accumulators), low, high)
    wanted = [answer.code for answer in expected(array, scheme, multiplier, shift, zero_point, "int8")]
    assert lowbit.requantize(array, scheme=scheme, zero_point=zero_point, **given).tolist() == wanted


@pytest.mark.parametrize(
    ("shape", "axis"), thinned([((2, 7, 3), 1), ((3, 4, 5), -1), ((2, 3, 700), 1), ((1300, 3), 1), ((5, 2), 0)], 2)
)
@pytest.mark.parametrize("name", SCHEMES)
def test_channels(name, shape, axis):
    scheme = lowbit.get_requantize_scheme(name)
    channels = shape[axis]
    scales = np.random.default_rng(channels).uniform(2.0**-12, 0.5, channels)
    pairs = [derive_multiplier(scale, scheme) for scale in scales]
    limits = [scheme.accumulator_range(shift) for _, shift in pairs]
    reach = (max(limit[0] for limit in limits), min(limit[1] for limit in limits))
    array = np.random.default_rng(5).integers(-4000, 4000, shape)
    array = np.clip(array, *reach)
    if scheme.takes_scale:
        given = {"scale": scales}
    else:
        given = {"multiplier": [pair[0] for pair in pairs], "shift": [pair[1] for pair in pairs]}
    got = lowbit.requantize(array, scheme=scheme, axis=axis, **given)
    assert got.shape == shape
    for channel, (multiplier, shift) in enumerate(pairs):
        part = np.take(array, channel, axis).reshape(-1)
        one = {"scale": scales[channel]} if scheme.takes_scale else {"multiplier": multiplier, "shift": shift}
        sample = part[:40]
        wanted = [answer.code for answer in expected(sample, scheme, multiplier, shift, 0, "int8")]
        assert np.take(got, channel, axis).reshape(-1)[:40].tolist() == wanted
        np.testing.assert_array_equal(
            np.take(got, channel, axis).reshape(-1), lowbit.requantize(part, scheme=scheme, **one)
        )
    with_counts, _ = lowbit.requantize(array, scheme=scheme, axis=axis, return_counts=True, **given)
    np.testing.assert_array_equal(with_counts, got)


def test_threads_give_the_same_bits():
    array = np.random.default_rng(1).integers(-(1 << 20), 1 << 20, 1 << 18, dtype=np.int32)
    one, two = (lowbit.requantize(array, scheme="tflm", scale=0.001, threads=threads) for threads in (1, 2))
    np.testing.assert_array_equal(one, two)


def any_scheme():
    """Schemes that no product has: the axes are independent where they do not contradict each other."""
    integer = st.fixed_dictionaries(
        {
            "tie": st.sampled_from(["up", "away", "even"]),
            "high_half": st.sampled_from(["none", "up"]),
            "narrowing": st.sampled_from(["exact", "wrap32", "saturate16", "saturate17"]),
            "zero_point": st.sampled_from(["after_rounding", "after_clamp", "before_product"]),
            "overflow": st.sampled_from(["saturate", "wrap"]),
            "left_shift": st.sampled_from(["exact", "wrap32"]),
        }
    )
    return integer.map(in_64_bits)


def in_64_bits(axes):
    """The widest multiplier and the longest shift to the left that such a scheme can have."""
    bits = 30 if axes["zero_point"] == "before_product" else 31
    left = 0 if axes["high_half"] != "none" and axes["left_shift"] == "exact" else 10
    return lowbit.RequantizeScheme(**axes, multiplier_bits=bits, shift_range=(-31, left))


@given(
    scheme=any_scheme(),
    share=st.floats(0, 1),
    shift=st.integers(-31, 10),
    accumulators=st.lists(st.integers(-(1 << 31), (1 << 31) - 1), min_size=1, max_size=10),
    zero_point=st.one_of(st.integers(-8, 7), st.sampled_from([-(1 << 31), (1 << 31) - 1])),
    result=st.sampled_from(["int8", "int4", "int16"]),
)
def test_any_combination_of_axes(scheme, share, shift, accumulators, zero_point, result):
    array = np.array(accumulators)
    shift, multiplier = min(shift, scheme.shift_range[1]), int(share * scheme.multiplier_range[1])
    if scheme.zero_point != "before_product":
        zero_point %= 8
    wanted = [answer.code for answer in expected(array, scheme, multiplier, shift, zero_point, result)]
    options = {"multiplier": multiplier, "shift": shift, "zero_point": zero_point, "result": result}
    assert lowbit.requantize(array, scheme=scheme, **options).tolist() == wanted
    assert lowbit.requantize(array, scheme=scheme, return_counts=True, **options)[0].tolist() == wanted


@pytest.mark.parametrize(
    "axes",
    [
        {"zero_point": "before_product", "multiplier_bits": 30},
        {"zero_point": "before_product", "multiplier_bits": 30, "left_shift": "wrap32", "tie": "away"},
        {"zero_point": "before_product", "multiplier_bits": 29, "signed_multiplier": True, "high_half": "up"},
        {"zero_point": "before_product", "product": "binary53", "multiplier_bits": 30, "tie": "even"},
        {"zero_point": "before_product", "accumulator_bits": 48, "multiplier_bits": 14},
        {"zero_point": "before_product", "high_half": "up", "left_shift": "wrap32", "shift_range": (-31, 30)},
        {"signed_multiplier": True, "multiplier_bits": 30, "high_half": "down"},
        {"high_half": "up", "multiplier_bits": 21, "shift_range": (-31, 10)},
        {"multiplier_use": "upper_15", "accumulator_bits": 48, "shift_range": (-31, 15)},
        {"pre_shift": "up_saturate16", "multiplier_bits": 31, "point": 15, "shift_range": (-31, 15)},
    ],
)
def test_the_widest_of_schemes_without_a_product(axes):
    """Where the sixty-fourth bit is near: the ends of accumulators, multipliers, shifts and zero points."""
    axes = {"shift_range": (-31, 0)} | axes
    scheme = lowbit.RequantizeScheme(**axes)
    low, high = scheme.accumulator_range()
    array = np.array([low, low + 1, -1, 0, 1, high - 1, high], dtype=np.int64)
    zeros = (-(1 << 31), (1 << 31) - 1) if scheme.zero_point == "before_product" else (-128, 127)
    for multiplier in scheme.multiplier_range:
        for shift in (*scheme.shift_range, -20):
            for zero_point in zeros:
                answers = expected(array, scheme, multiplier, shift, zero_point, "int8")
                options = {"multiplier": multiplier, "shift": shift, "zero_point": zero_point, "scheme": scheme}
                assert lowbit.requantize(array, **options).tolist() == [answer.code for answer in answers]
                codes, counts = lowbit.requantize(array, return_counts=True, **options)
                assert codes.tolist() == [answer.code for answer in answers]
                assert counts["wrapped"] == sum(answer.wrapped for answer in answers)


@pytest.mark.parametrize("name", SCHEMES)
def test_zero_points_of_every_result(name):
    """The ends of the result's own codes, uint32's above 2^31 too; a binary32 zero point is rounded to binary32."""
    scheme, given, multiplier, shift = setting(name, 0.3)
    low, high = scheme.accumulator_range(shift)
    array = np.array([low, -1548, -1, 0, 1, 7, high])
    for result in ("int32", "uint32", "uint16", "int8"):
        fmt = lowbit.get_format(result)
        for zero_point in {fmt.min_code, fmt.max_code, fmt.max_code - 63, 3 << fmt.bits - 2 if not fmt.signed else -1}:
            if scheme.zero_point == "before_product" and zero_point >= 1 << 31:
                continue
            wanted = expected(array, scheme, multiplier, shift, zero_point, result)
            options = {**given, "scheme": scheme, "zero_point": zero_point, "result": result}
            assert lowbit.requantize(array, **options).tolist() == [answer.code for answer in wanted]
            codes, counts = lowbit.requantize(array, return_counts=True, **options)
            assert codes.tolist() == [answer.code for answer in wanted]
            assert counts["saturated"] == sum(answer.saturated for answer in wanted)


@pytest.mark.parametrize("name", ["float64_even", "float32_even", "xnnpack_fp32", "onnx_reference"])
@pytest.mark.parametrize("zero_point", [-(1 << 31), (1 << 31) - 1, 0])
@pytest.mark.parametrize("scale", [1.43, 0.3, 5.0])
def test_zero_points_of_32_bits_lead_back_from_beyond_the_range(name, zero_point, scale):
    scheme, given, multiplier, shift = setting(name, scale)
    array = np.array([-(1 << 31), (1 << 31) - 1, 7, 12345679, -(1 << 30)])
    wanted = [answer.code for answer in expected(array, scheme, multiplier, shift, zero_point, "int32")]
    got = lowbit.requantize(array, scheme=scheme, zero_point=zero_point, result="int32", **given)
    assert got.tolist() == wanted
