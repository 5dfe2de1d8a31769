"""What ``lowbit evaluate MODEL --layers`` found: tables, a document, and a picture (SVG)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from math import log10
from typing import TYPE_CHECKING, Any

from lowbit.allocate.picture import BOTTOM, COLORS, HEIGHT, LEFT, RIGHT, TOP, WIDTH, drawing, escape, words_at

if TYPE_CHECKING:
    from lowbit.models.conversion.layerwise import LayerDistance, Outcome

SCHEMA = "lowbit/evaluation-of-layers/1"
HEADS = ("layer", "operation", "format", "cosine", "largest error", "in codes")
SMALLEST = 1e-8
"""Of 1 - cosine, where the picture ends."""


def document(
    model: str, layers: Sequence[LayerDistance], outcome: Outcome, first: LayerDistance | None
) -> dict[str, Any]:
    """All of it, as JSON has it."""
    return {
        "model": model,
        "outcome": asdict(outcome),
        "falls_off": first and first.layer,
        "layers": [asdict(layer) for layer in layers],
    }


def cells(layer: LayerDistance) -> tuple[str, ...]:
    """A row of the table."""
    numbers = (f"{layer.cosine:.6f}", f"{layer.largest:.4g}", f"{layer.steps:.1f}")
    return (layer.layer, layer.operation, layer.format, *numbers)


def told(outcome: Outcome) -> Iterator[str]:
    """A line for each figure of the outputs."""
    if outcome.accuracy is not None:
        both = f"float {outcome.float_accuracy:.4f}, integer {outcome.accuracy:.4f}"
        yield f"accuracy on {outcome.items:,} held-out items: {both}"
    if outcome.agreement is not None:
        divergence = f"mean KL divergence {outcome.divergence:.3g} nats"
        yield f"the same class as the float model: {outcome.agreement:.4f}; {divergence}"
    yield f"cosine of the outputs and the float model's, mean of {outcome.items:,}: {outcome.cosine:.5f}"


def picture(title: str, layers: Sequence[LayerDistance], least: float) -> str:
    """1 - cosine of each layer, on a logarithmic scale, as SVG."""
    return drawing(title, [_bars(title, layers, least)])


def _bars(title: str, layers: Sequence[LayerDistance], least: float) -> Iterator[str]:
    room, step = HEIGHT - TOP - BOTTOM, (WIDTH - LEFT - RIGHT) / max(len(layers), 1)

    def height(gap: float) -> float:
        return room * (1 - log10(max(gap, SMALLEST)) / log10(SMALLEST))

    yield words_at(LEFT, 18, title)
    for power in range(round(log10(SMALLEST)), 1, 2):
        y = HEIGHT - BOTTOM - height(10.0**power)
        yield f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>'
        yield words_at(LEFT - 8, y + 4, f"1e{power}", "end")
    for place, layer in enumerate(layers):
        tall, color = height(1 - layer.cosine), COLORS[3 if layer.cosine < least else 0]
        yield (
            f'<rect x="{LEFT + place * step:.2f}" y="{HEIGHT - BOTTOM - tall:.1f}" width="{max(step * 0.9, 0.5):.2f}" '
            f'height="{tall:.1f}" fill="{color}"><title>{escape(layer.layer)}: {layer.cosine:.6f}</title></rect>'
        )
    yield words_at((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 12, f"{len(layers)} layers, in order", "middle")
    yield words_at(8, TOP - 8, "1 - cosine")
