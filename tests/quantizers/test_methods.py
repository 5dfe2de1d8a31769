"""What holds for every method: one signature, one kind of result, one kind of refusal."""

import doctest
import importlib
import inspect
import re

import ml_dtypes
import numpy as np
import pytest

from lowbit.errors import InputError, PolicyError, UnknownFormatError
from lowbit.ops.docstrings import sections_of
from lowbit.quantizers import METHODS, QuantizedWeight
from lowbit.quantizers.documentation import documented

OUTPUTS, INPUTS, ROWS = 128, 128, 160
LARGE_ERRORS = {"vector_quantization": 0.3, "vq4dit": 0.3, "intlora": 0.2, "nsnquant": 0.2}
"""Two bits a weight; what weights of code 0 lose."""

INSIDE = {"alone": "round_to_nearest", "round_to_nearest": "round_to_nearest", "gptq": "gptq", "awq": "awq"}
"""Variants that are other methods."""


@pytest.fixture(scope="module")
def layer():
    """Weights, and activations that are correlated and of uneven size."""
    random = np.random.default_rng(7)
    mixed = random.normal(size=(ROWS, INPUTS)) @ random.normal(size=(INPUTS, INPUTS)) / 16
    return random.normal(size=(OUTPUTS, INPUTS)).astype(np.float32), mixed * np.exp(random.normal(size=INPUTS) / 2)


@pytest.fixture(params=sorted(METHODS))
def method(request):
    return METHODS[request.param]


@pytest.mark.parametrize("method", ["gptq", "awq", "quarot", "round_to_nearest"])
def test_what_other_methods_make_is_told_as_such(method):
    random = np.random.default_rng(0)
    weights, rows = random.normal(size=(2, 128)), random.normal(size=(256, 128))
    for to, owner in (("table4.channel", "squeezellm"), ("pulses5.vector8.gain2", "pvq")):
        with pytest.raises(InputError, match=f"{to} is not a block format, in which .* works, but what {owner} makes"):
            METHODS[method].quantize(weights, rows, to=to)


def test_each_variant_gives_the_weights_back_nearly(method, layer):
    weights, activations = layer
    for variant in method.variants:
        result = method.quantize(weights, activations, variant=variant)
        assert isinstance(result, QuantizedWeight)
        assert result.shape == weights.shape
        values = result.dequantize(dtype=np.float64)
        relative = ((activations @ (weights - values).T) ** 2).sum() / ((activations @ weights.T) ** 2).sum()
        assert result.error(weights, activations) == pytest.approx(relative)
        assert relative < LARGE_ERRORS.get(method.name, 0.1), variant
        assert result.dequantize().dtype == np.float32
        assert 1 < result.bits_per_weight < 16
        inside = METHODS.get(INSIDE.get(variant, ""), method) if method.name in ("afpq", "quarot") else method
        assert set(result.report) <= set(inside.report)


def test_a_method_says_what_it_is(method):
    assert method.title
    assert method.source
    assert method.variants
    assert method.name in METHODS
    with pytest.raises(PolicyError, match="variant"):
        method.quantize(np.ones((2, 128)), np.ones((2, 128)), variant="no such variant")


def test_help_tells_all_of_it(method):
    """What the docstring leaves out is the record's; both together describe every parameter, variant and report."""
    summary, sections = sections_of(method.quantize.__doc__)
    assert summary
    entries = [entry for entry in re.split(r"^(?=\S)", sections["Parameters"], flags=re.MULTILINE) if entry]
    heads = [entry.partition("\n")[0] for entry in entries]
    names = [name for head in heads for name in head.partition(" : ")[0].replace("**", "").split(", ")]
    assert sorted(names) == sorted(inspect.signature(method.quantize).parameters)
    assert all(" : " in head for head in heads if not head.startswith("**"))
    assert [word for word in method.variants if f'"{word}"' not in sections["Parameters"]] == []
    assert [key for key in method.report if f'"{key}"' not in sections["Returns"]] == []
    assert method.quantize.__doc__ == documented(method)


def test_its_example_runs(method):
    result = doctest.testmod(importlib.import_module(method.quantize.__module__))
    assert result.attempted
    assert not result.failed


