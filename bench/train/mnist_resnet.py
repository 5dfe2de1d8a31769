"""Train the residual network of golden/models/mnist_resnet.safetensors: python bench/train/mnist_resnet.py."""

import torch
from images import accuracy, batches
from training import arguments, fused, initial, rounded, store, train

from lowbit.models.functions import Functions
from lowbit.models.resnet import ResNet

SHAPE = {"strides": (2, 1, 2, 2, 1)}
CHANNELS, STEPS, RATE = (16, 16, 32, 64, 64), 2000, 3e-3
MOMENTUM = 0.02
"""Of the running statistics."""


def main():
    options = arguments(__doc__).parse_args()
    steps = options.steps or STEPS
    model = ResNet(**SHAPE, namespace=torch)
    parameters = initial(model.shapes(CHANNELS, 10), options.seed)
    apply = trained(parameters)
    loss = batches(options.seed, lambda images: model.logits(parameters, images, apply))
    seconds = train(parameters, loss, steps=steps, rate=RATE)
    kept = rounded(parameters)
    correct = accuracy(lambda images: ResNet(**SHAPE).logits(kept, images))
    facts = {"data": "mnist", "seed": options.seed, "steps": steps, "cpu_seconds": round(seconds), "accuracy": correct}
    store(options.output / "mnist_resnet.safetensors", "resnet", SHAPE, kept, facts)


def trained(parameters):
    """A hook: batch norms by the batch, which keep the running statistics."""

    plain = fused(parameters)

    def apply(kind, name, function, *inputs):
        if kind == "batchnorm":
            values = inputs[0]
            variance, mean = torch.var_mean(values, dim=(0, 1, 2), correction=0)
            with torch.no_grad():
                parameters[f"{name}.running_mean"].lerp_(mean, MOMENTUM)
                parameters[f"{name}.running_var"].lerp_(variance, MOMENTUM)
            own = {f"{name}.running_mean": mean, f"{name}.running_var": variance}
            return Functions(parameters | own, namespace=torch).batchnorm(name, values, **function.keywords)
        return plain(kind, name, function, *inputs)

    return apply


if __name__ == "__main__":
    main()
