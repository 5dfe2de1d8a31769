"""Exact match of the arithmetic models by the formats of their linear layers: ``python -m bench.arithmetic_formats``.

Weights have one scale an output, activations one a tensor: the largest magnitude becomes the format's largest, that
of activations in problems of the training set. What lies between the linear layers is in binary32. Integer-only models
are those that ``lowbit run`` makes. The table becomes a section of ``bench/README.md``.
"""

from __future__ import annotations

import numpy as np

import lowbit
from bench.sections import write_section
from lowbit.models import load
from lowbit.models.arithmetic import TASKS
from lowbit.models.conversion.subject import subject_of
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
INTEGER_ONLY = {"integer-only W8A8": "mobilequant_w8a8", "integer-only W4A8": "mobilequant_w4a8"}
"""Name -> the preset of the conversion."""
TITLE = "Exact answers by format"
PROBLEMS, CALIBRATION, PARTS = 4096, 1024, 16
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


def integer_only(name: str, task: str, preset: str, count=PROBLEMS) -> float:
    """The share of held-out problems that the integer-only model solves."""
    subject = subject_of(name)
    model = subject.convert(preset).model

    def logits(tokens):
        return np.concatenate([subject.values(model, part) for part in np.array_split(tokens, PARTS)])

    return TASKS[task].correct(logits, TASKS[task].problems(count, 1, held_out=True))


def table():
    """Model and task -> name of the formats -> exact match."""
    results = {}
    for name in names():
        model = load(name)
        if isinstance(model.facts["data"], list):
            for task in model.facts["data"]:
                largest = largest_inputs(model, task)
                cells = {key: exact_match(model, task, formats, largest) for key, formats in FORMATS.items()}
                cells |= {key: integer_only(name, task, preset) for key, preset in INTEGER_ONLY.items()}
                results[f"{name}: {task}"] = cells
    return results


def lines(results):
    """The table, models side by side, and which of them has another order of formats than the one asked."""
    yield f"`python -m bench.arithmetic_formats` wrote this: the share of {PROBLEMS:,} held-out problems whose every"
    yield "digit is right, by the formats of weights and activations of the linear layers, and of integer-only models."
    yield ""
    yield f"| formats | {' | '.join(results)} |"
    yield f"|---|{'---|' * len(results)}"
    for key in (*FORMATS, *INTEGER_ONLY):
        yield f"| {key} | {' | '.join(f'{cells[key]:.4f}' for cells in results.values())} |"
    yield ""
    ordered = {row: [cells[key] for key in ORDER] for row, cells in results.items()}
    others = [row for row, shares in ordered.items() if shares != sorted(shares, reverse=True)]
    excluded = f" but {', '.join(others)}" if others else ""
    yield f"{' >= '.join(ORDER)} in each column{excluded}."


if __name__ == "__main__":
    text = list(lines(table()))
    print("\n".join(text))
    write_section(TITLE, text)
