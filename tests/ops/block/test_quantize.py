"""quantize and dequantize at their edges: what is refused and how, and what NumPy would give."""

import copy
import pickle
from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest

import lowbit
from lowbit.errors import InputError, PolicyError
from lowbit.exact import from_float
from lowbit.ops.block.tensor import BlockTensor
from lowbit.oracle.block.encode import quantize as oracle_quantize


def test_the_example_of_the_specification():
    # OCP MX v1.0 6.3 by hand: the largest is 5.2, 2^2 <= 5.2 < 2^3, so the scale is 2^(2 - 2) = 1.
    values = np.zeros(32)
    values[:5] = 5.2, -0.3, 0.24, 2.5, -1.75
    tensor = lowbit.quantize(values, "mxfp4")
    assert tensor.scales["block"].tolist() == [127]
    assert lowbit.dequantize(tensor)[:5].tolist() == [6, -0.5, 0, 2, -2]
    assert tensor.bits_per_value == lowbit.get_format("mxfp4").bits_per_value


@pytest.mark.parametrize(("element", "name"), [("float8_e4m3fn", "mxfp8_e4m3"), ("float8_e5m2", "mxfp8_e5m2")])
def test_mx_is_a_cast_of_scaled_values(element, name):
    # ml_dtypes casts x / 2^k to the element; it does not saturate, so amax stays where nothing overflows.
    drawn = np.random.default_rng(1)
    values = drawn.uniform(-1, 1, (64, 32)).astype(np.float32)
    values[:, 0] = 1
    values *= np.ldexp(np.float32(1.5), drawn.integers(-9, 9, 64))[:, None]
    exponents = np.floor(np.log2(np.abs(values).max(axis=1))).astype(int)
    exponents -= int(np.log2(float(ml_dtypes.finfo(element).max)))
    expected = np.ldexp(values, -exponents[:, None]).astype(element)
    tensor = lowbit.quantize(values, name)
    assert tensor.scales["block"][:, 0].tolist() == (exponents + 127).tolist()
    assert np.array_equal(tensor.codes, expected.view(np.uint8))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "int8", "int32", "float8_e4m3fn"])
def test_sources_of_any_dtype(dtype):
    values = (np.arange(-32, 32) * 3.0).astype(np.dtype(getattr(ml_dtypes, dtype, dtype)))
    narrow = lowbit.quantize(values, "mxfp8_e4m3")
    wide = lowbit.quantize(values.astype(np.float64), "mxfp8_e4m3")
    assert np.array_equal(narrow.codes, wide.codes)
    assert np.array_equal(narrow.scales["block"], wide.scales["block"])


def test_layout_and_threads_change_nothing():
    values = np.random.default_rng(2).normal(size=(96, 128)).astype(np.float32)
    for name in ("mxfp4", "nvfp4", "nvfp4_16x16", "float4_e2m1fn.g32.by_sign"):
        plain = lowbit.quantize(values, name)
        for other in (np.asfortranarray(values), values[::-1][::-1], values.astype(">f4")):
            again = lowbit.quantize(other, name, threads=2)
            assert np.array_equal(plain.codes, again.codes)
            assert all(np.array_equal(plain.scales[key], again.scales[key]) for key in plain.scales)


def test_empty_arrays():
    for shape in ((0, 32), (3, 0), (0, 0)):
        tensor = lowbit.quantize(np.zeros(shape, np.float32), "mxfp4")
        assert lowbit.dequantize(tensor).shape == shape
        assert tensor.bits_per_value == 0
        for policy in lowbit.BLOCK_PRESETS:
            own = lowbit.BLOCK_PRESETS[policy]
            by_steps = {"none": "nvfp4", "least_error": "ggml_mxfp4"}.get(own.rounding_steps, "int4.g16")
            name = "ggml_iq4_nl" if own.of_ggml else by_steps
            assert lowbit.quantize(np.zeros(shape, np.float32), name, policy=policy).codes.shape == shape


