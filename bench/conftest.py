"""The table of one benchmark run: a fixture that fills it, and its print-out at the end."""

from __future__ import annotations

import os

import pytest

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # read when NumPy is imported, by the benchmarks

from bench.measure import Table

_table = Table()


@pytest.fixture
def table() -> Table:
    """The table of this run; every benchmark adds a row and asserts its figure."""
    return _table


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table."""
    if _table.limits:
        terminalreporter.section("limits, in seconds unless said otherwise")
        for what, measured, most in _table.limits:
            verdict = "" if measured <= most else "  NOT KEPT"
            allowed = "-" if most == float("inf") else f"{most:g}"
            terminalreporter.line(f"{what:<62} {measured:>9.3f}  limit {allowed}{verdict}")
    if not _table.rows:
        return
    terminalreporter.section("speed: how many times the peer's")
    terminalreporter.line(f"{'what':<52} {'peer':<26} {'wanted':>7} {'medians of 9 pairs':<22} {'best ns':>8}")
    for row in _table.rows:
        medians = " ".join(f"{median:.2f}" for median in row.medians)
        verdict = "" if row.met else "  NOT MET"
        wanted = f"{row.wanted:g}x" if row.wanted else "-"
        line = f"{row.what:<52} {row.peer:<26} {wanted:>7} {medians:<22} {row.nanoseconds:>8.3g}{verdict}"
        terminalreporter.line(line)
