"""Who works: this process, several processes, or the machines of a Dask cluster."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context

from lowbit.campaign.run import lost_worker
from lowbit.errors import InputError

CONNECTION_TIMEOUT = "20s"

RETRIES = 2
"""How often Dask gives a task to another worker when one is lost."""


@contextmanager
def workers(jobs: int = 1, *, scheduler: str | None = None) -> Iterator[Executor | None]:
    """An executor for ``run_tasks``.

    Parameters
    ----------
    jobs : int
        Processes; 1 for this one, which needs no executor.
    scheduler : str, optional
        Address of a Dask scheduler (``tcp://host:port``) whose workers are taken instead; needs ``lowbit[dask]``.

    Raises
    ------
    InputError
        The number of jobs is not positive, Dask is not installed, or the scheduler does not answer.
    LowbitError
        A machine was lost more often than a task is tried again.

    Examples
    --------
    >>> with workers(1) as executor:
    ...     print(executor)
    None
    """
    if type(jobs) is not int or jobs < 1:
        hint = "1 for this process, more for as many processes; results are the same"
        raise InputError(f"jobs = {jobs!r} is not a positive whole number", hint=hint)
    if scheduler:
        try:
            from distributed import Client, KilledWorker
        except ImportError as error:
            what = "a Dask scheduler is given, but Dask is not installed"
            raise InputError(what, hint="pip install lowbit[dask]") from error
        try:
            client = Client(scheduler, timeout=CONNECTION_TIMEOUT)
        except (OSError, ValueError) as error:
            raise InputError(f"the Dask scheduler {scheduler} does not answer: {error}") from error
        try:
            with client:
                yield client.get_executor(pure=False, retries=RETRIES)
        except KilledWorker as error:
            raise lost_worker(error) from error
    elif jobs == 1:
        yield None
    else:
        # Started afresh: a forked child would inherit threads, and locks that they hold.
        with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
            yield pool
