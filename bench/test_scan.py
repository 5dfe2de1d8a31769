"""``lowbit scan`` of a gigabyte of ggml's blocks that the page cache holds."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from bench.measure import Table
from lowbit.campaign.scan import scan_file
from lowbit.files.gguf import TYPES, type_bytes, write_gguf
from lowbit.files.safetensors import Entry

GIGABYTE, MOST = 10**9, 10.0
SHAPE = 4096, 11008
EXPONENT = 0x2C
"""The upper byte of the scales, so that they are numbers of binary16 of a usual size."""


def random_structs(entry: Entry) -> Any:
    """Blocks of Q4_K, whose two scales come first, and of Q8_0, which has one."""
    octets = np.random.default_rng(len(entry.name)).integers(
        0, 256, (entry.stop // TYPES[entry.dtype][2], TYPES[entry.dtype][2]), dtype=np.uint8
    )
    octets[:, 1] = EXPONENT
    octets[:, 3] = EXPONENT
    return octets.reshape(-1)


def test_scan_a_gigabyte(table: Table, tmp_path: Path) -> None:
    entries, size = [], 0
    while size < GIGABYTE:
        dtype = ("Q4_K", "Q8_0")[len(entries) % 2]
        entries.append(Entry(f"blk.{len(entries)}.weight", dtype, SHAPE, 0, type_bytes(dtype, SHAPE)))
        size += entries[-1].stop

    def tensors() -> Iterator[Any]:
        yield from map(random_structs, entries)

    path = tmp_path / "model.gguf"
    write_gguf(path, entries, tensors())
    path.read_bytes()  # into the page cache
    start = time.thread_time()
    result = scan_file(path)
    seconds = time.thread_time() - start
    assert [len(group.names) for group in result.groups] == [(len(entries) + 1) // 2, len(entries) // 2]
    assert table.limit(f"scan of {size / GIGABYTE:.2f} GB of Q4_K and Q8_0", seconds, MOST)
