"""Who wants to know that kernels are compiled: the first run of a kind takes much longer than those that follow."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from numba.core import event


@contextmanager
def compilations(started: Callable[[], None], ended: Callable[[], None]) -> Iterator[None]:
    """Call ``started`` and ``ended`` around each compilation; a kernel that the cache holds is not compiled."""

    class Listener(event.Listener):  # type: ignore[misc]  # numba has no types
        def on_start(self, event: Any) -> None:
            del event
            started()

        def on_end(self, event: Any) -> None:
            del event
            ended()

    with event.install_listener("numba:compile", Listener()):
        yield
