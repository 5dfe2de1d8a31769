"""The pictures and the table of the page on training in low-bit formats: ``python -m bench.training_pages``.

Both come from the committed results of ``python -m bench.learned``, and the losses that it writes to ``bench/curves``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import ceil, floor, log10
from pathlib import Path
from typing import Any

from bench.learned import results
from bench.learned_training import CURVES, SYSTEMS
from lowbit.allocate.picture import COLORS, words_at

DOCS = Path(__file__).parents[1] / "docs" / "explanation"
PAGE = DOCS / "low-bit-training.md"
BEGIN, END = "<!-- written by `python -m bench.training_pages` -->\n", "<!-- end -->\n"
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 900, 360, 60, 270, 40, 45

TITLES = {
    "fp4_digits": "FP4: a perceptron on 8 x 8 digits with planted outlier channels",
    "fp4_characters": "FP4: the character model from its first step on",
    "dfp16": "DFP-16: a perceptron on 8 x 8 digits",
    "activation_regularisation": "Activations of four bits: the character model",
}


def curves(system: str) -> dict[str, Any]:
    """The losses of a system's runs: ``steps``, and ``curves`` by the name of the run."""
    known: dict[str, Any] = json.loads((CURVES / f"{system}.json").read_text(encoding="utf-8"))
    return known


def marks(low: float, high: float) -> list[float]:
    """The numbers at the axis, whose logarithms lie between two."""
    digits = (1.0,) if high - low > 2 else (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0)
    powers = range(floor(low), ceil(high) + 1)
    every = [round(digit * 10.0**power, 6) for power in powers for digit in digits]
    return [number for number in every if low <= log10(number) <= high]


def picture(system: str, known: Mapping[str, Any]) -> str:
    """The SVG: the loss of each run against the step, on a logarithmic scale."""
    runs: dict[str, list[float]] = known["curves"]
    every = [loss for losses in runs.values() for loss in losses]
    low, high = floor(4 * log10(min(every))) / 4, ceil(4 * log10(max(every))) / 4

    def place(share: float, loss: float) -> tuple[float, float]:
        up = (log10(loss) - low) / (high - low)
        return LEFT + share * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM)

    lines = [f'<text x="{LEFT}" y="22" font-size="14">{TITLES[system]}</text>']
    for loss in marks(low, high):
        down = place(0, loss)[1]
        lines.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{down:.1f}" y2="{down:.1f}" stroke="#ddd"/>')
        lines.append(words_at(LEFT - 6, down + 4, f"{loss:g}", "end"))
    for part in range(5):
        across = place(part / 4, 10**low)[0]
        lines.append(words_at(across, HEIGHT - BOTTOM + 18, f"{known['steps'] * part // 4:,}", "middle"))
    lines.append(words_at((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, "steps; loss in nats", "middle"))
    for number, (name, losses) in enumerate(runs.items()):
        style = f'fill="none" stroke="{COLORS[number]}" stroke-width="{2.5 if number == 0 else 1.5}"'
        points = (place((step + 0.5) / len(losses), loss) for step, loss in enumerate(losses))
        path = " ".join(f"{across:.1f},{down:.1f}" for across, down in points)
        lines.append(f'<polyline points="{path}" {style}/>')
        down = TOP + 12 + 20 * number
        lines.append(
            f'<line x1="{WIDTH - RIGHT + 12}" x2="{WIDTH - RIGHT + 36}" y1="{down - 4}" y2="{down - 4}" {style}/>'
        )
        lines.append(words_at(WIDTH - RIGHT + 42, down, name))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" '
        f'font-family="sans-serif" font-size="12" role="img" aria-label="{TITLES[system]}">\n'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>\n' + "\n".join(lines) + "\n</svg>\n"
    )


def table(known: Mapping[str, Any]) -> str:
    """The rows of the systems, in Markdown."""
    lines = [("what", "measured", "asked", ""), ("---", "---", "---", "---")]
    for system in SYSTEMS:
        for row in known[system]["rows"]:
            numbers = "; ".join(f"{what} {number:.4g}" for what, number in row["measured"].items())
            lines.append((row["claim"], numbers, row["asked"], "" if row["met"] else "not reached"))
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def replaced(text: str, known: Mapping[str, Any]) -> str:
    """The page with the table of these results."""
    before, _, rest = text.partition(BEGIN)
    return before + BEGIN + "\n" + table(known) + "\n" + END + rest.partition(END)[2]


def picture_of(system: str) -> Path:
    """Where its picture stands."""
    return DOCS / f"training-{system.replace('_', '-')}.svg"


if __name__ == "__main__":
    PAGE.write_text(replaced(PAGE.read_text(encoding="utf-8"), results()), encoding="utf-8")
    for name in SYSTEMS:
        picture_of(name).write_text(picture(name, curves(name)), encoding="utf-8")