@pytest.mark.parametrize(
    ("values", "fmt", "options", "message"),
    [
        (np.zeros((2, 33)), "mxfp4", {}, "mxfp4 has blocks of 32, which do not divide an axis of 33"),
        (np.zeros((16, 20)), "nvfp4_16x16", {}, "blocks of 16, which do not divide an axis of 20"),
        (np.zeros(32), "nvfp4_16x16", {}, "blocks of 2 axes, but the array has 1"),
        (np.zeros(32), "mxfp4", {"axis": 1}, "axis = 1 is not an axis of an array of shape"),
        (np.zeros(32), "mxfp4", {"axis": 0.0}, "axis = 0.0 is not an axis"),
        (np.zeros(32), "mxfp4", {"axis": True}, "axis = True is not an axis"),
        (1.0, "mxfp4", {}, "a number has no axis"),
        ([1 + 2j] * 32, "mxfp4", {}, "complex"),
        (["a"] * 32, "mxfp4", {}, "are no numbers|values of dtype"),
        (np.full(32, np.nan), "mxfp4", {"policy": {"nan": "error"}}, r"the value at \(0,\) is nan.*nan = 'error'"),
        (np.full(32, np.inf), "mxfp4", {"policy": {"infinity": "error"}}, "infinity = 'error'\nhelp: clip"),
        (np.full(32, 1e30), "int4.g32", {}, "(?s)scale 'block' at index 0 would be.*int4.g128.float32"),
        (np.full(32, 6.0), "mxfp4", {"threads": 0}, "threads = 0"),
        (np.full(32, np.nan), "uint4.g32.asymmetric", {}, "its block has no range"),
        (np.zeros(32), "float4_e2m1fn.g32.asymmetric", {}, "does not make scales of the roles multiply, zero_point"),
    ],
)
def test_bad_input(values, fmt, options, message):
    if "policy" in options:
        options["policy"] = lowbit.BlockPolicy(**options["policy"])
    with pytest.raises(InputError, match=message):
        lowbit.quantize(values, fmt, **options)


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"scale_rule": "flor"}, "scale_rule = 'flor' is unknown"),
        ({"scale": "ocp_sta"}, "policy = 'ocp_sta' is unknown"),
        ({"scale": "rounding=nearest_even"}, "does not begin with a preset"),
        ({"element": "ocp_sat:rounding=nearest"}, "rounding = 'nearest' is unknown"),
        ({"quotient_scale": "unrounded"}, "needs rounded steps"),
        ({"quotient_format": "sm2.6:rounding=nearest_away"}, "does not begin with a preset"),
        ({"quotient_bins": "uniform_65536"}, "is made of steps in binary32, not 'exact' ones"),
        ({"search": "four_over_six_squared"}, "needs rounded steps"),
        (
            {"search": "four_over_six_squared", "arithmetic": "binary32", "quotient_scale": "unrounded"},
            "compares scales that are stored",
        ),
        ({"scale_maximum": -1}, "scale_maximum = -1"),
    ],
)
def test_wrong_policies(choices, message):
    with pytest.raises(PolicyError, match=message):
        lowbit.BlockPolicy(**choices)
    with pytest.raises(PolicyError, match="policy"):
        lowbit.quantize(np.zeros(32), "mxfp4", policy="ocp")


def test_a_policy_is_spelled_and_read():
    policy = lowbit.BlockPolicy(scale_rule="even", element="ocp_sat:rounding=nearest_away", tail="short")
    assert lowbit.BlockPolicy.parse(policy.spell()) == policy
    assert policy.policy("element", lowbit.get_format("float4_e2m1fn")).rounding == "nearest_away"


