"""``lowbit allocate``: choose a format for every layer within budgets, with a proof or a gap."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lowbit.cli.file_options import input_file, output_file, say_written
from lowbit.cli.model_options import PLAN_HINT, add_model_options, measure, model_problem
from lowbit.cli.model_report import left_out_heading, model_file, write_left_out
from lowbit.cli.number_types import integer, seconds
from lowbit.cli.progress import Bar
from lowbit.cli.terminal import add_output_format, print_document, terminal
from lowbit.errors import AllocationError, UsageError
from lowbit.files.whole import write_text

if TYPE_CHECKING:
    from lowbit.allocate import Plan, Problem
    from lowbit.allocate.model import Comparison
    from lowbit.allocate.sensitivity import Measured

SOLVERS = ("auto", "lagrangian", "exact", "neighborhoods", "milp", "highs", "cbc")
EXAMPLES = ("hawq_v3_resnet18", "hawq_v3_resnet50")
EXPORTS = (".mps", ".lp")


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "allocate",
        help="choose a format for every layer within budgets",
        description="Choose one of its choices for every layer, so that the loss is least within every budget, and say "
        "how good the plan is proven to be. Exit status 6: no plan keeps the budgets.",
    )
    costs = "layers, choices, losses and costs"
    input_file(parser, "costs", what="the file of costs", nargs="?", metavar="COSTS.toml", help=costs)
    model_file(
        parser,
        "--model",
        "the model",
        "a GGUF file in floats, or minilm: its layers are measured, in place of a file of costs",
    )
    parser.add_argument("--example", choices=EXAMPLES, help="an instance that comes with lowbit, instead of a file")
    limits = parser.add_argument_group("what must hold")
    limits.add_argument(
        "--budget",
        action="append",
        default=[],
        metavar="NAME=LIMIT",
        help="bytes=3.2MB, avg_bits=4, latency=1.5; bops=50%% is half the way from the cheapest choices to the dearest",
    )
    limits.add_argument("--fix", action="append", default=[], metavar="LAYER=CHOICE", help="a layer's choice is given")
    limits.add_argument("--same", action="append", default=[], metavar="LAYER,LAYER,...", help="layers that must agree")
    limits.add_argument("--switches", type=integer, metavar="N", help="at most N changes from a layer to the next")
    search = parser.add_argument_group("the search")
    search.add_argument("--solver", choices=SOLVERS, default="auto", help="default: auto")
    search.add_argument("--gap", type=_gap, default=1e-9, metavar="G", help="relative gap that will do (default: 1e-9)")
    search.add_argument("--time-limit", type=seconds, metavar="SECONDS", help="then the best plan so far, with its gap")
    search.add_argument("--seed", type=integer, default=0, metavar="N", help="of --solver neighborhoods")
    earlier = "begin with an earlier plan"
    input_file(search, "--warm-start", what="the earlier plan", metavar="PLAN.json", help=earlier)
    output = parser.add_argument_group("output")
    output.add_argument("--pareto", type=integer, metavar="N", help="also the front of loss against a budget, N points")
    output.add_argument("--along", metavar="NAME", help="the budget of the front (default: the first with a limit)")
    output.add_argument("--no-more", action="store_true", help="leave out what 5 %% more of each budget would give")
    add_output_format(output)
    output_file(output, "-o", "--output", metavar="PLAN.json", help="write the plan as JSON")
    output_file(output, "--picture", metavar="FILE.svg", help="draw the bits of the layers, and the front")
    program = "write the integer program, for other solvers"
    output_file(output, "--export", metavar="FILE.mps|FILE.lp", help=program)
    output_file(output, "--apply", metavar="FILE", help="with --model: write the model with the plan's values")
    add_model_options(parser)


def run(arguments: Namespace) -> int:
    from lowbit.allocate import pareto_front, picture, solve, with_more

    measured, problem = _problem(arguments)
    problem = _constrained(problem, arguments)
    along = _along(problem, arguments)
    if arguments.export:
        _export(problem, Path(arguments.export))
    plan = solve(
        problem,
        method=arguments.solver,
        gap=arguments.gap,
        time_limit=arguments.time_limit,
        warm_start=_warm_start(arguments.warm_start),
        seed=arguments.seed,
    )
    more = [] if arguments.no_more else with_more(plan, time_limit=arguments.time_limit)
    front: list[Plan] = []
    if along:
        with Bar(arguments.pareto) as bar:
            front = pareto_front(
                problem,
                along,
                arguments.pareto,
                gap=arguments.gap,
                time_limit=arguments.time_limit,
                progress=lambda done, _: bar.update(done, along),
            )
    from lowbit.cli.report import allocate as report

    if arguments.output:
        write_text(arguments.output, json.dumps(_recorded(plan, measured, arguments), indent=2) + "\n")
    if arguments.picture:
        write_text(arguments.picture, picture(plan, front=front, budget=along))
    rows = _apply(measured, plan, arguments) if measured else []
    say_written(arguments.output, arguments.picture, arguments.export, arguments.apply)
    if arguments.output_format == "json":
        print_document(report.document(plan, more, front, along, rows))
    else:
        report.show(terminal(arguments), plan, more, front, along)
        report.show_comparison(terminal(arguments), rows)
        if measured and measured.left_out:
            terminal(arguments).write(left_out_heading(measured.left_out))
        if measured:
            write_left_out(terminal(arguments), measured.left_out, measured.unscaled)
    return 0


def _recorded(plan: Plan, measured: Measured | None, arguments: Namespace) -> dict[str, Any]:
    """The plan as its file has it; of a model, with what was measured and how."""
    if measured is None:
        return plan.as_dict()
    from lowbit.allocate.model import measurement

    return {**plan.as_dict(), "model": measurement(measured, arguments.score)}


def _gap(text: str) -> float:
    from argparse import ArgumentTypeError

    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1:
        raise ArgumentTypeError(f"{text!r} is not a relative gap, such as 1e-6")
    return value


def _problem(arguments: Namespace) -> tuple[Measured | None, Problem]:
    """What is to be solved, before the options of the command line constrain it further."""
    from lowbit.allocate import example, read_costs

    if sum(given is not None for given in (arguments.costs, arguments.example, arguments.model)) != 1:
        raise UsageError(
            "`lowbit allocate` takes one file of costs, or --model FILE, or --example NAME",
            hint="docs/how-to/allocate-bits.md describes the file",
        )
    if arguments.apply and not arguments.model:
        raise UsageError("--apply is for --model")
    if arguments.picture and Path(arguments.picture).suffix.lower() != ".svg":
        raise UsageError(f"--picture {arguments.picture}: the name does not end in .svg, which is written")
    if arguments.model:
        model = _weights(arguments)
        measured = measure(model, arguments)
        return measured, model_problem(model, measured, arguments)
    return None, example(arguments.example) if arguments.example else read_costs(arguments.costs)


def _apply(measured: Measured, plan: Plan, arguments: Namespace) -> list[Comparison]:
    """What the plan does to the model, beside the uniform choices; writes the model if asked to."""
    from lowbit.allocate.model import compare, write_applied

    if arguments.apply:
        write_applied(_weights(arguments), measured, plan, arguments.apply)
    return compare(measured, plan)


def _weights(arguments: Namespace) -> str:
    from lowbit.models.packages import weights_of

    return str(weights_of(arguments.model))


def _constrained(problem: Problem, arguments: Namespace) -> Problem:
    from lowbit.allocate.checks import Places

    limits = _assignments(arguments.budget, "--budget", "bytes=3.2MB")
    problem = problem.with_limits(limits, max_switches=arguments.switches)
    place = Places({layer: index for index, layer in enumerate(problem.layers)})
    fixed = dict(problem.fixed)
    given = _assignments(arguments.fix, "--fix", "conv1=int8")
    fixed.update((place(layer), _choice(problem.choices[place(layer)], choice)) for layer, choice in given.items())
    ties = [tuple(place(layer.strip()) for layer in group.split(",")) for group in arguments.same]
    return replace(problem, fixed=fixed, ties=(*problem.ties, *ties))


def _choice(choices: Sequence[str], text: str) -> str:
    """The choice of a text: int4 is int4.g128 where that is the only int4 with scales."""
    longer = [choice for choice in choices if choice.startswith(f"{text}.")]
    return longer[0] if text not in choices and len(longer) == 1 else text


def _assignments(words: Sequence[str], option: str, example: str) -> dict[str, str]:
    """NAME=VALUE, each name once."""
    found: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name or not value:
            raise UsageError(f"{option} {word}: no NAME=VALUE", hint=f"such as {option} {example}")
        if name in found:
            raise UsageError(f"{option} {word}: {name!r} is given twice, before as {found[name]!r}", hint="once only")
        found[name] = value
    return found


def _along(problem: Problem, arguments: Namespace) -> str:
    """The budget that the front goes along; empty without --pareto."""
    if arguments.pareto is None:
        if arguments.along:
            raise UsageError("--along is for --pareto N")
        return ""
    if arguments.pareto < 2:
        raise UsageError(f"--pareto {arguments.pareto}: a front has at least 2 points")
    names = [budget.name for budget in problem.budgets if budget.limit is not None]
    names = names or [budget.name for budget in problem.budgets]
    if not arguments.along and not names:
        raise AllocationError("--pareto: there is no budget")
    return problem.budget(arguments.along or names[0]).name


def _export(problem: Problem, path: Path) -> None:
    from lowbit.allocate import write_lp, write_mps

    if path.suffix not in EXPORTS:
        raise UsageError(f"--export {path}: the name ends in none of {', '.join(EXPORTS)}")
    (write_mps if path.suffix == ".mps" else write_lp)(problem, path)


def _warm_start(path: str | None) -> Sequence[str] | None:
    if path is None:
        return None
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"))
        return [str(layer["choice"]) for layer in document["layers"]]
    except OSError as error:
        raise AllocationError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise AllocationError(f"{path} is not a plan: it is not JSON", hint=PLAN_HINT) from error
    except (KeyError, TypeError) as error:
        what = f"{path} is not a plan: it does not list layers with their choices"
        raise AllocationError(what, hint=PLAN_HINT) from error
