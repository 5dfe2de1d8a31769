"""What the training scripts share: the loop, the operations that PyTorch has fused, and how weights are stored.

The forward passes are lowbit's own, over PyTorch as their array namespace: there is no second model to keep equal. Over
autograd.numpy a step takes three to four times as long.
"""

import argparse
import json
import math
import platform
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from lowbit.files.safetensors import Entry, write_tensors

MODELS = Path(__file__).parents[2] / "golden" / "models"


def arguments(description):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, help="of the optimiser; a few show how long one takes")
    parser.add_argument("--output", type=Path, default=MODELS, help="the folder for the weights")
    return parser


def fused(parameters):
    """A hook that computes the costly operations by PyTorch's own functions; tests/models says that they are equal."""

    def apply(kind, name, function, *inputs):
        if kind == "softmax":
            return torch.softmax(inputs[0], -1)
        if kind == "conv":
            values, weight = (array.permute(0, 3, 1, 2) for array in (inputs[0], parameters[f"{name}.weight"]))
            return functional.conv2d(values, weight, **function.keywords).permute(0, 2, 3, 1)
        if kind == "gelu":
            return functional.gelu(inputs[0])
        if kind == "silu":
            return functional.silu(inputs[0])
        if kind in ("layernorm", "rmsnorm"):
            weight, values = parameters.get(f"{name}.weight"), inputs[0]
            if kind == "rmsnorm":
                return functional.rms_norm(values, weight.shape, weight, function.keywords["epsilon"])
            bias, epsilon = parameters.get(f"{name}.bias"), function.keywords["epsilon"]
            return functional.layer_norm(values, values.shape[-1:], weight, bias, epsilon)
        return function(*inputs)

    return apply


def initial(shapes, seed):
    """Normal weights of variance 1 / inputs, zero biases, norms of 1, tables of deviation 0.02."""
    random = torch.Generator().manual_seed(seed)
    parameters = {}
    for name, shape in shapes.items():
        if len(shape) == 1:
            values = torch.ones(shape) if name.endswith((".weight", "_var")) else torch.zeros(shape)
        else:
            table = name.startswith(("positions", "labels", "model.embed"))
            deviation = 0.02 if table else math.prod(shape[1:]) ** -0.5
            values = torch.randn(shape, generator=random) * deviation
        parameters[name] = values.requires_grad_("running" not in name)
    return parameters


def train(parameters, loss_of_step, *, steps, rate, decay=0.01, warm_up=0.05, report=100):
    """AdamW (Loshchilov and Hutter, arXiv 1711.05101), warm-up and cosine; the CPU seconds that it took."""
    learned = [value for value in parameters.values() if value.requires_grad]
    matrices = [value for value in learned if value.dim() > 1]
    rest = [value for value in learned if value.dim() == 1]
    groups = [{"params": matrices, "weight_decay": decay}, {"params": rest, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.98))
    start = time.process_time()
    for step in range(steps):
        warm = min(1, (step + 1) / (warm_up * steps))
        for group in optimizer.param_groups:
            group["lr"] = rate * warm * (0.02 + 0.98 * (1 + math.cos(math.pi * step / steps)) / 2)
        loss = loss_of_step(step)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(learned, 1.0)
        optimizer.step()
        if step % report == 0 or step == steps - 1:
            print(f"step {step:5} loss {loss.item():.4f} {time.process_time() - start:6.1f} CPU s", flush=True)
    return time.process_time() - start


def rounded(parameters):
    """The parameters as they are stored: binary16, widened again."""
    return {name: value.detach().numpy().astype(np.float16).astype(np.float32) for name, value in parameters.items()}


def store(path, architecture, shape, parameters, facts):
    """Write binary16 weights, with what load() needs and what is known of them."""
    arrays = {name: np.asarray(value, np.float16) for name, value in parameters.items()}
    versions = {"python": platform.python_version(), "torch": torch.__version__.split("+")[0]}
    facts = {**facts, "command": command(), "trained_with": versions}
    known = {"architecture": architecture, "shape": shape, "facts": facts}
    path.parent.mkdir(parents=True, exist_ok=True)
    entries = [Entry(name, "F16", array.shape, 0, 0) for name, array in arrays.items()]
    write_tensors(path, entries, arrays.values(), {"lowbit": json.dumps(known)})
    print(f"{path}: {path.stat().st_size:,} bytes, {facts}")


def command():
    """What was called, but for where the weights go."""
    words = sys.argv[1:]
    if "--output" in words:
        place = words.index("--output")
        del words[place : place + 2]
    return " ".join(["python", Path(sys.argv[0]).name, *words])
