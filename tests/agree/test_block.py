"""Block formats: the oracle in fractions and the fast path give the same codes, scales and values."""

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lowbit import testing
from lowbit.errors import InputError
from lowbit.exact import FINITE, NAN, from_float
from lowbit.format.block_name import block_format
from lowbit.format.registry import block_format_of, formats, get_format
from lowbit.ops.block.dequantize import dequantize
from lowbit.ops.block.quantize import quantize
from lowbit.ops.block.tensor import BlockTensor
from lowbit.ops.cast.cast import decode
from lowbit.oracle.block.decode import element_value
from lowbit.oracle.block.encode import quantize as oracle_quantize
from lowbit.policy.block import BINARY32_STEPS, BLOCK_PRESETS, BlockPolicy, get_block_policy
from tests.thinned import thinned

SHAPES = {1: (3, 64), 2: (32, 48)}
MX = [name for name in formats(kind="block") if name.startswith("mx")]
RULES = [rule for rule in BlockPolicy.choices("scale_rule") if rule not in BINARY32_STEPS]


def blocks(seed, shape, dtype=np.float32):
    """Blocks of every kind: of usual size, tiny, huge, of one sign, of zeros, beside powers of two, with ties."""
    drawn = np.random.default_rng(seed)
    values = drawn.normal(size=shape) * 2.0 ** drawn.integers(-6, 7, size=(*shape[:-1], 1))
    rows = values.reshape(-1, 16)
    kinds = drawn.integers(0, 9, len(rows))
    steps = drawn.integers(-8, 9, rows.shape) / 4
    rows[kinds == 1] = np.abs(rows[kinds == 1])
    rows[kinds == 2] *= 2.0**-130
    rows[kinds == 3] *= 2.0**110
    rows[kinds == 4] = 0
    rows[kinds == 5] = steps[kinds == 5]
    rows[kinds == 6] = steps[kinds == 6] * 7 / 8
    rows[kinds == 7] = -np.abs(rows[kinds == 7])
    rows[kinds == 8, ::3] = -0.0
    return rows.reshape(shape).astype(dtype)


def by_oracle(values, fmt, policy):
    """Codes and scales as arrays, from the oracle."""
    exact = [from_float(float(value)) for value in values.reshape(-1)]
    result = oracle_quantize(exact, values.shape, fmt, policy)
    return np.array(result.codes).reshape(fmt.codes_shape(values.shape)), result.scales


def require_equal(values, fmt, policy):
    fmt = block_format_of(fmt)
    policy = get_block_policy(policy)
    try:
        codes, scales = by_oracle(values, fmt, policy)
    except InputError:
        with pytest.raises(InputError):
            quantize(values, fmt, policy=policy)
        return
    tensor = quantize(values, fmt, policy=policy)
    for field in fmt.scales:
        got = tensor.scale_codes(field.name).reshape(-1).tolist()
        where = np.flatnonzero(np.array(got) != np.array(scales[field.name])).tolist()
        first = [(place, got[place], scales[field.name][place]) for place in where[:3]]
        assert not where, f"{fmt.id} {policy.spell()}: scale {field.name} {first}"
    where = np.argwhere(tensor.codes != codes)
    place = tuple(where[0]) if len(where) else ()
    assert not len(where), f"{fmt.id} {policy.spell()}: {place} {values[place]}: {tensor.codes[place]}, {codes[place]}"


@pytest.mark.parametrize("name", formats(kind="block"))
def test_the_default_policy(name):
    fmt = get_format(name)
    shape = tuple(2 * length for length in fmt.block or (16,))
    shape = shape if len(shape) > 1 else (3, *shape)
    if len(shape) > 1 and shape[0] > 32:
        fmt = block_format(fmt.element, block=(8, 16), scale=fmt.scales[0].format, default_policy=fmt.default_policy)
        shape = (16, 48)
    require_equal(blocks(1, shape), fmt, fmt.default_policy)