def tensor_of(**changes):
    parts = {
        "format": lowbit.get_format("mxfp4"),
        "shape": (2, 64),
        "axis": 1,
        "codes": np.zeros((2, 64), np.uint8),
        "scales": {"block": np.full((2, 2), 127, np.uint8)},
    }
    return BlockTensor(**(parts | changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"codes": np.zeros((2, 63), np.uint8)}, "codes have the shape"),
        ({"codes": np.full((2, 64), 16, np.uint8)}, "0x10 at index"),
        ({"codes": np.zeros((2, 64))}, "codes of float4_e2m1fn are integers"),
        ({"scales": {}}, "scales of mxfp4 are block, not none"),
        ({"scales": {"tensor": np.zeros((2, 2), np.uint8)}}, "scales of mxfp4 are block, not tensor"),
        ({"scales": {"block": np.zeros((2, 3), np.uint8)}}, r"has the shape \(2, 3\), not \(2, 2\)"),
        ({"scales": {"block": np.zeros((2, 2))}}, "scale 'block': codes of float8_e8m0fnu are integers"),
        ({"axis": 2}, "axis = 2 is not an axis"),
        ({"format": "mxfp4"}, "format = 'mxfp4' is not a BlockFormat"),
        ({"shape": 128}, "shape = 128 is not a tuple"),
        ({"scales": [np.zeros((2, 2), np.uint8)]}, "scales: list is not a mapping"),
        ({"scales": {3: np.zeros((2, 2), np.uint8)}}, "scales of mxfp4 are block, not 3"),
    ],
)
def test_a_tensor_is_checked(changes, message):
    with pytest.raises(InputError, match=message):
        tensor_of(**changes)


def test_a_tensor_is_frozen_and_says_what_it_is():
    tensor = tensor_of(axis=-1)
    assert repr(tensor) == "BlockTensor(mxfp4, shape=(2, 64), axis=1)"
    with pytest.raises(AttributeError):
        tensor.axis = 0
    with pytest.raises(TypeError):
        tensor.scales["block"] = 0
    with pytest.raises(InputError, match="has no scale 'tensor'"):
        tensor.scale_codes("tensor")


def test_dequantize_refuses_what_is_no_tensor_and_other_dtypes():
    with pytest.raises(InputError, match="takes a BlockTensor, not ndarray"):
        lowbit.dequantize(np.zeros(3))
    with pytest.raises(InputError, match="is not a float of 16, 32 or 64 bits"):
        lowbit.dequantize(tensor_of(), dtype=np.int8)
    with pytest.raises(InputError, match="unknown to NumPy"):
        lowbit.dequantize(tensor_of(), dtype="float33")


def test_tensors_and_formats_are_pickled_and_copied():
    tensor = lowbit.quantize(np.arange(32.0), "nvfp4")
    for twin in (pickle.loads(pickle.dumps(tensor)), copy.deepcopy(tensor)):
        assert np.array_equal(lowbit.dequantize(twin), lowbit.dequantize(tensor))
        assert twin.format == tensor.format
    for name in ("int8", "q2.6", "float8_e4m3fn", "nf4", "mxfp4"):
        fmt = lowbit.get_format(name)
        fmt.figures  # noqa: B018 - what is kept beside the fields stays out
        assert pickle.loads(pickle.dumps(fmt)) == fmt


@pytest.mark.parametrize(
    ("fmt", "policy", "message"),
    [
        ("int1.g2", "nearest", "int1 has no positive value"),
        (
            "int8.g2.float64",
            "nearest",
            "float64 is not held by the arithmetic of the policy, 'exact'",
        ),
        ("int8.g2.float64", "deepseek_v3", "is not held by the arithmetic of the policy, 'binary32'"),
        ("float16.g2.float64", "nearest", "not held"),
        ("int32.g2.float32", "deepseek_v3", "int32 is not held"),
        ("float4_e2m1fn.g2", "ggml_q4_0", "rounding_steps = 'sum' cuts to integers, and float4_e2m1fn is not one"),
        ("q2.2.g2", "ggml_q4_0_fused", "rounding_steps = 'fused_sum' cuts to integers, and q2.2 is not one"),
        ("int4.g2", "ggml_mxfp4", "rounding_steps = 'least_error' tries a table's values"),
        ("nf4.g2", "ggml_q4_1", "rounding_steps = 'sum' cuts to integers, and nf4 is not one"),
    ],
)
def test_what_the_arithmetic_does_not_hold_is_refused(fmt, policy, message):
    with pytest.raises(InputError, match=message):
        lowbit.quantize(np.ones((2, 2)), fmt, policy=policy)


