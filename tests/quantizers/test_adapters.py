"""Adapters that merge into codes: LR-QAT's rounding, and IntLoRA's products with what they lose at codes of zero."""

from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest

import lowbit
from lowbit.errors import InputError
from lowbit.ops.block.dequantize import dequantize
from lowbit.quantizers import Products, intlora, lr_qat, round_to_nearest
from lowbit.quantizers.inputs import weight_format
from lowbit.quantizers.learned.adapters import Multiplied, fresh, rounded
from lowbit.quantizers.learned.gradients import differentiable
from lowbit.quantizers.methods.intlora import frozen_layer as intlora_layer
from lowbit.quantizers.methods.lr_qat import frozen, frozen_layer

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
    assert rounded(np.float32([7]), np.float32([193]), lowbit.get_format("int4")).tolist() == [7]


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


@pytest.fixture(scope="module")
def rows():
    """Activations of few directions."""
    random = np.random.default_rng(22)
    return random.normal(size=(300, 60)) @ random.normal(size=(60, 256))


@pytest.mark.parametrize("variant", ["fixed_point", "float16", "bfloat16", "float32", "integer"])
@pytest.mark.parametrize("to", ["int3.channel", "int4.g64.float32", "int4.tensor", "ggml_q4_0"])
def test_lr_qat_trains_on_what_it_merges_bit_for_bit(layer, variant, to):
    pytest.importorskip("autograd")
    matrix, random = layer[0].astype(np.float64), np.random.default_rng(3)
    rounding = frozen_layer(matrix, weight_format(to, 256, "test"), variant, share=0.5)
    learned = rounding.start(fresh(matrix.shape, 4, 0))
    np.testing.assert_array_equal(rounding.values(learned), lr_qat(matrix, to=to, variant=variant).dequantize())
    learned = {name: value + (random.normal(size=value.shape) * value.std()) for name, value in learned.items()}
    learned["left"] = 4 * random.normal(size=learned["left"].shape)
    learned = rounding.kept({**learned, "scale": learned["scale"].astype(np.float32)})
    merged = rounding.merged(learned)
    assert (merged.codes != rounding.nearest.codes).any()
    np.testing.assert_array_equal(rounding.values(learned), dequantize(merged))


@pytest.mark.parametrize("variant", ["multiply", "shift"])
def test_intlora_trains_on_what_it_merges_bit_for_bit(layer, variant):
    pytest.importorskip("autograd")
    matrix, random = layer[0].astype(np.float64), np.random.default_rng(3)
    frozen_integers = intlora_layer(matrix, INT4, variant, np.zeros(matrix.shape))
    learned = frozen_integers.merging.start(fresh(matrix.shape, 4, 0))
    untrained = intlora(matrix, variant=variant)
    np.testing.assert_array_equal(frozen_integers.merging.values(learned), untrained.dequantize())
    np.testing.assert_array_equal(frozen_integers.merged(learned).factors, untrained.tensor.factors)
    learned["left"] = random.normal(size=learned["left"].shape) / 10
    if variant == "multiply":
        learned["own"] = learned["own"] * 1.01
    merged = frozen_integers.merged(learned)
    assert (merged.factors != untrained.tensor.factors).any()
    np.testing.assert_array_equal(frozen_integers.merging.values(learned), merged.values().astype(np.float32))
    assert (merged.factors == np.rint(merged.factors)).all() == (variant == "multiply")


@pytest.mark.parametrize("method", [lr_qat, intlora])
def test_an_adapter_learns_from_a_layers_outputs(layer, rows, method):
    pytest.importorskip("autograd")
    weights, adapter = layer
    start, result = (method(weights, rows, steps=steps) for steps in (1, 60))
    assert result.report["after"] < 0.95 * result.report["before"]
    assert result.report["after"] == pytest.approx(result.error(weights, rows), rel=1e-4)
    assert len(result.report["losses"]) == 60
    assert start.report["losses"] == result.report["losses"][:1]
    assert result.report["seed"] == 0
    assert result.bits_per_weight == method(weights).bits_per_weight
    assert "losses" not in method(weights, rows).report
    own = method(weights, rows, steps=1, adapter=adapter)
    assert own.report["losses"][0] != start.report["losses"][0]
    with pytest.raises(InputError, match="needs activations"):
        method(weights, steps=1)


def test_slopes_of_powers_of_two_pass_through_the_exponent():
    pytest.importorskip("autograd")
    one = np.ones((1, 1))
    merging = Multiplied(one, 0 * one, 0 * one, one, 0 * one, None)
    value, slope = differentiable().value_and_gradient(
        lambda own: merging.factors({"left": own["left"], "right": one}).sum()
    )({"left": np.array([[2.5]])})
    assert value == 2**1
    assert slope["left"] == pytest.approx(2 / 2.5)
    np.testing.assert_array_equal(merging.powers(np.array([[0.3, -1.7, 2.5]])), [[0.25, -2, 2]])


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
