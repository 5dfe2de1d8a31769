"""Points with words beside them as SVG: axes with round numbers, and words that never lie on others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor, log10

from lowbit.allocate.picture import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, escape, legend, legend_lines, words_at

LETTER, ASCENT, DESCENT, LINE = 7.0, 10.0, 3.0, 14.0
"""Room for a letter of 12 pixels, generous as fonts differ: across, above and below its line, and between lines."""

RADIUS, GAP, INSET = 4.0, 7.0, 10.0
"""Of a point, from its middle to its words, and from the frame to the outermost points."""

ROOM = 90.0
"""Right of the outermost points, for their words."""

TICKS = 5
"""Intervals between the numbers of an axis, at most."""

DECADE = (1, 2, 3, 5, 7)
"""Numbers of a logarithmic axis within a decade."""

Box = tuple[float, float, float, float]
"""Left, top, right, bottom."""


@dataclass(frozen=True)
class Point:
    """A point, its colour by the name of its group, the words beside it, and those that are shown on pointing at it."""

    x: float
    y: float
    group: str
    words: str
    told: str


@dataclass(frozen=True)
class Axis:
    """The numbers from ``low`` to ``high``, linear or logarithmic, over pixels ``start`` to ``end``."""

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool = False

    def place(self, value: float) -> float:
        """The pixel of a number."""
        low, high, at = (log10(one) if self.logarithmic else one for one in (self.low, self.high, value))
        return self.start + (at - low) / (high - low or 1.0) * (self.end - self.start)

    def ticks(self) -> list[float]:
        """Round numbers on the axis: some of each decade if it is logarithmic and has at least two of them."""
        if self.logarithmic:
            decades = range(floor(log10(self.low)), ceil(log10(self.high)) + 1)
            for steps in (DECADE, DECADE[:1]):
                inside = [n * 10.0**d for d in decades for n in steps if self.low <= n * 10.0**d <= self.high]
                if 2 <= len(inside) <= 2 * TICKS:
                    return inside
        return _even(self.low, self.high)


def _even(low: float, high: float) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten from low to high."""
    if low == high:
        return [low]
    unit = 10.0 ** floor(log10((high - low) / TICKS))
    step = next(unit * factor for factor in (1, 2, 5, 10, 20) if (high - low) / (unit * factor) <= TICKS)
    return [number * step for number in range(ceil(low / step), floor(high / step) + 1)] or [low]


def panel(
    title: str,
    points: Sequence[Point],
    colors: Mapping[str, str],
    across: str,
    *,
    logarithmic: bool = False,
    line: float | None = None,
) -> Iterator[str]:
    """A panel of a picture (:func:`lowbit.allocate.picture.drawing`).

    ``across``: what the horizontal axis has; ``logarithmic``: whether the other one is; ``line``: a dashed line there.
    Words that have no free place near their point are left out; pointing at it shows them.
    """
    top = TOP + LINE * (legend_lines(list(colors)) - 1)
    heights = [point.y for point in points] + ([] if line is None else [line])
    x = Axis(min(p.x for p in points), max(p.x for p in points), LEFT + INSET, WIDTH - RIGHT - ROOM)
    y = Axis(min(heights), max(heights), HEIGHT - BOTTOM - INSET, top + INSET, logarithmic)
    yield words_at(LEFT, 18, title)
    yield from legend(list(colors), dict(colors))
    yield f'<path d="M{LEFT},{top:.1f} V{HEIGHT - BOTTOM} H{WIDTH - RIGHT}" fill="none" stroke="black"/>'
    for value in y.ticks():
        yield words_at(LEFT - 6, y.place(value) + 4, f"{value:.5g}", "end")
    for value in x.ticks():
        yield words_at(x.place(value), HEIGHT - 24, f"{value:.5g}", "middle")
    yield words_at((LEFT + WIDTH) / 2, HEIGHT - 8, across, "middle")
    taken: list[Box] = []
    if line is not None:
        at = y.place(line)
        taken.append((LEFT, at - 1, WIDTH, at + 1))
        yield f'<path d="M{LEFT},{at:.1f} H{WIDTH - RIGHT}" stroke="#888" stroke-dasharray="4 3"/>'
    yield from _marked(points, [(x.place(p.x), y.place(p.y)) for p in points], colors, taken, (LEFT, top))


def _marked(
    points: Sequence[Point],
    places: Sequence[tuple[float, float]],
    colors: Mapping[str, str],
    taken: list[Box],
    corner: tuple[float, float],
) -> Iterator[str]:
    """The points, and their words in free places, a thin line to those that lie apart."""
    frame = (corner[0] + 2, corner[1], WIDTH - 2.0, HEIGHT - BOTTOM - 2.0)
    taken += [(across - RADIUS, down - RADIUS, across + RADIUS, down + RADIUS) for across, down in places]
    for point, (across, down) in zip(points, places, strict=True):
        room = LETTER * len(point.words)
        free = (
            (start, base)
            for start, base in _candidates(across, down, room)
            if _is_free((start, base - ASCENT, start + room, base + DESCENT), frame, taken)
        )
        start, base = next(free, (None, None))
        if start is not None and base is not None:
            taken.append((start, base - ASCENT, start + room, base + DESCENT))
            if abs(base - GAP / 2 - down) > LINE / 2:
                end = start if start > across else start + room
                yield f'<path d="M{across:.1f},{down:.1f} L{end:.1f},{base - 4:.1f}" stroke="#bbb" stroke-width="0.7"/>'
            yield words_at(start, base, point.words)
        told = f"<title>{escape(point.told)}</title>"
        yield f'<circle cx="{across:.1f}" cy="{down:.1f}" r="{RADIUS:g}" fill="{colors[point.group]}">{told}</circle>'


def _candidates(across: float, down: float, room: float) -> Iterator[tuple[float, float]]:
    """Where words may begin, and their line: right and left of a point, then farther and farther above and below."""
    for step in range(2 * HEIGHT // int(LINE)):
        for side in (1, -1)[: 2 if step else 1]:
            base = down + 4 + side * step * LINE / 2
            yield across + GAP, base
            yield across - GAP - room, base


def _is_free(box: Box, frame: Box, taken: Sequence[Box]) -> bool:
    inside = frame[0] <= box[0] and frame[1] <= box[1] and box[2] <= frame[2] and box[3] <= frame[3]
    return inside and not any(
        box[0] < other[2] and other[0] < box[2] and box[1] < other[3] and other[1] < box[3] for other in taken
    )