def test_decimals_of_a_table_are_to_be_rounded():
    decimals = [[0.1, 0.2], [0.3, -0.4]]
    fmt = lowbit.block_format(lowbit.vector_format(decimals, id="decimals"), block=4)
    with pytest.raises(InputError, match=r"decimals is not held by the arithmetic") as refusal:
        lowbit.quantize(np.ones((1, 4)), fmt)
    assert "numbers of the table" in refusal.value.hint
    rounded = lowbit.vector_format(np.float32(decimals), id="rounded")
    assert lowbit.quantize(np.ones((1, 4)), lowbit.block_format(rounded, block=4)).shape == (1, 4)


def test_a_coarse_scale_beyond_its_arithmetic_is_refused():
    # 240 * 2^126, which all block scales together would reach, is not a number of binary32.
    fmt = lowbit.block_format("float8_e4m3", block=2, scale="float8_e8m0fnu", tensor="float32")
    with pytest.raises(InputError, match="largest element times largest scale"):
        lowbit.quantize(np.ones(2), fmt, policy="torchao_nvfp4")
    policy = lowbit.get_block_policy("torchao_nvfp4").choose(scale_maximum=448, smallest_scale="any")
    assert lowbit.quantize(np.ones(2), fmt, policy=policy).scales["tensor"] == np.float32(1) / np.float32(240 * 448)
    with pytest.raises(InputError, match="a product of its scales"):
        lowbit.quantize(np.ones(2), lowbit.block_format("int4", block=2, scale="int32", tensor="float32"))


def test_dequantized_binary64_is_rounded_to_nearest():
    # A quotient and a sum, the two steps that may be inexact: each once, in fractions.
    tensor = lowbit.quantize(np.linspace(-5, 7, 64, dtype=np.float32), "nvfp4_reciprocal")
    element = lowbit.decode(tensor.codes, "float4_e2m1fn", dtype=np.float64)
    block = np.repeat(lowbit.decode(tensor.scales["block"], "float8_e4m3fn", dtype=np.float64), 16)
    divisor = Fraction(float(tensor.scales["tensor"]))
    expected = [float(Fraction(a) * Fraction(b) / divisor) for a, b in zip(element, block, strict=True)]
    assert lowbit.dequantize(tensor, dtype=np.float64).tolist() == expected


@pytest.mark.parametrize(
    ("roles", "scale", "message"),
    [
        (["multiply", "divide", "offset"], "float16", "roles divide and offset together"),
        (["divide", "divide"], "float16", "roles divide and divide together"),
        (["multiply", "multiply", "zero_point"], "float32", "bits, more than binary64"),
        (["multiply", "exponent"], "int16", "reach beyond"),
    ],
)
def test_what_binary64_does_not_hold_is_refused(roles, scale, message):
    fields = tuple(lowbit.ScaleField(f"s{i}", lowbit.get_format(scale), (2,), role) for i, role in enumerate(roles))
    fmt = lowbit.BlockFormat(id="own", element=lowbit.get_format("int8"), block=(2,), scales=fields)
    numbers = {field.name: np.ones(2, field.format.code_dtype) for field in fields}
    with pytest.raises(InputError, match=message):
        lowbit.dequantize(BlockTensor(fmt, (4,), 0, np.ones(4, np.int8), numbers))