@pytest.mark.parametrize("name", formats(kind="block"))
def test_a_tensor_of_zeros(name):
    fmt = get_format(name)
    if max(fmt.block or (1,)) > 64:
        of_ggml = get_block_policy(fmt.default_policy).of_ggml  # whose zeros are in test_searches_of_ggml.py
        policy = "nearest" if of_ggml else fmt.default_policy
        fmt = block_format(fmt.element, block=8, scale=fmt.scales[0].format, default_policy=policy)
    values = np.zeros((32, 64), np.float32)
    values[:, ::3] = -0.0
    for policy in (fmt.default_policy, "nearest"):
        require_equal(values[: 16 if len(fmt.block) > 1 else 1], fmt, policy)
        for dtype in (np.float32, np.float64):
            tensor = quantize(values.astype(dtype), fmt, policy=policy)
            if fmt.number.zero:
                assert np.array_equal(dequantize(tensor), values), (policy, tensor.scales)


@pytest.mark.parametrize("arithmetic", BlockPolicy.choices("arithmetic"))
@pytest.mark.parametrize("name", ["nvfp4", "nvfp4_reciprocal"])
def test_zeros_under_a_scale_of_zero(name, arithmetic):
    # That of a tensor whose largest value over 6 * 448 is 0 in binary32, or infinity as a reciprocal: not 0 / 0.
    values = np.zeros((2, 32), np.float32)
    for largest in (0.0, 1e-45):
        values[0, 3] = largest
        for steps in BlockPolicy.choices("scale_steps"):
            policy = get_block_policy("nvfp4").choose(arithmetic=arithmetic, scale_steps=steps)
            require_equal(values, name, policy)
            zeros = quantize(values, name, policy=policy).scale_codes("block")[1]
            assert not zeros.any(), (steps, largest)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", MX)
def test_every_scale_rule_at_every_boundary_of_amax(name, rule):
    # The largest of a block at and beside each number of six bits: maxima, ties behind them, powers of two.
    fmt = block_format(block_format_of(name).element, block=2, scale="float8_e8m0fnu")
    tops = np.array([*np.arange(32, 64) / 32, 255 / 128], np.float32)
    tops = np.concatenate([np.nextafter(tops, np.float32(0)), tops, np.nextafter(tops, np.float32(4))])
    values = np.stack([tops / 2, -tops], axis=1)
    require_equal(values, fmt, get_block_policy("ocp_mx").choose(scale_rule=rule))


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("element", ["int4", "q2.6", "int4_narrow", "uq0.4"])
def test_every_scale_rule_for_integers(element, rule):
    # Two's complement reaches further below zero, where amax over the largest element follows it; uq0.4 ends below 1.
    tops = np.array([7, 7.25, 7.5, 7.75, 8, 8.25, 8.5, 8.75, 15, 15.5], np.float32)
    signed = block_format_of(f"{element}.g2").element.signed
    for by_sign in (False, True)[: 1 + signed]:
        fmt = block_format(element, block=2, scale="float32", by_sign=by_sign)
        require_equal(np.stack([tops, -tops, tops / 2, -tops * 3], 1), fmt, BlockPolicy(scale_rule=rule))


@pytest.mark.parametrize("preset", BLOCK_PRESETS)
@pytest.mark.parametrize("name", thinned(["nvfp4", "mxfp4"], 1))
def test_presets(name, preset):
    require_equal_under(name, preset, (2, 64))


@pytest.mark.slow
@pytest.mark.parametrize("preset", BLOCK_PRESETS)
@pytest.mark.parametrize(
    "name", ["mxfp8_e4m3", "mxfp6_e3m2", "mxint8", "nvfp4_reciprocal", "float4_e2m1fn.g32.by_sign"]
)
def test_presets_elsewhere(name, preset):
    require_equal_under(name, preset, (6, 96))


def require_equal_under(name, preset, shape):
    values = blocks(2, shape)
    require_equal(values, name, preset)
    values[0, 3], values[1, 40], values[-1, -2] = np.nan, np.inf, -np.inf
    require_equal(values, name, preset)


@pytest.mark.parametrize("element", ["nf4", "bnb_fp4"])
def test_codebooks_with_defects(element):
    # By kernels whose tables hold the defects: ties of the table and their neighbours, both zeros, no numbers.
    table = np.sort([float(get_format(element).decode(code).fraction()) for code in range(16)])
    middles = ((table[1:] + table[:-1]) / 2).astype(np.float32)
    middles = np.concatenate([middles, *(np.nextafter(middles, np.float32(end)) for end in (-1, 1)), [1e-30, -1e-30]])
    values = np.resize(middles, (4, 48)).astype(np.float32) * np.float32([[1], [0.75], [3], [1]])
    values[:, 0] = 1, 0.75, -3, 1
    values[3, 5:9] = np.nan, -np.nan, -0.0, 0.0
    require_equal(values, f"{element}.g48.float32", "bitsandbytes")


