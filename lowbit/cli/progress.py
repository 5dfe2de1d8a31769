"""A progress bar on standard error, for work of more than a second; without a terminal it does nothing."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any, Self

from lowbit.cli.terminal import takes_color

BAR_AFTER_SECONDS = 1.0


class Bar:
    """The bar, which loads rich only once it is shown.

    ``total``: how much there is to do; None where that is not known.
    """

    def __init__(self, total: int | None = None) -> None:
        self._total = total
        self._begun = time.monotonic()
        self._progress: Any = None
        self._task: Any = None
        self._wanted = takes_color(sys.stderr)

    def __enter__(self) -> Self:
        return self

    def update(self, done: int, note: str) -> None:
        """Show how far the work is."""
        if not self._wanted or time.monotonic() - self._begun < BAR_AFTER_SECONDS:
            return
        if self._progress is None:
            self._start()
        self._progress.update(self._task, completed=done, note=note)

    def _start(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        text = TextColumn("{task.fields[note]}", markup=False)  # names of layers may look like it
        if self._total is None:
            columns: tuple[Any, ...] = (BarColumn(), text, TimeElapsedColumn())
        else:
            columns = (BarColumn(), TextColumn("{task.percentage:>3.0f}%"), text, TimeRemainingColumn())
        self._progress = Progress(*columns, console=Console(stderr=True), transient=True)
        self._task = self._progress.add_task("", total=self._total, note="")
        self._progress.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._progress is not None:
            self._progress.stop()