def test_every_role_is_dequantized():
    names = {"block": "multiply", "zero_point": "zero_point", "offset": "offset", "shift": "exponent", "super": "super"}
    integers = ("zero_point", "shift")
    scales = tuple(
        lowbit.ScaleField(
            name,
            lowbit.get_format("int8" if name in integers else "float16"),
            () if name == "super" else (4,),
            role,
            "block" if role == "super" else "",
        )
        for name, role in names.items()
    )
    fmt = lowbit.BlockFormat(id="all", element=lowbit.get_format("int8"), block=(4,), scales=scales)
    numbers = {"block": np.float16(0.1), "zero_point": np.int8(3), "offset": np.float16(1e-4), "shift": np.int8(-2)}
    arrays = {name: np.full(2, number) for name, number in numbers.items()} | {"super": np.array(np.float16(3))}
    codes = np.arange(8, dtype=np.int8) * 5 - 20
    values = lowbit.dequantize(BlockTensor(fmt, (8,), 0, codes, arrays), dtype=np.float64)
    expected = (codes.astype(float) - 3) * (float(np.float16(0.1)) * 3) * 0.25 + float(np.float16(1e-4))
    np.testing.assert_allclose(values, expected, rtol=1e-15)
    with pytest.raises(InputError, match="does not make scales of the roles"):
        lowbit.quantize(np.zeros(8), fmt)


@pytest.mark.parametrize(("search", "power"), [("four_over_six_squared", 2), ("four_over_six_absolute", 1)])
def test_four_over_six_takes_the_smaller_error(search, power):
    values = np.random.default_rng(8).normal(size=(64, 256)).astype(np.float32)
    policy = lowbit.get_block_policy("four_over_six").choose(search=search)
    tensor = lowbit.quantize(values, "nvfp4", policy=policy)
    plain = lowbit.quantize(values, "nvfp4", policy=policy.choose(search="none"))

    def errors(result):
        blocks = (lowbit.dequantize(result, dtype=np.float64) - values).reshape(64, 16, 16)
        return (np.abs(blocks) ** power).sum(axis=-1)

    assert (errors(tensor) <= errors(plain) * (1 + 1e-5)).all()
    changed = tensor.scales["block"] != plain.scales["block"]
    assert 0.2 < changed.mean() < 0.8
    assert errors(tensor).sum() < 0.97 * errors(plain).sum()
    with pytest.raises(InputError, match="with a scale above, not for mxfp4"):
        lowbit.quantize(values, "mxfp4", policy=policy)


def test_a_zero_point_by_hand():
    # 4 bits over [-1, 2]: the scale is 3 / 15, zero has the code 5, and each value the code 5 + x / 0.2.
    tensor = lowbit.quantize([-1.0, 0.0, 0.3, 2.0], "uint4.g4.asymmetric.float32")
    assert tensor.codes.tolist() == [0, 5, 6, 15]
    assert tensor.scales["zero_point"].tolist() == [5]
    assert tensor.scales["block"].tolist() == [np.float32(0.2)]
    minmax = lowbit.BlockPolicy(value_range="minmax")
    tensor = lowbit.quantize([1.0, 1.5, 2.0, 4.0], "uint4.g4.asymmetric.float32", policy=minmax)
    assert tensor.scales["zero_point"].tolist() == [0]  # saturated: 0 is not in the range
    zeros = lowbit.quantize(np.zeros(4), "int4.g4.asymmetric")
    assert zeros.scales["block"].tolist() == [1]
    assert lowbit.dequantize(zeros).tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("name", ["float4_e2m1fn", "nf4", "nf3"])
