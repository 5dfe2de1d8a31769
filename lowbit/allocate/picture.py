"""A plan as a picture (SVG): the bits of every layer as bars, and the front of loss against a budget."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape as escape_markup

from lowbit.allocate.amounts import format_amount
from lowbit.allocate.arguments import check_kind, listed
from lowbit.allocate.heights import bits_of
from lowbit.allocate.plan import Plan, use_of
from lowbit.printable import counted, printable

WIDTH = 960
HEIGHT = 300
LEFT, RIGHT, TOP, BOTTOM = 70, 20, 50, 40
COLORS = ("#4c72b0", "#dd8452", "#55a868", "#c44e52", "#8172b3", "#937860", "#da8bc3", "#8c8c8c", "#ccb974", "#64b5cd")
"""One a choice, in the order of their bits."""


def picture(plan: Plan, *, front: Sequence[Plan] = (), budget: str | None = None) -> str:
    """The picture as SVG text.

    Parameters
    ----------
    plan : Plan
    front : sequence of Plan
        Drawn below the bars if there are at least two.
    budget : str, optional
        Which budget the front goes along; the first one if not given.

    Examples
    --------
    >>> from lowbit.allocate import Problem, solve
    >>> problem = Problem.from_arrays(
    ...     [[4.0, 1.0], [9.0, 2.0]], ["int4", "int8"], costs={"bits": [[4, 8], [4, 8]]}, limits={"bits": 12}
    ... )
    >>> picture(solve(problem))[:4]
    '<svg'
    """
    check_kind(plan, Plan, "plan", "solve(problem) makes one")
    front = listed(front, "front", 'pareto_front(problem, "bytes", 10)')
    for point in front:
        check_kind(point, Plan, "front", "pareto_front makes plans")
    panels = [_bars(plan)]
    if len(front) > 1:
        budget = plan.problem.budget(plan.problem.budgets[0].name if budget is None else budget).name
        panels.append(_front(plan, front, budget))
    return drawing(plan.problem.name or "bit allocation", panels)


def drawing(title: str, panels: Sequence[Iterator[str]]) -> str:
    """A picture of panels, one below the other, each in lines of SVG."""
    height = HEIGHT * len(panels)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
    ]
    for number, panel in enumerate(panels):
        lines += [
            f'<g font-family="sans-serif" font-size="12" transform="translate(0 {number * HEIGHT})">',
            *panel,
            "</g>",
        ]
    return "\n".join([*lines, "</svg>"]) + "\n"


def escape(words: str) -> str:
    """Text for SVG: controls and the two noncharacters that no XML may hold are spelled out."""
    shown = printable(words, line=True).replace("\ufffe", r"\ufffe").replace("\uffff", r"\uffff")
    return escape_markup(shown)


def words_at(x: float, y: float, words: str, anchor: str = "start") -> str:
    """Text at a place."""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def _bars(plan: Plan) -> Iterator[str]:
    names = sorted(set(plan.choices), key=lambda name: (bits_of(name) or 0, name))
    colors = {name: COLORS[index % len(COLORS)] for index, name in enumerate(names)}
    known = [bits_of(name) for name in names]
    heights = {name: bits or 1.0 for name, bits in zip(names, known, strict=True)}
    most = max(heights.values())
    step = (WIDTH - LEFT - RIGHT) / len(plan.choices)
    room = HEIGHT - TOP - BOTTOM
    title = plan.problem.name or "bit allocation"
    yield words_at(LEFT, 18, f"{title}: {plan.status}, loss {plan.loss:.6g}")
    yield from legend(names, colors)
    for tick in sorted(set(heights.values())):
        y = HEIGHT - BOTTOM - room * tick / most
        yield f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>'
        yield words_at(LEFT - 8, y + 4, f"{tick:g}", "end")
    for index, (layer, choice) in enumerate(zip(plan.problem.layers, plan.choices, strict=True)):
        height = room * heights[choice] / most
        yield (
            f'<rect x="{LEFT + index * step:.2f}" y="{HEIGHT - BOTTOM - height:.1f}" width="{max(step * 0.9, 0.5):.2f}"'
            f' height="{height:.1f}" fill="{colors[choice]}"><title>{escape(layer)}: {escape(choice)}</title></rect>'
        )
    yield words_at(
        (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 12, f"{counted(len(plan.choices), 'layer')}, in order", "middle"
    )
    yield words_at(8, TOP - 8, "bits")


def legend(names: Sequence[str], colors: dict[str, str]) -> Iterator[str]:
    """A square of its colour before each name, in lines."""
    for name, (x, y) in zip(names, _legend_places(names), strict=True):
        yield f'<rect x="{x:.1f}" y="{y:.1f}" width="10" height="10" fill="{colors[name]}"/>'
        yield words_at(x + 14, y + 9, name)


def legend_lines(names: Sequence[str]) -> int:
    """How many lines the legend of some names has."""
    return len({y for _, y in _legend_places(names)})


def _legend_places(names: Sequence[str]) -> list[tuple[float, float]]:
    places, x, y = [], float(LEFT), 26.0
    for name in names:
        room = 30 + 7 * len(name)
        if x > LEFT and x + room > WIDTH:
            x, y = float(LEFT), y + 14
        places.append((x, y))
        x += room
    return places


def _front(plan: Plan, front: Sequence[Plan], budget: str) -> Iterator[str]:
    uses = [use_of(point, budget) for point in front]
    used = [float(use.used) for use in uses]
    losses = [point.loss for point in front]
    left, right = min(used), max(used)
    low, high = min(losses), max(losses)

    def place(x: float, y: float) -> tuple[float, float]:
        across = (x - left) / (right - left or 1.0)
        up = (y - low) / (high - low or 1.0)
        return LEFT + across * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM)

    own = use_of(plan, budget)
    points = " ".join("{:.1f},{:.1f}".format(*place(x, y)) for x, y in zip(used, losses, strict=True))
    yield words_at(LEFT, 18, f"loss against {budget}{f' ({own.unit})' if own.unit and own.unit != budget else ''}")
    yield f'<path d="M{LEFT},{TOP} V{HEIGHT - BOTTOM} H{WIDTH - RIGHT}" fill="none" stroke="black"/>'
    yield f'<polyline points="{points}" fill="none" stroke="{COLORS[0]}" stroke-width="1.5"/>'
    for use, x, y in zip(uses, used, losses, strict=True):
        across, down = place(x, y)
        words = f"{format_amount(use.used)}: {y:.6g}"
        yield f'<circle cx="{across:.1f}" cy="{down:.1f}" r="3" fill="{COLORS[0]}"><title>{words}</title></circle>'
    if left <= own.used <= right and low <= plan.loss <= high:
        across, down = place(float(own.used), plan.loss)
        yield f'<circle cx="{across:.1f}" cy="{down:.1f}" r="6" fill="none" stroke="{COLORS[3]}" stroke-width="2"/>'
    for value, x in ((left, LEFT), (right, WIDTH - RIGHT)):
        yield words_at(x, HEIGHT - 22, f"{value:,.6g}", "start" if x == LEFT else "end")
    for value, y in ((low, HEIGHT - BOTTOM), (high, TOP)):
        yield words_at(LEFT - 6, y + 4, f"{value:.3g}", "end")
