"""How the benchmarks measure: ratios to a named peer, interleaved in one process.

Machines are shared and noisy, so no absolute time is a figure. Ours and the peer run in turn, single-threaded, and
the median of the pairwise ratios is reported. A figure counts as met when it is met in two of three measurements.
Time is that of the calling thread on a processor: what others do on the machine meanwhile does not count. A peer that
worked in another thread would seem faster by that, never slower.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field

PAIRS = 9
MEASUREMENTS = 3


@dataclass
class Row:
    """One line of the table at the end."""

    what: str
    peer: str
    medians: list[float]
    wanted: float
    nanoseconds: float

    @property
    def met(self) -> bool:
        return sum(median >= self.wanted for median in self.medians) * 2 > len(self.medians)


@dataclass
class Table:
    """The rows measured in this run."""

    rows: list[Row] = field(default_factory=list)
    limits: list[tuple[str, float, float]] = field(default_factory=list)

    def compare(
        self,
        what: str,
        ours: Callable[[], object],
        peer: str,
        theirs: Callable[[], object],
        wanted: float,
        size: int,
        *,
        clock: Callable[[], float] = time.thread_time,
    ) -> Row:
        """Measure how many times faster ours is; three times while the figure is not met in two of them.

        Work in several threads needs ``clock=time.perf_counter``.
        """
        ours(), theirs()
        medians: list[float] = []
        fastest = float("inf")
        while len(medians) < MEASUREMENTS:
            ratios = []
            for _ in range(PAIRS):
                own, other = _seconds(ours, clock), _seconds(theirs, clock)
                ratios.append(other / own)
                fastest = min(fastest, own)
            medians.append(statistics.median(ratios))
            if sum(median >= wanted for median in medians) == 2:
                break
        row = Row(what, peer, medians, wanted, fastest / size * 1e9)
        self.rows.append(row)
        return row

    def limit(self, what: str, measured: float, most: float) -> bool:
        """Record a figure that has an upper limit (seconds unless it says otherwise); whether it is kept."""
        self.limits.append((what, measured, most))
        return measured <= most


def _seconds(call: Callable[[], object], clock: Callable[[], float]) -> float:
    start = clock()
    call()
    return clock() - start