def test_afpq_takes_the_first_of_the_nearest_values(name):
    """Its `quantize_2scale`: each sign by itself, the distances to a rising list of values, and their first least."""
    element = lowbit.get_format(name)
    codes = sorted({float(value) for value in lowbit.decode(np.array(element.codes), name)})
    table = np.float32(codes)
    steps = np.random.default_rng(3).integers(-48, 49, (64, 32)) / 4
    values = (steps * table[-1] / np.float32(12)).astype(np.float32)
    values[0], values[1], values[2] = np.abs(values[0]), -np.abs(values[1]) - np.float32(0.125), 0
    values[3, ::2] = 0
    worth = np.zeros_like(values)
    for sign, end in ((1, table[-1]), (-1, table[0])):
        part = np.where(values * sign > 0, values, np.float32(0))
        with np.errstate(invalid="ignore"):
            scale = np.abs(part).max(axis=1, keepdims=True) / abs(end)
            places = np.argmin(np.abs((part / scale)[..., None] - table), axis=-1)  # of NaN, the first
        worth += table[places] * scale
    fmt = lowbit.block_format(name, block=32, scale="float32", by_sign=True)
    assert (lowbit.dequantize(lowbit.quantize(values, fmt, policy="afpq")) == worth).all()
    wide = table.astype(np.float64)
    middles = ((wide[1:] + wide[:-1]) / 2).astype(np.float32)
    ties = middles[middles - wide[:-1] == wide[1:] - middles]
    assert ties.size
    both = np.float32([*ties, table[0], table[-1]])
    fmt = lowbit.block_format(name, block="channel", scale="float32", by_sign=True)
    below, above = (lowbit.dequantize(lowbit.quantize(both, fmt, policy=p))[:-2] for p in ("afpq", "afpq_thresholds"))
    assert (below < ties).all()
    assert (above > ties).all()


@pytest.mark.parametrize("mode", ["stochastic_a", "stochastic_b", "stochastic_c"])
@pytest.mark.parametrize("name", ["mxfp4", "nvfp4", "int4.g16", "nf4.g16", "hifloat4"])
def test_random_bits_decide_each_element(name, mode):
    fmt = lowbit.get_format(name) if "." not in name else lowbit.block_format(name[:-4], block=16)
    policy = lowbit.get_block_policy(fmt.default_policy).choose(element=f"ocp_sat:rounding={mode}:random_bits=6")
    drawn = np.random.default_rng(4)
    values, random = drawn.normal(size=(6, 64)).astype(np.float32), drawn.integers(0, 64, (6, 64))
    exact = [from_float(float(value)) for value in values.reshape(-1)]
    expected = oracle_quantize(exact, values.shape, fmt, policy, random.reshape(-1).tolist())
    tensor = lowbit.quantize(values, fmt, policy=policy, random_bits=random)
    assert tensor.codes.reshape(-1).tolist() == expected.codes
    turned = lowbit.quantize(values.T.copy(), fmt, axis=0, policy=policy, random_bits=random.T, threads=2)
    assert (tensor.codes == turned.codes.T).all()
    low, high = (lowbit.quantize(values, fmt, policy=policy, random_bits=number) for number in (0, 63))
    assert (lowbit.dequantize(low) != lowbit.dequantize(high)).mean() > 0.5


def test_random_bits_with_a_zero_point_and_where_they_do_not_belong():
    values = np.random.default_rng(5).normal(size=(4, 32)).astype(np.float32)
    policy = lowbit.BlockPolicy(element="integer:rounding=stochastic_a:random_bits=4")
    tensors = [
        lowbit.quantize(values, "uint4.g16.asymmetric", policy=policy, random_bits=number) for number in range(16)
    ]
    mean = np.mean([lowbit.dequantize(tensor, dtype=np.float64) for tensor in tensors], axis=0)
    inside = np.all([(tensor.codes > 0) & (tensor.codes < 15) for tensor in tensors], axis=0)
    steps = np.repeat(tensors[0].scales["block"].astype(np.float64), 16, axis=1)
    assert (np.abs(mean - values) <= steps / 16)[inside].all()
    with pytest.raises(PolicyError, match="uses none"):
        lowbit.quantize(values, "mxfp4", random_bits=0)
    with pytest.raises(PolicyError, match="needs random_bits"):
        lowbit.quantize(values, "mxint8", policy=policy)
    searching = lowbit.get_block_policy("four_over_six").choose(element="ocp_sat:rounding=stochastic_a:random_bits=4")
    with pytest.raises(InputError, match="what random bits decide"):
        lowbit.quantize(values, "nvfp4", policy=searching, random_bits=0)
