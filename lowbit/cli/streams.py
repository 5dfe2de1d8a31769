"""Standard output and standard error that are closed, full, or whose reader went away."""

from __future__ import annotations

import errno
import io
import os
import sys
from contextlib import suppress
from typing import IO


class ClosedStream(io.StringIO):
    """What stands for a stream that was closed before lowbit started: it says so when it is written to."""

    def write(self, text: str) -> int:
        """Raise what the system raises."""
        del text
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))


def open_closed_streams() -> None:
    """Python has None for a stream that is closed (``>&-``): a write would be an internal error."""
    sys.stdout = sys.stdout if sys.stdout is not None else ClosedStream()
    sys.stderr = sys.stderr if sys.stderr is not None else ClosedStream()


def write_error(text: str) -> None:
    """Write to standard error if it can be written: a message that is lost does not change the exit status."""
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except OSError:
        drop(sys.stderr)


def drop(stream: IO[str]) -> None:
    """The interpreter flushes a stream once more at exit: give it somewhere to go."""
    with suppress(OSError):  # also io.UnsupportedOperation: nothing is behind it
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
