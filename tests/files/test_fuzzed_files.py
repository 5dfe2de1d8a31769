"""Mutated files: each is read or refused in words, in little time and in memory that the file justifies."""

import struct
import time
import tracemalloc

import numpy as np
import pytest

from lowbit.errors import InputError
from lowbit.files.gguf import read_gguf, write_gguf
from lowbit.files.gguf_values import Value
from lowbit.files.importance import read_importance
from lowbit.files.safetensors import Entry, read_header, write_tensors
from tests.files.importance_files import dat, write_importance

A_BYTE, AT_ALL = 200, 1 << 18
"""Memory that reading may take: of each byte of the file (small objects of Python), and whatever the file."""
SECONDS = 2.0
LENGTHS = [0, 1, 31, 1 << 16, (1 << 31) - 1, 1 << 32, 1 << 40, (1 << 61) + 1, 1 << 63, (1 << 64) - 1]


def gguf(path):
    values = {
        "general.alignment": Value("uint32", 32),
        "general.name": Value("string", "small"),
        "tokens": Value("array", ["<s>", "a", "\udcff"], "string"),
        "scores": Value("array", [0.5, 1.0], "float32"),
        "nested": Value("array", [Value("array", [True], "bool")], "array"),
    }
    entries = [Entry("a", "F32", (2, 3), 0, 0), Entry("b", "Q4_0", (1, 32), 0, 0), Entry("c", "I8", (), 0, 0)]
    write_gguf(
        path, entries, [np.arange(6, dtype=np.float32).reshape(2, 3), np.zeros(18, np.uint8), np.int8(1)], values
    )


def safetensors(path):
    entries = [Entry("a", "F32", (2, 3), 0, 0), Entry("b", "F4", (1, 32), 0, 0), Entry("c", "I8", (), 0, 0)]
    arrays = [np.arange(6, dtype=np.float32).reshape(2, 3), np.zeros(16, np.uint8), np.int8(1)]
    write_tensors(path, entries, arrays, {"name": "small"})


def matrix(path):
    write_importance(path, {"a": ([2, 3], [[1, 2], [3, 4]]), "b": ([4], [[1, 2, 3]])})


def old_matrix(path):
    path.write_bytes(dat({"a": (2, [1, 2, 3, 4]), "b": (3, [1, 2])}))


def mutated(content, random):
    """A few changes: other bytes, other lengths, a part that goes, comes twice or from elsewhere, an end too soon."""
    data = bytearray(content)
    for _ in range(random.integers(1, 4)):
        at = int(random.integers(len(data))) if data else 0
        match random.integers(7):
            case 0:
                data[at : at + 1] = bytes([random.integers(256)])
            case 1:
                data[at : at + 1] = bytes([(data[at] if data else 0) ^ 1 << random.integers(8)])
            case 2:
                data[at : at + 8] = struct.pack("<Q", random.choice(np.array(LENGTHS, np.uint64)))
            case 3:
                data[at : at + 4] = struct.pack("<I", random.integers(1 << random.integers(1, 33)))
            case 4:
                del data[at : at + int(random.integers(1, 40))]
            case 5:
                data[at:at] = data[: int(random.integers(1, 40))]
            case 6:
                del data[at:]
    return bytes(data)


def whole(file):
    """All tensors of a file are read."""
    for name in file.entries:
        file.raw(name)


def means(file):
    """The importance of every tensor is read."""
    for name, sums in file.sums.items():
        file.rows(name, (1, sums.squares.size))


def read_whole(read, path):
    """Whether a file is read, all of its tensors too; anything but an InputError gets out."""
    try:
        means(read(path)) if read is read_importance else whole(read(path))
    except InputError:
        return False
    return True


@pytest.mark.parametrize(
    "count", [1_000, pytest.param(100_000, marks=pytest.mark.exhaustive)], ids=["some", "a hundred thousand"]
)
@pytest.mark.parametrize(
    ("write", "read"),
    [(gguf, read_gguf), (safetensors, read_header), (matrix, read_importance), (old_matrix, read_importance)],
    ids=["gguf", "safetensors", "importance", "importance as .dat"],
)
def test_mutated_files_are_read_or_refused(tmp_path, write, read, count):
    path, random = tmp_path / "file", np.random.default_rng(count)
    write(path)
    content = path.read_bytes()
    assert read_whole(read, path)
    counts = {True: 0, False: 0}
    tracemalloc.start()
    try:
        for _ in range(count):
            changed = mutated(content, random)
            path.write_bytes(changed)
            tracemalloc.reset_peak()
            before, started = tracemalloc.get_traced_memory()[0], time.process_time()
            counts[read_whole(read, path)] += 1
            assert tracemalloc.get_traced_memory()[1] - before < A_BYTE * len(changed) + AT_ALL, changed
            assert time.process_time() - started < SECONDS, changed
    finally:
        tracemalloc.stop()
    assert counts[False] > count // 4
    assert counts[True] > count // 100
