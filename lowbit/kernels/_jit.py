"""The one decorator that compiles kernels, and where their machine code is kept.

Numba's own cache checks only the file that defines a function (numba#1833, #9312): after an upgrade it can serve
stale code of a callee. Here the cache directory carries a hash of the defining file, of every kernel file that it
imports, and of numba's version, so an edited callee misses the cache. The directory is
``$LOWBIT_CACHE_DIR``, ``$NUMBA_CACHE_DIR`` or the user's cache, plus ``lowbit/<module>-<hash>``.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
from numba.core import config
from numba.np.unsafe.ndarray import to_fixed_tuple

from lowbit.errors import LowbitError

if config.DISABLE_JIT:
    raise LowbitError(
        "NUMBA_DISABLE_JIT is set, and lowbit's kernels give their bits only when they are compiled",
        hint="unset NUMBA_DISABLE_JIT; lowbit.oracle computes in Python integers without Numba",
    )

_KERNELS = Path(__file__).parent
_PACKAGE = "lowbit.kernels"
_PRUNE_AFTER_SECONDS = 30 * 24 * 3600


def import_closure(file: Path) -> list[Path]:
    """The file and all kernel files that it imports, directly or not, sorted."""
    found: set[Path] = set()
    waiting = [file.resolve()]
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        found.add(path)
        for name in _kernel_imports(path):
            callee = path.parent / f"{name}.py"
            if callee.exists():
                waiting.append(callee.resolve())
    return sorted(found)


def _kernel_imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == _PACKAGE:
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith(f"{_PACKAGE}."):
            names.add((node.module or "").removeprefix(f"{_PACKAGE}.").split(".")[0])
    return names


@functools.cache
def stamp(file: Path) -> str:
    """Hash of the import closure's contents, of numba's version and of this decorator."""
    digest = hashlib.sha256(f"{numba.__version__} {sys.implementation.cache_tag}".encode())
    for path in [Path(__file__).resolve(), *import_closure(file)]:
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def cache_root() -> Path:
    """Where compiled kernels of every version are kept."""
    for variable in ("LOWBIT_CACHE_DIR", "NUMBA_CACHE_DIR"):
        if os.environ.get(variable):
            return Path(os.environ[variable]) / "lowbit"
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or str(Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = str(Path.home() / "Library" / "Caches")
    else:
        base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # noqa: PTH111 (never raises)
    return Path(base) / "lowbit"


@functools.cache
def cache_directory(file: Path) -> Path | None:
    """The directory for kernels defined in a file, made if need be; None where it cannot be written."""
    directory = cache_root() / f"{file.stem}-{stamp(file)}"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        os.utime(directory)
        writable = os.access(directory, os.W_OK | os.X_OK)
    except OSError:
        return None
    _prune(directory)
    return directory if writable else None


def _prune(current: Path) -> None:
    """Remove directories of other versions of the same file that nobody has used for a month."""
    name = current.name.rsplit("-", 1)[0]
    for other in current.parent.glob(f"{name}-*"):
        try:
            if other != current and time.time() - other.stat().st_mtime > _PRUNE_AFTER_SECONDS:
                for path in sorted(other.rglob("*"), reverse=True):
                    path.rmdir() if path.is_dir() else path.unlink()
                other.rmdir()
        except OSError:
            continue  # somebody else is at it, or it is not ours to remove


_OPTIONS = {"nogil": True, "error_model": "numpy", "fastmath": False, "boundscheck": False}


def scalar(function: Callable[..., Any]) -> Any:
    """Compile a scalar function that loops call: always inlined, or LLVM would leave the loop a call a time."""
    return numba.njit(forceinline=True, **_OPTIONS)(function)


def routine(function: Callable[..., Any]) -> Any:
    """Compile a loop that kernels call from many places: once a type, where inlining would compile it at each place."""
    return numba.njit(**_OPTIONS)(function)


def kernel(function: Callable[..., Any]) -> Any:
    """Compile an array loop on first call, without the GIL, cached on disk where there is a place for it."""
    directory = cache_directory(Path(function.__code__.co_filename).resolve())
    if directory is None:
        return numba.njit(**_OPTIONS)(function)
    before = config.CACHE_DIR
    config.CACHE_DIR = str(directory)  # the cache locator copies the path when it is made, here
    try:
        return numba.njit(cache=True, **_OPTIONS)(function)
    finally:
        config.CACHE_DIR = before


constants = to_fixed_tuple
"""``constants(vector, size)``: the entries as a tuple, so that LLVM knows that no store can change them."""


def entry(function: Any, *argument_types: Any) -> Callable[..., Any]:
    """The compiled function for these Numba types, called without a look at the types of its arguments.

    Saves most of a call's cost where it counts. The caller vouches for the arguments: only the item size and the
    number of axes of an array are checked.
    """
    function.compile(argument_types)
    compiled: Callable[..., Any] = function.overloads[argument_types].entry_point
    return compiled
