"""Strategies of block formats and their tensors, and assert_bits_equal on these."""

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st

import lowbit
from lowbit import testing
from lowbit.errors import InputError
from tests.thinned import examples, thinned

QUICK = settings(
    max_examples=examples(15), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
FOUND = settings(QUICK, max_examples=500, phases=[Phase.generate])
VALUES = np.float32([[2.5, -13, 1, 0.3] * 8, [1, 2, 3, 4] * 8])


@pytest.mark.parametrize(
    ("name", "shape"),
    thinned([("int8.channel", (1, 16)), ("mxfp4", (1, 32)), ("nvfp4_16x16", (16, 16)), ("dfp16", (1, 16))], 1),
)
def test_arrays_have_whole_blocks_and_shrink_to_zeros(name, shape):
    smallest = find(testing.block_arrays(name), lambda _: True, settings=settings(QUICK, max_examples=3))
    assert smallest.shape == shape
    assert not smallest.any()


@pytest.mark.parametrize("name", thinned(["nf4.g16", "mxfp4", "float4_e2m1fn.g16.by_sign"], 1))
def test_arrays_reach_ties_after_scaling(name):
    element = lowbit.get_format(name).element
    places = element.ordinals
    values = [element.value_at(place).fraction() for place in places]
    ties = {(low + high) / 2 for low, high in pairwise(values)}

    def has_a_tie(array):
        tensor = lowbit.quantize(array[:1], name)
        scale = next(iter(tensor.scales))
        worth = lowbit.decode(tensor.scale_codes(scale), tensor.format.scales[0].format, dtype=np.float64)[0, 0]
        block = array[0, : tensor.format.block[0]]
        return worth > 0 and any(Fraction(float(value)) / Fraction(float(worth)) in ties for value in block)

    find(testing.block_arrays(name), has_a_tie, settings=FOUND)


def test_special_values_only_where_they_are_asked_for():
    @QUICK
    @given(testing.block_arrays("mxfp4"))
    def finite(array):
        assert np.isfinite(array).all()

    finite()
    find(testing.block_arrays("mxfp4", specials=True), lambda array: np.isnan(array).any(), settings=FOUND)
    tensor = find(
        testing.block_tensors("mxfp4", specials=True),
        lambda tensor: (tensor.scale_codes("block") == 255).any(),
        settings=FOUND,
    )
    assert np.isnan(lowbit.dequantize(tensor)).any()


@QUICK
@given(st.data())
def test_what_a_policy_refuses_is_drawn_again(data):
    policy = lowbit.get_block_policy("ocp_mx").choose(nan="error", infinity="error")
    tensor = data.draw(testing.block_tensors("mxfp4", policy=policy, specials=True))
    assert not (tensor.scale_codes("block") == 255).any()


@QUICK
@given(testing.block_tensors("nvfp4", specials=True))
def test_a_tensor_equals_itself(tensor):
    testing.assert_bits_equal(tensor, tensor)


def failure(*arguments, **options):
    with pytest.raises(AssertionError) as caught:
        testing.assert_bits_equal(*arguments, **options)
    return str(caught.value)


def changed(expected, *, codes=None, **scales):
    tensor = expected
    return lowbit.BlockTensor(
        tensor.format,
        tensor.shape,
        tensor.axis,
        tensor.codes if codes is None else codes,
        {**tensor.scales, **scales},
    )


def test_an_element_that_differs_is_explained():
    expected = lowbit.quantize(VALUES, "mxfp4")
    codes = expected.codes.copy()
    codes[0, 0], codes[1, 3] = 0x3, 0x1
    text = failure(changed(expected, codes=codes), expected, inputs=VALUES)
    assert text.splitlines() == [
        "2 of 64 codes of float4_e2m1fn differ (mxfp4)",
        "at [0, 0]: value 2.5",
        "  expected  0x2 0.01.0 = 1; block 2: 2",
        "  got       0x3 0.01.1 = 1.5; block 2: 3",
        "at [1, 3]: value 4.0",
        "  expected  0x6 0.11.0 = 4; block 1: 4",
        "  got       0x1 0.00.1 = 0.5; block 1: 0.5",
    ]


@pytest.mark.parametrize("axis", [0, 1])
def test_a_scale_that_differs_is_explained(axis):
    expected = lowbit.quantize(VALUES if axis else VALUES.T, "mxfp4", axis=axis)
    blocks = expected.scales["block"].copy()
    blocks[(1, 0) if axis else (0, 1)] += 1
    text = failure(changed(expected, block=blocks), expected)
    place = [1, 0] if axis else [0, 1]
    assert text == (
        "1 of 2 scales 'block' differ (mxfp4, float8_e8m0fnu)\n"
        f"at {place}: expected 0x7f 01111111 = 1, got 0x80 10000000 = 2"
    )


def test_scales_of_both_levels_and_the_rest_is_counted():
    values = np.linspace(-3, 3, 160, dtype=np.float32)[None]
    expected = lowbit.quantize(values, "nvfp4")
    other = lowbit.quantize(values * 2, "nvfp4")
    text = failure(changed(expected, codes=expected.codes ^ 1, tensor=other.scales["tensor"]), expected, inputs=values)
    assert "1 of 1 scales 'tensor' differ" in text
    assert "scales 'block'" not in text
    assert "... and 157 more" in text


def test_nan_codes_of_a_scale_may_be_alike():
    fmt = lowbit.block_format("float4_e2m1fn", block=4, scale="float8_e5m2", id="four")
    tensors = [
        lowbit.BlockTensor(fmt, (4,), 0, np.zeros(4, np.uint8), {"block": np.uint8([code])}) for code in (0x7D, 0x7F)
    ]
    testing.assert_bits_equal(*tensors, nan="any")
    assert "scales 'block' differ" in failure(*tensors)


def test_tensors_of_other_formats_shapes_and_axes_differ():
    tensor = lowbit.quantize(VALUES, "mxfp4")
    assert failure(lowbit.quantize(VALUES, "mxfp8_e4m3"), tensor) == (
        "actual has the format mxfp8_e4m3, expected has mxfp4"
    )
    assert "the shape (1, 32)" in failure(lowbit.quantize(VALUES[:1], "mxfp4"), tensor)
    square = np.ones((32, 32), np.float32)
    assert "the axis 0" in failure(lowbit.quantize(square, "mxfp4", axis=0), lowbit.quantize(square, "mxfp4"))


def test_arguments_that_do_not_go_together():
    tensor = lowbit.quantize(VALUES, "mxfp4")
    for arguments, options, what in (
        ((tensor, tensor.codes), {}, "compared with a block tensor"),
        ((tensor, tensor), {"inputs": VALUES[0]}, "inputs have shape"),
        ((tensor.codes, tensor.codes), {}, "format of the codes is not given"),
    ):
        with pytest.raises(InputError, match=what):
            testing.assert_bits_equal(*arguments, **options)


def test_formats_of_vectors_are_drawn_too():
    fmt = find(testing.block_formats(), lambda fmt: fmt.element.dimension > 1, settings=FOUND)
    array = find(testing.block_arrays(fmt), np.any, settings=settings(QUICK, max_examples=50))
    assert array.shape[-1] % fmt.element.dimension == 0


def test_different_vectors_are_explained():
    fmt = lowbit.block_format(lowbit.vector_format([[0, 0], [1, -1], [2, 0.5]], id="three"), block=4, scale="float32")
    values = np.float32([[0, 0], [0, 0], [2, 0], [2, 4], [4, 0], [-4, 0], [4, 0], [1, 8]])  # blocks down the columns
    tensor = lowbit.quantize(values, fmt, axis=0)
    testing.assert_bits_equal(tensor, tensor)
    codes = tensor.codes.copy()
    codes[2, 0] = 0
    other = lowbit.BlockTensor(fmt, values.shape, 0, codes, tensor.scales)
    with pytest.raises(AssertionError) as raised:
        testing.assert_bits_equal(other, tensor, inputs=values)
    assert str(raised.value).splitlines()[1:] == [
        "at [2, 0]: values [4.0, -4.0]",
        "  expected  0x1 01 = [1, -1]; block 2: [2, -2]",
        "  got       0x0 00 = [0, 0]; block 2: [0, 0]",
    ]
