"""The forward passes of images and text against second ones in loops; what their hook sees; gradients go through."""

import dataclasses

import numpy as np
import pytest

from lowbit.models.functions import KINDS, windows
from lowbit.models.llama import Llama
from lowbit.models.resnet import ResNet
from lowbit.models.vit import Vit
from tests.models import slow_forwards

VIT = {"layers": 2, "heads": 2, "patch": 2}
STRIDES = (2, 1, 2)
LLAMA = {"layers": 2, "heads": 4, "base": 100.0}


def random_parameters(shapes):
    random = np.random.default_rng(7)
    drawn = {name: random.normal(size=shape) * 0.5 for name, shape in shapes.items()}
    return {name: np.abs(array) + 0.1 if name.endswith("running_var") else array for name, array in drawn.items()}


def vit():
    return Vit(**VIT), random_parameters(Vit(**VIT).shapes(6, 4, 6, 3)), np.random.default_rng(1).random((2, 6, 6))


def resnet():
    images = np.random.default_rng(1).random((2, 9, 9))
    return ResNet(STRIDES), random_parameters(ResNet(STRIDES).shapes((3, 3, 5), 4)), images


def llama(key_heads=2, *, tied=False):
    shapes = Llama(**LLAMA).shapes(11, 16, 6, key_heads, tied=tied)
    return Llama(**LLAMA), random_parameters(shapes), np.random.default_rng(1).integers(0, 11, (2, 5))


MODELS = [
    pytest.param(vit, lambda parameters, image: slow_forwards.vit(parameters, image, **VIT), id="vit"),
    pytest.param(
        resnet, lambda parameters, image: slow_forwards.resnet(parameters, image, strides=STRIDES), id="resnet"
    ),
    *(
        pytest.param(
            lambda heads=heads, tied=tied: llama(heads, tied=tied),
            lambda parameters, tokens: slow_forwards.llama(parameters, tokens, **LLAMA),
            id=f"llama, {heads} heads of keys",
        )
        for heads, tied in ((1, True), (2, False), (4, False))
    ),
]


@pytest.mark.parametrize(("build", "slowly"), MODELS)
def test_a_forward_pass_agrees_with_a_second_one(build, slowly):
    model, parameters, inputs = build()
    logits = model.logits(parameters, inputs)
    np.testing.assert_allclose(logits, [slowly(parameters, item) for item in inputs], rtol=1e-9, atol=1e-9)
    # Batch axes are free.
    np.testing.assert_allclose(model.logits(parameters, inputs[0]), logits[0], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(model.logits(parameters, inputs[None]), logits[None], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("build", "slowly"), MODELS)
def test_the_hook_knows_every_activation_and_every_parameter_is_of_a_call(build, slowly):
    del slowly
    model, parameters, inputs = build()
    known, names, depth = {id(inputs): inputs}, [], []

    def apply(kind, name, function, *arrays):
        assert kind in KINDS
        assert depth or kind == "embedding" or all(id(array) in known for array in arrays), name
        depth.append(name)
        result = function(*arrays)
        depth.pop()
        known[id(result)] = result
        names.append(name)
        return result

    np.testing.assert_array_equal(model.logits(parameters, inputs, apply), model.logits(parameters, inputs))
    assert len(set(names)) == len(names)
    assert {name.rsplit(".", 1)[0] for name in parameters} <= set(names)


def test_the_hook_can_replace_an_operation():
    model, parameters, inputs = vit()

    def apply(kind, name, function, *arrays):
        return function(*arrays) * (0 if name == "head" else 1)

    assert not model.logits(parameters, inputs, apply).any()


@pytest.mark.parametrize(
    ("shape", "kernel", "stride", "padding"), [((4, 5), (3, 2), 1, 0), ((5, 5), (3, 3), 2, 1), ((1, 1), (3, 3), 1, 1)]
)
def test_windows_are_those_of_a_padded_image(shape, kernel, stride, padding):
    image = np.arange(1, 1 + shape[0] * shape[1]).reshape(shape)
    places, size = windows(shape, kernel, stride, padding)
    views = np.lib.stride_tricks.sliding_window_view(np.pad(image, padding), kernel)[::stride, ::stride]
    assert size == views.shape[:2]
    np.testing.assert_array_equal(np.append(image, 0)[places], views.reshape(len(places), -1))


@pytest.mark.parametrize("build", [vit, resnet, llama])
def test_gradients_go_through(build):
    autograd = pytest.importorskip("autograd")
    scipy_special = pytest.importorskip("autograd.scipy.special")
    model, parameters, inputs = build()
    parts = {"namespace": pytest.importorskip("autograd.numpy")}
    if isinstance(model, Vit):
        parts["error_function"] = scipy_special.erf
    watched = dataclasses.replace(model, **parts)
    direction = random_parameters({name: array.shape for name, array in parameters.items()})

    def moved(step):
        return {name: array + step * direction[name] for name, array in parameters.items()}

    def loss(parameters):
        return (watched.logits(parameters, inputs) ** 2).sum()

    gradient = autograd.grad(loss)(parameters)
    slope = sum((gradient[name] * direction[name]).sum() for name in parameters)
    step = 1e-6
    measured = (loss(moved(step)) - loss(moved(-step))) / (2 * step)
    assert slope == pytest.approx(measured, rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("build", [vit, resnet, llama])
def test_pytorch_can_be_the_namespace(build):
    torch = pytest.importorskip("torch")
    model, parameters, inputs = build()
    parts = {"namespace": torch} | ({"error_function": torch.erf} if isinstance(model, Vit) else {})
    tensors = {name: torch.from_numpy(array) for name, array in parameters.items()}
    logits = dataclasses.replace(model, **parts).logits(tensors, torch.from_numpy(inputs))
    np.testing.assert_allclose(logits.numpy(), model.logits(parameters, inputs), rtol=1e-9, atol=1e-9)