STEPS = list(
    itertools.product(
        ("exact", "binary32", "bfloat16"),
        BlockPolicy.choices("scale_steps"),
        BlockPolicy.choices("tensor_steps"),
        BlockPolicy.choices("quotient_steps"),
    )
)


@pytest.mark.parametrize(
    "name", thinned(["nvfp4", "nvfp4_reciprocal", "int4.8x16.float32", "float4_e2m1fn.g16.by_sign"], 2)
)
def test_steps(name):
    require_equal_steps(name, STEPS[len(name) % 9 :: 9])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["nvfp4", "nvfp4_reciprocal", "float4_e2m1fn.g16.by_sign", "int4.8x16.float32"])
def test_all_steps(name):
    require_equal_steps(name, STEPS)


def require_equal_steps(name, steps):
    fmt = block_format_of(name)
    for seed, (arithmetic, scale, tensor, quotient) in enumerate(steps):
        policy = BlockPolicy(
            arithmetic=arithmetic, scale_steps=scale, tensor_steps=tensor, quotient_steps=quotient, scale="ocp_sat"
        )
        require_equal(blocks(seed, (8, 32)) * np.float32(2.0**-20), fmt, policy)


@pytest.mark.parametrize("axis", sorted(set(BlockPolicy.CHOICES) - {"scale_rule", "arithmetic", "tail"}))
@pytest.mark.parametrize("name", thinned(["nvfp4", "mxfp8_e5m2", "float4_e2m1fn.g16.by_sign"], 2))
def test_every_choice(name, axis):
    values = blocks(3, (4, 32))
    special = values.copy()
    special[0, 3], special[1, 20], special[2, 30] = np.nan, np.inf, -np.nan
    special[3, 7:9] = np.inf, np.nan
    for choice, arithmetic in itertools.product(BlockPolicy.choices(axis), ("exact", "binary32")):
        if arithmetic == "exact" and (
            choice in BINARY32_STEPS or choice.startswith(("unrounded", "four_over_six", "uniform_"))
        ):
            continue
        if axis == "search" and choice.startswith("ggml"):  # of formats of their own: test_searches_of_ggml.py
            continue
        policy = BlockPolicy(arithmetic=arithmetic, scale="ocp_sat").choose(**{axis: choice})
        for array in (values, special):
            require_equal(array, name, policy)


@pytest.mark.parametrize("dtype", [np.float64, np.float16])
def test_other_sources(dtype):
    values = blocks(4, (4, 64), np.float64) * (1 + 2.0**-40)
    values = np.clip(values, -6e4, 6e4).astype(dtype)
    for name in ("mxfp4", "nvfp4", "int4.g32.float32", "float8_e4m3fn.g16.bfloat16"):
        require_equal(values, name, BlockPolicy())


def test_steps_in_bfloat16_are_rounded_once():
    # Values just beyond a tie of bfloat16, which binary32 has not; a quotient by a number of 24 bits beside a tie.
    beyond = 1 + 2.0**-8 + 2.0 ** -np.arange(26, 50)
    policy = BlockPolicy(arithmetic="bfloat16", scale="ocp_sat")
    require_equal(beyond[:, None] * np.ones(2), block_format("float16", block=2, scale="bfloat16"), policy)
    reach = block_format("bnb_dynamic8u", block=1, scale="float32", tensor="float32")
    for value in (1.7663615942001343, 0.753844141960144):
        require_equal(np.float32([[value, 0.4677112102508545]]), reach, policy.choose(tensor="ocp_sat"))


def test_an_unrounded_scale_is_a_number_of_the_arithmetic():
    policy = BlockPolicy(arithmetic="binary32", scale_rule="floor", quotient_scale="unrounded", scale="ocp_sat")
    values = np.float32([[2.0**-149, -(2.0**-148), 2.0**-147, 0]])  # the power of two is 2^-151
    for zero_scale in ("zero", "largest"):
        require_equal(
            values, block_format("float4_e3m0", block=4, scale="float32"), policy.choose(zero_scale=zero_scale)
        )


