"""Train the vision transformer of golden/models/mnist_vit.safetensors: python bench/train/mnist_vit.py."""

import torch
from images import accuracy, batches
from training import arguments, fused, initial, rounded, store, train

from lowbit.models.vit import Vit

SHAPE = {"layers": 4, "heads": 4, "patch": 4}
WIDTH, MIDDLE, STEPS, RATE = 64, 256, 4000, 2e-3


def main():
    options = arguments(__doc__).parse_args()
    steps = options.steps or STEPS
    model = Vit(**SHAPE, namespace=torch, error_function=torch.erf)
    parameters = initial(model.shapes(28, WIDTH, MIDDLE, 10), options.seed)
    apply = fused(parameters)
    loss = batches(options.seed, lambda images: model.logits(parameters, images, apply))
    seconds = train(parameters, loss, steps=steps, rate=RATE)
    kept = rounded(parameters)
    correct = accuracy(lambda images: Vit(**SHAPE).logits(kept, images))
    facts = {"data": "mnist", "seed": options.seed, "steps": steps, "cpu_seconds": round(seconds), "accuracy": correct}
    store(options.output / "mnist_vit.safetensors", "vit", SHAPE, kept, facts)


if __name__ == "__main__":
    main()
