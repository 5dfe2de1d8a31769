"""Work over an array in pieces, by one thread or several; the bits are the same for any number of them."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor


def in_chunks(run: Callable[[int, int], None], size: int, threads: int, chunk: int) -> None:
    """Call ``run(start, stop)`` over the whole range, in chunks, by one thread or several."""

    def slab(start: int, stop: int) -> None:
        for first in range(start, stop, chunk):
            run(first, min(first + chunk, stop))

    if threads <= 1 or size <= 2 * chunk:
        slab(0, size)
        return
    step = -(-size // (threads * chunk)) * chunk
    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(slab, start, min(start + step, size)) for start in range(0, size, step)]:
            done.result()
