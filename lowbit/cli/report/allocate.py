"""The report of ``lowbit allocate``: as text, and as a JSON document."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from lowbit.allocate.amounts import as_number, format_amount
from lowbit.allocate.plan import use_of
from lowbit.cli.terminal import Terminal
from lowbit.printable import columns, excerpt

if TYPE_CHECKING:
    from lowbit.allocate import More, Plan
    from lowbit.allocate.model import Comparison
    from lowbit.allocate.plan import Use

SCHEMA = "lowbit/allocate/1"

BAR_WIDTH = 24
MOST_CHANGES = 4
"""Changed layers named in a line of text; JSON has them all."""


def document(
    plan: Plan, more: Sequence[More], front: Sequence[Plan], along: str, rows: Sequence[Comparison] = ()
) -> dict[str, Any]:
    """The report as JSON has it (``lowbit/allocate/report.schema.json``)."""
    return {
        "schema": SCHEMA,
        "plan": plan.as_dict(),
        "with_more": [
            {
                "budget": item.budget,
                "factor": float(item.factor),
                "loss": item.plan.loss,
                "status": item.plan.status,
                "changes": [{"layer": layer, "from": old, "to": new} for layer, old, new in item.changes],
            }
            for item in more
        ],
        "front": {
            "budget": along or None,
            "points": [
                {
                    "used": as_number(use_of(point, along).used),
                    "limit": as_number(use_of(point, along).limit),
                    "loss": point.loss,
                    "status": point.status,
                    "choices": dict(Counter(point.choices)),
                }
                for point in front
            ],
        },
        "comparison": [asdict(row) for row in rows],
    }


def show_comparison(page: Terminal, rows: Sequence[Comparison]) -> None:
    """Write what the plan and the uniform choices do to a model."""
    if not rows:
        return
    outputs = any(row.output_error is not None for row in rows)
    page.write()
    heads = ("every layer in", "bits a weight", "coded", "bytes", "weight error", "output error", "loss")
    cells = [
        (
            row.what if row.what != "plan" else "the plan",
            f"{row.average_bits:.4f}",
            f"{row.entropy_bits:.4f}",
            f"{row.bytes:,}",
            f"{row.weight_error:.4g}",
            "-" if row.output_error is None else f"{row.output_error:.4g}",
            _number(row.loss),
        )
        for row in rows
    ]
    kept = [index for index in range(len(heads)) if outputs or heads[index] != "output error"]
    table = [[line[index] for index in kept] for line in (heads, *cells)]
    head, *lines = columns(table, right=range(1, len(kept)))
    marked = (page.paint(line, "bold") if row.what == "plan" else line for line, row in zip(lines, rows, strict=True))
    page.lines([page.paint(head, "bold"), *marked])
    page.write("weight error: squared error over squared weights, of all layers together; scales are counted as bits")
    page.write("coded: bits a weight with the codes of each layer coded by rANS, by `lowbit quantize --entropy rans`")


def show(page: Terminal, plan: Plan, more: Sequence[More], front: Sequence[Plan], along: str) -> None:
    """Write the report as text."""
    problem = plan.problem
    page.write(page.paint(_name(problem.name or "bit allocation"), "bold"))
    page.lines(_layers(plan))
    page.write()
    page.lines(columns([("loss", _number(plan.loss)), ("proof", proof(plan)), ("choices", _counts(plan))]))
    if plan.problem.max_switches is not None:
        page.write(f"switches  {plan.switches} of at most {plan.problem.max_switches}")
    if plan.uses:
        page.write()
        heads = ("budget", "used", "limit", "slack", "", "one more saves")
        page.table([heads, *(_budget(plan, use) for use in plan.uses)], right={1, 2, 3, 5})
    if more:
        page.write()
        page.write(page.paint("with 5 % more", "bold"))
        page.lines(columns([_more(plan, item) for item in more]))
    if front:
        page.write()
        page.write(page.paint(f"loss against {_name(along)}", "bold"))
        page.lines(_front(front, along))


def _name(name: str) -> str:
    """A name of somebody's layer, choice or budget, fit for a line."""
    return excerpt(name, quoted=False)


def proof(plan: Plan) -> str:
    """What is proven, in words."""
    if plan.status == "optimal":
        return f"optimal to {max(plan.tolerance, plan.gap):.1g} ({plan.proof})"
    ended = f"; stopped by the {plan.stopped}" if plan.stopped else ""
    return f"not proven optimal: at most {plan.gap:.3g} above the best ({plan.proof}){ended}"


def _layers(plan: Plan) -> list[str]:
    from lowbit.allocate.heights import bits_of

    bits = [bits_of(choice) or 0.0 for choice in plan.choices]
    most = max(bits) or 1.0
    losses = [float(plan.problem.losses[place]) for place in plan.problem.positions(plan.picks)]
    rows = [
        (f"  {_name(layer)}", _name(choice), "#" * round(BAR_WIDTH * height / most), _number(loss))
        for layer, choice, height, loss in zip(plan.problem.layers, plan.choices, bits, losses, strict=True)
    ]
    return columns([("  layer", "choice", "bits", "loss"), *rows], right={3})


def _counts(plan: Plan) -> str:
    return ", ".join(f"{_name(name)} x {count}" for name, count in Counter(plan.choices).most_common())


def _number(value: float) -> str:
    return f"{value:.6g}"


def _amount(use: Use, value: Any) -> str:
    unit = f" {_name(use.unit)}" if use.unit and use.unit != use.name else ""
    return "-" if value is None else f"{format_amount(value)}{unit}"


def _budget(plan: Plan, use: Use) -> tuple[str, ...]:
    share = f"{float(use.used / use.limit):.1%}" if use.limit else ""
    price = plan.prices.get(use.name, 0.0)
    return (
        _name(use.name),
        _amount(use, use.used),
        _amount(use, use.limit),
        _amount(use, use.slack),
        share,
        _number(price) if use.limit is not None else "-",
    )


def _more(plan: Plan, item: More) -> tuple[str, ...]:
    change = item.plan.loss - plan.loss
    share = f" ({change / abs(plan.loss):+.2%})" if plan.loss else ""
    if not item.changes:
        return f"  {_name(item.budget)}", "no change", ""
    named = [f"{_name(layer)} {_name(old)} -> {_name(new)}" for layer, old, new in item.changes[:MOST_CHANGES]]
    rest = len(item.changes) - len(named)
    words = ", ".join(named) + (f" and {rest} more" if rest else "")
    return f"  {_name(item.budget)}", f"loss {_number(item.plan.loss)}{share}", words


def _front(front: Sequence[Plan], along: str) -> Iterator[str]:
    uses = [use_of(point, along) for point in front]
    rows = [
        (f"  {_amount(use, use.used)}", _number(point.loss), _counts(point))
        for use, point in zip(uses, front, strict=True)
    ]
    yield from columns(rows, right={0, 1})
    unproven = sum(point.status != "optimal" for point in front)
    if unproven:
        yield f"  {unproven} of {len(front)} points are not proven optimal"