def test_bad_input_is_refused(method, layer):
    weights, activations = layer
    broken = weights.copy()
    broken[3, 5] = np.nan
    with pytest.raises(InputError, match=r"weights\[3, 5\] is nan"):
        method.quantize(broken, activations)
    with pytest.raises(InputError, match="a matrix is needed"):
        method.quantize(weights[0], activations)
    if method.needs_activations:
        with pytest.raises(InputError, match="needs activations"):
            method.quantize(weights)
        with pytest.raises(InputError, match="columns and weights"):
            method.quantize(weights, activations[:, :-1])
        activations = activations.copy()
        activations[1, 2] = np.inf
        with pytest.raises(InputError, match=r"activations\[1, 2\] is inf"):
            method.quantize(weights, activations)


def test_blocks_that_do_not_divide_the_inputs_are_refused(method, layer):
    weights, activations = layer
    with pytest.raises(
        InputError, match=r"do not divide|table4\.channel|power grid|float4\.channel|vector4|vector8|vector16"
    ):
        method.quantize(weights[:100, :100], activations[:, :100], to="float4_e2m1fn.g128.by_sign")


def test_an_unknown_name_is_not_an_attribute():
    import lowbit.quantizers

    with pytest.raises(AttributeError, match="no_such_method"):
        lowbit.quantizers.no_such_method  # noqa: B018
    assert set(METHODS) <= set(dir(lowbit.quantizers))


def test_what_are_not_real_numbers_is_refused(method):
    for weights in (np.ones((4, 8), complex), np.array([["a"]]), np.zeros((2, 2), [("x", "f4")]), np.zeros((0, 4))):
        with pytest.raises(InputError, match=r"complex|dtype|nothing to quantise|structured|not"):
            method.quantize(weights, np.ones((4, 8)))
    with pytest.raises((InputError, UnknownFormatError)):
        method.quantize(np.ones((4, 8)), np.ones((4, 8)), to="no such format")
    if method.needs_activations:
        with pytest.raises(InputError, match="nothing to quantise"):
            method.quantize(np.ones((4, 128)), np.ones((0, 128)))


def test_weights_may_come_in_other_dtypes(layer):
    weights, _ = layer
    half = weights.astype(np.float16)
    for dtype in (np.float16, np.float64, ml_dtypes.bfloat16, ">f4"):
        same = half.astype(dtype)
        got = METHODS["round_to_nearest"].quantize(same).tensor.codes
        np.testing.assert_array_equal(got, METHODS["round_to_nearest"].quantize(same.astype(np.float32)).tensor.codes)


@pytest.mark.parametrize(("weights", "activations"), [(1.0, 1e300), (3e38, 1.0), (1e-45, 1e-300)])
def test_extreme_numbers_give_weights_or_an_error(method, weights, activations):
    """Not a warning, and not NaN: what is on the way may be beyond binary32 or binary64."""
    rows = activations * np.random.default_rng(3).uniform(-1, 1, (140, 128))
    try:
        values = method.quantize(np.full((2, 128), weights), rows).dequantize(dtype=np.float64)
    except InputError as error:
        assert error.hint, error  # noqa: PT017 (one of two ends)
    else:
        assert np.isfinite(values).all()


def test_a_dtype_that_is_none_is_told(layer):
    with pytest.raises(InputError, match="dtype 'no such' is unknown to NumPy"):
        METHODS["round_to_nearest"].quantize(layer[0]).dequantize(dtype="no such")


@pytest.mark.parametrize("name", ["round_to_nearest", "gptq", "quarot"])
@pytest.mark.parametrize("to", ["int4.g32", "int4.g32.asymmetric", "nf4.g32"])
def test_weights_whose_scales_underflow_are_refused(layer, name, to):
    weights, activations = layer
    small = weights * np.float32(1e-10)
    with pytest.raises(InputError, match=rf"all weights would be 0 in {to}, and the largest is ") as refusal:
        METHODS[name].quantize(weights=small, activations=activations, to=to)
    assert "int4.g128.float32" in refusal.value.hint
    assert METHODS[name].quantize(small, activations, to=f"{to}.float32").error(small) < 0.1


def test_weights_of_zero_stay_zero():
    """And a few small ones beside others become it: nothing is refused."""
    weights = np.zeros((4, 64), np.float32)
    assert not METHODS["round_to_nearest"].quantize(weights, to="int4.g32").dequantize().any()
    weights[0, 0], weights[1, :] = 1, 1e-10
    assert METHODS["round_to_nearest"].quantize(weights, to="int4.g32").dequantize().sum() == pytest.approx(1, rel=1e-3)
