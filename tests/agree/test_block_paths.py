"""Block formats: the kernels for binary32 give the bits of the plain path, which takes binary64."""

import itertools

import numpy as np
import pytest

from lowbit.format.block_name import block_format
from lowbit.format.registry import block_format_of, get_format
from lowbit.ops.arithmetic.exact_rounding import divide_to_odd
from lowbit.ops.block import dequantize as dequantizing
from lowbit.ops.block.dequantize import dequantize
from lowbit.ops.block.quantize import quantize
from lowbit.ops.block.stairs import MANY
from lowbit.ops.block.tensor import BlockTensor
from lowbit.ops.cast.cast import encode
from lowbit.policy.block import BlockPolicy, get_block_policy
from tests.agree.test_block import blocks
from tests.thinned import thinned

FAST = ["mxfp8_e4m3", "mxfp8_e5m2", "mxfp6_e2m3", "mxfp4", "float8_e5m2.g7.float8_e8m0fnu", "nvfp4"]
FAST += ["float4_e2m1fn.g128.by_sign", "float4_e3m0.g48.bfloat16", "float4_e2m1fn.channel", "float4_e2m1fn.g16.float32"]
FAST += ["int4.g128", "nf4.g64", "int3.g96.float32", "nf3.g24", "af4.tensor", "int8.g48.bfloat16", "float8_e5m2.g128"]
FAST += ["int4.g128.asymmetric", "uint8.8x96.asymmetric", "int5.channel.asymmetric", "bnb_fp4.g64.float32"]
FAST += ["fp8_128x128", "fp8_1x128", "nvfp4_16x16", "hifloat4"]


@pytest.mark.parametrize("name", FAST)
def test_the_fast_paths_are_the_plain_one(name):
    fmt = block_format_of(name)
    require_as_in_binary64(fmt, get_block_policy(fmt.default_policy))


FAST_STEPS = ["torchao_nvfp4", "transformer_engine_nvfp4", "modelopt_nvfp4", "compressed_tensors_nvfp4", "deepseek_v3"]
FAST_STEPS += ["torchao_rceil", "transformer_engine_mx", "modelopt_mx", "bitsandbytes"]


@pytest.mark.parametrize("policy", FAST_STEPS)
def test_the_fast_paths_of_presets_are_the_plain_one(policy):
    chosen = get_block_policy(policy)
    for name in (
        ["mxfp4", "mxfp8_e5m2"] if policy.endswith(("mx", "rceil")) else ["nvfp4", "nf4.g64.float32", "int8.g32"]
    ):
        require_as_in_binary64(block_format_of(name), chosen)


SEARCHES = [item for item in BlockPolicy.choices("search") if item.startswith("four")]


@pytest.mark.parametrize("steps", thinned(["reciprocal", "divide", "divide_by_ratio", "multiply_by_ratio"], 2))
@pytest.mark.parametrize("search", SEARCHES)
def test_the_search_for_a_scale_is_the_plain_one(search, steps):
    policy = get_block_policy("four_over_six").choose(search=search, quotient_steps=steps)
    require_as_in_binary64(block_format_of("nvfp4"), policy)
    fmt = block_format("float4_e3m0", block=48, scale="float8_e4m3fn", tensor="float32")
    require_as_in_binary64(fmt, policy.choose(scale_maximum=0))


@pytest.mark.parametrize("steps", ["divide", "reciprocal"])
@pytest.mark.parametrize("preset", ["afpq", "afpq_thresholds"])
@pytest.mark.parametrize("element", thinned(["float4_e2m1fn", "nf4", "float4_e3m0", "float6_e2m3fn"], 2))
def test_the_fast_paths_of_two_scales_are_the_plain_one(element, preset, steps):
    fmt = block_format_of(f"{element}.g128.by_sign.float32")
    require_as_in_binary64(fmt, get_block_policy(preset).choose(quotient_steps=steps))


@pytest.mark.parametrize("rounding", thinned(["nearest_down", "nearest_up", "nearest_zero"], 1))
def test_ties_of_one_direction_are_the_plain_ones(rounding):
    policy = BlockPolicy(scale="ocp_sat", element=f"ocp_sat:rounding={rounding}")
    for name in ("mxfp4", "nvfp4", "float4_e3m0.g16", "mxfp8_e4m3"):
        require_as_in_binary64(block_format_of(name), policy)
        require_as_in_binary64(block_format_of(name), policy.choose(arithmetic="binary32"))


@pytest.mark.parametrize("steps", ["divide", "reciprocal"])
@pytest.mark.parametrize("power", [0, -130, -147, 120])
def test_every_boundary_of_quotients_in_binary32(steps, power):
    """Scales of 24 bits, and of both signs what is beside each boundary times the scale."""
    drawn = np.random.default_rng(9)
    scales = np.ldexp(drawn.uniform(1, 2, 4000), power).astype(np.float32)
    scales[::7] = np.ldexp(np.float32(1), power)
    boundaries = np.float32([0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5])
    near = (scales[:, None].astype(np.float64) * boundaries).astype(np.float32)
    words = near.view(np.int32)[..., None] + np.arange(-3, 4, dtype=np.int32)
    around = np.maximum(words, 0).view(np.float32).reshape(len(scales), -1)
    top = (scales * np.float32(6))[:, None]
    values = np.concatenate([top, -top, around, -around], axis=1)
    values = values[np.isfinite(values).all(axis=1)]
    assert len(values) > 1000
    fmt = block_format("float4_e2m1fn", block=values.shape[1], scale="float32", by_sign=True)
    policy = get_block_policy("afpq").choose(quotient_steps=steps)
    require_same_tensor(quantize(values, fmt, policy=policy), quantize(values.astype(float), fmt, policy=policy))


