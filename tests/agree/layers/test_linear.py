"""Linear layers and requantisations between layers agree with the oracle in Python integers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lowbit.layers import Linear, Quantity, Requantize, Rescale
from lowbit.oracle.layers.linear import linear
from tests.agree.layers.examples import INTEGER_SCHEMES, codes, of_oracle, rescale, seeds, within
from tests.thinned import thinned


def layer_of(rng, shape, scheme="tflite_double", *, format="int8", weight_format="int8", zeros=0, each=True):
    outputs = shape[0]
    low, high = (Quantity(weight_format, 1.0).scalar.codes[place] for place in (0, -1))
    zero_points = rng.integers(low, high, outputs, dtype=np.int8, endpoint=True) if zeros else 0
    bias = rng.integers(-(1 << 20), 1 << 20, outputs, dtype=np.int32)
    where = Quantity(format, 0.1, int(codes(rng, (), format)) if zeros else 0)
    output = rescale(rng, scheme, outputs if each else 1, zero_point=zeros, largest=2.0**-8)
    return Linear(where, codes(rng, shape, weight_format), output, bias, zero_points, weight_format)


def expected(layer, rows):
    each = np.broadcast_to(layer.weight_zero_point, len(layer.weight)).tolist()
    options = {"input_zero_point": layer.input.zero_point, "weight_zero_points": each}
    options["bias"] = None if layer.bias is None else layer.bias.tolist()
    output = of_oracle(layer.output)
    flat = rows.reshape(-1, rows.shape[-1]).tolist()
    answers = [linear(row, layer.weight.tolist(), output, **options) for row in flat]
    return np.array(answers).reshape(*rows.shape[:-1], len(layer.weight))


@pytest.mark.parametrize("scheme", thinned(INTEGER_SCHEMES, 6))
def test_oracle_of_every_scheme(scheme):
    rng = np.random.default_rng(1)
    layer = layer_of(rng, (5, 19), scheme, zeros=3)
    rows = codes(rng, (2, 3, 19))
    assert np.array_equal(layer(rows), expected(layer, rows))


@given(seeds, st.sampled_from(["int8", "uint8", "int16", "int4"]), st.sampled_from(["int8", "int4"]), st.booleans())
def test_oracle(seed, format, weight_format, each):
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(1, 9, 2).tolist())
    options = {"format": format, "weight_format": weight_format, "zeros": int(rng.integers(-5, 6)), "each": each}
    layer = layer_of(rng, shape, **options)
    rows = codes(rng, (3, shape[1]), format)
    assert np.array_equal(layer(rows), expected(layer, rows))
    within(layer, rows)


def test_accumulators_leave_as_they_are():
    rng = np.random.default_rng(2)
    layer = Linear(Quantity("int8", 0.1), codes(rng, (4, 7)), Quantity("int32", 0.01))
    rows = codes(rng, (3, 7))
    assert np.array_equal(layer(rows), expected(layer, rows))
    assert layer(rows).dtype == np.int32
    within(layer, rows)


def test_a_sum_that_can_leave_32_bits_is_a_bound_that_says_so():
    layer = Linear(Quantity("uint8", 1.0), np.full((1, 65794), 127, np.int8), Quantity("int32", 1.0))
    assert [bound.culprit for bound in layer.bounds(layer.input.interval)] == [None, None]
    wide = Linear(Quantity("uint8", 1.0), np.full((1, 66400), 127, np.int8), Quantity("int32", 1.0))
    assert {bound.culprit for bound in wide.bounds(wide.input.interval)} == {66400 * 127 * 255}


@given(seeds, st.sampled_from(["tflm", "hawq", "tosa_single_48", "single_even"]))
def test_requantize_is_the_oracle_of_each_channel(seed, scheme):
    rng = np.random.default_rng(seed)
    output = rescale(rng, scheme, 5, result="uint8", zero_point=7, largest=0.5)
    layer = Requantize(Quantity("int16", 0.1, -3), output)
    rows = codes(rng, (4, 5), "int16")
    wanted = [[of_oracle(output)(code + 3, place) for place, code in enumerate(row)] for row in rows.tolist()]
    assert layer(rows).tolist() == wanted
    within(layer, rows)


@pytest.mark.parametrize("scheme", ["ibert", "tflite_double", "nvdla"])
def test_negative_scales_and_zero(scheme):
    output = Rescale.from_scale([-0.5, 0.25, 0.0], scheme, Quantity("int8", 1.0))
    layer = Requantize(Quantity("int32", 1.0), output)
    rows = np.array([[3, 3, 3], [5, 5, 5], [-3, -3, -3], [1000, 1000, 1000]], np.int32)
    wanted = [[of_oracle(output)(code, place) for place, code in enumerate(row)] for row in rows.tolist()]
    assert layer(rows).tolist() == wanted
    assert (layer(rows)[-1] == [-128, 127, 0]).all()
    within(layer, np.array([[-300, 7, 2]], np.int32))
