"""Convolutions and pooling agree with the oracle in Python integers."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lowbit.check.requantize.conv import ConvOperation
from lowbit.format.registry import get_format
from lowbit.layers import AveragePool, Conv, MaxPool, Quantity
from lowbit.layers.conv import BUFFER_BYTES
from lowbit.layers.pool import ROUNDINGS
from lowbit.oracle.layers.conv import average, conv, pool, rescaled_sum
from lowbit.oracle.layers.requantize import Rescaling
from lowbit.policy.requantize import REQUANTIZE_SCHEMES
from lowbit.vectors.gemm.values import Operands
from lowbit.vectors.requantize.conv import geometry_of
from tests.agree.layers.examples import codes, of_oracle, rescale, seeds, within

INT8 = get_format("int8")


def window_of(rng):
    """Size, stride and padding of windows; no window lies outside of an image of 3 x 3 altogether."""
    size = tuple(rng.integers(1, 4, 2).tolist())
    padding = tuple(tuple(rng.integers(0, length, 2).tolist()) for length in size)
    return size, tuple(rng.integers(1, 3, 2).tolist()), padding


def layer_of(rng, *, format="int8", groups=1, depth=2, each=2, biased=True):
    size, stride, padding = window_of(rng)
    where = Quantity(format, 0.1, int(codes(rng, (), format)))
    weight = codes(rng, (groups * each, *size, depth))
    bias = rng.integers(-(1 << 16), 1 << 16, groups * each, dtype=np.int32) if biased else None
    output = rescale(rng, "tflite_double", groups * each, zero_point=-3, largest=2.0**-6)
    return Conv(where, weight, output, bias, stride, padding, groups)


def expected(layer, images):
    options = {
        "bias": None if layer.bias is None else layer.bias.tolist(),
        "zero_point": layer.input.zero_point,
        "stride": layer.stride,
        "padding": layer.padding,
        "groups": layer.groups,
    }
    return [conv(image, layer.weight.tolist(), of_oracle(layer.output), **options) for image in images.tolist()]


@given(
    seeds,
    st.sampled_from(["int8", "uint8", "int16"]),
    st.sampled_from([(1, 3, 2), (3, 1, 1), (3, 1, 2), (2, 2, 1), (1, 1, 2)]),
    st.booleans(),
)
def test_conv(seed, format, parts, biased):
    rng = np.random.default_rng(seed)
    groups, depth, each = parts
    layer = layer_of(rng, format=format, groups=groups, depth=depth, each=each, biased=biased)
    images = codes(rng, (2, *rng.integers(3, 6, 2), groups * depth), format)
    assert layer(images).tolist() == expected(layer, images)
    within(layer, images)


@pytest.mark.parametrize("groups", ["", "any", "depthwise"])
def test_checked_convolutions(groups):
    operation = ConvOperation(Operands(INT8, INT8, groups != ""), REQUANTIZE_SCHEMES["tflite_double"], INT8, groups)
    for case in operation.cases("random", 4, 5):
        size, scalars, arrays = geometry_of(case), case.scalars, {name: a.tolist() for name, a in case.arrays.items()}
        below = (size.out_height - 1) * size.stride_height + size.rows - size.above - size.height
        right = (size.out_width - 1) * size.stride_width + size.columns - size.left - size.width
        scales = arrays["multiplier"], arrays["shift"], scalars["zero_point"], -128, 127
        results = conv(
            arrays["a"],
            arrays["b"],
            Rescaling(operation.scheme, *scales),
            bias=arrays["bias"],
            zero_point=scalars["a_zero_point"],
            stride=(size.stride_height, size.stride_width),
            padding=((size.above, below), (size.left, right)),
            groups=size.groups,
            weight_zero_point=scalars.get("b_zero_point", 0),
        )
        assert operation.expected(case).tolist() == results


def test_images_beyond_the_buffer_and_more_leading_axes():
    rng = np.random.default_rng(1)
    layer = Conv(Quantity("int8", 0.1, 5), codes(rng, (3, 3, 3, 8)), rescale(rng, "hawq", 3), padding=((1, 1), (1, 1)))
    images = codes(rng, (2, 3, 60, 60, 8))
    assert BUFFER_BYTES // (60 * 60 * 9 * 8) < 6
    each = np.stack([layer(image) for image in images.reshape(-1, 60, 60, 8)])
    assert np.array_equal(layer(images), each.reshape(2, 3, 60, 60, 3))


def test_accumulators_leave_as_they_are():
    rng = np.random.default_rng(2)
    layer = Conv(Quantity("uint8", 0.1, 5), codes(rng, (3, 2, 2, 2)), Quantity("int32", 1.0), stride=(2, 2))
    images = codes(rng, (1, 4, 4, 2), "uint8")
    assert layer(images).tolist() == expected(layer, images)
    within(layer, images)


@given(seeds, st.sampled_from(["int8", "uint8", "int16"]))
def test_max_pool(seed, format):
    rng = np.random.default_rng(seed)
    size, stride, padding = window_of(rng)
    layer = MaxPool(Quantity(format, 0.1), size, stride, padding)
    images = codes(rng, (2, 4, 5, 3), format)
    assert layer(images).tolist() == [pool(image, size, stride, padding, max) for image in images.tolist()]
    within(layer, images)


@given(seeds, st.sampled_from(sorted(ROUNDINGS)))
def test_average_pool(seed, rounding):
    rng = np.random.default_rng(seed)
    size, stride, padding = window_of(rng)
    layer = AveragePool(Quantity("int8", 0.1, 3), rounding, size, stride, padding)
    images = rng.integers(-4, 5, (2, 4, 5, 3), dtype=np.int8)
    reduce = partial(average, rounding=rounding)
    assert layer(images).tolist() == [pool(image, size, stride, padding, reduce) for image in images.tolist()]
    within(layer, images)


@pytest.mark.parametrize("scheme", ["tosa_single", "single_even"])
def test_average_by_a_multiplier(scheme):
    rng = np.random.default_rng(3)
    layer = AveragePool(Quantity("uint8", 0.1, 7), rescale(rng, scheme, 1, largest=0.05), (4, 5))
    images = codes(rng, (2, 4, 5, 3), "uint8")
    reduce = partial(rescaled_sum, zero_point=7, output=of_oracle(layer.division))
    nothing = (0, 0), (0, 0)
    assert layer(images).tolist() == [pool(image, (4, 5), (1, 1), nothing, reduce) for image in images.tolist()]
    within(layer, images)
