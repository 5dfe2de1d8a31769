"""MNIST for the training scripts: batches of distorted images, and the share of the held-out ones that is right."""

import numpy as np
import torch
from scipy import ndimage

from lowbit.models.mnist import SIDE, mnist

BATCH = 64
SHIFT, ANGLE, STRETCH = 2.0, 0.2, 0.1
"""Images are moved by up to two pixels, turned by up to 0.2 radians and stretched by up to a tenth."""
SMOOTHING = 0.05
"""Of the labels (Szegedy et al., arXiv 1512.00567, section 7)."""


def batches(seed, logits):
    """The loss of a step."""
    random = np.random.default_rng(seed)
    images, labels = mnist(held_out=False)
    order = []

    def loss(_step):
        while len(order) < BATCH:
            order.extend(random.permutation(len(images)).tolist())
        chosen = [order.pop() for _ in range(BATCH)]
        values = np.stack([distorted(images[number] / np.float32(255), random) for number in chosen])
        targets = torch.from_numpy(labels[chosen])
        return torch.nn.functional.cross_entropy(logits(torch.from_numpy(values)), targets, label_smoothing=SMOOTHING)

    return loss


def distorted(image, random):
    """An image moved, turned and stretched about its centre."""
    angle = random.uniform(-ANGLE, ANGLE)
    scales = 1 + random.uniform(-STRETCH, STRETCH, 2)
    matrix = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) * scales
    centre = (SIDE - 1) / 2
    offset = centre - matrix @ (centre + random.uniform(-SHIFT, SHIFT, 2))
    return ndimage.affine_transform(image, matrix, offset, order=1)


def accuracy(logits):
    """The share of the held-out images whose largest score is that of their digit."""
    images, labels = mnist(held_out=True)
    return float((logits(images / np.float32(255)).argmax(-1) == labels).mean())
