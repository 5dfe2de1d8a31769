"""What integers cost the models that lowbit knows by name: ``python -m bench.integer_models [NAME ...]``.

Classifiers: accuracy of float and integer, agreement, Kullback-Leibler divergence; the residual network also with
weights of 4 and 8 bits by a plan of the allocator. MiniLM: mean cosines of sentences, integer-only against
fake-quantised with the same ranges, and each against float, on sentences that no preset was chosen by. Without names
all are measured, and the table becomes a section of ``bench/README.md``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import numpy as np

from bench.quantizer_table import CALIBRATION, HELD_OUT, shuffled
from bench.sections import write_section
from lowbit.allocate import solve
from lowbit.allocate.model import problem_of
from lowbit.allocate.sensitivity.measured_model import measure_model
from lowbit.allocate.sensitivity.settings import Settings
from lowbit.format.registry import data_directory
from lowbit.models.conversion.layerwise import Outcome, cosine, measure
from lowbit.models.conversion.subject import known_subjects, subject_of
from lowbit.models.hook import plainly
from lowbit.models.packages import MINILM

TITLE = "What integers cost the models"
SEEN, SENTENCES = 40, 400
"""Of the calibration, and those that figures are measured on, by which neither presets nor methods were chosen."""
PLANNED, BITS, FORMATS = "mnist_resnet", 6, ("int4.channel", "int8.channel")
"""The model that has a plan, its budget of bits a weight, scales included, and the formats to choose from."""
HEADS = ("model", "items", "accuracy: float", "integer", "same class", "KL divergence, nats", "cosine")


def plan(name: str) -> dict[str, str]:
    """The formats of a model's weights with the least relative error within the budget."""
    measured = measure_model(data_directory("golden") / "models" / f"{name}.safetensors", Settings(FORMATS))
    best = solve(problem_of(measured, limits={"avg_bits": BITS}))
    return dict(zip(best.problem.layers, best.choices, strict=True))


def cosines(calibration: int = SEEN, held_out: int = SENTENCES) -> dict[str, float]:
    """Mean cosines of MiniLM's vectors of sentences, by what is compared."""
    texts, fresh = shuffled(), CALIBRATION + HELD_OUT
    subject = subject_of(MINILM, texts[:calibration], texts[fresh : fresh + held_out])
    converted, forward = subject.convert(), subject.forward(subject.parameters)
    found: dict[str, list[float]] = {"integer, fake-quantised": [], "integer, float": [], "fake-quantised, float": []}
    for batch in subject.held_out:
        runs = (subject.values(converted.model, batch), converted.twin(batch), forward(batch, plainly))
        integer, fake, plain = (run.mean(axis=0) for run in runs)
        for name, pair in zip(found, ((integer, fake), (integer, plain), (fake, plain)), strict=True):
            found[name].append(cosine(*pair))
    return {name: float(np.mean(values)) for name, values in found.items()}


def row(name: str, outcome: Outcome) -> str:
    """What a classifier has lost."""
    numbers = (outcome.float_accuracy, outcome.accuracy, outcome.agreement)
    cells = ["-" if number is None else f"{number:.4f}" for number in numbers]
    divergence = "-" if outcome.divergence is None else f"{outcome.divergence:.2e}"
    return f"| {' | '.join((name, f'{outcome.items:,}', *cells, divergence, f'{outcome.cosine:.5f}'))} |"


def lines(names: list[str]) -> Iterator[str]:
    """The section."""
    yield "`python -m bench.integer_models` wrote this: integer-only models beside their float twins on held-out data."
    yield "Of text, an item is a sequence, and classes are the next characters."
    yield ""
    yield f"| {' | '.join(HEADS)} |"
    yield f"|{'---|' * len(HEADS)}"
    for name in names:
        if name == MINILM:
            continue
        subject = subject_of(name)
        yield row(name, measure(subject, subject.convert().model))
        if name == PLANNED:
            formats = plan(name)
            title = f"{name}, {list(formats.values()).count(FORMATS[0])} of {len(formats)} weights int4 ({BITS} bits)"
            yield row(title, measure(subject, subject.convert(weights=formats).model))
    if MINILM in names:
        yield ""
        yield f"MiniLM, I-BERT's arithmetic: mean cosines of {SENTENCES} sentences, none of them in the calibration:"
        yield ""
        for pair, mean in cosines().items():
            yield f"- {pair}: {mean:.5f}"


def main(names: list[str]) -> None:
    """Print the figures."""
    text = []
    for line in lines(names or known_subjects()):
        print(line, flush=True)
        text.append(line)
    if not names:
        write_section(TITLE, text)


if __name__ == "__main__":
    main(sys.argv[1:])
