"""What learned quantisers and low-bit training show, beside what is asked: ``python -m bench.learned [NAME...]``.

A system is an entry of ``SYSTEMS`` of a module ``bench/learned_*.py``: what measures it, and its seeds; at most five
minutes on two cores each. Those that the results file holds are not measured again, so that a stopped run goes on where
it was; ``--again`` measures the named ones once more, ``--results`` names another file. Exit status 1 where a row is
not reached: it says so with its numbers.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from time import process_time
from typing import Any, NamedTuple

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from lowbit.errors import LowbitError
from lowbit.files.whole import whole_file

RESULTS = Path(__file__).with_suffix(".json")
"""Committed."""


class Row(NamedTuple):
    """A claim, what is asked for it, the numbers that were measured, by what they are, and whether they reach it.

    A row without anything asked of it tells a measurement: ``asked`` says "reported", and it is met.
    """

    claim: str
    asked: str
    measured: Mapping[str, float]
    met: bool


class System(NamedTuple):
    """What measures a system, and the seeds that it takes."""

    measure: Callable[[tuple[int, ...]], list[Row]]
    seeds: tuple[int, ...]


def systems() -> dict[str, System]:
    """All there are, by their names."""
    every: dict[str, System] = {}
    for path in sorted(Path(__file__).parent.glob("learned_*.py")):
        own: dict[str, System] = import_module(f"bench.{path.stem}").SYSTEMS
        if twice := own.keys() & every.keys():
            raise SystemExit(f"two systems of one name: {', '.join(sorted(twice))}")
        every |= own
    return every


def results(path: Path = RESULTS) -> dict[str, Any]:
    """What a file holds: of each system its rows, CPU seconds, seeds and the command."""
    known: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return known


def measured(name: str, system: System) -> dict[str, Any]:
    """A system's entry of the results file."""
    start = process_time()
    rows = []
    for row in system.measure(system.seeds):
        numbers = {what: float(number) for what, number in row.measured.items()}
        rows.append(row._replace(measured=numbers, met=bool(row.met))._asdict())
    seconds, command = round(process_time() - start, 1), f"python -m bench.learned {name}"
    return {"rows": rows, "seconds": seconds, "seeds": list(system.seeds), "command": command}


def lines(name: str, entry: Mapping[str, Any]) -> list[str]:
    """An entry as the table prints it."""
    seeds = ", ".join(map(str, entry["seeds"]))
    table = [f"{name}: {entry['seconds']:.0f} s of CPU, seeds {seeds}"]
    for row in entry["rows"]:
        numbers = ", ".join(f"{what} {number:.4g}" for what, number in row["measured"].items())
        table.append(f"  {row['claim']}: {numbers}; asked: {row['asked']}{'' if row['met'] else '  NOT REACHED'}")
    return table


def main() -> int:
    """Print the table, measuring what the results file lacks."""
    every = systems()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(every)}; all of them without")
    parser.add_argument("--again", action="store_true", help="measure what the file has, too")
    parser.add_argument("--results", type=Path, default=RESULTS, help="what was measured before")
    options = parser.parse_args()
    if unknown := [name for name in options.names if name not in every]:
        parser.error(f"no system {', '.join(unknown)}: there are {', '.join(every)}")
    known = results(options.results)
    missed = 0
    for name in options.names or every:
        if options.again or name not in known:
            try:
                known[name] = measured(name, every[name])
            except LowbitError as error:  # a package that it measures with is not installed, say
                parser.exit(2, f"{name}: {error}\n")
            with whole_file(options.results) as file:
                file.write((json.dumps(dict(sorted(known.items())), indent=1) + "\n").encode())
        print("\n".join(lines(name, known[name])), flush=True)
        missed += sum(not row["met"] for row in known[name]["rows"])
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
