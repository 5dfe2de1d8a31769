"""Adapters that merge into codes: LR-QAT's rounding, and IntLoRA's products with what they lose at codes of zero."""

from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest

import lowbit
from lowbit.errors import InputError
from lowbit.quantizers import Products, intlora, lr_qat, round_to_nearest
from lowbit.quantizers.methods.lr_qat import frozen, rounded

INT4 = "int4.channel.asymmetric.float32"


@pytest.fixture(scope="module")
def layer():
    """Weights and an adapter of rank 4."""
    random = np.random.default_rng(21)
    weights = random.normal(size=(48, 256)).astype(np.float32) / 16
    return weights, (random.normal(size=(48, 4)) / 20, random.normal(size=(4, 256)) / 20)


@pytest.mark.parametrize("bits", [2, 3, 4, 7])
def test_fixed_point_rounds_twice_on_one_weight_in_thirty_two(bits):
    # A weight within 2^-(9 - bits) of k + 1/2 is stored as k + 1/2 and goes to the even neighbour, of its two half as
    # often the wrong one: 2 * 2^-(9 - bits) / 2 of a unit, 1/32 at 4 bits.
    top = 2 ** (bits - 1) - 1
    evenly = (np.arange(-top * 2048, top * 2048) + 0.5) / 2048
    row = np.append(evenly, top)[None]
    twice = lr_qat(row, to=f"int{bits}.channel").tensor.codes[0, :-1].astype(int)
    once = round_to_nearest(row, to=f"int{bits}.channel").tensor.codes[0, :-1].astype(int)
    assert Fraction(int((twice != once).sum()), evenly.size) == Fraction(1, 2 ** (9 - bits))
    assert np.abs(twice - once).max() == 1


def test_q4_4_ends_where_the_codes_end():
    element = lowbit.get_format("int4")
    stored = frozen(np.array([9.0, 7.3, 6.96875, -7.99, -11.0], np.float32), "fixed_point", element)
    assert (stored * 16).tolist() == [112, 112, 112, -128, -128]


def test_a_scale_below_zero_turns_the_codes():
    row = np.array([[8.0, -3.0, 2.0, 0.0] * 8])
    result = lr_qat(row, to="ggml_q4_0")
    assert result.tensor.scales["block"].tolist() == [[-1.0]]
    assert result.tensor.codes[0, :4].tolist() == [-8, 3, -2, 0]


@pytest.mark.parametrize("variant", ["fixed_point", "float16", "bfloat16", "float32", "integer"])
@pytest.mark.parametrize("to", ["int4.channel", "int3.g64"])
def test_merging_gives_what_forward_computes(layer, variant, to):
    weights, adapter = layer
    result = lr_qat(weights, to=to, variant=variant, adapter=adapter, alpha=8)
    scale = np.repeat(result.tensor.scales["block"].astype(np.float32), 256 if to == "int4.channel" else 64, axis=1)
    added = (np.float64(2) * (adapter[0] @ adapter[1])).astype(np.float32)
    ratio = weights / scale
    stored = {"float16": np.float16, "bfloat16": ml_dtypes.bfloat16, "float32": np.float32}.get(variant)
    low, high = (-8, 7) if "int4" in to else (-4, 3)
    if stored is not None:
        codes = np.rint(ratio.astype(stored).astype(np.float32) + added)
    elif variant == "integer":
        codes = np.clip(np.rint(ratio), low, high) + np.rint(added)
    else:
        unit = 16 if "int4" in to else 32
        codes = np.rint(np.rint(np.clip(ratio, low, high) * unit) / unit + added)
    np.testing.assert_array_equal(result.dequantize(), scale * np.clip(codes, low, high).astype(np.float32))


def test_a_large_adapter_ends_at_the_last_code():
    # the official merge casts to int8 first: 200 wraps to -56 and ends at -8
    merged = lr_qat([[7.0, 1.0]], adapter=([[1.0]], [[193.0, -193.0]])).tensor.codes
    assert merged.tolist() == [[7, -8]]
    assert rounded(np.float32([7]), np.float32([193]), "fixed_point", lowbit.get_format("int4")).tolist() == [7]


def test_a_row_of_zeros_holds_the_adapter():
    result = lr_qat(np.zeros((1, 2)), adapter=([[1.0]], [[2.0, -3.4]]))
    assert result.tensor.codes.tolist() == [[2, -3]]
    assert (lr_qat(np.zeros((1, 2))).dequantize() == 0).all()


