"""The table and the picture of the page on entropy-coded weights: ``python -m bench.entropy_pages`` writes both anew.

All is of the 36 matrices of all-MiniLM-L6-v2's encoder, 10.6 million weights, rounded to nearest; each has a stream of
its own. It takes a minute, and is the same on every machine; ``tests/cross/test_minilm.py`` compares.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log10
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lowbit.allocate import solve
from lowbit.allocate.model import compare, problem_of
from lowbit.allocate.picture import COLORS, words_at
from lowbit.allocate.sensitivity import Measured, Settings, measure_model
from lowbit.entropy import entropy, huffman_encode, rans_encode
from lowbit.files.safetensors import read_header
from lowbit.models.packages import minilm_directory
from lowbit.ops.block.quantize import quantize

DOCS = Path(__file__).parents[1] / "docs"
PAGE = DOCS / "explanation" / "entropy-coded-weights.md"
PICTURE = DOCS / "explanation" / "entropy-coded-weights.svg"
BEGIN, END = "<!-- written by `python -m bench.entropy_pages` -->\n", "<!-- end -->\n"
EXCLUDE = "embed|norm|pooler"

SHOWN = (
    "int8.tensor",
    "int8.channel",
    "int8.g128",
    "int6.tensor",
    "int4.tensor",
    "int4.channel",
    "int4.g128",
    "nf4.g128",
)
"""Formats of the table; mxfp4 and nvfp4 besides."""
CHOICES = tuple(f"int{bits}.{block}" for bits in range(2, 9) for block in ("tensor", "channel", "g128"))
"""Formats that plans choose from; nf4.g128, mxfp4 and nvfp4 besides."""
LIMITS = tuple(2.25 + quarter / 4 for quarter in range(20))

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 860, 420, 64, 24, 40, 48
LEAST, MOST = 1.0, 7.0
LOW, HIGH = -4, 0  # powers of ten


class Point(NamedTuple):
    """Bits a weight, scales counted, and the error of the weights; of how many choices a plan is made."""

    bits: float
    coded: float
    error: float
    choices: int = 1


def measured() -> Measured:
    """Every layer in every format."""
    settings = Settings((*CHOICES, "nf4.g128", "mxfp4", "nvfp4"), exclude=EXCLUDE)
    return measure_model(minilm_directory() / "model.safetensors", settings)


def table(names: Sequence[str] = (*SHOWN, "mxfp4", "nvfp4")) -> str:
    """In Markdown: what the codes of uniform formats are worth, a weight each."""
    file = read_header(minilm_directory() / "model.safetensors")
    weights = [file.tensor(name) for name in file.entries if file.entries[name].shape[1:] and _of_encoder(name)]
    head = (
        "format",
        "bits a weight",
        "entropy",
        "Huffman",
        "rANS",
        "above the entropy",
        "as one array",
        "all coded",
        "saved",
    )
    lines = [head, ("---", *["---:"] * 8)]
    size = sum(one.size for one in weights)
    for name in names:
        tensors = [quantize(one, name) for one in weights]
        codes = [one.codes for one in tensors]
        exact = sum(entropy(one) * one.size for one in codes) / size
        huffman, rans = (sum(8 * len(encode(one)) for one in codes) / size for encode in (huffman_encode, rans_encode))
        bits = sum(one.format.bits_of(one.codes.shape) for one in tensors) / size
        coded = bits - tensors[0].format.element.bits + rans
        every = np.concatenate([one.reshape(-1) for one in codes])
        excess = (rans / exact - 1, 8 * len(rans_encode(every)) / size / entropy(every) - 1)
        shares, saved = [f"{100 * share:.3f} %" for share in excess], f"{100 * (1 - coded / bits):.0f} %"
        cells = (f"{bits:.3f}", f"{exact:.3f}", f"{huffman:.3f}", f"{rans:.3f}", *shares, f"{coded:.3f}", saved)
        lines.append((f"`{name}`", *cells))
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def _of_encoder(name: str) -> bool:
    return name.startswith("encoder.") and "norm" not in name.lower()


def fronts(model: Measured, limits: Sequence[float] = LIMITS) -> dict[str, list[Point]]:
    """The best plans within bits as they are, and within bits after coding."""
    found: dict[str, list[Point]] = {}
    for budget in ("avg_bits", "entropy_bits"):
        found[budget] = []
        for limit in limits:
            plan = solve(problem_of(model, score="squared_error", limits={budget: limit}))
            row = next(row for row in compare(model, plan) if row.what == "plan")
            point = Point(row.average_bits, row.entropy_bits, row.weight_error, len(set(plan.choices)))
            found[budget].append(point)
    return found


def told(found: dict[str, list[Point]]) -> str:
    """The plans of the picture at whole bits, in Markdown."""
    head = ("budget", "plain plan: error", "the same, coded: bits", "coded plan: error", "plain over coded")
    lines = [head, ("---", *["---:"] * 4)]
    for limit, plain, coded in zip(LIMITS, *found.values(), strict=True):
        if limit == int(limit) and limit < MOST:
            cells = (
                f"{plain.error:.3g}",
                f"{plain.coded:.2f}",
                f"{coded.error:.3g}",
                f"{plain.error / coded.error:.1f}",
            )
            lines.append((f"{limit:g} bits", *cells))
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def picture(model: Measured, found: dict[str, list[Point]]) -> str:
    """The SVG: bits a weight against the error of the weights, on a logarithmic scale."""
    plain, coded = found.values()
    curves = [
        ("plans within plain bits", COLORS[0], "", [(point.bits, point.error) for point in plain]),
        ("the same plans, their codes coded", COLORS[0], "5 4", [(point.coded, point.error) for point in plain]),
        ("plans within coded bits", COLORS[3], "", [(point.coded, point.error) for point in coded]),
    ]
    title = "Error of the weights against bits a weight, all-MiniLM-L6-v2"
    lines = [words_at(LEFT, 22, title), *_axes()]
    for number, (name, color, dashes, points) in enumerate(curves):
        within = [_place(*point) for point in points if LEAST <= point[0] <= MOST and point[1] >= 10.0**LOW]
        path = " ".join(f"{across:.1f},{down:.1f}" for across, down in within)
        style = f'fill="none" stroke="{color}" stroke-width="2" stroke-dasharray="{dashes}"'
        lines.append(f'<polyline points="{path}" {style}/>')
        down = TOP + 16 + 20 * number
        lines.append(f'<line x1="{WIDTH - 290}" x2="{WIDTH - 260}" y1="{down - 4}" y2="{down - 4}" {style}/>')
        lines.append(words_at(WIDTH - 252, down, name))
    for row in compare(model, solve(problem_of(model, score="squared_error", limits={"avg_bits": 4}))):
        if row.what != "plan" and LEAST <= row.entropy_bits <= MOST and row.weight_error >= 10.0**LOW:
            across, down = _place(row.entropy_bits, row.weight_error)
            mark = f'<circle cx="{across:.1f}" cy="{down:.1f}" r="3" fill="#888">'
            lines.append(f"{mark}<title>{row.what}, coded</title></circle>")
            if row.what in SHOWN:
                lines.append(f'<text x="{across + 5:.1f}" y="{down + 3:.1f}" font-size="9">{row.what}</text>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" '
        f'font-family="sans-serif" font-size="12" role="img" aria-label="{title}">\n'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>\n' + "\n".join(lines) + "\n</svg>\n"
    )


def _place(bits: float, error: float) -> tuple[float, float]:
    across, up = (bits - LEAST) / (MOST - LEAST), (log10(error) - LOW) / (HIGH - LOW)
    return LEFT + across * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM)


def _axes() -> list[str]:
    lines = []
    for power in range(LOW, HIGH + 1):
        down = _place(LEAST, 10.0**power)[1]
        lines.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{down:.1f}" y2="{down:.1f}" stroke="#ddd"/>')
        lines.append(words_at(LEFT - 8, down + 4, f"{10.0**power:g}", "end"))
    for bits in np.arange(LEAST, MOST + 1):
        across = _place(float(bits), 1)[0]
        lines.append(f'<line x1="{across:.1f}" x2="{across:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}" stroke="#eee"/>')
        lines.append(words_at(across, HEIGHT - BOTTOM + 18, f"{bits:g}", "middle"))
    lines.append(words_at((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 10, "bits a weight, scales counted", "middle"))
    return lines


def replaced(text: str, parts: Sequence[str]) -> str:
    """The page with these tables, each between its marks."""
    pieces = text.split(BEGIN)
    kept = [piece.partition(END)[2] for piece in pieces[1:]]
    return pieces[0] + "".join(f"{BEGIN}\n{part}\n{END}{rest}" for part, rest in zip(parts, kept, strict=True))


if __name__ == "__main__":
    model = measured()
    plans = fronts(model)
    PAGE.write_text(replaced(PAGE.read_text(encoding="utf-8"), [table(), told(plans)]), encoding="utf-8")
    PICTURE.write_text(picture(model, plans), encoding="utf-8")