def require_as_in_binary64(fmt, policy):
    """Many blocks, of every kind, with NaN and infinity in some: other kernels than in binary64, the same bits."""
    fnu = fmt.id.endswith("fnu")
    values = blocks(6, (128 if "128" in fmt.id else 48, 2016 if fnu else 3072))
    special = values.copy()
    places = np.random.default_rng(7).integers(0, values.size, 40)
    special.reshape(-1)[places] = np.resize([np.nan, np.inf, -np.inf, -np.nan], 40)
    arrays = [values, special, np.abs(values), np.zeros_like(values), np.float32(0.001) * np.rint(values)]
    if fmt.scales[0].format.id == "float16":  # whose overflow is an error
        policy = policy.choose(scale="ocp_sat")
    if fmt.affine:
        arrays = [array for array in arrays if np.isfinite(array).all()]
    for array in arrays:
        plain = quantize(array.astype(np.float64), fmt, policy=policy)
        for threads in (1, 2):
            require_same_tensor(quantize(array, fmt, policy=policy, threads=threads), plain)


def require_same_tensor(tensor, other):
    assert tensor.codes.dtype == other.codes.dtype
    assert np.array_equal(tensor.codes, other.codes)
    for name in tensor.scales:
        assert np.array_equal(tensor.scale_codes(name), other.scale_codes(name)), name


@pytest.mark.parametrize("policy", ["nvfp4", *FAST_STEPS[:4]])
def test_the_scales_of_many_blocks(policy):
    # Enough blocks for the steps of the scales to be found once; amax at and beside each step, and in every binade.
    count = MANY + 100
    drawn = np.random.default_rng(8)
    words = np.concatenate([np.arange(count - count // 4) * (1 << 15), drawn.integers(0, 1 << 31, count // 4)])
    amax = np.clip(words, 0, 0x7F7FFFFF).astype(np.int32).view(np.float32)[:, None]
    for reach in (1.0, 2.0**-90, 0.0):
        values = np.minimum(amax, 2688) * np.float32(reach) * np.float32([[1, -0.5, 0.125, -0.9]])
        fmt = block_format("float4_e2m1fn", block=4, scale="float8_e4m3fn", tensor="float32")
        require_same_tensor(quantize(values, fmt, policy=policy), quantize(values.astype(float), fmt, policy=policy))


@pytest.mark.parametrize("name", ["int4", "int8", "float8_e4m3fn", "float8_e5m2", "nf4"])
def test_every_boundary_under_every_float16_scale(name):
    """The largest element times the scale leads a block; then, of both signs, the places where rounding may change."""
    element, policy = get_format(name), BlockPolicy(scale="ieee", zero_block="project", smallest_scale="any")
    scales = np.arange(1, 0x7C00, 1 if element.bits == 4 else 37, dtype=np.uint16).view(np.float16).astype(np.float64)
    listed = [element.value_at(ordinal).fraction() for ordinal in element.ordinals if abs(ordinal) < 126]
    ties = np.float64([(low + high) / 2 for low, high in itertools.pairwise(listed)])[:: 1 + (element.bits > 4) * 5]
    places = scales[:, None] * ties
    near = places.astype(np.float32)
    around = [np.nextafter(near, np.float32(-np.inf)), near, np.nextafter(near, np.float32(np.inf))]
    top = (scales * float(element.max.fraction())).astype(np.float32)[:, None]
    values = np.concatenate([top, *around], axis=1)
    held = np.abs(values).max(axis=1) == top[:, 0]
    tensor = quantize(values[held], block_format(element, block=values.shape[1]), policy=policy)
    assert np.array_equal(tensor.scales["block"][:, 0], scales[held])
    step = 1 if element.bits == 4 else 5
    exact = values[held][::step].astype(np.float64)
    quotients = divide_to_odd(exact, np.broadcast_to(scales[held][::step, None], exact.shape))
    assert np.array_equal(tensor.codes[::step], encode(quotients, element, policy=policy.policy("element", element)))


@pytest.mark.parametrize("name", [*FAST, "int8.tensor.float32", "bnb_dynamic8.g32.float32", "float8_e5m2.g16.float32"])
def test_values_in_binary32_are_those_of_binary64(name, monkeypatch):
    # Any codes of elements and scales, NaN and infinity among them.
    fmt, drawn = block_format_of(name), np.random.default_rng(9)
    shape = 128, 672 if name.endswith("fnu") else 768

    def any_codes(part, shape):
        return drawn.integers(part.codes[0], part.codes[-1], shape, part.code_dtype, endpoint=True)

    for axis in (0, 1):
        axes = (lambda grid: grid) if axis else (lambda grid: grid[::-1])
        scales = {field.name: any_codes(field.format, axes(field.grid(shape))) for field in fmt.scales}
        tensor = BlockTensor.trusted(fmt, axis, any_codes(fmt.element, axes(shape)), scales)
        with monkeypatch.context() as patched:
            patched.setattr(dequantizing, "binary32_values", lambda *_: None)
            plain = dequantize(tensor)
        for threads in (1, 2):
            assert np.array_equal(dequantize(tensor, threads=threads).view(np.int32), plain.view(np.int32))
