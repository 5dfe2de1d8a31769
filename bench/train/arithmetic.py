"""Train the transformers of arithmetic: python bench/train/arithmetic.py MODEL, MODEL one of MODELS below."""

import numpy as np
import torch
from torch.nn import functional
from training import arguments, fused, initial, rounded, store, train

from lowbit.models.arithmetic import TASKS, WORDS
from lowbit.models.llama import Llama

MODELS = {
    "addition": (("add",), 2, 800),
    "multiplication": (("multiply",), 2, 2000),
    "numbers": (("add", "max", "digit"), 2, 1400),
}
"""Model -> its tasks, layers and steps."""
HEADS, WIDTH, MIDDLE, BATCH, RATE = 2, 64, 172, 256, 3e-3
SAMPLE, SAMPLE_SEED = 10_000, 1
"""Of held-out problems."""


def main():
    parser = arguments(__doc__)
    parser.add_argument("model", choices=MODELS)
    options = parser.parse_args()
    names, layers, steps = MODELS[options.model]
    steps = options.steps or steps
    shape = {"layers": layers, "heads": HEADS}
    model = Llama(**shape, namespace=torch)
    parameters = initial(model.shapes(len(WORDS), WIDTH, MIDDLE, HEADS, tied=False), options.seed)
    apply = fused(parameters)
    part = BATCH // len(names)

    def loss(step):
        total = 0
        for name in names:
            task = TASKS[name]
            problems = torch.from_numpy(task.problems(part, (options.seed, step), held_out=False, short=0.5))
            scores = model.logits(parameters, problems[:, :-1], apply)[:, task.prompt - 1 :]
            total = total + functional.cross_entropy(scores.flatten(0, 1), problems[:, task.prompt :].flatten())
        return total / len(names)

    seconds = train(parameters, loss, steps=steps, rate=RATE)
    kept = rounded(parameters)

    def logits(tokens):
        return np.concatenate([Llama(**shape).logits(kept, part) for part in np.array_split(tokens, 10)])

    samples = {name: TASKS[name].problems(SAMPLE, SAMPLE_SEED, held_out=True) for name in names}
    correct = {name: TASKS[name].correct(logits, problems) for name, problems in samples.items()}
    facts = {"data": names, "seed": options.seed, "steps": steps, "cpu_seconds": round(seconds), "accuracy": correct}
    suffix = f"_{options.seed}" if options.model == "addition" else ""
    store(options.output / f"{options.model}{suffix}.safetensors", "llama", shape, kept, facts)


if __name__ == "__main__":
    main()
