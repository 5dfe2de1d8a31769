"""A damaged file of the kernel cache, and a full disk, cost a compilation and nothing else."""

import errno
import hashlib
import os
import pickle
import resource
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest

import lowbit
from lowbit.kernels._cache import KernelCache

DIGEST_BYTES = 32


def add(values, amount):
    """What is compiled here."""
    total = amount
    for value in values:
        total += value
    return total


SIGNATURE = (numba.int64[::1], numba.int64)
OTHER = (numba.int32[::1], numba.int64)
VALUES = np.arange(5)


@pytest.fixture
def fresh(tmp_path):
    """``fresh()`` is the function as a new process sees it, with a cache in a directory."""

    def make(directory=tmp_path):
        function = numba.njit(nogil=True)(add)
        function._cache = KernelCache(add, directory)
        return function

    return make


def is_kept(function, signature=SIGNATURE):
    """Whether the cache has the compiled function."""
    return function._cache.load_overload(signature, function.targetctx) is not None


def kept_file(fresh, tmp_path):
    """The file of the function that is compiled for one signature."""
    assert fresh()(VALUES, 1) == 11
    (file,) = tmp_path.iterdir()
    return file


def test_a_second_process_hits(fresh, tmp_path):
    assert not is_kept(fresh())
    file = kept_file(fresh, tmp_path)
    before = file.stat()
    function = fresh()
    assert function(VALUES, 2) == 12
    assert sum(function.stats.cache_hits.values()) == 1
    assert not function.stats.cache_misses
    assert file.stat().st_mtime_ns == before.st_mtime_ns
    assert function.stats.cache_path == str(tmp_path)


def test_a_file_that_is_cut_short_anywhere_is_a_miss(fresh, tmp_path):
    file = kept_file(fresh, tmp_path)
    whole = file.read_bytes()
    for length in {*range(0, len(whole), len(whole) // 150), *range(40), *(len(whole) - n for n in range(1, 40))}:
        file.write_bytes(whole[:length])
        assert not is_kept(fresh()), length
    file.write_bytes(whole + b"\0")
    assert not is_kept(fresh())
    file.write_bytes(whole)
    assert is_kept(fresh())


def test_a_file_with_any_bit_flipped_is_a_miss(fresh, tmp_path):
    file = kept_file(fresh, tmp_path)
    whole = file.read_bytes()
    for place in {*range(0, len(whole), len(whole) // 150), *range(DIGEST_BYTES + 20), len(whole) - 1}:
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        file.write_bytes(damaged)
        assert not is_kept(fresh()), place


class Trap:
    """Unpickling it is noticed."""

    def __reduce__(self):
        return os.mkdir, ("trap",)


@pytest.mark.parametrize("content", [b"", b"\x80", b"garbage" * 100, pickle.dumps(Trap()), pickle.dumps((1, 2))])
def test_a_damaged_file_is_never_unpickled_and_is_written_again(fresh, tmp_path, monkeypatch, content):
    monkeypatch.chdir(tmp_path)
    file = kept_file(fresh, tmp_path)
    file.write_bytes(content)
    assert not is_kept(fresh())
    assert not (tmp_path / "trap").exists()
    assert fresh()(VALUES, 3) == 13
    assert is_kept(fresh())
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("code", [(), (None,) * 9, "text", 7])
def test_a_whole_file_that_this_numba_cannot_use_is_a_miss(fresh, tmp_path, code):
    file = kept_file(fresh, tmp_path)
    content = file.read_bytes()[DIGEST_BYTES:]
    key, _ = pickle.loads(content)
    seal(file, pickle.dumps((key, code)))
    assert not is_kept(fresh())
    seal(file, content)
    assert is_kept(fresh())


def seal(file, content):
    """Write a file as the cache does."""
    file.write_bytes(hashlib.sha256(content).digest() + content)


def test_the_file_of_another_signature_is_a_miss(fresh, tmp_path):
    # Numba numbers its data files; where two processes write the index at once, a number can mean the other's code.
    mine = kept_file(fresh, tmp_path)
    function = fresh()
    function.compile(OTHER)
    (other,) = set(tmp_path.iterdir()) - {mine}
    other.write_bytes(mine.read_bytes())
    assert not is_kept(fresh(), OTHER)
    assert is_kept(fresh(), SIGNATURE)
    assert fresh()(VALUES.astype(np.int32), 4) == 14
    assert is_kept(fresh(), OTHER)


def test_a_directory_in_the_place_of_a_file(fresh, tmp_path):
    file = kept_file(fresh, tmp_path)
    file.unlink()
    file.mkdir()
    assert fresh()(VALUES, 5) == 15
    assert list(tmp_path.iterdir()) == [file]


def test_a_directory_that_is_gone(fresh, tmp_path):
    function = fresh(tmp_path / "gone")
    assert function(VALUES, 6) == 16


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO])
@pytest.mark.parametrize("method", ["write_bytes", "replace"])
def test_a_failing_disk(fresh, tmp_path, monkeypatch, code, method):
    def fail(*_, **__):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(Path, method, fail)
    if method == "write_bytes":
        monkeypatch.setattr(Path, "unlink", fail)  # as on a file system that has become read-only
    assert fresh()(VALUES, 7) == 17
    assert not list(tmp_path.iterdir())


def test_a_disk_that_fills_up_while_a_file_is_written(fresh, tmp_path):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))  # SIGXFSZ is ignored in Python: writes fail
    try:
        result = fresh()(VALUES, 8)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert result == 18
    assert not list(tmp_path.iterdir())
    assert fresh()(VALUES, 8) == 18
    assert is_kept(fresh())


MODULE = """
from lowbit.kernels._jit import kernel
@kernel
def twice(x):
    return 2 * x
print(twice(4), twice(2.5), sum(twice.stats.cache_hits.values()))
"""


@pytest.mark.slow
def test_processes_that_compile_at_once_and_one_that_finds_damage(tmp_path):
    (tmp_path / "module.py").write_text(MODULE, encoding="utf-8")
    package = str(Path(lowbit.__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": package, "LOWBIT_CACHE_DIR": str(tmp_path / "cache")}

    def start():
        return subprocess.Popen([sys.executable, tmp_path / "module.py"], env=environment, stdout=subprocess.PIPE)

    processes = [start() for _ in range(4)]
    outputs = [process.communicate(timeout=120)[0].decode() for process in processes]
    assert [output.rsplit(" ", 1)[0] for output in outputs] == ["8 5.0"] * 4
    assert start().communicate(timeout=120)[0] == b"8 5.0 2\n"
    files = [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert [path.suffix for path in files] == [".nbc", ".nbc"]
    files[0].write_bytes(b"")
    files[1].write_bytes(files[1].read_bytes()[:-100])
    assert start().communicate(timeout=120)[0] == b"8 5.0 0\n"
    assert start().communicate(timeout=120)[0] == b"8 5.0 2\n"
