"""Tensors in slabs of rows: the bits of the whole tensor, whatever its scales reach over."""

import itertools

import ml_dtypes
import numpy as np
import pytest

import lowbit
from lowbit.errors import InputError
from lowbit.format.block import BlockFormat, ScaleField
from lowbit.format.registry import block_format_of, get_format
from lowbit.ops.block import rows
from lowbit.ops.block.quantize import quantize_part
from lowbit.ops.block.rows import each_slab, quantize_slabs, slabs
from lowbit.ops.block.tensor import BlockTensor

FORMATS = [
    *("mxfp4", "nvfp4", "nvfp4_reciprocal", "nvfp4_16x16", "fp8_128x128", "int4.g32", "int8.channel", "int8.tensor"),
    *("int4.g32.asymmetric", "int8.tensor.asymmetric", "float4_e2m1fn.tensor.by_sign", "nf4.g32", "dfp8", "bfp8_b"),
]


@pytest.fixture(autouse=True)
def small_slabs(monkeypatch):
    monkeypatch.setattr(rows, "SLAB", 512)


def joined(fmt, values, **settings):
    """A tensor from its slabs."""
    parts = quantize_slabs(values, fmt, lambda tensor, _: tensor, **settings)
    names = {field.name: bool(field.block) for field in fmt.scales}
    scales = {name: [part.scale_codes(name) for part in parts] for name in names}
    for name, several in names.items():
        assert several or len({array.tobytes() for array in scales[name]}) == 1
    codes = {name: np.concatenate(scales[name]) if several else scales[name][0] for name, several in names.items()}
    return len(parts), BlockTensor.trusted(fmt, 1, np.concatenate([part.codes for part in parts]), codes)


def assert_same(tensor, other):
    assert np.array_equal(tensor.codes, other.codes)
    for field in tensor.format.scales:
        assert np.array_equal(tensor.scale_codes(field.name), other.scale_codes(field.name))


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, ml_dtypes.bfloat16])
def test_the_bits_are_those_of_the_whole(name, dtype):
    fmt = block_format_of(name)
    values = np.random.default_rng(3).standard_t(2, size=(272, 64)).astype(dtype)
    count, tensor = joined(fmt, values, threads=2)
    assert count > 2
    assert_same(tensor, lowbit.quantize(values, fmt))


@pytest.mark.parametrize(
    ("name", "preset"),
    [
        *(("nvfp4", preset) for preset in ("nvfp4", "torchao_nvfp4", "transformer_engine_nvfp4", "four_over_six")),
        *(("nvfp4_reciprocal", preset) for preset in ("compressed_tensors_nvfp4", "modelopt_nvfp4")),
    ],
)
def test_a_part_is_quantised_by_the_largest_magnitude_of_the_whole(name, preset):
    fmt, policy = block_format_of(name), lowbit.get_block_policy(preset)
    values = np.random.default_rng(7).standard_t(2, size=(48, 64)).astype(np.float32)
    values[:16] *= np.ldexp(1, -np.arange(16) * 8)[:, None].astype(np.float32)
    values[20, :32], values[21] = 0, -0.0
    whole = lowbit.quantize(values, fmt, policy=policy)
    parts = [quantize_part(values[at : at + 24], fmt, policy, float(np.abs(values).max())) for at in (0, 24)]
    assert np.array_equal(np.concatenate([part.codes for part in parts]), whole.codes)
    assert np.array_equal(np.concatenate([part.scales["block"] for part in parts]), whole.scales["block"])
    assert {part.scale_codes("tensor").tobytes() for part in parts} == {whole.scale_codes("tensor").tobytes()}
    assert_same(joined(fmt, values, policy=policy)[1], whole)


@pytest.mark.parametrize("row", [0, 40, 63])
@pytest.mark.parametrize("name", ["nvfp4", "int8.tensor", "mxfp4"])
def test_what_is_not_finite_counts_wherever_it_stands(name, row):
    fmt = block_format_of(name)
    policies = [
        lowbit.get_block_policy("nvfp4").choose(nan=nan, infinity=infinity)
        for nan, infinity in itertools.product(("propagate", "ignore"), ("propagate", "nan", "ignore"))
    ]
    for bad, policy in itertools.product((np.nan, np.inf, -np.inf), policies):
        values = np.random.default_rng(3).normal(size=(64, 32)).astype(np.float32)
        values[row, 3] = bad
        values[10, 5] = np.inf
        assert_same(joined(fmt, values, policy=policy)[1], lowbit.quantize(values, fmt, policy=policy))


def test_short_blocks_at_both_ends():
    values = np.random.default_rng(4).normal(size=(200, 150)).astype(np.float32)
    count, tensor = joined(block_format_of("fp8_128x128"), values)
    assert count == 2
    assert_same(tensor, lowbit.quantize(values, "fp8_128x128"))


def test_rows_that_are_too_short_for_the_extremes_are_taken_whole():
    values = np.random.default_rng(5).normal(size=(800, 1)).astype(np.float32)
    fmt = block_format_of("int8.tensor")
    count, tensor = joined(fmt, values)
    assert count == 1
    assert_same(tensor, lowbit.quantize(values, fmt))


def test_the_place_of_a_refused_value_is_that_in_the_tensor():
    values = np.ones((64, 32), np.float32)
    values[50, 7] = np.nan
    policy = lowbit.get_block_policy("nvfp4").choose(nan="error")
    for name, chosen in (("mxfp4", policy), ("nvfp4", policy), ("int4.g32.asymmetric", None)):
        with pytest.raises(InputError, match=r"\(50, 7\) is nan"):
            joined(block_format_of(name), values, policy=chosen)


def test_no_block_lies_across_slabs():
    for fmt, shape in ((block_format_of("fp8_128x128"), (1000, 64)), (block_format_of("nvfp4_16x16"), (100, 32))):
        ranges = slabs(fmt, shape)
        assert [part.start for part in ranges[1:]] == [part.stop for part in ranges[:-1]]
        assert all(part.start % fmt.block[0] == 0 for part in ranges)
        assert (ranges[0].start, ranges[-1].stop) == (0, shape[0])
    scale = ScaleField("block", get_format("float32"), (0, 8))
    column = BlockFormat(
        id="column", element=get_format("int8"), block=(0, 8), scales=(scale,), family="x", summary="x"
    )
    assert slabs(column, (5000, 8)) == [slice(0, 5000)]


def test_results_are_in_order_for_any_number_of_threads():
    ranges = [slice(at, at + 1) for at in range(20)]
    assert each_slab(lambda part: part.start, ranges, 1) == each_slab(lambda part: part.start, ranges, 3)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float32, np.float64, ml_dtypes.float8_e4m3fn])
@pytest.mark.parametrize("low", [-3, 0.25, -9])
def test_the_extremes_of_slabs_are_among_their_values(dtype, low):
    """Of both signs, of positive values and of negative ones alone."""
    values = np.random.default_rng(6).uniform(low, low + 4, (8, 16)).astype(dtype)
    few = rows.extremes(values)
    assert {few.min(), few.max()} <= {*values.astype(np.float64).ravel()}
    assert (few.min(), few.max()) == (values.astype(np.float64).min(), values.astype(np.float64).max())
