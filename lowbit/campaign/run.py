"""Tasks by name: done here or by an executor, each noted once it is finished."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from itertools import islice
from typing import Any

from lowbit.campaign.journal import Journal, Result
from lowbit.errors import LowbitError

Progress = Callable[[int, int, str], None]

MOST_WAITING = 256
"""Tasks given to an executor at once: a campaign may have millions."""


def unseen(done: int, total: int, name: str) -> None:
    """Progress that nobody looks at.

    Examples
    --------
    >>> unseen(1, 2, "layer")
    """
    del done, total, name


def run_tasks(
    work: Callable[[str], object],
    names: Sequence[str],
    decode: Callable[[Any], Result],
    *,
    journal: Journal | None = None,
    executor: Executor | None = None,
    progress: Progress = unseen,
) -> dict[str, Result]:
    """Do the work of every name that the journal has not, and return all results.

    Parameters
    ----------
    work : callable
        Takes a name, returns what JSON can hold. For processes and machines it must be picklable, and its answer must
        not depend on who works or in which order.
    names : sequence of str
        All different.
    decode : callable
        Makes a result of JSON.
    journal : Journal, optional
        Its tasks are not done again; every other is noted as soon as it is finished, so that whatever ends the run,
        Ctrl-C or a lost worker, loses unfinished tasks only.
    executor : concurrent.futures.Executor, optional
        Of threads, processes or machines (``workers``); without one, one task after the other is done here.
    progress : callable
        Takes (tasks done, tasks, name).

    Returns
    -------
    dict
        Name -> decoded result, in the order of the names.

    Raises
    ------
    LowbitError
        The journal is unusable, a worker was lost, or the work itself raised one.

    Examples
    --------
    >>> run_tasks(len, ["a", "bb"], int)
    {'a': 1, 'bb': 2}
    """
    done = journal.read(decode) if journal else {}
    missing = [name for name in names if name not in done]
    results = _by_executor(work, missing, executor) if executor else ((name, work(name)) for name in missing)
    for count, (name, result) in enumerate(results, len(names) - len(missing) + 1):
        done[name] = decode(result)
        if journal:
            journal.append(name, result)
        progress(count, len(names), name)
    return {name: done[name] for name in names}


def lost_worker(error: Exception) -> LowbitError:
    """What a worker that ended before its time is called, be it a process or a machine."""
    return LowbitError(
        f"a worker was lost before it had finished: {error}",
        hint="with a journal the same call goes on where this one stopped; fewer workers need less memory",
    )


def _by_executor(work: Callable[[str], object], names: list[str], executor: Executor) -> Iterator[tuple[str, Any]]:
    """Results as they are finished; what is waiting is cancelled when the caller leaves or a task fails."""
    rest = iter(names)
    waiting: dict[Future[Any], str] = {}
    try:
        while True:
            waiting |= {executor.submit(work, name): name for name in islice(rest, MOST_WAITING - len(waiting))}
            if not waiting:
                return
            wait(waiting, return_when=FIRST_COMPLETED)
            finished = [future for future in waiting if future.done()]
            for future in sorted(finished, key=lambda future: future.exception() is not None):  # failures last
                yield waiting.pop(future), future.result()
    except BrokenExecutor as error:
        raise lost_worker(error) from error
    finally:
        for future in waiting:
            future.cancel()
