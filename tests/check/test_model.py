"""A dump of a model's layers: the layer that is wrong by itself is found, and what it does instead is named."""

from dataclasses import replace

import numpy as np
import pytest

from lowbit.check.model.compare import compare_model
from lowbit.errors import InputError
from lowbit.layers import Linear, Quantity, Requantize, Rescale
from lowbit.models.graph import IntegerModel, Node

IMAGE, MIDDLE, RESULT = Quantity("uint8", 1 / 255, 3), Quantity("int8", 0.1, -4), Quantity("int16", 0.01)


def linear(generator, inputs, outputs, given, result, scheme, **ends):
    weight = generator.integers(-127, 128, (outputs, inputs), np.int8)
    bias = generator.integers(-20000, 20000, outputs, np.int32)
    scales = generator.uniform(0.002, 0.008, outputs)
    return Linear(given, weight, Rescale.from_scale(scales, scheme, result, **ends), bias)


@pytest.fixture(scope="module")
def model():
    generator = np.random.default_rng(5)
    nodes = {
        "first": Node(linear(generator, 12, 16, IMAGE, MIDDLE, "tflite_double", minimum=-4), ("image",)),
        "second": Node(linear(generator, 16, 16, MIDDLE, MIDDLE, "single_even"), ("first",)),
        "wide": Node(Requantize(MIDDLE, Rescale.from_scale(1.5, "hawq", RESULT)), ("second",)),
    }
    return IntegerModel(nodes, {"image": IMAGE}, ("wide",))


@pytest.fixture(scope="module")
def image():
    return np.random.default_rng(6).integers(0, 256, (500, 12), np.uint8)


def dump_of(model, image, bugs=()):
    """What a library hands out that has other layers in the places of some."""
    bugs, dump, values = dict(bugs), {}, {"image": image}
    for name, node in model.nodes.items():
        steps = list(bugs.get(name, node.layer).steps(*(values[source] for source in node.inputs)))
        dump |= {f"{name}:{step.label}": step.codes for step in steps}
        dump[name] = values[name] = steps[-1].codes.astype(node.layer.result.scalar.code_dtype)
    return dump


def test_what_is_equal_is_equal(model, image):
    dump = dump_of(model, image)
    comparison = compare_model(model, image, dump)
    assert (comparison.compared, comparison.layers, comparison.differences) == (3, 3, ())
    assert comparison.first is None
    assert compare_model(model, image, {"wide": dump["wide"].astype(np.int64)}).compared == 1


def rescaled(layer, scheme=None, field="output", **changes):
    rescale = getattr(layer, field)
    if scheme is not None:
        factors = np.ldexp(rescale.multiplier.astype(float), rescale.shift - 31)
        rescale = Rescale.from_scale(factors, scheme, rescale.result, minimum=rescale.minimum)
    return replace(layer, **{field: replace(rescale, **changes)})


BUGS = {
    "no zero point of the input": (
        "first",
        lambda one: replace(one, input=Quantity("uint8", 1.0)),
        "ignores the zero point of its input",
    ),
    "no bias": ("first", lambda one: replace(one, bias=None), "ignores the bias"),
    "no ReLU": ("first", lambda one: rescaled(one, minimum=None), "does not limit its results"),
    "single rounding": ("first", lambda one: rescaled(one, "tflite_single"), "single_up"),
    "transposed": ("second", lambda one: replace(one, weight=one.weight.T.copy()), "transposed"),
    "no zero point": ("second", lambda one: rescaled(one, result=Quantity("int8", 0.1)), "ignores the zero point"),
    "one multiplier": (
        "second",
        lambda one: rescaled(one, multiplier=one.output.multiplier[:1], shift=one.output.shift[:1]),
        "first channel's multiplier",
    ),
}


@pytest.mark.parametrize("name", BUGS)
def test_a_bug_is_found_in_its_layer_and_named(model, image, name):
    layer, change, words = BUGS[name]
    dump = dump_of(model, image, {layer: change(model.nodes[layer].layer)})
    comparison = compare_model(model, image, dump)
    assert [one.layer for one in comparison.differences] == [layer]  # what follows is right, given what it was given
    assert comparison.first.unseen == ()
    assert any(words in claim for claim in comparison.first.claims), comparison.first
    expected, got = comparison.first.expected, comparison.first.got
    key = f"{layer}:{comparison.first.label}"
    assert (expected != got, dump[key][comparison.first.index]) == (True, got)


def test_layers_that_the_dump_lacks_are_told(model, image):
    bug = {"first": replace(model.nodes["first"].layer, bias=None)}
    dump = {"wide": dump_of(model, image, bug)["wide"]}
    first = compare_model(model, image, dump).first
    assert (first.layer, first.unseen, first.claims) == ("wide", ("first", "second"), ())


def test_dumps_that_are_not_of_the_model_are_refused(model, image):
    dump = dump_of(model, image)
    with pytest.raises(InputError, match="'frist' is not a layer"):
        compare_model(model, image, {"frist": dump["first"]})
    with pytest.raises(InputError, match=r"layer 'first' is float64 of shape \(500, 16\)"):
        compare_model(model, image, {"first": dump["first"].astype(float)})
    with pytest.raises(InputError, match=r"layer 'first' is int8 of shape \(500, 15\)"):
        compare_model(model, image, {"first": dump["first"][:, :15]})
    with pytest.raises(InputError, match="does not have a layer"):
        compare_model(model, image, {})


def test_a_result_under_two_names_is_one_thing(model, image):
    dump = dict(dump_of(model, image))
    name = next(iter(model.nodes))
    label = list(model.nodes[name].layer.intermediates(image))[-1].label
    dump[f"{name}:{label}"] = dump[name]
    assert compare_model(model, image, dump).first is None
    dump[f"{name}:{label}"] = dump[name][::-1].copy()
    with pytest.raises(InputError, match=f"'{name}' and '{name}:{label}' are one thing, and differ in the dump"):
        compare_model(model, image, dump)