@pytest.mark.parametrize("value", [0.0, 0.3, -1.0])
def test_rows_of_one_value_keep_it(value):
    weights = np.full((3, 128), value)
    for result in (lr_qat(weights), intlora(weights), intlora(weights, variant="shift")):
        assert result.error(weights) < 0.05
    assert intlora(weights).report["zero_codes"] == (value == 0)


def test_products_hold_weights_random_matrix_and_adapter(layer):
    weights, adapter = layer
    for to, share in ((INT4, 0.138), ("int8.channel.asymmetric.float32", 0.0095)):
        result = intlora(weights, to=to, adapter=adapter)
        assert result.report["identity_error"] < 1e-15
        assert result.report["zero_codes"] == pytest.approx(share, rel=0.15)
        assert (result.dequantize()[result.tensor.codes == 0] == 0).all()
        kept = result.tensor.codes != 0
        difference = result.dequantize(dtype=np.float64) - weights - adapter[0] @ adapter[1]
        least = round_to_nearest(weights, to=to).error(weights)
        assert (difference[kept] ** 2).sum() / (weights[kept].astype(np.float64) ** 2).sum() < 3 * least + 0.004


def test_products_are_integers_or_shifts(layer):
    weights, adapter = layer
    multiplied, shifted = (intlora(weights, adapter=adapter, variant=one) for one in ("multiply", "shift"))
    integers = multiplied.tensor.factors.astype(np.int64) * multiplied.tensor.codes
    np.testing.assert_array_equal(integers, multiplied.tensor.factors.astype(np.float64) * multiplied.tensor.codes)
    assert np.abs(integers).max() < 1 << 15
    np.testing.assert_array_equal(multiplied.dequantize(dtype=np.float64), multiplied.tensor.scale * integers)
    mantissas, _ = np.frexp(shifted.tensor.factors)
    assert set(np.abs(mantissas).ravel().tolist()) == {0.5}
    # U = (s q + R + A B) / q by its definition, R drawn anew
    drawn = np.random.default_rng(0).laplace(scale=0.5, size=weights.shape)
    least = np.minimum(drawn.max(axis=1), -drawn.min(axis=1))
    drawn *= ((np.abs(weights).max(axis=1) / least) ** 1.5)[:, None]
    coded = round_to_nearest(weights - drawn, to=INT4, variant="norm_2.4").dequantize(dtype=np.float64)
    codes = shifted.tensor.codes
    exact = (coded + drawn + adapter[0] @ adapter[1])[codes != 0] / codes[codes != 0]
    np.testing.assert_array_equal(
        shifted.tensor.factors[codes != 0], np.sign(exact) * 2 ** np.rint(np.log2(abs(exact)))
    )
    difference = np.abs(multiplied.tensor.scale * multiplied.tensor.factors)[codes != 0] - np.abs(exact)
    assert (np.abs(difference) <= multiplied.tensor.scale.max()).mean() > 0.99
    assert float(multiplied.bits_per_weight) == 4 + 8 + (32 + 12) / 256


def test_a_product_by_hand():
    tensor = Products(np.int16([[3, 0, -2]]), np.float32([[5, 9, -4]]), np.float32([[0.5]]), (4, 8))
    assert tensor.values().tolist() == [[7.5, 0, 4]]
    assert tensor.bits_per_value == 12 + Fraction(44, 3)


@pytest.mark.parametrize("method", [intlora, lr_qat])
def test_a_broken_adapter_is_refused(layer, method):
    weights, (left, right) = layer
    for adapter in ((left, right.T), (left[:-1], right), (left,), left, (left, np.full_like(right, np.nan))):
        with pytest.raises(InputError, match="adapter"):
            method(weights, adapter=adapter)


def test_formats_that_do_not_fit_are_refused(layer):
    weights, _ = layer
    for to in ("int8.channel", "nf4.g64", "int4.g64.asymmetric"):
        with pytest.raises(InputError, match="lr_qat works on integers" if to == "nf4.g64" else "intlora multiplies"):
            (lr_qat if to == "nf4.g64" else intlora)(weights, to=to)
    for to in ("int8.channel", "int4.g64.asymmetric", "float4_e2m1fn.channel"):
        with pytest.raises(InputError, match="lr_qat works on integers"):
            lr_qat(weights, to=to)
