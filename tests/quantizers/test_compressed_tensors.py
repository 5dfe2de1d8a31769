"""The schemes of compressed-tensors, step by step in ml_dtypes' bfloat16 and in binary32."""

import ml_dtypes
import numpy as np
import pytest

import lowbit
from lowbit.errors import InputError, PolicyError
from lowbit.quantizers import compressed_tensors, gptq, round_to_nearest

DTYPES = {"bfloat16": ml_dtypes.bfloat16, "float32": np.float32}
HALVES = {"w4a16_int": 7.5, "w8a8_int": 127.5, "w8a8_fp": 448}


@pytest.fixture(scope="module")
def layer():
    random = np.random.default_rng(11)
    mixed = random.normal(size=(300, 256)) @ random.normal(size=(256, 256)) / 16
    return random.standard_t(5, size=(64, 256)).astype(ml_dtypes.bfloat16), mixed


def stepwise(values, half, dtype, length):
    """Scales and codes; every step is one operation of the dtype, as PyTorch does them."""
    blocks = values.astype(dtype).reshape(len(values), -1, length)
    scale = (np.abs(blocks).max(axis=2, keepdims=True) / dtype(half)).astype(dtype)
    quotients = (blocks / scale).astype(dtype)
    if half == 448:
        codes = np.clip(quotients, dtype(-448), dtype(448)).astype(ml_dtypes.float8_e4m3fn).view(np.uint8)
    else:
        codes = np.rint(np.clip(quotients.astype(np.float32), -half - 0.5, half - 0.5)).astype(np.int8)
    return scale[:, :, 0].astype(np.float32), codes.reshape(values.shape)


def scales(tensor):
    return np.asarray(lowbit.decode(tensor.scale_codes("block"), tensor.format.scales[0].format))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("variant", HALVES)
def test_each_step_is_rounded(layer, variant, dtype):
    weights, activations = layer
    result = compressed_tensors(weights, variant=variant, dtype=dtype)
    length = 128 if variant == "w4a16_int" else 256
    scale, codes = stepwise(weights, HALVES[variant], DTYPES[dtype], length)
    np.testing.assert_array_equal(scales(result.tensor), scale)
    np.testing.assert_array_equal(result.tensor.codes, codes)
    if variant == "w4a16_int":
        assert result.report["activations"] is None
        return
    rows = activations.astype(DTYPES[dtype])
    tensor = lowbit.quantize(rows, result.report["activations"], policy=result.report["policy"])
    scale, codes = stepwise(rows, HALVES[variant], DTYPES[dtype], 256)
    assert tensor.scales["block"].shape == (300, 1)
    np.testing.assert_array_equal(scales(tensor), scale)
    np.testing.assert_array_equal(tensor.codes, codes)


def test_bfloat16_steps_change_codes(layer):
    """A quotient of bfloat16 has 8 bits: between 64 and 128 it is a half at best, and ties are many."""
    weights, _ = layer
    shares = {}
    for name in ("w4a16_int", "w8a8_int"):
        tensor = compressed_tensors(weights, variant=name).tensor
        scale = np.repeat(scales(tensor), 256 // scales(tensor).shape[1], axis=1)
        exact = np.clip(np.rint(weights.astype(np.float64) / scale), -HALVES[name] - 0.5, HALVES[name] - 0.5)
        shares[name] = float((tensor.codes != exact).mean())
    assert 0.05 < shares["w8a8_int"] < 0.15
    assert 0.002 < shares["w4a16_int"] < 0.01


@pytest.mark.parametrize(("bits", "full", "narrow"), [(4, 0.0121, 0.0136), (3, 0.057, 0.075), (2, 0.306, 0.591)])
def test_half_of_the_range_beats_the_largest_code_on_gaussian_weights(bits, full, narrow):
    weights = np.random.default_rng(0).normal(size=(400, 128)).astype(np.float32)
    fmt = f"int{bits}.g128.float32"
    errors = [
        compressed_tensors(weights, to=fmt, dtype="float32").error(weights),
        round_to_nearest(weights, to=fmt).error(weights),
    ]
    assert errors == pytest.approx([full, narrow], rel=0.05)


def test_gptq_spreads_errors_where_there_are_activations(layer):
    weights, activations = layer
    for variant in ("w4a16_int", "w8a8_int"):
        spread, nearest = (compressed_tensors(weights, rows, variant=variant) for rows in (activations, None))
        np.testing.assert_array_equal(spread.tensor.scale_codes("block"), nearest.tensor.scale_codes("block"))
        values = weights.astype(np.float32)
        assert spread.error(values, activations) < 0.7 * nearest.error(values, activations)
        plain = gptq(weights, activations, to=spread.tensor.format, order="static", policy=spread.report["policy"])
        np.testing.assert_array_equal(spread.tensor.codes, plain.tensor.codes)
    pair = [compressed_tensors(weights, rows, variant="w8a8_fp").tensor.codes for rows in (activations, None)]
    np.testing.assert_array_equal(*pair)


def test_codes_are_packed_as_its_files_have_them(layer):
    weights, _ = layer
    codes = compressed_tensors(weights).tensor.codes
    words = lowbit.pack(codes, "int4", layout="compressed_tensors")
    nibbles = (codes.astype(np.int64) + 8).reshape(64, -1, 8)
    expected = (nibbles << 4 * np.arange(8)).sum(axis=2).astype(np.uint32)
    np.testing.assert_array_equal(np.asarray(words).view(np.uint32).reshape(expected.shape), expected)


def test_a_broken_request_is_refused(layer):
    weights, activations = layer
    with pytest.raises(PolicyError, match="dtype"):
        compressed_tensors(weights, dtype="float16")
    with pytest.raises(InputError, match="do not divide"):
        compressed_tensors(weights[:, :100])
    with pytest.raises(InputError, match="singular"):
        compressed_tensors(weights, activations[:60], damping=0.0)


def test_ranges_of_its_mse_observer(layer):
    weights, activations = layer
    options = {"to": "int4.g128.float32", "dtype": "float32"}
    policy = {"to": "int4.g128.float32", "policy": "compressed_tensors"}
    for observer, variant in (("minmax", "range"), ("mse", "llm_compressor")):
        nearest = round_to_nearest(weights, variant=variant, **policy).tensor
        alone = compressed_tensors(weights, observer=observer, **options).tensor
        np.testing.assert_array_equal(alone.codes, nearest.codes)
        spread = compressed_tensors(weights, activations, observer=observer, **options)
        np.testing.assert_array_equal(spread.tensor.scales["block"], nearest.scales["block"])
    whole = compressed_tensors(weights, activations, **options)
    assert spread.error(weights, activations) < 0.9 * whole.error(weights, activations)
