"""Every option of every method refuses what it cannot be: the message names it, the hint says what it may be."""

import numpy as np
import pytest

from lowbit.errors import InputError, LowbitError, PolicyError
from lowbit.quantizers import METHODS
from lowbit.quantizers.method import chosen
from lowbit.quantizers.options import OPTIONS

WEIGHTS = np.random.default_rng(0).normal(size=(2, 8))
ROWS = np.random.default_rng(1).normal(size=(20, 8))
SMALL = {
    "afpq": "float4_e2m1fn.g4.by_sign",
    "decoupleq": "int2.channel",
    "intlora": "int4.channel.asymmetric.float32",
    "hqq": "uint4.g4.asymmetric",
    "spqr": "uint3.g4.asymmetric",
    "nsnquant": "table8.vector8",
    "pvq": "pulses2.vector4.gain1",
    "qllm": "int4.channel.asymmetric",
    "llm_fp4": "float3.channel",
    "squeezellm": "table1.channel",
    "vector_quantization": "table1.vector2",
    "vq4dit": "table1.vector2",
}
FORMATS = ("to", "factors", "activations_to")
OTHER = [("intlora", "factors"), ("qllm", "activations_to")]
JUNK = (
    *("a", "", b"a", -1, -0.5, 1.5, True, 1j, None, object(), max, np.nan, np.inf, -np.inf, 1e-300, 10**400),
    *([], {}, ["a"], [None], [0.5, -1], np.array(1.5), np.ones((2, 2, 2)), np.full((8, 8), np.nan), np.eye(3)),
    np.ma.masked_array([1.0], [1]),
)
INSIDE = {"afpq": {"gptq": ("damping", "columns", "order", "hessian", "threads"), "awq": ("clip",)}}
INSIDE["quarot"] = {"gptq": ("damping", "columns", "order", "hessian", "threads")}


def calls():
    for name, method in METHODS.items():
        first = next(iter(method.variants))
        yield from ((name, first, option) for option in method.options if option not in FORMATS)
        for variant, options in INSIDE.get(name, {}).items():
            yield from ((name, variant, option) for option in options)


def quantized(name, variant, option, value):
    rows = None if option == "hessian" and value is not None else ROWS
    options = {"to": SMALL.get(name, "int4.channel"), "variant": variant, option: value}
    return METHODS[name].quantize(WEIGHTS, rows, **options)


@pytest.mark.parametrize(("name", "variant", "option"), list(calls()))
def test_what_an_option_cannot_be_is_refused(name, variant, option):
    answers = [refusal(name, variant, option, value) for value in JUNK]
    refusals = [error for error in answers if error is not None]
    assert len(refusals) >= len(JUNK) - 12
    for error in refusals:
        assert option in error.message.lower(), error
        assert error.hint, error


def refusal(name, variant, option, value):
    """The error, if any; what is taken gives weights."""
    try:
        result = quantized(name, variant, option, value)
    except LowbitError as error:
        return error
    assert np.isfinite(result.dequantize()).all()
    return None


@pytest.mark.parametrize(("name", "option"), [*((name, "to") for name in sorted(METHODS)), *OTHER])
def test_a_format_that_is_none_is_refused(name, option):
    for value in ("a", 1.5, None, []):
        with pytest.raises(LowbitError):
            quantized(name, next(iter(METHODS[name].variants)), option, value)


@pytest.mark.parametrize("name", sorted(METHODS))
def test_an_option_that_does_not_exist_is_refused(name):
    for variant in METHODS[name].variants:
        with pytest.raises(PolicyError, match=r"option of \w+ = 'treads' is unknown") as caught:
            quantized(name, variant, "treads", 1)
        assert "to, variant" in caught.value.hint
    with pytest.raises(PolicyError, match="option of round_to_nearest = 'damping' is unknown"):
        quantized("quarot", "round_to_nearest", "damping", 0.1)


