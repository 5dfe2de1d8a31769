"""Train the diffusion transformer of golden/models/digits_dit.safetensors: python bench/train/digits_dit.py."""

import numpy as np
import torch
from training import arguments, fused, initial, rounded, store, train

from lowbit.models.diffusion.dit import Dit
from lowbit.models.diffusion.sampling import TIMES, noisy
from lowbit.models.mnist import mnist, shrunk

SHAPE = {"layers": 3, "heads": 4, "patch": 2}
WIDTH, MIDDLE, LABELS, WAVES, BATCH, STEPS, RATE = 48, 192, 11, 64, 128, 6000, 3e-3
UNTOLD = 0.1
"""The share of the images that come without their label."""


def main():
    options = arguments(__doc__).parse_args()
    steps = options.steps or STEPS
    torch.set_num_threads(1)
    model = Dit(**SHAPE, namespace=torch, error_function=torch.erf)
    parameters = initial(model.shapes(WIDTH, MIDDLE, LABELS, WAVES), options.seed)
    with torch.no_grad():  # adaLN-Zero: every block is the identity, and the noise 0, before the first step
        for name, value in parameters.items():
            if name.endswith("condition.weight") or name == "head.weight":
                value.zero_()
    apply, (images, labels) = fused(parameters), mnist(held_out=False)
    random, images = np.random.default_rng(options.seed), shrunk(images)

    def loss(_step):
        chosen = random.integers(0, len(images), BATCH)
        told = np.where(random.random(BATCH) < UNTOLD, LABELS - 1, labels[chosen])
        inputs, noise = problem(images[chosen], random)
        predicted = model.noise(parameters, torch.from_numpy(inputs[0]), inputs[1], told, apply)
        return torch.nn.functional.mse_loss(predicted, torch.from_numpy(noise))

    seconds = train(parameters, loss, steps=steps, rate=RATE)
    kept = rounded(parameters)
    known = {"seed": options.seed, "steps": steps, "cpu_seconds": round(seconds)}
    facts = {"data": "mnist, 8 x 8", **known, "accuracy": error(kept)}
    store(options.output / "digits_dit.safetensors", "dit", SHAPE, kept, facts)


def problem(images, random):
    """Noisy images with their times, and the noise in them."""
    times, noise = random.integers(0, TIMES, len(images)), random.normal(size=images.shape).astype(np.float32)
    return (noisy(images, times, noise), times), noise


def error(parameters):
    """The mean squared error of the noise in the held-out images, each at ten times."""
    images, labels = mnist(held_out=True)
    images, labels = np.tile(shrunk(images), (10, 1, 1)), np.tile(labels, 10)
    inputs, noise = problem(images, np.random.default_rng(0))
    return float(((Dit(**SHAPE).noise(parameters, *inputs, labels) - noise) ** 2).mean())


if __name__ == "__main__":
    main()
