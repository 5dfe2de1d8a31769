"""Exact match of the arithmetic models by the formats of their linear layers: ``python -m bench.arithmetic_formats``.

Weights have one scale an output, activations one a tensor: the largest magnitude becomes the format's largest, that
of activations in problems of the training set. What lies between the linear layers is in binary32.
"""

from __future__ import annotations

import numpy as np

import lowbit
from lowbit.models import load
from lowbit.models.arithmetic import TASKS
from lowbit.models.functions import Functions
from lowbit.models.stored import StoredModel, names

FORMATS = {
    "float32": ("", ""),
    "W8A8": ("int8", "int8"),
    "FP8": ("float8_e4m3fn", "float8_e4m3fn"),
    "W8A6": ("int8", "int6"),
    "W4A16": ("int4", ""),
    "W4A8": ("int4", "int8"),
    "FP4": ("float4_e2m1fn", ""),
    "W3A16": ("int3", ""),
    "W8A4": ("int8", "int4"),
    "W4A4": ("int4", "int4"),
}
"""Name -> formats of weights and activations; none leaves them in binary32."""
PROBLEMS, CALIBRATION = 4096, 1024
ORDER = ("W8A8", "W4A16", "W8A4", "W4A4")


def rounded(values, largest, fmt):
    """Values to a format, whose largest value stands for ``largest``."""
    if not fmt:
        return values
    scale = np.float32(largest / float(lowbit.get_format(fmt).max.fraction()))
    return lowbit.decode(lowbit.encode(values / scale, fmt), fmt) * scale


def largest_inputs(model: StoredModel, task: str):
    """The largest magnitude that goes into each linear layer."""
    largest: dict[str, float] = {}

    def apply(kind, name, function, *inputs):
        if kind == "linear":
            largest[name] = float(np.abs(inputs[0]).max())
        return function(*inputs)

    model.logits(TASKS[task].problems(CALIBRATION, 2, held_out=False)[:, :-1], apply)
    return largest


def exact_match(model: StoredModel, task: str, formats: tuple[str, str], largest, count=PROBLEMS) -> float:
    """The share of held-out problems that the model solves with its linear layers in two formats."""
    parameters = {
        name: rounded(array, np.abs(array).max(axis=1, keepdims=True), formats[0])
        if name.endswith(("proj.weight", "head.weight"))
        else array
        for name, array in model.parameters.items()
    }

    def apply(kind, name, function, *inputs):
        if kind == "linear":
            return Functions(parameters).linear(name, rounded(inputs[0], largest[name], formats[1]))
        return function(*inputs)

    problems = TASKS[task].problems(count, 1, held_out=True)
    return TASKS[task].correct(lambda tokens: model.architecture.logits(parameters, tokens, apply), problems)


def table():
    """Model and task -> name of the formats -> exact match."""
    results = {}
    for name in names():
        model = load(name)
        if isinstance(model.facts["data"], list):
            for task in model.facts["data"]:
                largest = largest_inputs(model, task)
                cells = {key: exact_match(model, task, formats, largest) for key, formats in FORMATS.items()}
                results[f"{name}: {task}"] = cells
    return results


if __name__ == "__main__":
    print("| model: task |", " | ".join(FORMATS), "|")
    for row, cells in table().items():
        order = [cells[key] for key in ORDER]
        note = "" if order == sorted(order, reverse=True) else f"  not in the order {' >= '.join(ORDER)}"
        print(f"| {row} |", " | ".join(f"{value:.4f}" for value in cells.values()), f"|{note}")
