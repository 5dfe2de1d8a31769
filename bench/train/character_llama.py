"""Train the Llama of golden/models/character_llama.safetensors: python bench/train/character_llama.py."""

import math

import numpy as np
import torch
from torch.nn import functional
from training import arguments, fused, initial, rounded, store, train

from lowbit.models.characters import CHARACTERS, digest, tokens, topics
from lowbit.models.llama import Llama

SHAPE = {"layers": 4, "heads": 4}
WIDTH, MIDDLE, KEY_HEADS, BATCH, LENGTH, STEPS, RATE = 96, 256, 2, 16, 128, 1500, 3e-3


def main():
    options = arguments(__doc__).parse_args()
    steps = options.steps or STEPS
    model = Llama(**SHAPE, namespace=torch)
    parameters = initial(model.shapes(len(CHARACTERS), WIDTH, MIDDLE, KEY_HEADS, tied=True), options.seed)
    apply = fused(parameters)
    random, text = np.random.default_rng(options.seed), torch.from_numpy(tokens(topics(held_out=False)))

    def loss(_step):
        starts = random.integers(0, len(text) - LENGTH, BATCH)
        pieces = torch.stack([text[start : start + LENGTH + 1] for start in starts])
        scores = model.logits(parameters, pieces[:, :-1], apply)
        return functional.cross_entropy(scores.flatten(0, 1), pieces[:, 1:].flatten())

    seconds = train(parameters, loss, steps=steps, rate=RATE)
    kept = rounded(parameters)
    known = {"seed": options.seed, "steps": steps, "cpu_seconds": round(seconds), "text": digest()}
    facts = {"data": "topics", **known, "accuracy": bits(lambda piece: Llama(**SHAPE).logits(kept, piece))}
    store(options.output / "character_llama.safetensors", "llama", SHAPE, kept, facts)


def bits(logits):
    """Of the text that is held out, in pieces of the length of training."""
    text = tokens(topics(held_out=True))
    count = (len(text) - 1) // LENGTH
    total = 0.0
    for part in range(count):
        piece = text[part * LENGTH : (part + 1) * LENGTH + 1]
        scores = logits(piece[:-1]).astype(np.float64)
        scores -= scores.max(axis=-1, keepdims=True)
        logarithms = scores - np.log(np.exp(scores).sum(axis=-1, keepdims=True))
        total -= logarithms[np.arange(LENGTH), piece[1:]].sum()
    return total / (count * LENGTH) / math.log(2)


if __name__ == "__main__":
    main()
