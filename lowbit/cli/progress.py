"""What standard error is told of long work: a progress bar on a terminal, and that kernels are compiled."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

from lowbit.cli.terminal import takes_color
from lowbit.printable import excerpt

BAR_AFTER_SECONDS = 1.0


class CompilationNotice:
    """Says, once, that a kernel has to be compiled: the first run of a kind may take half a minute."""

    def __init__(self) -> None:
        self._kernels, self._begun, self._wanted = 0, 0.0, takes_color(sys.stderr)

    def started(self) -> None:
        """A compilation begins."""
        if not self._begun:
            self._begun = time.monotonic()
            sys.stderr.write("compiling kernels: once on this machine, for some seconds; later runs find them\n")
            sys.stderr.flush()

    def ended(self) -> None:
        """A kernel is there."""
        self._kernels += 1
        if self._wanted:
            sys.stderr.write(f"\r\x1b[K{self._kernels} kernels, {time.monotonic() - self._begun:.0f} s")
            sys.stderr.flush()

    def summed_up(self) -> None:
        """What the compilations took together; nothing where there were none."""
        if self._kernels:
            start = "\r\x1b[K" if self._wanted else ""
            seconds = time.monotonic() - self._begun
            sys.stderr.write(f"{start}compiled {self._kernels} kernels in {seconds:.0f} s\n")


@contextmanager
def compilation_said() -> Iterator[None]:
    """Say on standard error when kernels are compiled."""
    from lowbit.kernels.compilation import compilations

    notice = CompilationNotice()
    with compilations(notice.started, notice.ended):
        yield
    notice.summed_up()


class Bar:
    """A progress bar for work of more than a second, nothing without a terminal; it loads rich only once it is shown.

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

    def tensors(self, done: int, total: int, name: str) -> None:
        """Show at which tensor of a file the work is."""
        self.update(done, f"{done} of {total} tensors: {excerpt(name, quoted=False)}")

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
