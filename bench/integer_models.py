"""What integers cost the models that lowbit knows by name: ``python -m bench.integer_models [NAME ...]``.

Classifiers: accuracy of float and integer, agreement, Kullback-Leibler divergence. MiniLM: mean cosines of
sentences, integer-only against fake-quantised with the same ranges, and each against float.
"""

from __future__ import annotations

import sys

import numpy as np

from bench.quantizer_table import sentences
from lowbit.cli.report.layers import told
from lowbit.models.conversion.layerwise import cosine, measure
from lowbit.models.conversion.subject import known_subjects, subject_of
from lowbit.models.hook import plainly
from lowbit.models.packages import MINILM

CALIBRATION, HELD_OUT = 40, 200


def cosines(calibration: int = CALIBRATION, held_out: int = HELD_OUT) -> dict[str, float]:
    """Mean cosines of MiniLM's vectors of sentences, by what is compared."""
    seen, others = sentences()
    texts = [*others, *seen[calibration:]][:held_out]
    subject = subject_of(MINILM, seen[:calibration], texts)
    converted, forward = subject.convert(), subject.forward(subject.parameters)
    found: dict[str, list[float]] = {"integer, fake-quantised": [], "integer, float": [], "fake-quantised, float": []}
    for batch in subject.held_out:
        runs = (subject.values(converted.model, batch), converted.twin(batch), forward(batch, plainly))
        integer, fake, plain = (run.mean(axis=0) for run in runs)
        for name, pair in zip(found, ((integer, fake), (integer, plain), (fake, plain)), strict=True):
            found[name].append(cosine(*pair))
    return {name: float(np.mean(values)) for name, values in found.items()}


def main(names: list[str]) -> None:
    """Print the figures."""
    for name in names or known_subjects():
        print(name)
        if name == MINILM:
            for pair, mean in cosines().items():
                print(f"  {pair}: {mean:.5f}")
            continue
        subject = subject_of(name)
        for line in told(measure(subject, subject.convert().model)):
            print(f"  {line}")


if __name__ == "__main__":
    main(sys.argv[1:])
