"""What the exit status of ``lowbit`` means; scripts may rely on it."""

from __future__ import annotations

from enum import IntEnum
from typing import Self


class ExitCode(IntEnum):
    """The exit statuses of the command line."""

    EQUAL = 0, "done; for `check`: no difference but the published expected ones"
    MISMATCH = 1, "`check` found differences; `prove`: an overflow is possible"
    USAGE = 2, "wrong usage, unknown format or policy, bad specification or input"
    INTERNAL = 3, "a bug in lowbit: please report it"
    DEVICE = 4, "the kernel under test crashed, hung, or returned the wrong number of rows"
    NOTHING_COMPARED = 5, "`check` had nothing to compare; `prove`: neither proved nor refuted"
    INFEASIBLE = 6, "`allocate`: no plan keeps the budgets"
    INTERRUPTED = 130, "stopped from the keyboard (128 + SIGINT, as shells have it)"
    TERMINATED = 143, "asked to end while it wrote a file, which is not there then (128 + SIGTERM)"
    BROKEN_PIPE = 141, "the reader of standard output went away (128 + SIGPIPE)"

    meaning: str

    def __new__(cls, value: int, meaning: str) -> Self:
        """An integer that carries its meaning along."""
        member = int.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        return member