def test_no_option_is_described_in_vain():
    """``Method.options`` looks up those that a function has."""
    assert set(OPTIONS) <= {option for method in METHODS.values() for option in method.options}
    for method in METHODS.values():
        assert set(method.own) <= set(method.options)


@pytest.mark.parametrize(
    ("name", "option", "value", "words"),
    [
        ("gptq", "columns", 0, "columns = 0 is not a whole number from 1 on"),
        ("gptq", "damping", -0.5, "damping = -0.5 is not a number from 0 on"),
        ("quarot", "seed", 1.5, "seed = 1.5 is not a whole number from 0 on"),
        ("smoothquant", "strength", 2, "strength = 2 is not a number from 0 to 1"),
        ("squeezellm", "outliers", 1, "outliers = 1 is not a number from 0 to below 1"),
        ("nupes", "exponent", (0.5, 0), "exponent = 0 is not a number above 0 and up to 16"),
        ("lr_qat", "alpha", np.inf, "alpha = inf is not a finite number"),
        ("awq", "clip", "yes", "clip = 'yes' is not True or False"),
    ],
)
def test_ranges_are_told(name, option, value, words):
    with pytest.raises(InputError) as caught:
        METHODS[name].quantize(WEIGHTS, ROWS, **{option: value})
    assert caught.value.message == words


def test_numbers_of_numpy_are_numbers():
    some = {"columns": np.int64(4), "damping": np.float32(0.25), "threads": np.uint8(1)}
    plain = {"columns": 4, "damping": 0.25, "threads": 1}
    results = [METHODS["gptq"].quantize(WEIGHTS, ROWS, to="int4.channel", **options) for options in (some, plain)]
    np.testing.assert_array_equal(results[0].tensor.codes, results[1].tensor.codes)
    errors = METHODS["nupes"].quantize(WEIGHTS, exponent=np.array([0.5, 0.75])).report["errors"]
    assert list(errors) == [0.5, 0.75]


def test_powers_that_merge_codes_are_told():
    with pytest.raises(LowbitError, match=r"exponent = 1e-05: two of the 8 magnitudes of 4 bits") as caught:
        METHODS["nupes"].quantize(WEIGHTS, exponent=1e-5)
    assert "nearer to 1" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("gptq:official:order=static : damping = 1e-2", {"variant": "official", "order": "static", "damping": 0.01}),
        ("gptq:variant=official:columns=64", {"variant": "official", "columns": 64}),
        ("quarot:gptq:order=static", {"variant": "gptq", "order": "static"}),
        ("afpq:gptq:damping=1", {"variant": "gptq", "damping": 1.0}),
        ("nupes:exponent=0.5+1", {"exponent": [0.5, 1.0]}),
        ("lr_qat:alpha=none", {"alpha": None}),
        ("awq:clip=false", {"clip": False}),
    ],
)
def test_a_method_is_chosen_with_its_options_in_words(text, options):
    assert chosen(text).quantize.__wrapped__.keywords == options


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("gptq:damping=x", InputError, "damping = 'x' is not a number from 0 on"),
        ("gptq:columns=1.5", InputError, "columns = 1.5 is not a whole number"),
        ("gptq:order=backwards", PolicyError, "order"),
        ("gptq:ordr=static", PolicyError, "did you mean 'order'"),
        ("quarot:order=static", PolicyError, "option of quarot"),
        ("gptq:paper:official", InputError, "gptq has variant twice: 'paper' and 'official'"),
        ("gptq:hessian=x", InputError, "hessian is not a word or a number"),
        ("gptq:to=int4", InputError, "to is not a word or a number"),
        ("awq:clip=maybe", InputError, "clip = 'maybe' is not True or False"),
        ("damping=0.02", InputError, "colons before it"),
        ("gptq:", PolicyError, "variant"),
    ],
)
def test_words_that_are_not_options_are_refused(text, error, message):
    with pytest.raises(error, match=message):
        chosen(text)