def test_quotients_of_binary64_are_exact():
    # Each value is a tie or beside one by a unit of binary64: a quotient that is rounded first cannot tell.
    fmt = block_format("int8", block=4, scale="float32")
    scale = np.float64(np.float32(0.1))
    ties = (np.arange(-126, 126) + 0.5) * scale
    values = np.stack(
        [ties, np.nextafter(ties, np.inf), np.nextafter(ties, -np.inf), np.full(len(ties), 127 * scale)], 1
    )
    require_equal(values, fmt, BlockPolicy())


def test_products_of_binary64_over_a_scale_are_exact():
    # With a stored reciprocal R a quotient is x * R / s: each x is a tie or beside one by a unit of binary64.
    drawn, policy = np.random.default_rng(0), BlockPolicy(scale="ocp_sat", tensor="ocp_sat")
    values = drawn.uniform(0.5, 1, size=(2, 64))
    values[:, ::16] = drawn.uniform(1, 4, size=(2, 4))
    tensor = quantize(values, "nvfp4_reciprocal", policy=policy)
    scales = decode(tensor.scales["block"], "float8_e4m3fn", dtype=np.float64)
    for place in np.ndindex(values.shape):
        tie = Fraction([0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5][sum(place) % 7])
        if place[1] % 16:
            scale = Fraction(float(scales[place[0], place[1] // 16])) / Fraction(float(tensor.scales["tensor"]))
            toward = [None, -9, 9][sum(place) % 3]
            values[place] = float(tie * scale) if toward is None else np.nextafter(float(tie * scale), toward)
    require_equal(np.minimum(values, np.repeat(values[:, ::16], 16, axis=1)), "nvfp4_reciprocal", policy)


def test_scales_of_binary64_maxima_under_a_stored_reciprocal_are_exact():
    # A scale is amax * R / 6: each amax makes it a tie of E4M3 or lies beside one by a unit of binary64.
    drawn, policy = np.random.default_rng(1), BlockPolicy(scale="ocp_sat", tensor="ocp_sat")
    values = drawn.uniform(1e-4, 2e-4, size=(1, 64 * 16))
    values[0, 0] = 3.3
    tensor = quantize(values, "nvfp4_reciprocal", policy=policy)
    reciprocal = Fraction(float(tensor.scales["tensor"]))
    for number in range(1, 64):
        tie = Fraction(2 * int(drawn.integers(8, 16)) + 1, 16) * 2 ** int(drawn.integers(0, 4))
        toward = [None, -9, 9][number % 3]
        amax = float(tie * 6 / reciprocal)
        values[0, 16 * number] = amax if toward is None else np.nextafter(amax, toward)
    require_equal(values, "nvfp4_reciprocal", policy)


def test_short_blocks_and_any_axis():
    values = blocks(5, (6, 80))[:5, :77]
    for name in ("mxfp4", "nvfp4", "int4.2x32.float32", "int8.channel", "int8.tensor", "float4_e2m1fn.g32.by_sign"):
        fmt, policy = block_format_of(name), BlockPolicy(tail="short", scale="ocp_sat")
        require_equal(values, fmt, policy)
        straight = quantize(values, fmt, policy=policy)
        turned = quantize(np.ascontiguousarray(values.T), fmt, axis=0, policy=policy)
        assert np.array_equal(turned.codes.T, straight.codes)
        assert all(np.array_equal(turned.scales[name].T, straight.scales[name]) for name in straight.scales)
        assert np.array_equal(dequantize(turned).T, dequantize(straight), equal_nan=True)
        cube = quantize(np.stack([values, values]).transpose(2, 0, 1), fmt, axis=0, policy=policy)
        assert np.array_equal(cube.codes.transpose(1, 2, 0)[0], straight.codes) or fmt.block == ()


def exact_equal(value, exact, dtype):
    if exact.kind == NAN:
        return bool(np.isnan(value))
    if exact.kind != FINITE:
        return bool(np.isinf(value)) and (value > 0) == (exact.kind == 1)
    with np.errstate(over="ignore"):
        from lowbit.oracle.arithmetic.rounded import round_exact

        rounded = round_exact(exact, dtype)
    return from_float(float(value)).reduced() == rounded.reduced()


@pytest.mark.parametrize("dtype", thinned(["float32", "float64", "float16", "bfloat16"], 2))
@pytest.mark.parametrize("name", ["mxfp4", "mxfp8_e4m3", "mxfp8_e5m2", "mxint8", "mxfp6_e2m3", "nvfp4"])
def test_every_element_and_scale_code(name, dtype):
    # All codes of an element format, under all codes of its scale format.
    fmt = block_format_of(name)
    element, finest = fmt.element, fmt.scales[0]
    codes = np.array([element.from_pattern(pattern) for pattern in range(1 << element.bits)])
    some = range(256) if element.bits < 6 else (*range(0, 256, 23), 126, 127, 128, 254, 255)
    some = [code for code in some if code in finest.format.codes]
    width = fmt.block[0]
    padded = np.resize(codes, -(-len(codes) // width) * width)
    table = np.broadcast_to(padded, (len(some), len(padded)))
    scales = {finest.name: np.repeat(np.array(some)[:, None], len(padded) // width, axis=1).astype(np.uint8)}
    for tensor_scale in (0.37, 2.0**-140) if len(fmt.scales) > 1 else (None,):
        if tensor_scale is not None:
            scales["tensor"] = np.float32(tensor_scale).reshape(())
        tensor = BlockTensor(fmt, table.shape, 1, table, scales)
        values = dequantize(tensor, dtype=scalar_dtype(dtype))
        single = {} if tensor_scale is None else {"tensor": int(np.float32(tensor_scale).view(np.uint32))}
        for row, code in enumerate(some):
            for column, own in enumerate(codes.tolist()):
                exact = element_value(own, {finest.name: code, **single}, fmt)
                got = values[row, column]
                assert exact_equal(got, exact, dtype), (name, own, code, got, str(exact))


def scalar_dtype(name):
    import ml_dtypes

    return ml_dtypes.bfloat16 if name == "bfloat16" else np.dtype(name)


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.data())
def test_any_format_any_policy(data):
    fmt = data.draw(testing.block_formats())
    policy = data.draw(testing.block_policies())
    values = data.draw(testing.block_arrays(fmt, specials=True))
    require_equal(values[:1], fmt, policy)


@settings(deadline=None, max_examples=30)
@given(st.data())
def test_a_tensor_is_worth_what_its_codes_say(data):
    fmt = data.draw(testing.block_formats())
    tensor = data.draw(testing.block_tensors(fmt, policy="ocp_mx"))
    values = dequantize(tensor, dtype=np.float64)
    length = fmt.block[0]
    for place in np.ndindex(1, min(tensor.shape[1], 12)):
        codes = {}
        for field in fmt.scales:
            array = tensor.scale_codes(field.name)
            codes[field.name] = int(array[place[0], place[1] // length] if array.ndim else array)
        vector, number = divmod(place[1], fmt.element.dimension)
        code = int(tensor.codes[place[0], vector])
        assert exact_equal(values[place], element_value(code, codes, fmt, number), "float64")


@pytest.mark.parametrize("choice", BlockPolicy.choices("value_range"))
@pytest.mark.parametrize("arithmetic", BlockPolicy.choices("arithmetic"))
@pytest.mark.parametrize(
    "name", thinned(["int4.g16", "uint4.g32", "uint8.g16", "int8.4x16", "uint2.channel", "uint4.tensor"], 2)
)
def test_zero_points(name, arithmetic, choice):
    fmt = block_format_of(f"{name}.asymmetric.float32")
    values = np.clip(blocks(9, (8, 64)), -1e30, 1e30)
    for place in BlockPolicy.choices("zero_point_place"):
        policy = BlockPolicy(arithmetic=arithmetic, value_range=choice, zero_point_place=place)
        require_equal(values, fmt, policy)
        require_equal(values[:, :24] * (1 + np.float64(2.0**-40)), fmt, policy.choose(tail="short"))
    tensor = quantize(values, fmt)
    limit = tensor.scales["block"].max() * 0.51 + np.abs(values).max() * 1e-6
    assert np.abs(dequantize(tensor, dtype=np.float64) - values).max() <= limit
    values[2, 5] = np.nan
    require_equal(values, fmt, BlockPolicy())
